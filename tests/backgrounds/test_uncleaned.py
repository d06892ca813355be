"""Training on cadences as they were before their background was subtracted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cut_sets import make_set, needle
from unit_helpers import DATA, NO_AUGMENT

from seti.backgrounds.clean_set import clean
from seti.backgrounds.original import find_original
from seti.backgrounds.search import find_twins
from seti.data.competition import cadence_path
from seti.data.pack_writer import pack_splits
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.pseudo import PseudoLabels
from seti.dataloading.uncleaned import Uncleaned
from seti.errors import SetiError


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A data set and the cleaned one."""
    root = tmp_path_factory.mktemp("uncleaned") / "set"
    make_set(root, {1: needle((0, 2, 4), 50, 0.4)})
    find_twins(root, None, 1)
    return root, clean(root, root.with_name("clean"), None, 1).folder


@pytest.fixture
def own(pair, tmp_path):
    """A copy of the data set, and a cleaned one of it, that may be changed."""
    shutil.copytree(pair[0], tmp_path / "set")
    return tmp_path / "set", clean(tmp_path / "set", tmp_path / "clean", None, 1).folder


def module(root: Path, share: float | None, augment: dict | None = None, **data) -> CadenceDataModule:
    data = {"image_size": None, "panels": "all", "n_folds": 2, "uncleaned": share, "groups": None} | data
    return CadenceDataModule(DATA | {"root": str(root)} | data, augment or NO_AUGMENT, 0, 7)


def epoch(made: CadenceDataModule, number: int = 0) -> dict[str, np.ndarray]:
    """Images of one epoch, by id."""
    loader = made.train_dataloader()
    loader.sampler.set_epoch(number)
    ids = made.train_set.ids
    return {
        str(ids[index]): image.numpy()
        for images, _, indices in loader
        for image, index in zip(images, indices.tolist(), strict=True)
    }


def stored(root: Path, name: str, split: str = "train") -> np.ndarray:
    return np.load(cadence_path(root, split, name)).astype(np.float32)


def test_a_share_of_the_draws_is_as_it_was_before(pair):
    root, cleaned = pair
    made = module(cleaned, 0.5)
    touched = {name for name in made.train_set.ids if not cadence_path(cleaned, "train", name).is_symlink()}
    assert touched
    before = 0
    for number in range(30):
        for name, image in epoch(made, number).items():
            is_before = np.array_equal(image, stored(root, name))
            assert is_before or np.array_equal(image, stored(cleaned, name))
            before += is_before and name in touched
    assert before / (30 * len(touched)) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("share", "which"), [(1, 0), (0, 1), (None, 1)])
def test_all_or_none_of_the_draws(pair, share, which):
    for name, image in epoch(module(pair[1], share)).items():
        np.testing.assert_array_equal(image, stored(pair[which], name))


def test_held_out_cadences_are_always_cleaned(pair):
    made = module(pair[1], 1)
    assert len(made.val_set)
    for number, name in enumerate(made.val_set.ids):
        np.testing.assert_array_equal(made.val_set[number][0].numpy(), stored(pair[1], name))
        np.testing.assert_array_equal(made.held_out_rows()[number][0].numpy(), stored(pair[1], name))


def test_the_draws_follow_from_the_seed(pair):
    def drawn(seed: int, workers: int = 0) -> dict[str, np.ndarray]:
        made = module(pair[1], 0.5, num_workers=workers)
        made.seed = seed
        return epoch(made, 3)

    def same(one: dict, other: dict) -> bool:
        return all(np.array_equal(one[name], other[name]) for name in one)

    assert same(drawn(1), drawn(1, workers=1))
    assert not all(same(drawn(1), drawn(seed)) for seed in range(2, 12))


def test_the_choice_leaves_the_transforms_draws_as_they_are(pair):
    augment = NO_AUGMENT | {"roll": 0.5}
    cleaned, before = (epoch(module(folder, None, augment)) for folder in reversed(pair))
    expected = {name: {cleaned[name].tobytes(), before[name].tobytes()} for name in cleaned}
    for name, image in epoch(module(pair[1], 0.5, augment)).items():
        assert image.tobytes() in expected[name]


def test_signals_are_injected_in_the_scale_of_each(pair, monkeypatch):
    """Cleaned cadences are in units of their noise, and the others have a noise of their own."""
    noises = []
    monkeypatch.setattr("seti.transforms.injection.add", lambda *args: noises.append(args[-1]))
    augment = NO_AUGMENT | {"inject": 1.0}
    for share in (0, 1):
        epoch(module(pair[1], share, augment))
    assert set(noises) == {1.0, None}
    noises.clear()
    epoch(module(pair[1], 1, augment))
    assert set(noises) == {None}


def test_pseudo_labelled_cadences_are_drawn_too(pair):
    made = module(pair[1], 1)
    ids = np.sort([path.stem for path in (pair[1] / "test").rglob("*.npy")])
    made.pseudo = PseudoLabels("p.csv", "fold_0", ids, np.full(len(ids), 0.3), True, "0")
    images = epoch(made)
    assert set(ids) < set(images)
    for name in ids:
        np.testing.assert_array_equal(images[name], stored(pair[0], name, "test"))


def test_packs_of_both_are_read(own):
    root, cleaned = own
    with pytest.raises(SetiError, match=r"^data\.packed=true, but .*clean"):
        epoch(module(cleaned, 1, packed="true"))
    list(pack_splits(cleaned, ["train"], "all"))
    with pytest.raises(
        SetiError, match=r"^data\.uncleaned reads the cadences of .*set too: data\.packed=true, but .*set"
    ):
        epoch(module(cleaned, 1, packed="true"))
    list(pack_splits(root, ["train"], "all"))
    images = epoch(module(cleaned, 1, packed="true"))
    assert images
    for name, image in images.items():
        np.testing.assert_array_equal(image, stored(root, name))


def test_packs_of_the_original_may_lie_elsewhere(pair, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(pair[0], root)
    list(pack_splits(root, ["train", "test"], "all", tmp_path / "packs"))
    cleaned = clean(root, tmp_path / "clean", tmp_path / "packs", 1).folder
    assert find_original(cleaned).pack_dir == tmp_path / "packs"
    assert "packs" in module(cleaned, 1).train_set.uncleaned.source.description


def test_a_data_set_that_was_not_cleaned_has_nothing_else_to_draw(pair):
    assert module(pair[0], 0.5).train_set.uncleaned is None


def test_an_original_that_moved(own, tmp_path):
    root, cleaned = own
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(SetiError) as caught:
        _ = module(cleaned, 0.5).train_set
    assert str(caught.value) == (
        f"{root}, from which {cleaned} was made, is no longer there: put it back, or delete {cleaned} and make it "
        f"again with seti twins data.root=<its new folder> clean={cleaned}; data.uncleaned=null trains on "
        "cleaned cadences alone"
    )


def test_an_original_that_changed(own):
    root, cleaned = own
    name = module(cleaned, None).train_set.ids[0]
    path = cadence_path(root, "train", name)
    values = np.load(path)
    np.save(path, values + 1)
    with pytest.raises(SetiError) as caught:
        _ = module(cleaned, 0.5).train_set
    assert str(caught.value) == (
        f"{root / 'twins.csv'} is out of date: the cadence {name} has changed since; seti twins data.root={root} makes "
        "it again; data.uncleaned=null trains on cleaned cadences alone"
    )
    find_twins(root, None, 1)  # as that line says
    with pytest.raises(SetiError) as caught:
        _ = module(cleaned, 0.5).train_set
    assert str(caught.value) == (
        f"{root / 'twins_sources.csv'} has changed since {cleaned} was made: delete {cleaned} and make it again with "
        f"seti twins data.root={root} clean={cleaned}; data.uncleaned=null trains on cleaned cadences alone"
    )


def test_labels_that_changed(own):
    root, cleaned = own
    table = root / "train_labels.csv"
    table.write_text(table.read_text() + "\n")
    with pytest.raises(SetiError, match=r"^.*set/train_labels\.csv has changed since .*clean was made: delete "):
        find_original(cleaned)


def test_an_original_without_its_table_of_twins(own):
    root, cleaned = own
    (root / "twins.csv").unlink()
    with pytest.raises(SetiError, match=r"set/twins\.csv is missing: seti twins data\.root=.*set makes it$"):
        find_original(cleaned)


@pytest.mark.parametrize("record", ["{}", '{"root": 3}', '{"root": null, "twins": 1}'])
def test_a_record_that_names_no_data_set(own, record):
    (own[1] / "clean.json").write_text(record)
    with pytest.raises(SetiError) as caught:
        find_original(own[1])
    assert str(caught.value) == (
        f"{own[1] / 'clean.json'} does not name the data set that it was made from: make {own[1]} again"
    )


def test_a_record_of_an_earlier_version_serves(own):
    record = json.loads((own[1] / "clean.json").read_text())
    del record["pack_dir"], record["contents"]
    (own[1] / "clean.json").write_text(json.dumps(record))
    assert find_original(own[1]).root == own[0]


def test_every_seed_is_drawn_apart():
    drawn = [Uncleaned(None, 0.3).is_drawn(seed) for seed in range(4000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.03)
    assert not any(Uncleaned(None, 0.0).is_drawn(seed) for seed in range(100))
    assert all(Uncleaned(None, 1.0).is_drawn(seed) for seed in range(100))
