import logging

import numpy as np
import pandas as pd
import pytest

from seti.data import competition
from seti.data.folds import assign_folds, divide, fingerprint
from seti.errors import SetiError, SettingsError

N_FOLDS = 3
FOLDS = [0, 1, 2, 2, 1, 0, 0, 1, 2, 1]
TARGETS = [0, 0, 0, 1, 1, 1, 0, 1, 0, 1]
IDS = [f"{number}a" for number in range(10)]


def write(root, folds, name: str = "fold", separator: str = ",") -> pd.DataFrame:
    """Write a label table with a fold column, its rows in another order, and read it."""
    table = pd.DataFrame({"id": IDS, "target": TARGETS, name: folds})
    table.sample(frac=1, random_state=1).to_csv(root / competition.LABELS, index=False, sep=separator)
    return competition.read_labels_and_folds(root)


def refusal(root, folds, n_folds: int = N_FOLDS) -> str:
    with pytest.raises(SetiError) as caught:
        divide(write(root, folds), root, "column", n_folds, 0)
    return str(caught.value).replace(str(root / competition.LABELS), "TABLE")


@pytest.mark.parametrize(
    ("folds", "name", "separator"),
    [
        (FOLDS, "fold", ","),
        ([float(fold) for fold in FOLDS], "Fold", ","),
        ([f" {fold}" for fold in FOLDS], " fold ", ";"),
    ],
)
def test_folds_of_the_column(tmp_path, caplog, folds, name, separator):
    labels = write(tmp_path, folds, name, separator)
    caplog.set_level(logging.INFO)
    divided = divide(labels, tmp_path, "column", N_FOLDS, 0)
    assert divided.to_dict("list") == {"id": IDS, "target": TARGETS, "fold": FOLDS}
    assert divided["fold"].dtype == np.int64
    assert caplog.records == []


def test_a_column_that_is_not_used_is_said_so_once(tmp_path, caplog):
    labels = write(tmp_path, FOLDS)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        divided = divide(labels, tmp_path, None, N_FOLDS, 7)
    assert divided["fold"].tolist() == assign_folds(np.array(TARGETS), N_FOLDS, 7).tolist()
    assert list(divided) == ["id", "target", "fold"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / competition.LABELS} has a fold column, which is not used: data.folds=column takes its folds"
    ]


def test_no_column(tmp_path):
    with pytest.raises(SetiError) as caught:
        divide(write(tmp_path, FOLDS, "kfold"), tmp_path, "column", N_FOLDS, 0)
    assert str(caught.value) == (
        f"{tmp_path / competition.LABELS} has no column fold, which data.folds=column takes: add it, or set "
        "data.folds=null"
    )


@pytest.mark.parametrize("word", ["", "nan", "-1", "0.5", "a", "inf", "1e9"])
def test_values_that_are_no_folds(tmp_path, word):
    assert refusal(tmp_path, [*map(str, FOLDS[:8]), word, word]) == (
        f"TABLE has 2 folds that are not whole numbers from 0 on, first '{word}' for id 8a: data.folds=column needs "
        "one for every cadence"
    )


@pytest.mark.parametrize(
    ("folds", "n_folds", "message"),
    [
        (
            [fold + 1 for fold in FOLDS],
            3,
            "TABLE numbers its folds from 1 to 3: data.folds=column needs them from 0, subtract 1",
        ),
        (
            [fold * 2 for fold in FOLDS],
            3,
            "TABLE has no cadence in fold 1, but in fold 4: number the folds from 0 without gaps",
        ),
        (FOLDS, 5, "TABLE has 3 folds in its fold column: set data.n_folds=3, not 5"),
        (FOLDS, 2, "TABLE has 3 folds in its fold column: set data.n_folds=3, not 2"),
        (
            [0, 0, 2, 2, 1, 0, 0, 1, 2, 1],
            3,
            "TABLE has no negatives in fold 1 of its fold column: every fold needs both classes",
        ),
        (
            [0, 1, 2, 1, 1, 0, 0, 1, 2, 1],
            3,
            "TABLE has no positives in fold 2 of its fold column: every fold needs both classes",
        ),
        ([0] * 10, 2, "TABLE has every cadence in fold 0 of its fold column: data.folds=column needs two or more"),
    ],
)
def test_folds_that_cannot_be_used(tmp_path, folds, n_folds, message):
    assert refusal(tmp_path, folds, n_folds) == message


def test_the_digest_holds_the_columns_folds_and_drawn_ones_do_not_change_it(tmp_path):
    labels = write(tmp_path, FOLDS)
    own = [divide(labels, tmp_path, "column", N_FOLDS, seed) for seed in (1, 2)]
    drawn = [divide(labels, tmp_path, None, N_FOLDS, seed) for seed in (1, 2)]
    moved = divide(write(tmp_path, [*FOLDS[:8], 1, 2]), tmp_path, "column", N_FOLDS, 0)
    digests = [fingerprint(table, with_folds=True) for table in (*own, moved)]
    assert digests[0] == digests[1] != digests[2]
    assert {fingerprint(table) for table in (*own, *drawn, moved)} == {fingerprint(labels)} != {digests[0]}


def test_what_only_other_settings_change_is_a_refusal_of_settings(tmp_path):
    labels = write(tmp_path, FOLDS)
    for folds, n_folds in ((None, 6), ("column", 4)):
        with pytest.raises(SettingsError):
            divide(labels, tmp_path, folds, n_folds, 0)
    with pytest.raises(SettingsError):
        divide(labels[["id", "target"]], tmp_path, "column", 3, 0)
