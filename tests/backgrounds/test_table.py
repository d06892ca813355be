import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from seti.backgrounds import table as twins
from seti.data.cadence import OFF_PANELS, read_cadence
from seti.data.competition import cadence_path
from seti.data.pack_writer import pack_splits
from seti.errors import SetiError
from seti.utils.checksums import panel_checksums, row_checksum

IDS = {"train": ["0001", "0002", "nan", "1234"], "test": ["5678", "0009"]}


def write_set(root):
    """A data set of six cadences with ids that look like numbers."""
    rng = np.random.default_rng(0)
    rows = []
    for split, ids in IDS.items():
        for one in ids:
            path = cadence_path(root, split, one)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, rng.standard_normal((6, 8, 12)).astype(np.float16))
            state = path.stat()
            checksum = row_checksum(panel_checksums(read_cadence(path, OFF_PANELS)))
            rows.append((one, split, state.st_size, state.st_mtime_ns, checksum))
    pd.DataFrame({"id": IDS["train"], "target": [0, 1, 0, 0]}).to_csv(root / "train_labels.csv", index=False)
    pd.DataFrame({"id": IDS["test"], "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    return pd.DataFrame(rows, columns=list(twins.SOURCE_COLUMNS))


@pytest.fixture
def root(tmp_path):
    """The data set with a table in which 0001 and 5678 share a background."""
    root = tmp_path / "set"
    sources = write_set(root)
    table = sources[["id", "split"]].assign(group=pd.array([0, None, None, None, 0, None], "Int64"), offset=0)
    table = table.assign(members=1, covered=0.0, partners="", verdict="alone")
    for row, partner, offset in ((0, "5678", 0), (4, "0001", 5)):
        table.loc[row, ["offset", "members", "covered", "partners", "verdict"]] = offset, 2, 7 / 12, partner, "twins"
    ones = np.ones((1, 6), np.float32)
    links = twins.Links(*(np.array([n], np.int32) for n in (0, 4, 5)), 2 * ones, 3 * ones, ones / 1000)
    twins.write_twins(root, table, links, sources, {"groups": 1})
    return root


def refusal(root):
    with pytest.raises(SetiError) as caught:
        twins.read_twins(root)
    return str(caught.value)


def again(root):
    return f"seti twins data.root={root} makes it again"


def test_a_table_comes_back_as_it_was_written(root):
    table = twins.read_twins(root)
    assert list(table.columns) == list(twins.COLUMNS)
    assert table["id"].tolist() == [*IDS["train"], *IDS["test"]]
    assert table["group"].isna().tolist() == [False, True, True, True, False, True]
    assert table["partners"].tolist() == ["5678", "", "", "", "0001", ""]
    assert table["offset"].tolist() == [0, 0, 0, 0, 5, 0]
    assert table["covered"][0] == 7 / 12
    assert twins.has_twins(root)
    assert not list(root.glob(".*"))


def test_gains_are_listed_in_both_directions(root):
    gains = twins.read_gains(root, twins.read_twins(root))
    assert gains["id"].tolist() == ["0001"] * 6 + ["5678"] * 6
    assert gains["partner"].tolist() == ["5678"] * 6 + ["0001"] * 6
    assert gains["panel"].tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert gains["shift"].tolist() == [5] * 6 + [-5] * 6
    # x = 2 y + 3, so y = x / 2 - 3 / 2
    assert gains["gain"].tolist() == [2] * 6 + [0.5] * 6
    assert gains["offset"].tolist() == [3] * 6 + [-1.5] * 6


@pytest.mark.parametrize("name", [twins.TABLE, twins.RECORD, twins.SOURCES, twins.LINKS])
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    makes = again(root).replace(" again", "") if name == twins.TABLE else again(root)
    assert refusal(root) == f"{root / name} is missing: {makes}"


@pytest.mark.parametrize("name", [twins.TABLE, twins.SOURCES, twins.LINKS])
def test_an_edited_file_is_refused(root, name):
    content = (root / name).read_bytes()
    (root / name).write_bytes(content + b"\n")
    wanted = f"{root / name} is not the file that twins.json was written about: edited, damaged or from elsewhere; "
    assert refusal(root) == wanted + again(root)


@pytest.mark.parametrize("content", ["{}", "half", '{"format": 1, "files": []}'])
def test_a_damaged_record_is_refused(root, content):
    (root / twins.RECORD).write_text(content)
    assert refusal(root) == f"{root / twins.RECORD} is damaged: {again(root)}"


def test_a_record_of_another_format_is_refused(root):
    text = (root / twins.RECORD).read_text()
    (root / twins.RECORD).write_text(text.replace('"format": 1', '"format": 2'))
    assert refusal(root) == f"{root / twins.RECORD} has format '2', and this version reads 1: {again(root)}"


def test_a_table_of_another_data_set_is_refused(root):
    pd.DataFrame({"id": ["a", "b"], "target": [0, 1]}).to_csv(root / "train_labels.csv", index=False)
    line = f"{root / twins.TABLE} is of another data set: it has none of the 2 train ids; {again(root)}"
    assert refusal(root) == line


def test_added_and_removed_ids_are_refused(root):
    pd.DataFrame({"id": [*IDS["test"], "new"], "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    line = f"{root / twins.TABLE} is out of date: it lacks 1 of 3 test ids, first new; {again(root)}"
    assert refusal(root) == line
    pd.DataFrame({"id": ["5678"], "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    line = f"1 of its test ids are not in sample_submission.csv, first 0009; {again(root)}"
    assert refusal(root) == f"{root / twins.TABLE} is out of date: {line}"


def test_a_changed_cadence_is_refused(root):
    path = cadence_path(root, "train", "0002")
    np.save(path, np.zeros((6, 8, 12), np.float16))
    line = f"{root / twins.TABLE} is out of date: the cadence 0002 has changed since; {again(root)}"
    assert refusal(root) == line
    path.unlink()
    assert refusal(root) == line


def test_a_copy_of_a_data_set_keeps_its_table(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*.npy"):
        os.utime(path)
    pd.testing.assert_frame_equal(twins.read_twins(copy), twins.read_twins(root))


def test_a_pack_alone_keeps_its_table(root):
    for _ in pack_splits(root, ["train", "test"], "all", None, 1, False):
        pass
    before = twins.read_twins(root)
    for split in IDS:
        shutil.rmtree(root / split)
    pd.testing.assert_frame_equal(twins.read_twins(root), before)


def test_a_full_disk_leaves_the_old_table(root, monkeypatch):
    before = {path.name: path.read_bytes() for path in root.glob("twins*")}
    table, links = twins.read_twins(root), twins.read_links(root)
    sources = pd.read_csv(root / twins.SOURCES, dtype={"id": str, "checksum": str})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=re.escape(str(root / twins.LINKS))):
        twins.write_twins(root, table.assign(offset=7), links, sources, {})
    assert {path.name: path.read_bytes() for path in root.glob("twins*")} == before
    assert not list(root.glob(".*"))
