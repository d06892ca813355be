"""Hill climbing: greedy forward selection of experiments by the AUC of their mean.

R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection from libraries of models", ICML 2004. The
selection is with replacement and starts with the best experiment, and an experiment's weight is its share of the picks.
"""

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from seti.stacking.meta_models.base import Fitted, Predict, Rows

MAX_STEPS = 50
MIN_GAIN = 1e-6  # smaller gains are rounding, or chance order of a few pairs
# Allowed steps without a gain. Half of another experiment may be too much where a third of it helps, and a third takes
# picking the best experiment twice, which changes no rank. So the climb continues for a few steps, and returns to the
# best length if they gain nothing.
PATIENCE = 5


@dataclass(frozen=True)
class Climb:
    """Outcome of `climb`.

    Attributes:
        picks: columns, in the order in which they were added.
        auc: AUC of the mean of the picks, averaged over the folds.
    """

    picks: list[int]
    auc: float

    def weights(self, models: int) -> np.ndarray:
        """Compute each experiment's share of the picks, `(models,)`."""
        return np.bincount(self.picks, minlength=models) / len(self.picks)


def fit(rows: Rows, seed: int, n_jobs: int = 1) -> Fitted:
    """Select the experiments whose mean probability ranks the rows best; the seed is not used."""
    found, models = climb(rows, n_jobs), rows.features.shape[1]
    return Fitted(
        predict=_predict(found.weights(models)),
        refit=lambda other: _predict(climb(other).weights(models)),
        auc=found.auc,
        choices={"picks": len(found.picks)},
        weights=found.weights(models),
    )


def climb(rows: Rows, n_jobs: int = 1) -> Climb:
    """Add the experiment that raises the AUC of the mean most, until none does.

    AUCs are computed per fold, over rows scored by the same networks, and averaged. Over all rows at once, an
    experiment would also be favoured because its networks happen to share a scale, which is irrelevant on the test set.
    Of several equal experiments the first one is picked. The climb starts with single experiments, so on these rows the
    result is never worse than the best of them.

    Args:
        rows: rows of both classes.
        n_jobs: number of threads, one per fold. The result does not depend on it.
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
    """Split each fold's features into negatives and positives, `(models, rows)`, contiguous."""
    inside = [rows.folds == fold for fold in np.unique(rows.folds)]
    both = [rows[chosen] for chosen in inside if len(np.unique(rows.targets[chosen])) == 2]
    # If no fold has both classes, compare the rows of all folds.
    return [
        tuple(np.ascontiguousarray(part.features[part.targets == target].T) for target in (0, 1))
        for part in both or [rows]
    ]


def _aucs(negatives: np.ndarray, positives: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Compute the AUC after adding each experiment to the running sums, `(models,)`.

    The AUC is the share of correctly ordered pairs of a positive and a negative, ties counting half (Mann-Whitney U).
    """
    low, high = np.sort(negatives + below, axis=1), np.sort(positives + above, axis=1)
    ordered = np.array([_ordered(*pair) for pair in zip(low, high, strict=True)])
    return ordered / (low.shape[1] * high.shape[1])


def _ordered(low: np.ndarray, high: np.ndarray) -> float:
    """Count pairs in which a value of `high` exceeds one of `low`, both sorted; ties are half."""
    beaten = low.searchsorted(high)
    tied = high[low[np.minimum(beaten, len(low) - 1)] == high]  # few, and a second search for all would double the cost
    return beaten.sum() + (low.searchsorted(tied, "right") - low.searchsorted(tied)).sum() / 2


def _predict(weights: np.ndarray) -> Predict:
    # Clipped, because rounding can take the mean out of 0..1. Not BLAS, whose rounding depends on the threads.
    return lambda features: np.clip(np.einsum("nm,m->n", features, weights), 0, 1)
