"""The meta-model: a logistic regression on several experiments' out-of-fold probabilities, and how it is scored."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from seti.errors import SetiError
from seti.experiment import OOF_COLUMNS

C_VALUES = np.logspace(2, -2, 50)
INNER_FOLDS = 5


@dataclass(frozen=True)
class OutOfFold:
    """Several experiments' out-of-fold tables, joined by id.

    Attributes:
        ids: `(N,)`, sorted.
        folds: `(N,)`, which fold held each cadence out, the same in every experiment.
        targets: `(N,)`, 0 or 1.
        probs: `(N, models)`, a column an experiment, named by it.
    """

    ids: np.ndarray
    folds: np.ndarray
    targets: np.ndarray
    probs: pd.DataFrame


@dataclass(frozen=True)
class GridSearch:
    """Outcome of `grid_search`.

    Attributes:
        c: the best inverse strength of regularisation.
        score: its AUC, the mean over the inner folds.
        model: fitted with it to all rows.
    """

    c: float
    score: float
    model: LogisticRegression


def join_oof(tables: Mapping[str, pd.DataFrame]) -> OutOfFold:
    """Join out-of-fold tables by id.

    Args:
        tables: by experiment, the columns id, fold, target, prob, in any order of rows.

    Raises:
        SetiError: ids are doubled or missing, values are no probabilities, targets or folds, or the
            experiments differ in their ids, targets or folds; the message names both and the first ids.
    """
    indexed = {name: _by_id(name, table, OOF_COLUMNS, "out-of-fold table") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    first = first.sort_index()
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "out-of-fold")
        aligned = table.loc[first.index]
        for column, meaning, cure in (
            (
                "target",
                "give different targets to",
                "train one of them again on the other's train_labels.csv",
            ),
            ("fold", "hold out in different folds", "give them the same data.n_folds and data.fold_seed"),
        ):
            different = first.index[(aligned[column] != first[column]).to_numpy()]
            if len(different):
                pairs = f"{column} {first[column][different[0]]} and {aligned[column][different[0]]}"
                msg = (
                    f"experiments {first_name} and {name} {meaning} {len(different)} of {len(first)} "
                    f"cadences ({_some(different)}; the first: {pairs}): {cure}"
                )
                raise SetiError(msg)
    targets = first["target"].to_numpy(np.int64)
    folds = first["fold"].to_numpy(np.int64)
    _check_classes(targets, folds)
    probs = pd.DataFrame({name: table["prob"].loc[first.index].to_numpy(float) for name, table in indexed.items()})
    return OutOfFold(first.index.to_numpy(), folds, targets, probs)


def join_predictions(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join tables of test predictions by id.

    Args:
        tables: by experiment, the columns id and prob, in any order of rows; prob is empty where a cadence could
            not be read.

    Returns:
        A column an experiment, named by it; the ids are the index, in the first table's order.

    Raises:
        SetiError: as `join_oof`.
    """
    indexed = {name: _by_id(name, table, ["id", "prob"], "predictions.csv") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "test")
    return pd.DataFrame({name: table["prob"].loc[first.index] for name, table in indexed.items()}, dtype=float)


def rank_mean(probs: pd.DataFrame) -> pd.Series:
    """Average the ranks that every model gives a row, scaled to (0, 1]; ties share their mean rank.

    Args:
        probs: `(N, models)`.

    Returns:
        `(N,)`.
    """
    # Scaled after the mean: sums of ranks are exact, so rows that tie keep tying.
    return probs.rank().mean(axis=1) / len(probs)


def grid_search(features: np.ndarray, targets: np.ndarray, seed: int, n_jobs: int = 1) -> GridSearch:
    """Fit a logistic regression whose C has the best AUC in a stratified 5-fold cross-validation.

    The 50 values of C are spaced evenly in their logarithm from 100 to 0.01; the weaker regularisation wins a
    tie. The outcome is that of scikit-learn's `GridSearchCV` with the same tolerance. The loop is written out
    because each fit can then begin at its neighbour's solution, which takes a Newton step or two in place of
    four to six: for 60,000 rows it is 1.7 times as fast with 3 columns and 2.8 times with 20.

    Args:
        features: `(N, models)` probabilities.
        targets: `(N,)`, 0 or 1.
        seed: shuffles the rows into the folds.
        n_jobs: threads, as joblib counts them. The outcome does not depend on it.
    """
    splitter = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    # One thread a matrix product: they are narrow, and their last bit depends on how they are divided.
    with threadpool_limits(1), warnings.catch_warnings():
        # On small tables the solver may fall back to lbfgs, which warns and reaches the same minimum.
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = Parallel(n_jobs, prefer="threads")(
            delayed(_scores_of_c)(features, targets, train, test) for train, test in splitter.split(features, targets)
        )
        means = np.mean(scores, axis=0)
        best = int(np.argmax(means))
        model = _regression().set_params(C=C_VALUES[best]).fit(features, targets)
    return GridSearch(float(C_VALUES[best]), float(means[best]), model)


def nested_probabilities(
    features: np.ndarray, targets: np.ndarray, folds: np.ndarray, seed: int, n_jobs: int = 1
) -> tuple[np.ndarray, dict[str, float]]:
    """Predict every row by a meta-model that has not seen it, neither its weights nor its choice of C.

    For every fold the whole grid search runs on the other folds' rows. The score of the grid search itself is
    optimistic, for C was chosen by it.

    The outer folds are the experiments' own. Fold k's probabilities all come from one network an experiment,
    which did not train on fold k, and each network has a scale of its own. With these folds the meta-model
    meets the networks of fold k for the first time, as it meets the networks' average on the test set; a
    random split would put rows of the same network on both sides and let the meta-model learn that scale.
    What stays optimistic is older than stacking: each network's best epoch was chosen on the rows that it is
    scored on, and the networks of the other folds trained on fold k.

    Args:
        features: `(N, models)` probabilities.
        targets: `(N,)`, 0 or 1.
        folds: `(N,)` fold numbers.
        seed: of every inner search.
        n_jobs: threads.

    Returns:
        `(N,)` probabilities, and each outer fold's choice of C by fold number.
    """
    probs = np.full(len(targets), np.nan)
    chosen = {}
    for fold in np.unique(folds):
        outside, inside = folds != fold, folds == fold
        search = grid_search(features[outside], targets[outside], seed, n_jobs)
        probs[inside] = search.model.predict_proba(features[inside])[:, 1]
        chosen[str(fold)] = search.c
    return probs, chosen


def _regression() -> LogisticRegression:
    # newton-cholesky: made for many more rows than columns; a third of lbfgs' time with 20 columns.
    return LogisticRegression(solver="newton-cholesky", tol=1e-8, warm_start=True)


def _scores_of_c(features: np.ndarray, targets: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = _regression()
    inputs, wanted = features[train], targets[train]
    scores = np.empty(len(C_VALUES))
    for number in reversed(range(len(C_VALUES))):  # from strong to weak regularisation, where a fit is near the next
        model.set_params(C=C_VALUES[number]).fit(inputs, wanted)
        scores[number] = roc_auc_score(targets[test], model.decision_function(features[test]))
    return scores


def _by_id(name: str, table: pd.DataFrame, columns: list[str], what: str) -> pd.DataFrame:
    """Check one experiment's table and index it by id."""
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"the {what} of {name} lists {len(doubled)} ids more than once ({_some(doubled)}): make it anew"
        raise SetiError(msg)
    for column, fits, wanted in (
        ("id", table["id"].notna(), "ids"),
        (
            "prob",
            # An empty prediction is a test cadence that could not be read.
            pd.to_numeric(table["prob"], errors="coerce").between(0, 1)
            | (table["prob"].isna() & ("target" not in columns)),
            "probabilities between 0 and 1",
        ),
        ("target", table["target"].isin([0, 1]) if "target" in columns else None, "targets 0 or 1"),
        ("fold", table["fold"].notna() if "fold" in columns else None, "fold numbers"),
    ):
        if fits is not None and not fits.all():
            row = table[~fits].iloc[0]
            msg = (
                f"the {what} of {name} has {int((~fits).sum())} values in column {column} that are not "
                f"{wanted}, the first {row[column]} for id {row['id']}: make it anew"
            )
            raise SetiError(msg)
    return table[columns].set_index("id")


def _refuse_other_ids(first_name: str, first: pd.Index, name: str, other: pd.Index, what: str) -> None:
    parts = [
        f"{len(ids)} only in {owner} ({_some(ids)})"
        for owner, ids in ((first_name, first.difference(other)), (name, other.difference(first)))
        if len(ids)
    ]
    if parts:
        msg = (
            f"experiments {first_name} and {name} have different {what} ids: {'; '.join(parts)}: "
            "blend experiments of one data set, naming them with experiments=[...]"
        )
        raise SetiError(msg)


def _check_classes(targets: np.ndarray, folds: np.ndarray) -> None:
    if len(np.unique(folds)) < 2:
        msg = "the experiments have one fold, and a stack needs two to be scored: train with data.n_folds=5"
        raise SetiError(msg)
    for value, name in ((0, "negatives"), (1, "positives")):
        fewest = min(int((targets[folds != fold] == value).sum()) for fold in np.unique(folds))
        if fewest < INNER_FOLDS:
            msg = (
                f"too few {name}: {fewest} stand outside one of the folds, and the search for C needs "
                f"{INNER_FOLDS}: train on more cadences"
            )
            raise SetiError(msg)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(map(str, ids[:3])) + (", ..." if len(ids) > 3 else "")
