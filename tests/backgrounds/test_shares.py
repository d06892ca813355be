import numpy as np
import pandas as pd
import pytest

from seti.backgrounds.shares import Shares, advice, count_shares


def twins_of(groups, test):
    """A table of cadences 0, 1, ... in given groups, of which some are in test."""
    count = len(groups)
    return pd.DataFrame(
        {
            "id": [f"{n:04d}" for n in range(count)],
            "split": np.where(np.isin(np.arange(count), test), "test", "train"),
            "group": pd.array(groups, "Int64"),
        }
    )


def labels_of(twins):
    ids = twins.loc[twins["split"] == "train", "id"]
    return pd.DataFrame({"id": ids.to_numpy(), "target": np.arange(len(ids)) % 2})


def test_shares_of_test_and_train():
    twins = twins_of([0, 0, 0, 1, 1, 2, 2, None, None, None], test=[2, 4, 9])
    shares = count_shares(twins, None, 5, 42)
    assert shares.test == pytest.approx(2 / 3)
    assert shares.train == pytest.approx(3 / 7)
    assert shares.folds == ()


def test_shares_of_random_folds():
    # Fifty pairs: a partner is in another of five folds with a probability of about 0.8.
    twins = twins_of(sorted([*range(50)] * 2), test=[])
    shares = count_shares(twins, labels_of(twins), 5, 42)
    assert shares.test is None
    assert len(shares.folds) == 5
    assert shares.random == pytest.approx(0.8, abs=0.1)
    alone = twins_of([None] * 100, test=[])
    assert count_shares(alone, labels_of(alone), 5, 42).folds == (0.0,) * 5


def test_too_few_labels_draw_no_folds():
    twins = twins_of([0, 0, None], test=[])
    assert count_shares(twins, labels_of(twins), 5, 42).folds == ()


@pytest.mark.parametrize(
    ("shares", "any_twins", "line"),
    [
        (
            Shares(0.0, 0.0, (0.0,)),
            False,
            "No background repeats: random folds are as good as grouped ones (data.groups=none).",
        ),
        (
            Shares(0.5, 0.4, ()),
            True,
            "No folds can be drawn from the label table, so nothing can be said about them.",
        ),
        (
            Shares(None, None, (0.5, 0.7)),
            True,
            "60% of a held-out fold have a twin in its training folds if the folds are random: grouped folds "
            "(data.groups=auto) estimate cadences whose backgrounds were never seen.",
        ),
        (
            Shares(0.8, 0.7, (0.8,)),
            True,
            "Random folds estimate the test set (data.groups=none): 80% of a held-out fold have a twin in its training "
            "folds if the folds are random, and 80% of the test cadences have one in train. Grouped folds "
            "(data.groups=auto) estimate cadences whose backgrounds were never seen.",
        ),
        (
            Shares(0.01, 0.01, (0.8,)),
            True,
            "Grouped folds estimate the test set (data.groups=auto), random ones may promise too much: 80% of a "
            "held-out fold have a twin in its training folds if the folds are random, and 1% of the test cadences have "
            "one in train.",
        ),
        (
            Shares(0.3, 0.2, (0.8,)),
            True,
            "The test set lies between random folds and grouped ones, which leave no twin (data.groups=auto): 80% of a "
            "held-out fold have a twin in its training folds if the folds are random, and 30% of the test cadences "
            "have one in train. Grouped folds are nearer.",
        ),
    ],
)
def test_advice_in_plain_words(shares, any_twins, line):
    assert advice(shares, any_twins) == line


def test_the_nearer_kind_of_folds_is_named():
    assert advice(Shares(0.6, 0.5, (0.8,)), True).endswith("have one in train. Random folds are nearer.")
