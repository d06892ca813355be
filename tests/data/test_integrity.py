import logging
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import compose
from unit_helpers import make_cadences, make_train_set

from seti.data import competition, file_scan, integrity, pack_writer
from seti.errors import SetiError
from seti.reports import data_check

TEST_IDS = ["ta", "tb", "tc"]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    make_train_set(root, 20, 8)
    make_cadences(root, "test", TEST_IDS)
    pd.DataFrame({"id": TEST_IDS, "target": 0.5}).to_csv(root / competition.SUBMISSION, index=False)
    return root


def path_of(root, cadence_id: str, split: str = "train"):
    return competition.cadence_path(root, split, cadence_id)


def found(root, **options) -> list[tuple[str, str, str, str]]:
    return [(each.level, each.problem, each.split, each.id) for each in integrity.check(root, **options)]


def test_a_sound_data_set(root):
    assert found(root) == []


@pytest.mark.parametrize("target", [0, 1])
def test_labels_of_one_class_are_an_error(root, target):
    pd.read_csv(root / competition.LABELS).assign(target=target).to_csv(root / competition.LABELS, index=False)
    assert [(each.level, each.problem, each.detail) for each in integrity.check(root)] == [
        ("error", "one class", f"every target is {target}: training needs cadences with a needle and without")
    ]


def test_every_fault_is_found_and_nothing_stops_at_the_first(root):
    ids = competition.read_labels(root)["id"].tolist()
    cadences = {i: np.load(path_of(root, i)) for i in ids}
    path_of(root, ids[0]).unlink()
    os.truncate(path_of(root, ids[1]), 500)
    cadences[ids[2]][3, 1, 1] = np.nan
    np.save(path_of(root, ids[2]), cadences[ids[2]])
    np.save(path_of(root, ids[3]), np.ones((6, 4, 5), np.float16))
    np.save(path_of(root, ids[4]), cadences[ids[4]].astype(np.float32))
    cadences[ids[5]][[1, 2]] = 0.5
    np.save(path_of(root, ids[5]), cadences[ids[5]])
    np.save(path_of(root, ids[7]), cadences[ids[6]])
    cadences[ids[8]][4] = cadences[ids[8]][0]
    np.save(path_of(root, ids[8]), cadences[ids[8]])
    tested = np.load(path_of(root, "tb", "test"))
    tested[2] = cadences[ids[9]][4]
    np.save(path_of(root, "tb", "test"), tested)
    shutil.copy(path_of(root, ids[10]), root / "train" / "0" / "0stray.npy")
    lines = (root / competition.LABELS).read_text()
    lines = lines.replace(f"{ids[11]},0", f"{ids[11]},2").replace(f"{ids[11]},1", f"{ids[11]},2")
    lines += f"{ids[12]},0\n../../etc/passwd,1\nta,1\n"
    (root / competition.LABELS).write_text(lines)
    assert found(root) == [
        ("error", "another shape or type", "train", ids[3]),
        ("error", "another shape or type", "train", ids[4]),
        ("error", "damaged file", "train", ids[1]),
        ("error", "damaged file", "train", ids[2]),
        ("error", "in train and in test", "train", "ta"),
        ("error", "listed twice", "train", ids[12]),
        ("error", "no file", "train", ids[0]),
        ("error", "no file", "train", "ta"),
        ("error", "target other than 0 and 1", "train", ids[11]),
        ("error", "unfit id", "train", "'../../etc/passwd'"),
        ("warning", "constant panel", "train", ids[5]),
        ("warning", "file without an id", "train", "0stray"),
        ("warning", "the same cadence", "train", ids[7]),
        ("warning", "the same panel in another cadence", "test", "tb"),
        ("warning", "the same panel twice", "train", ids[8]),
    ]
    details = {each.id: each.detail for each in integrity.check(root)}
    assert details[ids[5]] == "panel 1 (B), 2 (A)"
    assert details[ids[7]] == f"as {ids[6]} (train)"
    assert details[ids[8]] == "panels 0 and 4"
    assert details["tb"] == f"panel 2 (A) as in {ids[9]} (train)"


def test_equal_checksums_of_other_panels_are_no_twins(root, monkeypatch):
    monkeypatch.setattr(file_scan, "panel_checksums", lambda cadence: np.full(6, 7, np.uint64))
    assert found(root) == []


def test_a_panel_that_is_not_constant_though_its_corners_are_equal(root):
    path = path_of(root, "ta", "test")
    cadence = np.load(path)
    cadence[:, 0, 0] = cadence[:, -1, -1] = 1
    np.save(path, cadence)
    assert found(root) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "no table"), ("id,label\na,1\n", "damaged table"), ("", "damaged table"), ("id,target\n", "empty table")],
)
def test_tables_that_cannot_be_used(root, text, problem):
    (root / competition.LABELS).unlink()
    if text is not None:
        (root / competition.LABELS).write_text(text)
    findings = found(root)
    assert findings[0] == ("error", problem, "train", "")
    # Every file would be one without an id where no table says which ids there are.
    kinds = {"file without an id"} if problem == "empty table" else set()
    assert {kind for _, kind, _, _ in findings[1:]} == kinds, "the test set is checked all the same"


def test_a_data_set_without_a_test_half_is_no_error(root):
    shutil.rmtree(root / "test")
    (root / competition.SUBMISSION).unlink()
    assert found(root) == [("warning", "no table", "test", "")]


def test_no_data_set(tmp_path):
    with pytest.raises(SetiError, match="is not a folder"):
        integrity.check(tmp_path / "nowhere")


def test_bit_rot_in_a_pack_is_found(root):
    made = pack_writer.pack_split(root, "train", "A")
    assert found(root) == []
    with made.data.open("r+b") as stream:
        stream.seek(128 + 7 * 576 + 100)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 4]))
    assert found(root) == [("error", "damaged row of a pack", "train", competition.read_labels(root)["id"][7])]


def test_a_pack_that_does_not_match_is_a_warning_and_a_damaged_one_an_error(root):
    made = pack_writer.pack_split(root, "train", "A")
    os.utime(path_of(root, competition.read_labels(root)["id"][0]), ns=(1, 1))
    assert found(root) == [("warning", "pack does not match", "train", "")]
    os.truncate(made.data, 1000)
    assert found(root) == [("error", "damaged pack", "train", "")]


def test_files_that_were_removed_once_they_were_packed(root):
    pack_writer.pack_split(root, "train", "A")
    shutil.rmtree(root / "train")
    assert found(root) == []


def test_several_processes_find_the_same(root, monkeypatch):
    os.truncate(path_of(root, "ta", "test"), 300)
    alone = found(root)
    monkeypatch.setattr(file_scan, "_ALONE", 0)
    assert found(root, workers=2) == alone
    assert len(alone) == 1


def test_the_command(root, tmp_path, run_command):
    os.truncate(path_of(root, "ta", "test"), 300)
    ended = run_command("-m", "seti.check", f"data.root={root}", folder=tmp_path)
    assert ended.code == 1
    assert ended.err == f"error: {root}: 1 error and 0 warnings, all of them in check.csv\n"
    assert "damaged file" in ended.out
    report = pd.read_csv(tmp_path / "check.csv")
    assert report[["id", "split", "level", "problem"]].to_numpy().tolist() == [["ta", "test", "error", "damaged file"]]


def test_a_report_without_findings_and_one_that_cannot_be_written(root, tmp_path):
    data_check.report([], root, tmp_path / "report.csv")
    assert pd.read_csv(tmp_path / "report.csv").empty
    (tmp_path / "file").write_text("")
    with pytest.raises(SetiError, match="set report="):
        data_check.report([], root, tmp_path / "file" / "report.csv")


def test_defaults_compose():
    cfg = compose("check", [])
    assert (cfg.report, cfg.workers, cfg.data.root, cfg.data.pack_dir) == ("check.csv", None, "data", None)


def test_a_table_of_a_spreadsheet_is_checked_as_it_is_read(root, caplog):
    path = root / competition.LABELS
    lines = path.read_text().replace(",", ";").replace("target", "Target").splitlines()
    lines[1:3] = ["1.2E+14;0", "1000a;1"]
    (root / "train" / "1" / "10001.npy").rename(root / "train" / "1" / "1000A.npy")
    path.write_bytes("\n".join(lines).encode("utf-16"))
    with caplog.at_level(logging.INFO):
        findings = integrity.check(root)
    assert [(each.problem, each.id, each.detail) for each in findings if each.level == "error"] == [
        ("no file", "1000a", "but 1000A.npy is there: write the ids in the case of the files' names"),
        ("unfit id", "'1.2E+14'", "a spreadsheet took it for a number, and its digits are lost"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is read with semicolons between columns, UTF-16 text, the column names Target in lower case"
    ]


def test_a_fold_column_that_could_not_be_used_is_a_warning(root):
    path = root / competition.LABELS
    table = pd.read_csv(path, dtype=str)
    table.assign(fold=table.index % 2).to_csv(path, index=False)
    assert found(root) == []
    table.assign(fold=table.index % 2 + 1).to_csv(path, index=False)
    (finding,) = integrity.check(root)
    assert (finding.level, finding.problem, finding.split) == ("warning", "unusable fold column", "train")
    assert finding.detail == (f"{path} numbers its folds from 1 to 2: data.folds=column needs them from 0, subtract 1")
    table.assign(fold=["x", *[0] * (len(table) - 1)]).to_csv(path, index=False)
    assert "has 1 folds that are not whole numbers from 0 on, first 'x'" in integrity.check(root)[0].detail


def test_a_mistyped_folder_names_the_one_that_was_meant(root):
    with pytest.raises(SetiError) as refused:
        integrity.check(root.with_name("dta"))
    assert str(refused.value).endswith(f"train_labels.csv and train/; did you mean data.root={root}?")
