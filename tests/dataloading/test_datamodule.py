import os
from collections import Counter

import numpy as np
import pytest
import torch
from unit_helpers import BINS, DATA, NO_AUGMENT, ROWS, files_dataset, make_cadences, make_train_set

from seti.data import competition
from seti.data.folds import assign_folds
from seti.dataloading import loader
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.loader import make_loader
from seti.dataloading.sampler import EpochSampler
from seti.errors import SetiError
from seti.transforms.batch import prepare
from seti.transforms.input_spec import InputSpec

AUGMENT = NO_AUGMENT | {
    "flip_frequency": 0.5,
    "flip_time": 0.5,
    "affine": 1.0,
    "shift": 0.1,
    "scale": 0.1,
    "rotate": 10.0,
}
COUNT, POSITIVES = 18, 6


@pytest.fixture
def table(tmp_path):
    return make_train_set(tmp_path, COUNT, POSITIVES)


def module(root, fold=0, seed=7, augment=NO_AUGMENT, **data) -> CadenceDataModule:
    return CadenceDataModule(DATA | {"root": str(root)} | data, augment, fold, seed)


def epoch_of(batches, epoch: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One epoch of a loader, whose sampler gets the epoch as from Lightning."""
    batches.sampler.set_epoch(epoch)
    return [tuple(part.numpy() for part in batch) for batch in batches]


def images_by_index(batches) -> dict[int, bytes]:
    return {
        int(index): image.tobytes()
        for images, _, indices in batches
        for image, index in zip(images, indices, strict=True)
    }


def spec(**changes) -> InputSpec:
    values = {
        "panels": "A",
        "layout": "spatial",
        "image_size": None,
        "interpolation": "linear",
        "rows": 273,
        "bins": 256,
    }
    return InputSpec(**(values | changes))


@pytest.mark.parametrize(
    ("panels", "layout", "image_size", "channels", "size"),
    [
        ("A", "spatial", None, 1, (819, 256)),
        ("all", "spatial", None, 1, (1638, 256)),
        ("A", "channel", None, 3, (273, 256)),
        ("all", "channel", None, 6, (273, 256)),
        ("all", "channel", [512, 320], 6, (512, 320)),
        ("A", "spatial", [512, 320], 1, (512, 320)),
    ],
)
def test_spec_foretells_the_image(panels, layout, image_size, channels, size):
    what = spec(panels=panels, layout=layout, image_size=image_size)
    assert what.image_shape == size
    assert what.image_maker().channels == channels
    made = what.image_maker()(np.zeros((3 if panels == "A" else 6, 273, 256), np.float16))
    assert made.shape == (channels, *size)


def test_spec_is_plain_and_comes_back():
    what = spec(image_size=[4, 5])
    assert what.plain() == {
        "panels": "A",
        "layout": "spatial",
        "image_size": [4, 5],
        "interpolation": "linear",
        "rows": 273,
        "bins": 256,
        "normalise": "none",
        "clip": None,
        "remove_spike": False,
        "dedoppler": {},
    }
    assert InputSpec(**what.plain()) == what


def test_an_item_is_the_cadences_image_target_and_index(tmp_path):
    cadences = make_cadences(tmp_path, "train", ["a1", "b2"])
    data = files_dataset(tmp_path, "train", ["a1", "b2"], [0, 1], spec(layout="channel", rows=ROWS, bins=BINS))
    image, target, index = data[1]
    np.testing.assert_array_equal(image.numpy(), cadences[1, [0, 2, 4]].astype(np.float32))
    assert image.dtype == torch.float32
    assert (float(target), index, len(data)) == (1.0, 1, 2)


def test_unknown_targets_are_nan(tmp_path):
    make_cadences(tmp_path, "test", ["a1"])
    data = files_dataset(tmp_path, "test", ["a1"], None, spec(rows=ROWS, bins=BINS))
    assert np.isnan(data[0][1])


def test_a_file_of_another_shape_is_named(tmp_path):
    make_cadences(tmp_path, "test", ["a1"], rows=ROWS + 1)
    data = files_dataset(tmp_path, "test", ["a1"], None, spec(rows=ROWS, bins=BINS))
    with pytest.raises(SetiError) as caught:
        data[0]
    message = str(caught.value)
    assert str(tmp_path / "test" / "a" / "a1.npy") in message
    assert "9 x 12" in message
    assert "8 x 12" in message
    assert "\n" not in message


def test_rows_and_bins_are_those_of_the_first_cadence(tmp_path):
    make_train_set(tmp_path, COUNT, POSITIVES, rows=5, bins=9)
    what = module(tmp_path, layout="spatial").spec
    assert (what.rows, what.bins, what.image_shape) == (5, 9, (15, 9))


@pytest.mark.parametrize("epoch", [0, 1, 17])
def test_sampler_gives_every_cadence_once(epoch):
    sampler = EpochSampler(np.zeros(50), (1, 2), balanced=False)
    sampler.set_epoch(epoch)
    order = [index for index, _ in sampler]
    assert sorted(order) == list(range(50))
    assert order != list(range(50))
    assert len(sampler) == 50


@pytest.mark.parametrize("balanced", [False, True])
def test_sampler_follows_from_seed_and_epoch(balanced):
    targets = np.arange(60) % 3 == 0

    def draws(seed, epoch):
        sampler = EpochSampler(targets, seed, balanced)
        sampler.set_epoch(epoch)
        return list(sampler)

    first = draws((1, 2), 0)
    assert draws((1, 2), 0) == first
    for seed, epoch in (((1, 2), 1), ((1, 3), 0), ((2, 2), 0)):
        other = draws(seed, epoch)
        assert [index for index, _ in other] != [index for index, _ in first]
        assert not {seed for _, seed in other} & {seed for _, seed in first}


def test_sampler_can_be_read_twice_within_an_epoch():
    sampler = EpochSampler(np.zeros(20), (0,), balanced=False)
    assert list(sampler) == list(sampler)


def test_every_cadence_has_a_seed_of_its_own():
    seeds = [seed for _, seed in EpochSampler(np.zeros(500), (0,), balanced=False)]
    assert len(set(seeds)) == 500


@pytest.mark.parametrize("share", [0.02, 0.1, 0.8])
def test_balanced_sampling_draws_half_positives(share):
    targets = np.arange(2000) < 2000 * share
    order = np.array([index for index, _ in EpochSampler(targets, (3,), balanced=True)])
    assert len(order) == 2000
    assert targets[order].mean() == pytest.approx(0.5, abs=0.05)
    assert len(set(order[targets[order]].tolist())) > 0.6 * min(targets.sum(), 1000), "drawn from all of the class"


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_train_and_validation_sets_are_the_folds(tmp_path, table, fold):
    data = module(tmp_path, fold)
    folds = assign_folds(table["target"].to_numpy(), DATA["n_folds"], DATA["fold_seed"])
    assert data.table["fold"].tolist() == folds.tolist()
    assert data.val_set.ids.tolist() == table["id"][folds == fold].tolist()
    assert data.train_set.ids.tolist() == table["id"][folds != fold].tolist()
    targets = dict(zip(table["id"], table["target"], strict=True))
    for split in (data.train_set, data.val_set):
        assert split.targets.tolist() == [targets[i] for i in split.ids]


def test_every_cadence_is_held_out_by_one_fold(tmp_path, table):
    held_out = Counter(i for fold in range(3) for i in module(tmp_path, fold).val_set.ids.tolist())
    assert held_out == Counter(table["id"].tolist())


def test_folds_follow_from_fold_seed_not_from_seed(tmp_path, table):
    assert module(tmp_path, seed=1).table.equals(module(tmp_path, seed=2).table)
    assert not module(tmp_path).table.equals(module(tmp_path, fold_seed=2).table)


def test_validation_comes_in_the_tables_order_untransformed(tmp_path, table):
    data = module(tmp_path, augment=AUGMENT)
    batches = list(data.val_dataloader())
    assert [len(indices) for _, _, indices in batches] == [4, 2]
    assert torch.cat([indices for _, _, indices in batches]).tolist() == list(range(6))
    plain = module(tmp_path).val_set
    np.testing.assert_array_equal(torch.cat([batch[0] for batch in batches]), [plain[i][0] for i in range(6)])
    assert torch.cat([batch[1] for batch in batches]).tolist() == data.val_set.targets.tolist()


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(11, [11]), (4, [4, 4, 4]), (5, [5, 5, 2]), (12, [12]), (50, [12]), (1, [1] * 12)],
)
def test_a_last_batch_of_one_is_dropped(tmp_path, table, batch_size, sizes):
    batches = module(tmp_path, batch_size=batch_size).train_dataloader()
    assert [len(indices) for _, _, indices in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 7, 100])
def test_batches_are_counted_without_loading_them(tmp_path, table, batch_size):
    data = module(tmp_path, batch_size=batch_size)
    assert data.batches == (len(data.train_dataloader()), len(data.val_dataloader()))


def test_more_workers_than_cores_are_said_once(tmp_path, table, caplog, recwarn):
    loader._warn_of_workers.cache_clear()
    cores = len(os.sched_getaffinity(0))
    with caplog.at_level("WARNING"):
        for _ in range(3):
            make_loader(module(tmp_path).train_set, 4, cores + 1)
        make_loader(module(tmp_path).train_set, 4, cores)
    assert [record.getMessage() for record in caplog.records] == [
        f"data.num_workers={cores + 1} are more than the {cores} core{'s' * (cores > 1)} that this process may use, "
        f"which is slower than {cores}"
    ]
    assert not [warning for warning in recwarn if "worker" in str(warning.message)]


def test_training_batches_hold_the_cadences_they_say(tmp_path, table):
    data = module(tmp_path)
    for images, targets, indices in data.train_dataloader():
        for image, target, index in zip(images, targets, indices, strict=True):
            np.testing.assert_array_equal(image, data.train_set[int(index)][0])
            assert target == data.train_set.targets[index]


def test_an_epoch_repeats_exactly_when_set_again(tmp_path, table):
    batches = module(tmp_path, augment=AUGMENT).train_dataloader()
    first, second, again = (epoch_of(batches, epoch) for epoch in (0, 1, 0))
    fresh = epoch_of(module(tmp_path, augment=AUGMENT).train_dataloader(), 0)
    for one, two, three in zip(first, again, fresh, strict=True):
        for part in range(3):
            np.testing.assert_array_equal(one[part], two[part])
            np.testing.assert_array_equal(one[part], three[part])
    assert any((one[2] != two[2]).any() for one, two in zip(first, second, strict=True))


def test_another_seed_or_fold_trains_in_another_order(tmp_path, table):
    orders = [
        np.concatenate([indices for _, _, indices in epoch_of(data.train_dataloader(), 0)]).tolist()
        for data in (module(tmp_path), module(tmp_path, seed=8), module(tmp_path, fold=1))
    ]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_workers_draw_other_transforms_than_each_other_and_than_in_other_epochs(tmp_path):
    """Equal cadences in every place: any two equal images would be two equal draws of the transforms."""
    ids = [f"a{n}" for n in range(16)]
    one = np.random.default_rng(0).normal(size=(6, 16, 16)).astype(np.float16)
    (tmp_path / "train" / "a").mkdir(parents=True)
    for i in ids:
        np.save(tmp_path / "train" / "a" / f"{i}.npy", one)
    data = files_dataset(tmp_path, "train", ids, np.zeros(16), spec(layout="channel", rows=16, bins=16), AUGMENT)
    seen = {}
    for workers in (0, 2):
        batches = make_loader(data, 4, workers, sampler=EpochSampler(np.zeros(16), (1,), balanced=False))
        seen[workers] = [images_by_index(epoch_of(batches, epoch)) for epoch in (0, 1, 2)]
    assert seen[0] == seen[2], "the number of workers must not change an image"
    drawn = [image for epoch in seen[2] for image in epoch.values()]
    assert len(drawn) == 48
    assert len(set(drawn)) == 48


def test_missing_files_are_refused_before_the_first_batch(tmp_path, table):
    competition.cadence_path(tmp_path, "train", table["id"][3]).unlink()
    with pytest.raises(SetiError, match=f"1 of {COUNT} train ids have no file \\({table['id'][3]}\\)"):
        module(tmp_path).train_dataloader()


def test_fingerprint_tells_label_tables_apart(tmp_path, table):
    before = module(tmp_path).fingerprint
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "train_labels.csv", index=False)
    assert module(tmp_path).fingerprint == before
    table.assign(target=1 - table["target"]).to_csv(tmp_path / "train_labels.csv", index=False)
    assert module(tmp_path).fingerprint != before


def test_a_device_gets_panels_that_make_the_hosts_images(tmp_path, table):
    kind = {"augment": AUGMENT, "layout": "spatial", "image_size": [20, 18]}
    host, device = (module(tmp_path, augment_on=where, **kind) for where in ("host", "device"))
    for one, two in (
        (host.train_dataloader(), device.train_dataloader()),
        (host.val_dataloader(), device.val_dataloader()),
    ):
        for (images, targets, indices), (panels, *rest) in zip(one, two, strict=True):
            assert panels.panels.dtype == torch.float16
            assert panels.panels.shape == (len(indices), 3, ROWS, BINS)
            assert torch.equal(rest[0], targets)
            assert torch.equal(rest[1], indices)
            made = prepare(panels, device.train_set.image_maker)
            assert made.shape == images.shape
            # Noise as sharp as can be: the outer row, which one warp and two steps mirror apart, is left out.
            assert (made - images)[..., 1:-1, 1:-1].abs().mean() < 0.05


def test_images_are_made_on_the_host_where_there_is_no_trainer(tmp_path, table):
    images, _, _ = next(iter(module(tmp_path).train_dataloader()))
    assert isinstance(images, torch.Tensor)


@pytest.mark.parametrize("on_device", [False, True])
def test_a_batch_keeps_the_widest_precision_of_its_files(tmp_path, on_device):
    cadences = make_cadences(tmp_path, "train", ["a1", "b2"])
    fine = cadences[1].astype(np.float32) + np.float32(1e-6)
    np.save(tmp_path / "train" / "b" / "b2.npy", fine)
    what = spec(layout="channel", rows=ROWS, bins=BINS)
    data = files_dataset(tmp_path, "train", ["a1", "b2"], [0, 1], what, on_device=on_device)
    inputs, targets, indices = data.__getitems__([1, 0])
    np.testing.assert_array_equal(prepare(inputs, data.image_maker), np.stack([fine, cadences[0]])[:, [0, 2, 4]])
    assert (targets.tolist(), indices.tolist()) == ([1.0, 0.0], [1, 0])


def test_cadences_with_an_injected_signal_reach_a_device_as_the_files_are_stored(tmp_path):
    """They take float32 on the host, and would make the whole batch so."""
    (given,) = make_cadences(tmp_path, "train", ["a1"])
    augment = NO_AUGMENT | {"inject": 1.0, "roll": 0.5}
    what = spec(panels="all", layout="channel", rows=ROWS, bins=BINS)
    host, device = (
        files_dataset(tmp_path, "train", ["a1"], [0], what, augment, on_device=where) for where in (False, True)
    )
    (image,), targets, _ = host.__getitems__([(0, 5)])
    panels, same, _ = device.__getitems__([(0, 5)])
    assert targets.tolist() == same.tolist() == [1.0]
    assert panels.panels.dtype == torch.float16
    assert not np.array_equal(np.sort(image, axis=None), np.sort(given.astype(np.float32), axis=None))
    assert torch.equal(panels.panels[0], image.half())


def test_injected_signals_beyond_float16_are_not_rounded(tmp_path):
    (given,) = make_cadences(tmp_path, "train", ["a1"], bins=256)
    np.save(tmp_path / "train" / "a" / "a1.npy", given.clip(-3, 3) * np.float16(20000))
    augment = NO_AUGMENT | {"inject": 1.0, "inject_snr": [1e6, 1.1e6], "inject_drift": 0.1}
    what = spec(panels="all", layout="channel", rows=ROWS, bins=256)
    data = files_dataset(tmp_path, "train", ["a1"], [0], what, augment, on_device=True)
    panels = data.__getitems__([(0, 5)])[0].panels
    assert panels.dtype == torch.float32
    assert panels.isfinite().all()
