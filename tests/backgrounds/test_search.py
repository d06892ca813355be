import os
import shutil

import numpy as np
import pandas as pd
import pytest
import shared_fields
from shared_fields import BINS, cut, draw_field, write_set, write_usual

from seti.backgrounds import fingerprinting, linking, parts, search, table
from seti.backgrounds.search import find_twins
from seti.data.competition import cadence_path
from seti.data.pack_writer import pack_splits
from seti.errors import SetiError
from seti.utils import locks


def pack(root, panels="all"):
    for _ in pack_splits(root, ["train", "test"], panels, None, 1, False):
        pass


def verdicts(found):
    return dict(zip(found.twins["id"], found.twins["verdict"], strict=True))


def groups(found):
    """Ids by group, as sets."""
    return [set(own["id"]) for _, own in found.twins.dropna(subset="group").groupby("group")]


def refusal(root):
    with pytest.raises(SetiError) as caught:
        find_twins(root, workers=1)
    return str(caught.value)


@pytest.mark.parametrize("rows", [16, 24, 273])
def test_groups_offsets_partners_and_gains(tmp_path, rows):
    found = find_twins(write_usual(tmp_path / "set", rows), workers=1)
    twins = table.read_twins(tmp_path / "set")
    pd.testing.assert_frame_equal(twins, found.twins, check_dtype=False)
    twins = twins.set_index("id")
    assert twins.index.tolist() == ["a", "b", "p", "q", "x", "y", "c", "z"]
    assert twins["split"].tolist() == ["train"] * 6 + ["test"] * 2
    assert twins["group"].fillna(-1).tolist() == [0, 0, 1, 1, -1, -1, 0, -1]
    assert twins["offset"].tolist() == [0, 30, 5, 0, 0, 0, 70, 0]
    assert twins["members"].tolist() == [3, 3, 2, 2, 1, 1, 3, 1]
    assert twins["partners"].tolist() == ["b", "a c", "q", "p", "", "", "b", ""]
    assert twins["verdict"].tolist() == ["twins"] * 4 + ["alone", "alone", "twins", "alone"]
    np.testing.assert_allclose(
        twins["covered"], [18 / BINS, 26 / BINS, 43 / BINS, 43 / BINS, 0, 0, 8 / BINS, 0], atol=1e-6
    )
    gains = table.read_gains(tmp_path / "set", twins.reset_index())
    assert len(gains) == 6 * 6
    own = gains[(gains["id"] == "b") & (gains["partner"] == "c")]
    assert set(own["shift"]) == {40}
    one, two = (np.load(cadence_path(tmp_path / "set", *key)).astype(float) for key in (("train", "b"), ("test", "c")))
    for row in own.itertuples():
        difference = one[row.panel, :, 40:] - (row.gain * two[row.panel, :, : BINS - 40] + row.offset)
        assert np.median(np.abs(difference)) < 0.003
    assert found.counts["links"] == 3
    assert found.counts["groups"] == 2
    assert found.remarks == []
    assert not parts.folder_of(tmp_path / "set").exists()
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        *("sample_submission.csv", "test", "train", "train_labels.csv"),
        *("twins.csv", "twins.json", "twins_gains.npz", "twins_sources.csv"),
    ]


def test_packs_alone_give_the_same_table(tmp_path):
    root = write_usual(tmp_path / "set")
    find_twins(root, workers=1)
    before = {name: (root / name).read_bytes() for name in (table.TABLE, table.SOURCES)}
    pack(root)
    for split in ("train", "test"):
        shutil.rmtree(root / split)
    (root / table.TABLE).unlink()
    find_twins(root, workers=1)
    assert {name: (root / name).read_bytes() for name in before} == before
    table.read_twins(root)


def test_packs_of_the_a_panels_alone_are_refused(tmp_path):
    root = write_usual(tmp_path / "set")
    pack(root, "A")
    for split in ("train", "test"):
        shutil.rmtree(root / split)
    assert refusal(root) == (
        f"the background is compared in all six panels: {root}/packed/train-A.npy holds the A panels alone, and all "
        "are needed, which only the cadence files have: seti pack data.root=<folder of these files> panels=all makes "
        "the pack to give in its place"
    )


def test_files_are_read_where_the_pack_has_the_a_panels_alone(tmp_path):
    root = write_usual(tmp_path / "set")
    pack(root, "A")
    assert find_twins(root, workers=1).counts["groups"] == 2


@pytest.mark.parametrize("lacking", ["train_labels.csv", "sample_submission.csv"])
def test_one_split_is_enough(tmp_path, lacking):
    root = write_usual(tmp_path / "set")
    (root / lacking).unlink()
    found = find_twins(root, workers=1)
    assert groups(found) == ([] if lacking == "train_labels.csv" else [{"a", "b"}, {"p", "q"}])
    table.read_twins(root)


def test_a_folder_that_holds_no_data_set_is_refused(tmp_path):
    assert refusal(tmp_path / "nowhere").startswith(f"data.root={tmp_path}/nowhere is not a folder: set data.root to")
    assert refusal(tmp_path).startswith(f"{tmp_path}/train_labels.csv is missing: data.root must be a folder in")
    assert list(tmp_path.iterdir()) == []


def test_ids_in_both_splits_are_refused(tmp_path):
    root = write_usual(tmp_path / "set")
    pd.DataFrame({"id": ["c", "z", "a"], "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    assert refusal(root) == (f"{root} lists 1 ids in train and in test (a): take them out of one of the two tables")


def usual_with(root, **others):
    """The usual set with further training cadences."""
    write_usual(root)
    ids = pd.read_csv(root / "train_labels.csv")["id"].tolist()
    train = {one: np.load(cadence_path(root, "train", one)) for one in ids} | others
    test = {one: np.load(cadence_path(root, "test", one)) for one in ("c", "z")}
    return write_set(root, train, test, targets=("b", "x"))


def test_constant_panels_are_left_out_and_counted(tmp_path):
    field = draw_field(9, 100)
    dead, half = np.zeros_like(cut(field, 0)), cut(field, 10)
    half[1] = 7
    steady = np.broadcast_to(np.arange(BINS, dtype=np.float16), dead.shape)
    found = find_twins(
        usual_with(tmp_path / "set", d0=dead, d1=dead + 1, d2=dead, s=steady, h=half, f=cut(field, 0)), workers=1
    )
    assert groups(found) == [{"a", "b", "c"}, {"p", "q"}]
    verdict_of = verdicts(found)
    assert [verdict_of[one] for one in ("d0", "d1", "d2", "s", "h", "f")] == ["constant"] * 4 + ["refused"] * 2
    assert found.counts["constant"] == 4
    assert found.counts["refused_constant_panel"] == 1


def test_periodic_panels_are_left_out_and_counted(tmp_path):
    def tiled(period, seed):
        return np.tile(np.random.default_rng(seed).standard_normal((6, 24, period)), BINS // period).astype(np.float16)

    found = find_twins(
        usual_with(tmp_path / "set", t0=tiled(6, 0), t1=np.roll(tiled(6, 0), 2, 2), t2=tiled(8, 1)), workers=1
    )
    assert groups(found) == [{"a", "b", "c"}, {"p", "q"}]
    verdict_of = verdicts(found)
    assert [verdict_of[one] for one in ("t0", "t1", "t2")] == ["periodic"] * 3
    assert found.counts["periodic"] == 3
    assert found.counts["repeated_keys"] == 3 * 3 * (BINS - 1)


def test_a_field_that_repeats_within_cadences_contradicts_itself(tmp_path):
    """The noise of bins 0 to 39 comes again at 60 to 99: a pair of cuts matches at two shifts."""
    field = draw_field(9, 140)
    field[:, :, 60:100] = field[:, :, :40]
    found = find_twins(usual_with(tmp_path / "set", r0=cut(field, 0), r1=cut(field, 30), r2=cut(field, 64)), workers=1)
    assert [own for own in groups(found) if "r0" in own] == [{"r0", "r1", "r2"}]
    # r0 and r1 share 18 bins at a shift of 30, and 18 others at -30; r1 and r2 14 at 34, and 10 at 60 less.
    assert found.counts["refused_contradiction"] == 2


def test_copies_of_a_cadence_are_identical_and_conflicting_labels_are_said(tmp_path):
    alone = cut(draw_field(3, BINS), 0)  # as x, which has a needle by the labels
    tiles = np.tile(np.random.default_rng(0).standard_normal((6, 24, 6)), BINS // 6).astype(np.float16)
    found = find_twins(usual_with(tmp_path / "set", k=alone, t0=tiles, t1=tiles), workers=1)
    verdict_of = verdicts(found)
    assert {verdict_of[one] for one in ("k", "x", "t0", "t1")} == {"identical"}
    assert {"k", "x"} in groups(found)
    assert {"t0", "t1"} in groups(found)  # periodic panels have no shift, but these are the same file
    assert found.counts["identical"] == 4
    assert found.remarks == [
        "1 pairs of identical cadences have different labels, first x and k: at least one of them is wrong"
    ]


def test_off_panels_that_were_copied_make_no_twins(tmp_path):
    one, two = cut(draw_field(8, BINS), 0), cut(draw_field(9, BINS), 0)
    two[[1, 3, 5]] = one[[1, 3, 5]]
    found = find_twins(usual_with(tmp_path / "set", m=one, n=two), workers=1)
    assert verdicts(found)["m"] == verdicts(found)["n"] == "refused"
    assert found.counts["refused_other_noise"] == 1


def test_damaged_and_other_sized_cadences_are_left_out_and_named(tmp_path):
    root = usual_with(tmp_path / "set", v=cut(draw_field(8, 60), 0, 40), w=cut(draw_field(8, 60), 0))
    cadence_path(root, "train", "x").write_bytes(b"half")
    cadence_path(root, "test", "z").unlink()
    broken = np.load(cadence_path(root, "train", "q"))
    broken[0, 0, 0] = np.nan  # an A panel: read only where links are checked
    np.save(cadence_path(root, "train", "q"), broken)
    found = find_twins(root, workers=1)
    verdict_of = verdicts(found)
    assert verdict_of == {
        **dict.fromkeys("abc", "twins"),
        **{"p": "refused", "q": "unreadable", "x": "unreadable", "z": "unreadable"},
        **{"v": "another size", "w": "alone", "y": "alone"},
    }
    path = cadence_path(root, "train", "q")
    assert found.remarks == [
        f"4 cadences are left out, first train q: cadence {path} has 1 value that is NaN or infinite, first in panel "
        "0 (A): remove or replace the file"
    ]
    assert table.read_twins(root).set_index("id").loc["a", "partners"] == "b"


def test_a_set_of_which_nothing_can_be_read_is_refused(tmp_path):
    root = write_usual(tmp_path / "set")
    for path in root.rglob("*.npy"):
        path.write_bytes(b"half of it")
    assert refusal(root) == (f"{root} has no cadence that can be read: seti check data.root={root} lists what is wrong")


@pytest.mark.parametrize(("rows", "bins"), [(4, 48), (24, 6)])
def test_panels_that_are_too_small_are_refused(tmp_path, rows, bins):
    root = write_set(tmp_path / "set", {"a": cut(draw_field(0, 60, rows), 0, bins)}, {})
    line = f"{root} has panels of {rows} x {bins}: backgrounds are compared from 8 rows and 8 bins on"
    (root / "sample_submission.csv").unlink()
    assert refusal(root) == line


def small_parts(monkeypatch):
    monkeypatch.setattr(fingerprinting, "BLOCK", 2)
    monkeypatch.setattr(linking, "BLOCK", 2)


def test_parts_make_no_difference(tmp_path, monkeypatch):
    root = write_usual(tmp_path / "set")
    find_twins(root, workers=1)
    before = (root / table.TABLE).read_bytes(), (root / table.SOURCES).read_bytes()
    small_parts(monkeypatch)
    find_twins(root, workers=1)
    assert ((root / table.TABLE).read_bytes(), (root / table.SOURCES).read_bytes()) == before


@pytest.mark.parametrize("where", ["fingerprints", "links", "table"])
def test_a_stopped_run_goes_on(tmp_path, monkeypatch, where):
    small_parts(monkeypatch)
    root = write_usual(tmp_path / "set")
    find_twins(root, workers=1)
    before = (root / table.TABLE).read_bytes()
    (root / table.TABLE).unlink()
    written, real = [], parts.write

    def write(path, made_from, **arrays):
        written.append(path.name)
        if len(written) == {"fingerprints": 3, "links": 5}.get(where, 99):
            raise KeyboardInterrupt
        real(path, made_from, **arrays)

    monkeypatch.setattr(parts, "write", write)
    if where == "table":
        monkeypatch.setattr(table, "write_twins", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises((KeyboardInterrupt, OSError)):
        find_twins(root, workers=1)
    assert not (root / table.TABLE).exists()
    done = {name for name in written if (parts.folder_of(root) / name).exists()}
    monkeypatch.undo()
    small_parts(monkeypatch)
    written.clear()
    monkeypatch.setattr(parts, "write", lambda path, *a, **k: (written.append(path.name), real(path, *a, **k)))
    find_twins(root, workers=1)
    assert (root / table.TABLE).read_bytes() == before
    assert done
    assert not done & set(written)


def test_parts_of_changed_cadences_are_made_again(tmp_path, monkeypatch):
    small_parts(monkeypatch)
    root = write_usual(tmp_path / "set")
    monkeypatch.setattr(parts, "remove", lambda _: None)
    find_twins(root, workers=1)
    assert len(list(parts.folder_of(root).iterdir())) == 4 + 2
    path = cadence_path(root, "train", "x")
    np.save(path, cut(draw_field(2, 100), 20))  # now of the same field as p and q
    os.utime(path, ns=(1, 1))
    found = find_twins(root, workers=1)
    assert groups(found) == [{"a", "b", "c"}, {"p", "q", "x"}]


def test_a_damaged_part_is_made_again(tmp_path, monkeypatch):
    root = write_usual(tmp_path / "set")
    monkeypatch.setattr(parts, "remove", lambda _: None)
    find_twins(root, workers=1)
    for path in parts.folder_of(root).iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    assert find_twins(root, workers=1).counts["groups"] == 2


def test_two_processes_give_the_same_table(tmp_path, monkeypatch):
    root = write_usual(tmp_path / "set")
    find_twins(root, workers=1)
    before = (root / table.TABLE).read_bytes()
    small_parts(monkeypatch)
    monkeypatch.setattr(fingerprinting, "ALONE", 1)
    monkeypatch.setattr(linking, "ALONE", 1)
    find_twins(root, workers=2)
    assert (root / table.TABLE).read_bytes() == before


def test_a_second_search_of_the_same_set_is_refused(tmp_path):
    root = write_usual(tmp_path / "set")
    with locks.hold(root, "finding twins", name=search.LOCK):
        assert refusal(root).startswith(f"{root} is in use by another run (another thread of this process)")


def test_labels_that_cannot_be_read_do_not_stop_the_search(tmp_path):
    root = write_usual(tmp_path / "set")
    text = (root / "train_labels.csv").read_text()
    (root / "train_labels.csv").write_text(text.replace("a,0", "a,maybe"))
    assert find_twins(root, workers=1).counts["groups"] == 2


def test_raw_powers_of_few_rows_and_other_types_are_searched(tmp_path):
    rng = np.random.default_rng(0)
    power = rng.chisquare(8, (6, 16, 120)).astype(np.float32) * 1e9
    train = {"a": power[:, :, :BINS], "b": 2 * power[:, :, 20 : 20 + BINS], "x": rng.chisquare(8, (6, 16, BINS))}
    root = write_set(tmp_path / "set", {one: panels.astype(np.float32) for one, panels in train.items()}, {})
    (root / "sample_submission.csv").unlink()
    found = find_twins(root, workers=1)
    assert groups(found) == [{"a", "b"}]
    np.testing.assert_allclose(found.links.gain, 0.5, rtol=1e-3)


def test_a_larger_set_is_solved_without_a_wrong_link(tmp_path):
    rng = np.random.default_rng(0)
    train, truth = {}, {}
    for number in range(12):
        field = draw_field(100 + number, 300)
        for place in rng.integers(0, 300 - BINS + 1, 6):
            one = f"{number}x{place}x{len(train)}"
            train[one] = shared_fields.add_line(cut(field, place), rng.uniform(5, 40), 0.1, (1, 3), 2.0)
            truth[one] = number, int(place)
    root = write_set(tmp_path / "set", train, {})
    (root / "sample_submission.csv").unlink()
    found = find_twins(root, workers=1)
    ids = found.twins["id"].to_numpy()
    links = {(ids[a], ids[b]): s for a, b, s in zip(found.links.one, found.links.two, found.links.shift, strict=True)}
    for (one, two), shift in links.items():
        assert truth[one][0] == truth[two][0]
        assert truth[two][1] - truth[one][1] == shift
    wanted = [
        (one, two)
        for place, one in enumerate(ids)
        for two in ids[place + 1 :]
        if truth[one][0] == truth[two][0] and abs(truth[one][1] - truth[two][1]) <= BINS - 6
    ]
    assert set(wanted) <= set(links)
