"""Interface of meta-models, which map the experiments' probabilities to one per cadence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

INNER_FOLDS = 5

Predict = Callable[[np.ndarray], np.ndarray]  # `(N, models)` probabilities to `(N,)` probabilities


@dataclass(frozen=True)
class Rows:
    """Rows of out-of-fold predictions to fit a meta-model to.

    Attributes:
        features: `(N, models)`, out-of-fold probabilities of every experiment.
        targets: `(N,)`, 0 or 1.
        folds: `(N,)`, the fold whose networks predicted the row.
    """

    features: np.ndarray
    targets: np.ndarray
    folds: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> "Rows":
        return Rows(self.features[chosen], self.targets[chosen], self.folds[chosen])


@dataclass(frozen=True)
class Fitted:
    """Fitted meta-model.

    Attributes:
        predict: returns the probabilities of other rows.
        refit: fits other rows with the same settings, without a search, and returns their `predict`.
        auc: AUC by which the settings were chosen, hence optimistic.
        choices: the chosen settings, as plain values.
        weights: `(models,)`, weight of each experiment; None if a single number cannot express it.
    """

    predict: Predict
    refit: Callable[[Rows], Predict]
    auc: float
    choices: dict[str, Any]
    weights: np.ndarray | None = None


Fit = Callable[[Rows, int, int], Fitted]  # rows; seed of the inner folds; n_jobs of joblib


def inner_splits(targets: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split rows into `INNER_FOLDS` shuffled folds, stratified by target.

    Returns:
        For each fold, the indices of the rows to fit to and of the rows to score.
    """
    return StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(targets, targets)


def held_out(fitted: Fitted, rows: Rows, seed: int) -> np.ndarray:
    """Predict a meta-model's own rows by inner cross-validation, as if they were new.

    Returns:
        `(N,)` probabilities, each from a refit to the other inner folds.
    """
    probs = np.full(len(rows.targets), np.nan)
    for train, test in inner_splits(rows.targets, seed):
        probs[test] = fitted.refit(rows[train])(rows.features[test])
    return probs
