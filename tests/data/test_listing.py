"""Folders without a table: their files, and packs of them."""

import numpy as np
import pytest
from unit_helpers import make_cadences, make_train_set

from seti.data.cadence import PANEL_CHOICES
from seti.data.folder import open_folder
from seti.data.listing import check_names, is_loose, list_cadences
from seti.data.pack_reader import PackedCadences
from seti.data.pack_writer import pack_splits
from seti.errors import SetiError

ALL, A = PANEL_CHOICES["all"], PANEL_CHOICES["A"]
BOTH = ["train", "test"]


@pytest.fixture
def folder(tmp_path):
    """Cadences at two depths, one of them called like a number."""
    root = tmp_path / "night"
    cadences = make_cadences(root, "deep", ["b1", "a2", "007"])
    np.save(root / "c3.npy", cadences[0] + 1)
    return root


def files(root) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in root.rglob("*.npy") if path.parent.name != "packed"}


def test_a_folder_is_loose_without_either_table(folder, tmp_path):
    assert is_loose(folder)
    assert not is_loose(tmp_path / "nowhere")
    for name in ("train_labels.csv", "sample_submission.csv"):
        (folder / name).write_text("id\n")
        assert not is_loose(folder)
        (folder / name).unlink()


def test_all_files_are_the_test_set(folder):
    listing = list_cadences(folder)
    assert listing.files("train") == {}
    assert list(listing.files("test")) == ["007", "a2", "b1", "c3"]
    assert listing.files("test")["c3"] == (
        (folder / "c3.npy").stat().st_size,
        (folder / "c3.npy").stat().st_mtime_ns,
    )
    assert listing.path("test", "a2") == folder / "deep" / "a" / "a2.npy"


def test_with_a_table_files_lie_in_the_competitions_layout(tmp_path):
    table = make_train_set(tmp_path, 4, 2)
    listing = list_cadences(tmp_path)
    assert listing.paths is None
    assert sorted(listing.files("train")) == table["id"].tolist()


@pytest.mark.parametrize(("panels", "numbers"), [("A", A), ("all", ALL)])
def test_a_folder_without_a_table_is_packed_as_one_split(folder, panels, numbers, caplog):
    caplog.set_level("INFO")
    packs = pack_splits(folder, BOTH, panels, workers=1)
    assert [pack.data.name for pack in packs] == [f"test-{panels}.npy"]
    assert f"{folder} has no table: every cadence in it is packed as test" in caplog.text
    source = open_folder(folder, numbers).source
    assert isinstance(source, PackedCadences)
    assert source.ids.tolist() == ["007", "a2", "b1", "c3"]
    for place, name in enumerate(source.ids):
        np.testing.assert_array_equal(source.read(place), files(folder)[name][list(numbers)])
    assert pack_splits(folder, BOTH, panels, workers=1)  # the second time, there is nothing to do
    assert "already packed" in caplog.text


def test_a_pack_of_files_that_changed_is_not_used(folder):
    pack_splits(folder, BOTH, "all", workers=1)
    np.save(folder / "c3.npy", np.zeros_like(np.load(folder / "c3.npy")))
    source = open_folder(folder, ALL).source
    assert not isinstance(source, PackedCadences)
    with pytest.raises(SetiError, match=r"no longer matches: 1 of its 4 sources have changed, first c3; force=true "):
        pack_splits(folder, BOTH, "all", workers=1)
    pack_splits(folder, BOTH, "all", workers=1, force=True)
    assert open_folder(folder, ALL).source.read(3).max() == 0


def test_a_pack_of_fewer_files_is_not_used(folder):
    pack_splits(folder, BOTH, "all", workers=1)
    np.save(folder / "new.npy", np.load(folder / "c3.npy"))
    assert len(open_folder(folder, ALL).source) == 5


def test_the_pack_stands_in_for_files_that_are_gone(folder, tmp_path):
    expected = files(folder)
    pack_splits(folder, BOTH, "all", workers=1)
    (folder / "packed").rename(tmp_path / "packed")
    source = open_folder(tmp_path / "packed", ALL).source
    for place, name in enumerate(source.ids):
        np.testing.assert_array_equal(source.read(place), expected[name])


def test_training_cadences_need_their_labels(folder):
    with pytest.raises(SetiError, match=r"train_labels\.csv is missing: data\.root must be a folder in the"):
        pack_splits(folder, ["train"], "all", workers=1)


def test_a_folder_without_cadences_is_no_data_set(tmp_path):
    with pytest.raises(SetiError, match=r"train_labels\.csv is missing: data\.root must be a folder in the"):
        pack_splits(tmp_path, BOTH, "all", workers=1)


def test_a_test_set_alone_is_named_as_what_can_be_packed(tmp_path):
    make_cadences(tmp_path, "test", ["a1", "b2"])
    (tmp_path / "sample_submission.csv").write_text("id,target\na1,0.5\nb2,0.5\n")
    with pytest.raises(SetiError) as caught:
        pack_splits(tmp_path, BOTH, "all", workers=1)
    assert str(caught.value) == f"{tmp_path / 'train_labels.csv'} is missing: split=[test] packs the test set alone"
    assert len(pack_splits(tmp_path, ["test"], "all", workers=1)) == 1


def test_names_that_no_table_can_hold(folder):
    check_names(list_cadences(folder), blanks=False)
    (folder / "c3.npy").rename(folder / "c 3.npy")
    check_names(list_cadences(folder))
    with pytest.raises(SetiError) as caught:
        check_names(list_cadences(folder), blanks=False)
    assert str(caught.value) == (
        f"1 of 4 cadence files under {folder} have blanks or unprintable characters in their names, which become ids, "
        "first 'c 3': rename them"
    )
    (folder / "c 3.npy").rename(folder / "c\n3.npy")
    with pytest.raises(SetiError, match=r"have unprintable characters in their names, .* first 'c\\n3': rename them$"):
        pack_splits(folder, BOTH, "all", workers=1)
