"""Twins among the files of a folder without a table."""

import shutil

import numpy as np
import pandas as pd
import pytest
from cut_sets import make_set, needle

from seti.backgrounds.clean_set import clean
from seti.backgrounds.search import find_twins
from seti.backgrounds.table import read_twins
from seti.data.competition import cadence_path
from seti.data.pack_writer import pack_splits
from seti.errors import SetiError
from seti.reports.twins import report, report_cleaned


@pytest.fixture(scope="session")
def both_once(tmp_path_factory):
    """A data set with its twins, and a folder with all its cadences at two depths."""
    root = tmp_path_factory.mktemp("loose") / "set"
    made = make_set(root, {1: needle((0, 2, 4), 50, 0.4)})
    folder = root.with_name("night")
    for number, cadence in enumerate(made):
        path = folder / f"hour_{number % 2}" / f"{cadence[1]}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(cadence_path(root, *cadence), path)
    return root, folder, find_twins(root, None, 1).twins


@pytest.fixture
def both(both_once, tmp_path):
    """A copy of the folder, and what is known of the data set."""
    shutil.copytree(both_once[1], tmp_path / "night")
    return both_once[0], tmp_path / "night", both_once[2]


def links_of(twins: pd.DataFrame) -> dict[str, tuple[set[str], float]]:
    return {row.id: (set(row.partners.split()), row.covered) for row in twins.itertuples()}


def test_twins_are_found_and_reported_as_one_split(both, capsys):
    _, folder, known = both
    found = find_twins(folder, None, 1)
    assert set(found.twins["split"]) == {"test"}
    assert links_of(found.twins) == links_of(known)
    pd.testing.assert_frame_equal(read_twins(folder), found.twins, check_dtype=False)
    report(found, 5, 1)
    said = capsys.readouterr().out
    assert "These cadences have no labels: there are no folds that could divide a group." in said
    assert "% of the test cadences" not in said
    assert (folder / "twins.png").is_file()


def test_a_file_that_changed_or_came_later_is_noticed(both):
    folder = both[1]
    find_twins(folder, None, 1)
    path = next(folder.rglob("*.npy"))
    values = np.load(path)
    np.save(path, values[:, ::-1])
    with pytest.raises(SetiError, match=rf"night/twins\.csv is out of date: the cadence {path.stem} has changed since"):
        read_twins(folder)
    np.save(path, values)
    read_twins(folder)  # the contents count, not the time
    np.save(folder / "new.npy", values)
    with pytest.raises(SetiError, match=r"night/twins\.csv is out of date: it lacks 1 of 13 test ids, first new; "):
        read_twins(folder)
    (folder / "new.npy").unlink()
    path.unlink()
    with pytest.raises(SetiError, match=rf"out of date: 1 of its test ids are not in its folder, first {path.stem}; "):
        read_twins(folder)


def test_cleaned_files_lie_where_the_originals_do(both, tmp_path, capsys):
    root, folder, _ = both
    find_twins(folder, None, 1)
    cleaned = clean(folder, tmp_path / "cleaned", None, 1)
    expected = clean(root, tmp_path / "expected", None, 1)
    wanted = {path.name: path for path in expected.folder.rglob("*.npy")}
    found = {path.name: path for path in cleaned.folder.rglob("*.npy")}
    assert set(found) == set(wanted)
    for name, path in found.items():
        assert path.parent.name in ("hour_0", "hour_1")
        assert path.is_symlink() == wanted[name].is_symlink()
        np.testing.assert_array_equal(np.load(path), np.load(wanted[name]))
    before = {path: path.stat().st_mtime_ns for path in found.values() if not path.is_symlink()}
    clean(folder, tmp_path / "cleaned", None, 1)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    capsys.readouterr()
    report_cleaned(cleaned, folder)
    assert "next" not in capsys.readouterr().out  # without labels, nothing can be trained


@pytest.mark.parametrize("kept", [True, False])
def test_packs_are_read_with_the_files_and_without(both, kept):
    folder = both[1]
    pack_splits(folder, ["test"], "all", workers=1)
    if not kept:
        for path in folder.glob("hour_*"):
            shutil.rmtree(path)
    found = find_twins(folder, None, 1)
    assert links_of(found.twins) == links_of(both[2])
    read_twins(folder)


def test_files_of_one_name_are_told_apart_by_their_paths(both):
    folder = both[1]
    path = next((folder / "hour_0").glob("*.npy"))
    shutil.copy2(path, folder / "hour_1" / path.name)
    twins = find_twins(folder, None, 1).twins.set_index("id")
    assert twins["verdict"][f"hour_0/{path.stem}"] == twins["verdict"][f"hour_1/{path.stem}"] == "identical"


def test_other_files_are_left_out(both):
    folder = both[1]
    np.save(folder / "profile.npy", np.zeros(12))
    (folder / "cut.npy").write_bytes(b"\x93NUMPY")
    verdicts = find_twins(folder, None, 1).twins.set_index("id")["verdict"]
    assert verdicts["profile"] == verdicts["cut"] == "unreadable"


def test_blanks_in_names_are_refused(both):
    folder = both[1]
    path = next(folder.rglob("*.npy"))
    path.rename(path.with_name("a b.npy"))
    with pytest.raises(SetiError, match=r"1 of 12 cadence files under .*night have blanks or unprintable characters"):
        find_twins(folder, None, 1)
