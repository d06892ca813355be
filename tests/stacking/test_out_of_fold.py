"""Joining the out-of-fold tables and predictions of several experiments."""

import numpy as np
import pandas as pd
import pytest
import stack_tables
from stack_tables import CADENCES, MODELS

from seti.errors import SetiError
from seti.evaluation.ranks import rank_mean
from seti.stacking import out_of_fold


@pytest.fixture
def rows() -> pd.DataFrame:
    return stack_tables.oof_rows()


@pytest.fixture
def tables(rows) -> dict[str, pd.DataFrame]:
    return stack_tables.oof_tables(rows)


@pytest.fixture
def test_rows() -> pd.DataFrame:
    return stack_tables.predicted_rows()


def refusal(tables) -> str:
    with pytest.raises(SetiError) as error:
        out_of_fold.join_oof(tables)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_different_ids_are_refused_and_named(tables):
    fewer = tables["beta"][~tables["beta"]["id"].isin(["a0001", "a0002", "a0003", "a0005"])]
    tables["beta"] = fewer.assign(id=fewer["id"].replace({"a0007": "zzz"}))
    message = refusal(tables)
    assert "experiments alpha and beta have different out-of-fold ids" in message
    assert "5 only in alpha (a0001, a0002, a0003, ...)" in message
    assert "1 only in beta (zzz)" in message


@pytest.mark.parametrize(
    ("column", "said"), [("fold", "hold out in different folds"), ("target", "give different targets to")]
)
def test_different_folds_and_targets_are_refused_and_named(tables, column, said):
    gamma = tables["gamma"].set_index("id")
    gamma.loc[["a0009", "a0004"], column] = 1 - gamma.loc[["a0009", "a0004"], column].clip(0, 1)
    was = tables["alpha"].set_index("id").loc["a0004", column]
    tables["gamma"] = gamma.reset_index()
    message = refusal(tables)
    assert f"experiments alpha and gamma {said} 2 of {CADENCES} cadences (a0004, a0009; the first:" in message
    assert f"{column} {was} and {gamma.loc['a0004', column]})" in message


def test_damaged_tables_are_refused(tables):
    good = dict(tables)
    beta = tables["beta"].sort_values("id", ignore_index=True)
    doubled = pd.concat([beta, beta.iloc[[4, 5]]])
    assert "of beta lists 2 ids more than once (a0004, a0005)" in refusal({**good, "beta": doubled})
    for value in (np.nan, np.inf, 1.5, -0.1):
        damaged = beta.assign(prob=beta["prob"].where(beta["id"] != "a0006", value))
        message = refusal({**good, "beta": damaged})
        assert "of beta has 1 values in column prob that are not probabilities" in message
        assert "id a0006" in message
    damaged = beta.assign(target=beta["target"].where(beta["id"] != "a0006", 2))
    assert "column target that are not targets 0 or 1, the first 2 for id a0006" in refusal({**good, "beta": damaged})


def test_too_few_folds_or_positives_are_refused(tables):
    one = {name: rows.assign(fold=0) for name, rows in tables.items()}
    assert "one fold" in refusal(one)
    few = {name: rows.assign(target=(rows["id"] < "a0005").astype(int)) for name, rows in tables.items()}
    assert "too few positives:" in refusal(few)


def test_predictions_are_joined_by_id(test_rows):
    shuffled = test_rows.sample(frac=1, random_state=0)
    tables = {
        "a": test_rows.rename(columns={"alpha": "prob"}),
        "b": shuffled.rename(columns={"beta": "prob"}),
    }
    joined = out_of_fold.join_predictions(tables)
    assert list(joined.index) == list(test_rows["id"])
    np.testing.assert_array_equal(joined.to_numpy(), test_rows[["alpha", "beta"]].to_numpy())
    tables["b"] = tables["b"][tables["b"]["id"] != "t0003"]
    with pytest.raises(SetiError, match=r"experiments a and b have different test ids: 1 only in a \(t0003\)"):
        out_of_fold.join_predictions(tables)
    tables["b"] = pd.concat([tables["a"], tables["a"].iloc[:1]])
    with pytest.raises(SetiError, match=r"predictions.csv of b lists 1 ids more than once"):
        out_of_fold.join_predictions(tables)


def test_rank_mean_averages_ranks_and_shares_ties():
    probs = pd.DataFrame({"a": [0.1, 0.2, 0.2, 0.9], "b": [1e-9, 0.5, 2e-9, 3e-9]})
    np.testing.assert_allclose(rank_mean(probs), [0.25, 0.8125, 0.5625, 0.875])


def test_out_of_fold_tables_are_joined_by_id(rows, tables):
    oof = out_of_fold.join_oof(tables)
    joined = rows.sort_values("id")
    assert list(oof.ids) == list(joined["id"])
    np.testing.assert_array_equal(oof.folds, joined["fold"])
    np.testing.assert_array_equal(oof.targets, joined["target"])
    np.testing.assert_array_equal(oof.probs[list(MODELS)].to_numpy(), joined[list(MODELS)].to_numpy())
