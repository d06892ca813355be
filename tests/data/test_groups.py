import numpy as np
import pandas as pd
import pytest

from seti.data import competition, groups
from seti.data.folds import assign_folds, divide
from seti.data.groups import Groups, assign_grouped_folds, find_folds, from_table, read_groups, store_folds
from seti.errors import SetiError

IDS = pd.Series([f"{number:02d}a" for number in range(12)])
NAMES = ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5", "6", "6"]


@pytest.fixture
def root(tmp_path):
    pd.DataFrame({"id": ["test1", "test2"], "target": 0.5}).to_csv(tmp_path / competition.SUBMISSION, index=False)
    return tmp_path


def refusal(root, ids, names) -> str:
    path = root / "sessions.csv"
    pd.DataFrame({"id": ids, "group": names}).to_csv(path, index=False)
    with pytest.raises(SetiError) as caught:
        read_groups(path, root, IDS)
    return str(caught.value).replace(str(path), "TABLE").replace(str(root), "ROOT")


def drawn(targets, names, n_folds=3, seed=1):
    return assign_grouped_folds(np.array(targets), Groups(np.array(names), "TABLE"), n_folds, seed)


def test_a_table_in_any_order_with_test_ids(root):
    table = pd.DataFrame({"id": [*IDS, "test2"], "group": [*NAMES, "1"]}).sample(frac=1, random_state=3)
    table.to_csv(root / "sessions.csv", index=False)
    read = read_groups(root / "sessions.csv", root, IDS)
    assert [name.removeprefix("group ") for name in read.names] == NAMES
    assert read.describe() == "6 groups of 2 to 2 cadences, 12 in all; 0 are alone"


@pytest.mark.parametrize("gap", ["", "nan", "NA"])
def test_a_table_with_gaps(root, gap):
    assert refusal(root, IDS, [*NAMES[:10], gap, gap]) == (
        "TABLE has no group for 2 of 12 labelled cadences, first 10a: give each one a group; a cadence that is alone "
        "needs a name of its own"
    )
    assert refusal(root, IDS[:9], NAMES[:9]).startswith("TABLE has no group for 3 of 12 labelled cadences, first 09a:")


def test_tables_that_cannot_be_used(root):
    assert refusal(root, [*IDS, "other"], [*NAMES, "1"]) == (
        "TABLE has 1 ids that are in neither split of ROOT, first other: take them out, or set data.groups to the table"
        " of this data set"
    )
    assert refusal(root, [*IDS, IDS[0]], [*NAMES, "2"]) == "TABLE lists 1 ids twice, first 00a: keep one row an id"
    with pytest.raises(SetiError, match=r"none.csv is not a file: give a csv with the columns id and group, auto, or"):
        read_groups(root / "none.csv", root, IDS)
    (root / "x.csv").write_text("id,session\n00a,1\n")
    with pytest.raises(SetiError, match=r"has no column group"):
        read_groups(root / "x.csv", root, IDS)


def test_no_group_is_divided_and_rows_and_positives_are_balanced():
    rng = np.random.default_rng(0)
    names = np.where(rng.random(3000) < 0.5, rng.integers(0, 400, 3000), 1000 + np.arange(3000)).astype(str)
    targets = (rng.random(3000) < 0.1).astype(int)
    folds = drawn(targets, names, 5)
    assert pd.Series(folds).groupby(names).nunique().max() == 1
    assert np.ptp(np.bincount(folds)) <= 20
    assert np.ptp(np.bincount(folds, targets)) <= 3
    assert (folds == drawn(targets, names, 5)).all()
    assert (folds != drawn(targets, names, 5, seed=2)).any()


@pytest.mark.parametrize(
    ("targets", "names", "message"),
    [
        (
            [0, 1] * 6,
            ["group a"] * 3 + ["group b"] * 3 + ["group a"] * 6,
            "TABLE has 2 groups for data.n_folds=3: every fold needs one; lower data.n_folds, or set data.groups=none",
        ),
        (
            [0, 1] * 6,
            ["group x"] * 4 + list("abcdefgh"),
            "TABLE puts 4 of 12 labelled cadences into group x, a third or more: folds cannot be balanced; divide that "
            "group, or set data.groups=none",
        ),
        (
            [1, 1, 1, 1] + [0] * 8,
            [*"aabb", *"cdefghij"],
            "TABLE has 2 groups with positives for data.n_folds=3: every fold needs one; lower data.n_folds, or set "
            "data.groups=none",
        ),
    ],
)
def test_groups_that_cannot_be_balanced(targets, names, message):
    with pytest.raises(SetiError) as caught:
        drawn(targets, names)
    assert str(caught.value) == message


def test_cadences_without_twins_are_on_their_own(tmp_path):
    table = pd.Series([7, 7, pd.NA, 9], index=IDS[:4], dtype="Int64")
    names = from_table(table, IDS, tmp_path).names
    assert names[0] == names[1]
    assert len(set(names)) == 11


def test_folds_are_drawn_once_and_stored(tmp_path, monkeypatch):
    labels = pd.DataFrame({"id": IDS, "target": [0, 1] * 6})
    given = Groups(np.array([f"group 0{name}" for name in NAMES]), "TABLE")
    path = tmp_path / "folds.csv"
    folds = find_folds(path, labels, given, 3, 1)
    assert not path.exists()
    store_folds(path, labels.assign(fold=folds), given, 1)
    written = path.read_bytes()
    calls = []
    monkeypatch.setattr(groups, "assign_grouped_folds", lambda *args: calls.append(args))
    assert (find_folds(path, labels, given, 3, 1) == folds).all()
    assert calls == []
    store_folds(path, labels.assign(fold=folds), given, 1)
    assert path.read_bytes() == written
    # Of another seed, number of folds, labels or groups: drawn again.
    find_folds(path, labels, given, 3, 2)
    find_folds(path, labels, given, 2, 1)
    find_folds(path, labels.assign(target=[1, 0] * 6), given, 3, 1)
    find_folds(path, labels, Groups(given.names[::-1], "TABLE"), 3, 1)
    path.write_text("damaged")
    find_folds(path, labels, given, 3, 1)
    assert len(calls) == 5


def test_without_groups_folds_are_as_before(tmp_path):
    labels = pd.DataFrame({"id": IDS, "target": [0, 1] * 6})
    assert divide(labels, tmp_path, None, 3, 7)["fold"].tolist() == assign_folds(labels["target"], 3, 7).tolist()
