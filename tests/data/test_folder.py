import shutil

import numpy as np
import pandas as pd
import pytest
from unit_helpers import make_cadences

from seti.data.cadence import PANEL_CHOICES, read_cadence
from seti.data.folder import open_folder
from seti.data.loose import JoinedCadences
from seti.data.pack_writer import pack_split
from seti.data.sources import CadenceArray
from seti.errors import SetiError

ALL, A = PANEL_CHOICES["all"], PANEL_CHOICES["A"]


@pytest.fixture
def folder(tmp_path):
    """Four cadences at several depths, and files that are none."""
    root = tmp_path / "night"
    cadences = make_cadences(root, "deep", ["b1", "a2", "c3", "0e5"])
    (root / "notes.txt").write_text("cloudy")
    (root / ".cache").mkdir()
    np.save(root / ".cache" / "z.npy", cadences[0])
    return root


def test_every_npy_file_at_any_depth_is_a_cadence_named_by_its_file(folder):
    opened = open_folder(folder, A)
    assert list(opened.ids) == list(opened.source.ids) == ["0e5", "a2", "b1", "c3"]
    assert opened.labels is None
    for place, name in enumerate(opened.ids):
        expected = np.load(folder / "deep" / name[0] / f"{name}.npy")[[0, 2, 4]]
        np.testing.assert_array_equal(opened.source.read(place), expected)


def test_files_of_one_name_in_two_folders_are_told_apart_by_their_paths(folder):
    shutil.copytree(folder / "deep", folder / "other")
    opened = open_folder(folder, ALL)
    assert len(opened.ids) == opened.ids.nunique() == 8
    assert opened.ids[0] == "deep/0/0e5"


def test_a_link_back_to_the_folder_is_followed_once(folder):
    (folder / "deep" / "again").symlink_to(folder)
    assert len(open_folder(folder, ALL).ids) == 4


def test_labels_are_found_by_id_in_the_folder_or_next_to_it(folder):
    table = pd.DataFrame({"id": ["a2", "b1", "elsewhere"], "target": [1, 0, 1]})
    table.to_csv(folder / "train_labels.csv", index=False)
    for root in (folder, folder / "deep"):
        labels = open_folder(root, ALL).labels
        assert dict(zip(labels["id"], labels["target"], strict=True)) == {"a2": 1, "b1": 0}


def test_labels_of_one_class_give_no_auc(folder, caplog):
    pd.DataFrame({"id": ["a2", "b1"], "target": [1, 1]}).to_csv(folder / "test_labels.csv", index=False)
    assert open_folder(folder, ALL).labels is None
    assert "no AUC: the 2 cadences with a label are of one class" in caplog.text


def test_a_damaged_label_table_does_not_stop_scoring(folder, caplog):
    (folder / "train_labels.csv").write_text("id,target\na2,maybe\n")
    assert open_folder(folder, ALL).labels is None
    assert "no AUC: " in caplog.text


def test_the_test_set_of_a_data_set_is_opened_in_the_order_of_its_table(data_root):
    opened = open_folder(data_root, ALL)
    ids = pd.read_csv(data_root / "sample_submission.csv", dtype=str)["id"]
    assert list(opened.ids) == list(ids)
    assert set(opened.labels["target"]) == {0, 1}


def test_packs_stand_in_for_files_that_are_gone(own_data, tmp_path):
    for split in ("train", "test"):
        pack_split(own_data, split, "all")
    expected = open_folder(own_data / "test", ALL)
    bare = tmp_path / "bare"
    shutil.copytree(own_data / "packed", bare / "packed")
    for root in (bare, bare / "packed"):
        opened = open_folder(root, A)
        assert isinstance(opened.source, JoinedCadences)
        assert set(expected.ids) < set(opened.ids)
        taken = opened.source.take(np.flatnonzero(np.isin(opened.source.ids, expected.ids))[::-1])
        for place, name in enumerate(taken.ids):
            path = own_data / "test" / name[0] / f"{name}.npy"
            np.testing.assert_array_equal(taken.read(place), read_cadence(path, A))


def test_packs_next_to_their_files_are_not_read_twice(own_data):
    before = len(open_folder(own_data / "train", ALL).ids)
    pack_split(own_data, "train", "all")
    (own_data / "sample_submission.csv").unlink()
    files = [path for path in own_data.rglob("*.npy") if path.parent.name != "packed"]
    assert len(open_folder(own_data, ALL).ids) == len(files) > before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "nothing",
            "data.root={root} holds no cadence: give a folder of .npy files of shape (6, rows, bins), at any depth",
        ),
        (
            "observation",
            "data.root={root} holds no cadence: give a folder of .npy files of shape (6, rows, bins), at any depth; "
            "observations are searched by seti scan cadence={root}",
        ),
        (
            "archive",
            "data.root={root} holds no cadence: give a folder of .npy files of shape (6, rows, bins), at any depth; "
            ".npz files are not read: save each cadence as a .npy file of its own",
        ),
        ("gone", "data.root={root} is not a folder: give a folder of cadences (.npy), at any depth"),
        ("shape", "cadence {root}/a.npy has shape (3, 2, 2), not (6, rows, bins): remove or replace the file"),
    ],
)
def test_a_folder_without_cadences_is_refused(tmp_path, monkeypatch, damage, message):
    monkeypatch.setattr("sys.argv", ["seti"])
    root = tmp_path / "night"
    if damage != "gone":
        root.mkdir()
    if damage == "observation":
        (root / "a.h5").write_bytes(b"")
    if damage == "archive":
        np.savez(root / "a.npz", np.zeros((6, 3, 4), np.float32))
    if damage == "shape":
        np.save(root / "a.npy", np.zeros((3, 2, 2), np.float32))
    with pytest.raises(SetiError) as error:
        open_folder(root, ALL)
    assert str(error.value) == message.format(root=root)


def test_packs_that_are_required_and_missing_are_named(folder):
    with pytest.raises(SetiError, match=r"data\.packed=true, but there is no pack in .*: set data\.packed=auto"):
        open_folder(folder, ALL, packed="true")


def test_damaged_and_foreign_files_are_skipped_on_request(folder, caplog):
    (folder / "deep" / "b" / "b1.npy").write_bytes(b"")
    np.save(folder / "extra.npy", np.zeros((6, 3, 3), np.float32))
    opened = open_folder(folder, ALL, on_error="skip")
    assert list(opened.ids) == ["0e5", "a2", "b1", "c3", "extra"]
    assert list(opened.source.ids) == ["0e5", "a2", "c3"]
    assert "data.on_error=skip leaves out 2 of 5 cadences: " in caplog.text


def test_an_array_is_read_as_the_panels_asked_for():
    cadences = np.arange(2 * 6 * 3 * 4, dtype=np.float32).reshape(2, 6, 3, 4)
    source = CadenceArray(cadences, A).take(np.array([1]))
    assert len(source) == 1
    read = source.read(0)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, cadences[1, [0, 2, 4]])


@pytest.mark.parametrize(
    ("cadences", "message"),
    [
        (np.zeros((2, 5, 3, 4)), "cadences have the shape (N, 6, rows, bins), not (2, 5, 3, 4)"),
        (np.zeros((0, 6, 3, 4)), "cadences have the shape (N, 6, rows, bins), not (0, 6, 3, 4)"),
        (np.zeros((1, 6, 3, 4), complex), "cadences hold complex128, not floats of 2, 4 or 8 bytes: give real numbers"),
        (
            np.zeros((1, 6, 3, 4), np.int16),
            "cadences hold int16, not floats of 2, 4 or 8 bytes: give cadences.astype('float32')",
        ),
    ],
)
def test_other_arrays_are_refused(cadences, message):
    with pytest.raises(SetiError) as error:
        CadenceArray(cadences, ALL)
    assert str(error.value) == message


def test_an_array_with_nan_is_refused():
    cadences = np.zeros((2, 6, 3, 4))
    cadences[1, 2, 0, 0] = np.nan
    with pytest.raises(SetiError) as error:
        CadenceArray(cadences, ALL).take(np.array([1])).read(0)
    assert str(error.value) == (
        "cadences[1] has 1 value that is NaN or infinite, first in panel 2 (A): leave that cadence out, or replace "
        "these values"
    )


def test_an_array_beyond_32_bit_floats_is_refused():
    with pytest.raises(SetiError) as error:
        CadenceArray(np.full((1, 6, 3, 4), 1e45), ALL).read(0)
    assert str(error.value) == (
        "cadences[0] has 72 values beyond 32-bit floats, up to 1e+45, first in panel 0 (A): scale the cadences"
    )


@pytest.mark.parametrize("packed", ["auto", "false"])
def test_a_file_beyond_32_bit_floats_is_skipped_like_a_damaged_one(tmp_path, packed, caplog):
    for name, scale in (("a", 1.0), ("b", 1e45)):
        np.save(tmp_path / name, scale * np.random.default_rng(0).normal(size=(6, 3, 4)))
    opened = open_folder(tmp_path, ALL, packed, on_error="skip")
    assert list(opened.source.ids) == ["a"]
    assert "b: cadence " + str(tmp_path / "b.npy") + " has 72 values beyond 32-bit floats" in caplog.text


def test_skipped_cadences_need_no_advice(tmp_path, caplog):
    for name in "abc":
        (tmp_path / f"{name}.npy").write_bytes(b"x")
    np.save(tmp_path / "d", np.ones((6, 3, 4)))
    open_folder(tmp_path, ALL, on_error="skip")
    reasons = "; ".join(f"{name}: cannot read cadence {tmp_path}/{name}.npy: it is not a .npy file" for name in "abc")
    assert f"data.on_error=skip leaves out 3 of 4 cadences: {reasons}" in caplog.messages


def test_where_no_cadence_can_be_read_the_reason_is_given_once(tmp_path, caplog):
    for name in "ab":  # readable headers
        np.save(tmp_path / name, np.full((6, 3, 4), np.nan))
    with pytest.raises(SetiError) as error:
        open_folder(tmp_path, ALL, on_error="skip")
    assert str(error.value) == (
        f"data.root={tmp_path} holds no cadence that can be read: cadence {tmp_path}/a.npy has 72 values that are NaN "
        "or infinite, first in panel 0 (A): remove or replace the file"
    )
    assert "leaves out" not in caplog.text


def test_any_case_of_the_suffix_counts_and_hidden_files_do_not(folder):
    np.save(folder / "upper", np.zeros((6, 3, 4), np.float32))
    (folder / "upper.npy").rename(folder / "upper.NPY")
    np.save(folder / ".half-copied.npy", np.zeros((6, 3, 4), np.float32))
    assert list(open_folder(folder, ALL).ids) == ["0e5", "a2", "b1", "c3", "upper"]


def test_files_that_differ_in_the_case_of_their_suffix_alone_are_refused(folder):
    for name in ("one.npy", "one.NPY"):
        with (folder / name).open("wb") as stream:
            np.save(stream, np.zeros((6, 3, 4), np.float32))
    with pytest.raises(SetiError, match=r"one\.(npy|NPY) and one\.(npy|NPY) are one name: rename one of them$"):
        open_folder(folder, ALL)


def test_a_folder_of_one_cadence_is_spoken_of_as_one(tmp_path, caplog):
    np.save(tmp_path / "a.npy", np.zeros((6, 3, 4), np.float32))
    with caplog.at_level("INFO"):
        open_folder(tmp_path, ALL)
    assert f"1 cadence is read from the files under {tmp_path}" in caplog.text


def test_the_first_three_that_are_skipped_are_named(folder, caplog):
    for number in range(4):
        (folder / f"x{number}.npy").write_bytes(b"")
    open_folder(folder, ALL, on_error="skip")
    assert "leaves out 4 of 8 cadences: x0: cannot read" in caplog.text
    assert "; x2: " in caplog.text
    assert caplog.text.rstrip().endswith("; ...")


def test_packs_of_a_panels_alone_name_the_command_for_all(data_root, tmp_path):
    pack_split(data_root, "test", "A", tmp_path / "packs")
    with pytest.raises(SetiError) as error:
        open_folder(tmp_path / "packs", ALL)
    assert str(error.value) == (
        f"{tmp_path / 'packs' / 'test-A.npy'} holds the A panels alone, and all are needed, which only the cadence "
        "files have: seti pack data.root=<folder of these files> panels=all makes the pack to give in its place"
    )


def test_a_file_of_integers_is_refused_with_what_to_do(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((6, 3, 4), np.int16))
    with pytest.raises(SetiError) as error:
        open_folder(tmp_path, ALL)
    assert str(error.value) == (
        f"cadence {tmp_path / 'a.npy'} holds int16, not floats of 2, 4 or 8 bytes: save the array again with "
        ".astype('float32')"
    )
