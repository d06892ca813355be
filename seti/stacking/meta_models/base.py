"""What a meta-model is: it is fitted to experiments' out-of-fold probabilities and gives one probability a cadence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

INNER_FOLDS = 5

Predict = Callable[[np.ndarray], np.ndarray]  # `(N, models)` probabilities to `(N,)` probabilities


@dataclass(frozen=True)
class Rows:
    """Cadences that a meta-model is fitted to.

    Attributes:
        features: `(N, models)`, every experiment's out-of-fold probability.
        targets: `(N,)`, 0 or 1.
        folds: `(N,)`, which fold's networks gave the features.
    """

    features: np.ndarray
    targets: np.ndarray
    folds: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> "Rows":
        return Rows(self.features[chosen], self.targets[chosen], self.folds[chosen])


@dataclass(frozen=True)
class Fitted:
    """A meta-model after it was fitted, its choices made.

    Attributes:
        predict: gives the probabilities of other rows.
        refit: makes the same choices again on other rows, without a search, and gives their `predict`.
        auc: by which the choices were made: optimistic.
        choices: what was chosen, of plain values.
        weights: `(models,)`, what an experiment counts; None where no one number says it.
    """

    predict: Predict
    refit: Callable[[Rows], Predict]
    auc: float
    choices: dict[str, Any]
    weights: np.ndarray | None = None


Fit = Callable[[Rows, int, int], Fitted]  # rows; the seed of inner folds; threads, as joblib counts them


def inner_splits(targets: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split rows as every search does: shuffled, stratified by target, `INNER_FOLDS` times.

    Returns:
        Indices of the rows to fit to, and of those to score.
    """
    return StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(targets, targets)


def held_out(fitted: Fitted, rows: Rows, seed: int) -> np.ndarray:
    """Predict the rows that a meta-model was fitted to as if they were new: by the inner cross-validation.

    Returns:
        `(N,)` probabilities, each by a refit to the other inner folds.
    """
    probs = np.full(len(rows.targets), np.nan)
    for train, test in inner_splits(rows.targets, seed):
        probs[test] = fitted.refit(rows[train])(rows.features[test])
    return probs
