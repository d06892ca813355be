import copy
import logging
import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
from unit_helpers import make_cadences, make_train_set

from seti.data import competition, pack_reader, pack_rows
from seti.data import pack_writer as pack
from seti.data.cadence import ON_PANELS, PANEL_CHOICES
from seti.data.sources import CadenceFiles
from seti.data.splits import open_split
from seti.errors import SetiError, SettingsError
from seti.utils.checksums import panel_checksums, row_checksum

COUNT = 70  # more than two blocks
FILES = ("train-A.npy", "train-A.csv", "train-A.json")


@pytest.fixture
def root(tmp_path):
    make_train_set(tmp_path / "data", COUNT, 10)
    return tmp_path / "data"


def ids_of(root) -> np.ndarray:
    return competition.read_labels(root)["id"].to_numpy()


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def refusal(call, *args, **options) -> str:
    with pytest.raises(SetiError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened(root, panels="A", **options):
    return open_split(root, "train", ids_of(root), PANEL_CHOICES[panels], **options).source


def touch(path) -> None:
    os.utime(path, ns=(1, 1))


def path_of(root, index: int):
    return competition.cadence_path(root, "train", ids_of(root)[index])


def assert_same(store, root, panels="A") -> None:
    stored = CadenceFiles(root, "train", ids_of(root), PANEL_CHOICES[panels])
    assert len(store) == len(stored) == COUNT
    for index in range(COUNT):
        np.testing.assert_array_equal(store.read(index), stored.read(index))


@pytest.mark.parametrize(("held", "read"), [("A", "A"), ("all", "all"), ("all", "A")])
def test_a_pack_holds_what_the_files_hold(root, held, read):
    pack.pack_split(root, "train", held)
    store = opened(root, read, packed="true")
    assert isinstance(store, pack_reader.PackedCadences)
    assert_same(store, root, read)
    place = np.zeros((len(PANEL_CHOICES[read]), 8, 12), np.float32)
    assert store.read(3, place) is place
    np.testing.assert_array_equal(place, store.read(3))


def test_a_pack_is_a_plain_npy(root):
    pack.pack_split(root, "train", "A")
    stored = np.load(root / "packed" / "train-A.npy", mmap_mode="r")
    assert stored.shape == (COUNT, 3, 8, 12)
    assert stored.dtype == np.float16


def test_what_was_read_from_a_pack_cannot_be_written_to(root):
    pack.pack_split(root, "train", "A")
    with pytest.raises(ValueError, match="read-only"):
        opened(root).read(0)[:] = 0


def test_a_pack_of_some_panels_does_not_serve_all(root):
    pack.pack_split(root, "train", "A")
    assert isinstance(opened(root, "all"), CadenceFiles)
    message = refusal(opened, root, "all", packed="true")
    assert "holds the A panels alone, and all are needed: seti pack" in message
    assert "panels=all" in message


def test_files_are_read_where_told_to_or_without_a_pack(root):
    assert isinstance(opened(root), CadenceFiles)
    assert "seti pack" in refusal(opened, root, packed="true")
    pack.pack_split(root, "train", "A")
    assert isinstance(opened(root, packed="false"), CadenceFiles)


def test_a_pack_elsewhere(root, tmp_path):
    pack.pack_split(root, "train", "A", tmp_path / "elsewhere")
    assert not (root / "packed").exists()
    assert isinstance(opened(root), CadenceFiles)
    assert_same(opened(root, packed="true", pack_dir=tmp_path / "elsewhere"), root)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda root, made: touch(path_of(root, 4)), "1 of its 70 sources have changed"),
        (lambda root, made: path_of(root, 4).unlink(), "1 of its 70 sources have changed"),
        (lambda root, made: os.truncate(made.data, 5000), "has 5000 bytes"),
        (lambda root, made: made.data.unlink(), "is missing"),
        (lambda root, made: made.table.write_text("id,size,mtime_ns,checksum\n"), "not the table that was packed"),
        (lambda root, made: made.table.unlink(), "cannot read"),
        (lambda root, made: made.manifest.write_text("{"), "cannot read"),
        (lambda root, made: made.manifest.write_text('{"format": 2}'), "is not of format 1"),
    ],
)
def test_a_pack_that_does_not_match_is_not_used(root, harm, reason):
    made = pack.pack_split(root, "train", "A")
    harm(root, made)
    assert reason in refusal(opened, root, packed="true")
    if path_of(root, 4).exists():
        store = opened(root)
        assert isinstance(store, CadenceFiles)
        assert reason in store.description
    assert "force=true packs again" in refusal(pack.pack_split, root, "train", "A")


def test_a_pack_of_another_data_set_is_not_used(root, tmp_path):
    pack.pack_split(root, "train", "A")
    make_train_set(tmp_path / "other", COUNT + 1, 10)
    elsewhere = {"packed": "true", "pack_dir": root / "packed"}
    assert "70 of its 70 sources have changed" in refusal(opened, tmp_path / "other", **elsewhere)
    shutil.rmtree(tmp_path / "other" / "train")
    assert "lacks 1 of 71 train ids" in refusal(opened, tmp_path / "other", **elsewhere)


def test_a_pack_serves_alone_once_the_files_are_gone(root):
    pack.pack_split(root, "train", "A")
    kept = [CadenceFiles(root, "train", ids_of(root), ON_PANELS).read(index) for index in range(COUNT)]
    shutil.rmtree(root / "train")
    store = opened(root)
    np.testing.assert_array_equal([store.read(index) for index in range(COUNT)], kept)
    pack.pack_split(root, "train", "A")  # matches: nothing to do


def test_packing_again_does_nothing_until_forced(root, caplog):
    made = pack.pack_split(root, "train", "A")
    before = contents(made.folder), made.data.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        pack.pack_split(root, "train", "A")
    assert "nothing to do" in caplog.text
    assert (contents(made.folder), made.data.stat().st_mtime_ns) == before
    np.save(path_of(root, 4), np.ones((6, 8, 12), np.float16))
    pack.pack_split(root, "train", "A", force=True)
    assert (opened(root, packed="true").read(4) == 1).all()
    assert set(contents(made.folder)) == set(FILES)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((6, 8, 12), np.nan, np.float16), "NaN or infinite"),
        (np.zeros((6, 12, 8), np.float16), "panels of 12 x 8, the others have 8 x 12"),
        (np.zeros((6, 4, 12), np.float32), "panels of 4 x 12, the others have 8 x 12"),
    ],
)
def test_sources_that_cannot_be_packed_are_named(root, array, reason):
    np.save(path_of(root, 40), array)
    message = refusal(pack.pack_split, root, "train", "A")
    assert reason in message
    assert str(path_of(root, 40)) in message
    assert isinstance(opened(root), CadenceFiles)


def test_several_processes_make_the_same_pack(root, tmp_path, monkeypatch):
    one = pack.pack_split(root, "train", "A", tmp_path / "one")
    monkeypatch.setattr(pack_rows, "_ALONE", 0)
    assert contents(pack.pack_split(root, "train", "A", workers=2).folder) == contents(one.folder)


def test_packed_cadences_go_to_other_processes(root):
    pack.pack_split(root, "train", "A")
    store = opened(root)
    first = store.read(0)
    assert (pickle.loads(pickle.dumps(store)).read(0) == first).all()
    assert len(pickle.dumps(store)) < 20_000, "the map itself does not travel"


def test_a_pack_that_was_replaced_meanwhile_is_noticed_in_a_new_process(root):
    pack.pack_split(root, "train", "A")
    travelled = pickle.dumps(opened(root))
    np.save(path_of(root, 4), np.ones((6, 8, 12), np.float16))
    pack.pack_split(root, "train", "A", force=True)
    assert "replaced or cut short" in refusal(pickle.loads(travelled).read, 0)


def test_a_pack_that_is_cut_short_while_it_is_read(tmp_path):
    make_train_set(tmp_path, 4, 2, rows=64, bins=64)
    made = pack.pack_split(tmp_path, "train", "A")
    store = open_split(tmp_path, "train", ids_of(tmp_path), ON_PANELS).source
    store.read(0)
    os.truncate(made.data, 30_000)
    assert "cannot read the pack" in refusal(store.read, 3)


def test_damage_that_makes_no_number_is_noticed_on_reading(root):
    made = pack.pack_split(root, "train", "A")
    with made.data.open("r+b") as stream:
        stream.seek(128)
        stream.write(np.full(4, np.inf, np.float16).tobytes())
    assert f"{ids_of(root)[0]} has values that are NaN" in refusal(opened(root).read, 0)


def test_resident_memory_does_not_grow_with_what_was_read(root, monkeypatch):
    monkeypatch.setattr(pack_reader, "_WINDOW", 3 * 576)
    pack.pack_split(root, "train", "A")
    store = opened(root)
    maps = set()
    for index in range(12):
        store.read(index)
        maps.add(id(store._rows))
        assert store._touched <= 3 * 576
    assert_same(store, root)


def test_a_table_of_test_ids_in_any_order(tmp_path):
    cadences = make_cadences(tmp_path, "test", ["c", "a", "b"])
    pd.DataFrame({"id": ["c", "a", "b"], "target": 0.5}).to_csv(tmp_path / competition.SUBMISSION, index=False)
    pack.pack_split(tmp_path, "test", "all")
    store = open_split(tmp_path, "test", np.array(["b", "c"]), PANEL_CHOICES["all"], packed="true").source
    np.testing.assert_array_equal(store.read(0), cadences[2])
    np.testing.assert_array_equal(store.read(1), cadences[0])


@pytest.mark.parametrize("shape", [(6, 273, 256), (2, 5, 7), (3, 40, 333)])
def test_a_checksum_changes_with_any_bit_and_any_exchange(shape):
    rng = np.random.default_rng(0)
    cadence = rng.normal(size=shape).astype(np.float16)
    before = panel_checksums(cadence)
    for _ in range(40):
        other = copy.deepcopy(cadence)
        panel, row, column = (rng.integers(size) for size in shape)
        other.view(np.uint16)[panel, row, column] ^= np.uint16(1 << rng.integers(16))
        changed = panel_checksums(other) != before
        np.testing.assert_array_equal(changed, np.arange(shape[0]) == panel)
    other = cadence.copy()
    other[0, [0, 1]] = other[0, [1, 0]]
    assert panel_checksums(other)[0] != before[0]
    assert row_checksum(before) != row_checksum(before[::-1])


def test_the_checksum_stays_what_it_is():
    cadence = np.arange(6 * 273 * 256, dtype=np.uint16).view(np.float16).reshape(6, 273, 256)
    assert row_checksum(panel_checksums(cadence)) == "b108e13960213589"


def test_an_unknown_split_is_refused_with_the_choices(root):
    with pytest.raises(SettingsError, match=r"^split=\[valid\] must name train, test or both, as in split=\[train\]$"):
        pack.pack_splits(root, ["valid"], "A")


@pytest.mark.parametrize("overrides", [["panels=B"], ["split=[]"], ["split=[valid]"], ["workers=0"]])
def test_settings_that_cannot_work(root, overrides):
    from conftest import compose

    cfg = compose("pack", [f"data.root={root}", *overrides])
    given = (cfg.split, cfg.panels, cfg.pack_dir, cfg.workers, cfg.force)
    assert overrides[0].split("=")[0] in refusal(pack.pack_splits, root, *given)
