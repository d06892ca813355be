"""The meta-model that picks: experiments are added, again and again, to a mean that rises in AUC.

R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection from libraries of models", ICML 2004:
forward selection with replacement, begun at the best model. How often an experiment was picked is its weight.
"""

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from seti.stacking.meta_models.base import Fitted, Predict, Rows

MAX_STEPS = 50
MIN_GAIN = 1e-6  # less is rounding, or the luck of a few pairs
# Steps without a gain. Half of another experiment may be too much where a third of it is not, and the way there leads
# over picking the best one twice, which changes no rank. So the climb goes on for a while and falls back if in vain.
PATIENCE = 5


@dataclass(frozen=True)
class Climb:
    """Outcome of `climb`.

    Attributes:
        picks: columns in the order in which they were added.
        auc: of their mean, the mean over the folds.
    """

    picks: list[int]
    auc: float

    def weights(self, models: int) -> np.ndarray:
        """Share of the picks, `(models,)`."""
        return np.bincount(self.picks, minlength=models) / len(self.picks)


def fit(rows: Rows, seed: int, n_jobs: int = 1) -> Fitted:
    """Pick the experiments whose mean probability ranks the rows best.

    Nothing is drawn: the seed does not matter.
    """
    found, models = climb(rows, n_jobs), rows.features.shape[1]
    return Fitted(
        predict=_predict(found.weights(models)),
        refit=lambda other: _predict(climb(other).weights(models)),
        auc=found.auc,
        choices={"picks": len(found.picks)},
        weights=found.weights(models),
    )


def climb(rows: Rows, n_jobs: int = 1) -> Climb:
    """Add the experiment that raises the AUC of the mean most, as long as any does.

    A row is compared with rows of its own fold alone, which the same networks scored, and the folds' AUCs are
    averaged: on rows of all folds at once, an experiment would also be picked for the scales that its networks happen
    to share, and the test set is on one scale. The first of several equal experiments is picked. An experiment on its
    own is where the climb begins, so the outcome is never worse than the best of them on these rows.

    Args:
        rows: with both targets.
        n_jobs: threads, a fold each. The outcome does not depend on it.
    """
    groups = _groups(rows)
    sums = [(np.zeros(negatives.shape[1]), np.zeros(positives.shape[1])) for negatives, positives in groups]
    picks: list[int] = []
    best, best_length = -np.inf, 0
    with Parallel(n_jobs, prefer="threads") as parallel:
        while len(picks) < MAX_STEPS and len(picks) - best_length <= PATIENCE:
            # The sum ranks as the mean does.
            aucs = parallel(delayed(_aucs)(*group, *total) for group, total in zip(groups, sums, strict=True))
            scores = np.mean(aucs, axis=0)
            pick = int(np.argmax(scores))
            for (negatives, positives), (below, above) in zip(groups, sums, strict=True):
                below += negatives[pick]
                above += positives[pick]
            picks.append(pick)
            if scores[pick] > best + MIN_GAIN:
                best, best_length = float(scores[pick]), len(picks)
    return Climb(picks[:best_length], best)


def _groups(rows: Rows) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features of a fold's negatives and of its positives, `(models, rows)` each, so that sorts run along memory."""
    inside = [rows.folds == fold for fold in np.unique(rows.folds)]
    both = [rows[chosen] for chosen in inside if len(np.unique(rows.targets[chosen])) == 2]
    # Folds of one target each can only be compared with one another.
    return [
        tuple(np.ascontiguousarray(part.features[part.targets == target].T) for target in (0, 1))
        for part in both or [rows]
    ]


def _aucs(negatives: np.ndarray, positives: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """AUC of every experiment added to the running sums `below` and `above`, `(models,)`.

    The share of pairs of a positive and a negative that are in order, ties counting half (Mann and Whitney's U).
    """
    low, high = np.sort(negatives + below, axis=1), np.sort(positives + above, axis=1)
    ordered = np.array([_ordered(*pair) for pair in zip(low, high, strict=True)])
    return ordered / (low.shape[1] * high.shape[1])


def _ordered(low: np.ndarray, high: np.ndarray) -> float:
    """Pairs of a `high` above a `low`, both sorted."""
    beaten = low.searchsorted(high)
    tied = high[low[np.minimum(beaten, len(low) - 1)] == high]  # few: a search for all of them would cost as much again
    return beaten.sum() + (low.searchsorted(tied, "right") - low.searchsorted(tied)).sum() / 2


def _predict(weights: np.ndarray) -> Predict:
    # A weighted mean of probabilities is one, but for its last digit. Not BLAS, whose last digit threads may change.
    return lambda features: np.clip(np.einsum("nm,m->n", features, weights), 0, 1)
