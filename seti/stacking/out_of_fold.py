"""Joined out-of-fold tables of experiments, and nested cross-validation of meta-models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seti.errors import SetiError
from seti.evaluation import calibration
from seti.experiments.experiment import OOF_COLUMNS
from seti.stacking.meta_models import boosted_trees, hill_climbing, logistic
from seti.stacking.meta_models.base import INNER_FOLDS, Fit, Fitted, Rows, held_out

META_MODELS: dict[str, Fit] = {
    "logistic": logistic.fit,
    "hill_climbing": hill_climbing.fit,
    "boosted_trees": boosted_trees.fit,
}


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold tables of several experiments, joined by id.

    Attributes:
        ids: `(N,)`, sorted.
        folds: `(N,)`, the fold in which each cadence was held out, equal in all experiments.
        targets: `(N,)`, 0 or 1.
        probs: `(N, models)`, one column per experiment, with its name.
    """

    ids: np.ndarray
    folds: np.ndarray
    targets: np.ndarray
    probs: pd.DataFrame

    def rows(self) -> Rows:
        """Return the numbers in the form that meta-models take."""
        return Rows(np.ascontiguousarray(self.probs.to_numpy()), self.targets, self.folds)


@dataclass(frozen=True)
class NestedPredictions:
    """Predictions of a meta-model by nested cross-validation.

    Attributes:
        probs: `(N,)` probabilities, each from a fit without the row's fold.
        calibrated: `(N,)`, the same after calibration.
        choices: the settings chosen without each fold, by fold number.
    """

    probs: np.ndarray
    calibrated: np.ndarray
    choices: dict[str, dict[str, Any]]


def join_oof(tables: Mapping[str, pd.DataFrame]) -> OutOfFold:
    """Join out-of-fold tables by id.

    Args:
        tables: by experiment name, tables with the columns id, fold, target and prob, with rows in any order.

    Raises:
        SetiError: ids are duplicated or missing, values are not probabilities, targets or folds, or the experiments
            differ in ids, targets or folds; the message names both experiments and the first ids.
    """
    indexed = {name: _by_id(name, table, OOF_COLUMNS, "out-of-fold table") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    first = first.sort_index()
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "out-of-fold")
        aligned = table.loc[first.index]
        for column, meaning, fix in (
            (
                "target",
                "give different targets to",
                "train one of them again on the other's train_labels.csv",
            ),
            (
                "fold",
                "hold out in different folds",
                "give them the same data.n_folds, data.fold_seed and data.folds, and data.groups",
            ),
        ):
            different = first.index[(aligned[column] != first[column]).to_numpy()]
            if len(different):
                pairs = f"{column} {first[column][different[0]]} and {aligned[column][different[0]]}"
                msg = (
                    f"experiments {first_name} and {name} {meaning} {len(different)} of {len(first)} "
                    f"cadences ({_some(different)}; the first: {pairs}): {fix}"
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
        tables: by experiment name, tables with the columns id and prob, with rows in any order; prob is empty for
            cadences that could not be read.

    Returns:
        One column per experiment, with its name; the ids are the index, in the order of the first table.

    Raises:
        SetiError: as for `join_oof`.
    """
    indexed = {name: _by_id(name, table, ["id", "prob"], "predictions.csv") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "test")
    return pd.DataFrame({name: table["prob"].loc[first.index] for name, table in indexed.items()}, dtype=float)


def nested_probabilities(
    fit: Fit, rows: Rows, seed: int, n_jobs: int = 1, calibrate: str = "none"
) -> NestedPredictions:
    """Predict each fold with a meta-model that was searched, fitted and calibrated without it.

    For every fold, everything runs on the rows of the other folds only: the search for settings, the fit, and the
    calibrator, which is fitted to predictions of the inner cross-validation. The score of a search itself is
    optimistic, because the settings were chosen by it.

    The outer folds are those of the experiments. All probabilities of fold k come from one network per experiment,
    which did not train on fold k, and each network has its own scale. With these folds the meta-model meets the
    networks of fold k for the first time, as it does the average network on the test set. A random split would put
    rows of one network on both sides and let the meta-model learn that scale. Two optimistic biases precede stacking
    and remain: each network's best epoch was chosen on the rows it is scored on, and the networks of the other folds
    trained on fold k.

    Args:
        fit: one of `META_MODELS`.
        rows: the rows of all folds.
        seed: seed of every inner search.
        n_jobs: number of threads.
        calibrate: one of `calibration.CALIBRATE`.
    """
    probs, calibrated = np.full((2, len(rows.targets)), np.nan)
    choices = {}
    for fold in np.unique(rows.folds):
        inside = rows.folds == fold
        outside = rows[~inside]
        fitted = fit(outside, seed, n_jobs)
        probs[inside] = fitted.predict(rows.features[inside])
        calibrated[inside] = fit_calibrator(calibrate, fitted, outside, seed)(probs[inside])
        choices[str(fold)] = fitted.choices
    return NestedPredictions(probs, calibrated, choices)


def fit_calibrator(calibrate: str, fitted: Fitted, rows: Rows, seed: int) -> calibration.Calibrator:
    """Fit a meta-model's calibrator to `held_out` predictions of the rows that it was fitted to.

    The meta-model's own probabilities of these rows are more confident than those of new rows. The calibrator does not
    account for the features of test cadences being averages over the folds' networks, which are less extreme.
    """
    if calibrate == "none":
        return calibration.unchanged
    return calibration.fit(calibrate, rows.targets, held_out(fitted, rows, seed))


def _by_id(name: str, table: pd.DataFrame, columns: list[str], what: str) -> pd.DataFrame:
    """Check one experiment's table and index it by id."""
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"the {what} of {name} lists {len(doubled)} ids more than once ({_some(doubled)}): create it again"
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
                f"{wanted}, the first {row[column]} for id {row['id']}: create it again"
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
            "blend experiments on one data set, and name them with experiments=[...]"
        )
        raise SetiError(msg)


def _check_classes(targets: np.ndarray, folds: np.ndarray) -> None:
    if len(np.unique(folds)) < 2:
        msg = "the experiments have one fold, but scoring a stack needs two: train with data.n_folds=5"
        raise SetiError(msg)
    for value, name in ((0, "negatives"), (1, "positives")):
        fewest = min(int((targets[folds != fold] == value).sum()) for fold in np.unique(folds))
        if fewest < INNER_FOLDS:
            msg = (
                f"too few {name}: {fewest} are left outside one of the folds, but the search for settings needs "
                f"{INNER_FOLDS}: train on more cadences"
            )
            raise SetiError(msg)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(map(str, ids[:3])) + (", ..." if len(ids) > 3 else "")
