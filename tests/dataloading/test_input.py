"""Cadences on their way to the network: what is normalised, augmented, transformed, and where."""

import numpy as np
import pytest
import torch
from unit_helpers import BINS, DATA, NO_AUGMENT, ROWS, files_dataset, make_cadences, make_train_set

from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.dataset import CadenceDataset
from seti.errors import SetiError
from seti.inference.ensemble import MirroredViews
from seti.transforms.batch import prepare
from seti.transforms.input_spec import InputSpec
from seti.transforms.normalisation import Normalisation

DRIFTS = {"max_drift": 4, "drifts": 5, "gap": [0, 4]}
IDS = np.array([f"{number:x}{number:03d}" for number in range(8)])
SEEDED = [(number, 100 + number) for number in range(8)]
FLIPS = NO_AUGMENT | {"flip_frequency": 0.5, "flip_time": 0.5}


def dataset(root, augment=None, on_device=False, targets=None, **changes) -> CadenceDataset:
    values = {"panels": "all", "layout": "dedoppler", "image_size": None, "interpolation": "linear"}
    values |= {"rows": ROWS, "bins": BINS, "normalise": "robust", "dedoppler": DRIFTS}
    spec = InputSpec(**(values | changes))
    if not (root / "train").exists():
        make_cadences(root, "train", list(IDS))
    targets = np.zeros(8) if targets is None else targets
    return files_dataset(root, "train", IDS, targets, spec, augment, on_device)


def made(data: CadenceDataset, items) -> torch.Tensor:
    inputs, _, _ = data.__getitems__(items)
    return prepare(inputs, data.image_maker)


@pytest.mark.parametrize(
    ("layout", "panels", "size", "shape"),
    [
        ("dedoppler", "all", None, (6, 5, BINS)),
        ("dedoppler", "A", [9, 7], (3, 9, 7)),
        ("channel_dedoppler", "all", None, (12, ROWS, BINS)),
        ("channel_dedoppler", "A", [10, 6], (6, 10, 6)),
    ],
)
def test_shapes_of_the_layouts_with_planes(tmp_path, layout, panels, size, shape):
    data = dataset(tmp_path, layout=layout, panels=panels, image_size=size)
    assert (data.image_maker.channels, *data.spec.image_shape) == shape
    assert made(data, [0, 1]).shape == (2, *shape)
    assert data[0][0].shape == shape


def test_planes_are_compressed_and_follow_the_panels(tmp_path):
    alone, joined = (dataset(tmp_path, layout=layout) for layout in ("dedoppler", "channel_dedoppler"))
    read = torch.from_numpy(np.stack([alone.source.read(number) for number in range(2)]))
    panels = Normalisation("robust")(read)
    planes = alone.image_maker.layout.dedoppler(panels, torch.arange(6)).asinh()
    torch.testing.assert_close(made(alone, [0, 1]), planes)
    both = made(joined, [0, 1])
    torch.testing.assert_close(both[:, :6], panels)
    assert both[:, 6:].shape == panels.shape


@pytest.mark.parametrize("layout", ["dedoppler", "channel_dedoppler", "channel", "spatial"])
@pytest.mark.parametrize("panels", ["A", "all"])
def test_host_and_device_make_the_same_images(tmp_path, layout, panels, monkeypatch):
    # Injected signals reach the device rounded as files are, which has a test of its own.
    monkeypatch.setattr("seti.dataloading.dataset._as_stored", lambda cadence, dtype: cadence)
    augment = FLIPS | {"shuffle_on": 0.5, "roll": 0.5, "inject": 0.5, "inject_snr": [50, 50]}
    clean = {"normalise": "whiten", "clip": [-2, 3], "remove_spike": True}
    host, device = (
        dataset(tmp_path, augment, on_device, layout=layout, panels=panels, **clean) for on_device in (False, True)
    )
    assert not isinstance(device.__getitems__(SEEDED)[0], torch.Tensor)
    torch.testing.assert_close(made(host, SEEDED), made(device, SEEDED), rtol=1e-4, atol=1e-4)
    single = torch.stack([host[item][0] for item in SEEDED])
    torch.testing.assert_close(single, made(host, SEEDED), rtol=1e-5, atol=1e-5)


def test_normalised_panels_reach_the_other_layouts(tmp_path):
    data = dataset(tmp_path, layout="channel", normalise="robust", clip=[-1, 1])
    images = made(data, [0, 1, 2])
    assert images.abs().max() == 1
    assert made(dataset(tmp_path, layout="channel", normalise="none"), [0, 1, 2]).abs().max() > 2


def test_mirrored_planes_are_those_of_the_mirrored_cadence(tmp_path):
    """Frequency: both axes turn round. Time: drift rates change sign, and nothing else, panels stay in their places."""
    still = dataset(tmp_path, normalise="robust")
    flat = made(still, [0])[0]
    fixed = NO_AUGMENT | {"flip_time": 1.0}
    gapless = DRIFTS | {"gap": [2, 2]}  # what is drawn is then what is usual
    flat = made(dataset(tmp_path, dedoppler=gapless), [0])[0]
    backwards = made(dataset(tmp_path, fixed, dedoppler=gapless), [(0, 3)])[0]
    torch.testing.assert_close(backwards, flat.flip(1), rtol=1e-3, atol=1e-3)
    mirrored = made(dataset(tmp_path, NO_AUGMENT | {"flip_frequency": 1.0}, dedoppler=gapless), [(0, 3)])[0]
    # Around the other end of the padding: inner bins are the same.
    assert np.corrcoef(mirrored.ravel(), flat.flip(1, 2).ravel())[0, 1] > 0.999


def test_gaps_are_drawn_in_training_alone(tmp_path):
    data = dataset(tmp_path, NO_AUGMENT, on_device=True)
    assert data.__getitems__([0, 1])[0].gaps is None
    gaps = data.__getitems__(SEEDED)[0].gaps
    assert len(set(gaps.tolist())) == 8
    assert gaps.min() >= 0
    assert gaps.max() <= 4


@pytest.mark.parametrize("layout", ["dedoppler", "channel_dedoppler"])
def test_four_views_of_planes(tmp_path, layout):
    data = dataset(tmp_path, layout=layout, dedoppler=DRIFTS | {"gap": [2, 2]})
    views = MirroredViews(data, flips=True)
    with views.panels_if_needed():
        inputs, _, _ = data.__getitems__([0, 1])
        seen = list(views(inputs))
    assert len(seen) == 4
    turns = [
        dataset(tmp_path, NO_AUGMENT | turn, layout=layout, dedoppler=DRIFTS | {"gap": [2, 2]})
        for turn in ({}, {"flip_frequency": 1.0}, {"flip_time": 1.0}, {"flip_frequency": 1.0, "flip_time": 1.0})
    ]
    for view, turned in zip(seen, turns, strict=True):
        torch.testing.assert_close(view, made(turned, [(0, 1), (1, 1)]), rtol=1e-4, atol=1e-4)
    assert isinstance(data.__getitems__([0])[0], torch.Tensor)  # as before


def test_targets_are_those_of_what_came_of_a_cadence(tmp_path):
    rich = dataset(tmp_path, NO_AUGMENT | {"inject": 1.0}, targets=np.arange(8) % 2)
    assert rich.__getitems__(SEEDED)[1].tolist() == [1.0] * 8
    assert rich.__getitems__(list(range(8)))[1].tolist() == [0.0, 1.0] * 4  # as they are, without a seed
    poor = dataset(tmp_path, NO_AUGMENT | {"swap_off": 1.0}, targets=np.ones(8))
    assert poor.__getitems__(SEEDED)[1].tolist() == [0.0] * 8
    assert poor[SEEDED[0]][1] == 0


def test_off_panels_are_read_where_they_may_take_the_places_of_on_panels(tmp_path):
    make_train_set(tmp_path, 12, 4)
    augment = NO_AUGMENT | {"swap_off": 1.0}
    module = CadenceDataModule(DATA | {"root": str(tmp_path), "packed": "false"}, augment, 0, 7)
    positive = int(module.train_set.targets.argmax())
    name = module.train_set.ids[positive]
    images, targets, _ = module.train_set.__getitems__([(positive, 5)])
    cadence = np.load(tmp_path / "train" / name[0] / f"{name}.npy")
    np.testing.assert_array_equal(images[0], cadence[[1, 3, 5]].astype(np.float32))
    assert targets.tolist() == [0]
    held, _, _ = module.val_set.__getitems__([0])
    other = np.load(tmp_path / "train" / module.val_set.ids[0][0] / f"{module.val_set.ids[0]}.npy")
    np.testing.assert_array_equal(held[0], other[[0, 2, 4]].astype(np.float32))


@pytest.mark.parametrize("layout", ["dedoppler", "channel"])
@pytest.mark.parametrize("dtype", [">f2", "<f8"])
def test_files_of_any_byte_order_and_precision(tmp_path, layout, dtype):
    augment = NO_AUGMENT | {"inject": 0.5, "shuffle_on": 1.0, "flip_frequency": 0.5, "roll": 0.3}
    data = dataset(tmp_path, augment, layout=layout)
    expected = made(data, SEEDED)
    for name in IDS:
        path = tmp_path / "train" / name[0] / f"{name}.npy"
        np.save(path, np.load(path).astype(dtype))
    torch.testing.assert_close(made(dataset(tmp_path, augment, layout=layout), SEEDED), expected, rtol=1e-3, atol=1e-3)


def test_panels_of_one_row_have_no_drift_rates(tmp_path):
    make_train_set(tmp_path, 12, 4, rows=1)
    data = DATA | {"root": str(tmp_path), "layout": "dedoppler", "normalise": "whiten"}
    with pytest.raises(SetiError, match=r"data.layout=dedoppler .* have 1: .*data.layout=channel"):
        _ = CadenceDataModule(data, NO_AUGMENT, 0, 7).spec


def test_a_fold_of_planes_trains_predicts_and_goes_on(train, predict, outputs):
    recipe = (
        "model=needle_net",
        "data.panels=all",
        "data.layout=dedoppler",
        "data.image_size=null",
        "data.normalise=whiten",
        "data.clip=[-4,5]",
        "data.dedoppler.drifts=5",
        "augment=flips",
        "augment.roll=0.5",
        "augment.inject=0.3",
        "augment.inject_decoys=0.3",
        "mixup.alpha=0.4",
        "mixup.label=union",
    )
    aucs = [train(*recipe), train(*recipe, "exp_name=again", "data.augment_on=device")]
    assert aucs[0] == pytest.approx(aucs[1], abs=0.05)
    train(*recipe, "fold=1")
    tables = []
    for flips in ("false", "true"):
        predict(f"flips={flips}")
        tables.append((outputs / "exp" / "predictions.csv").read_text())
    assert tables[0] != tables[1]
