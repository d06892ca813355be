import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seti.errors import SetiError
from seti.utils import files

ODD_IDS = ["0012", "1e10", "nan", "NaN", "null", "NA", "None", "N/A", "007", "true", "-1", "inf", "0x1f"]


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(path, *columns) -> str:
    with pytest.raises(SetiError) as caught:
        files.read_csv(path, list(columns))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_an_atomic_write_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("old", ["old", None])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, old):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)

    def write_half():
        with files.atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert names(tmp_path) == (["a.txt"] if old else [])
    assert not old or path.read_text() == old


def test_missing_parent_folders_are_created(tmp_path):
    files.write_json(tmp_path / "a" / "b" / "c.json", {"x": 1})
    assert files.read_json(tmp_path / "a" / "b" / "c.json") == {"x": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_numbers_that_json_lacks(tmp_path, value):
    path = tmp_path / "a.json"
    files.write_json(path, {"auc": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"auc": value})
    assert json.loads(path.read_text()) == {"auc": 0.5}
    assert names(tmp_path) == ["a.json"]


def test_json_floats_keep_every_digit(tmp_path):
    values = np.random.default_rng(0).normal(size=50).tolist()
    files.write_json(tmp_path / "a.json", {"values": values})
    assert files.read_json(tmp_path / "a.json")["values"] == values


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"3", b"\xff\xfe"])
def test_files_that_are_not_json_objects_are_refused(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SetiError) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_csv_floats_are_restored_exactly(tmp_path):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=2000), 10 ** rng.uniform(-300, 300, 2000), [0.1, 1 / 3, 5e-324, 1e308]])
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"value": values}))
    np.testing.assert_array_equal(files.read_csv(tmp_path / "a.csv", ["value"])["value"], values)


def test_csv_missing_numbers_stay_missing(tmp_path):
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"id": ["a", "b"], "target": [np.nan, 1.5]}))
    table = files.read_csv(tmp_path / "a.csv", ["id", "target"])
    assert table["target"].dtype == np.float64
    assert table["target"].isna().tolist() == [True, False]


def test_csv_words_for_missing_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("id,prob\na,nan\nb,NA\nc,null\nd,NaN\ne,0.5\n")
    np.testing.assert_array_equal(files.read_csv(tmp_path / "a.csv", ["prob"])["prob"], [np.nan] * 4 + [0.5])


@pytest.mark.parametrize("ids", [ODD_IDS, ["0012", "007"], ["1e10", "1e5"], ["nan", "NA"], ["true", "false"]])
def test_ids_stay_text(tmp_path, ids):
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"id": ids, "target": 0}))
    assert files.read_csv(tmp_path / "a.csv", ["id"])["id"].tolist() == ids


def test_csv_has_no_index_column(tmp_path):
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"id": ["x"], "target": [1]}, index=[7]))
    assert (tmp_path / "a.csv").read_text() == "id,target\nx,1\n"


def test_missing_csv_columns_are_named_with_the_existing_ones(tmp_path):
    (tmp_path / "a.csv").write_text("id,value\na,1\n")
    message = refusal(tmp_path / "a.csv", "id", "target", "fold")
    assert "no column target, fold" in message
    assert "id, value" in message


@pytest.mark.parametrize(
    "content",
    [None, b"", b"id,target\na,0\nb,0,0,0\n", b'id,target\n"a,0\n', b"\xff\xfe\x00", b"id,target\na,0,1\nb,1,0\n"],
    ids=["missing", "empty", "one long row", "open quote", "other encoding", "all rows long"],
)
def test_files_that_are_not_tables_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    refusal(tmp_path / "a.csv", "id")


def test_a_folder_of_the_system_is_refused_with_what_to_do():
    with pytest.raises(SetiError) as error:
        files.try_outputs(Path("/proc/x"), ["a.csv", "b.csv"])
    assert str(error.value) == "out=/proc/x: no file can be made there, give another folder"


def test_an_output_is_tried_without_a_trace(tmp_path):
    files.try_output(tmp_path / "new" / "deep" / "x.csv")
    (tmp_path / "old.csv").write_text("kept")
    files.try_output(tmp_path / "old.csv")
    assert names(tmp_path) == ["old.csv"]
    for path, said in (
        (tmp_path, "Is a directory; there is a folder of that name: choose another name, or move the folder away"),
        (tmp_path / "old.csv" / "x.csv", "Not a directory; a part of this path is a file: choose another folder"),
        (Path("/proc/x.csv"), "No such file or directory"),  # where not even root can write
    ):
        with pytest.raises(OSError, match=said.split(";")[0]) as caught:
            files.try_output(path)
        assert files.explain(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'{"a": 1,', "it ends too early"),
        (b"garb", "it is not JSON at line 1, column 1"),
        (b'{"a": 1}\n}', "it is not JSON at line 2, column 1"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b"\xff\xfe{", "it is not UTF-8 text"),
        (b"[" * 100_000, "its values are nested too deeply"),
    ],
)
def test_what_is_not_json_says_why_in_plain_words(tmp_path, content, said):
    path = tmp_path / "precision.json"
    path.write_bytes(content)
    with pytest.raises(SetiError) as refused:
        files.read_json(path)
    assert str(refused.value) == f"cannot read {path}: {said}; delete it, or restore it from a copy"
