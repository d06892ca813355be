"""The meta-model that may bend: few, small gradient-boosted trees on the experiments' probabilities."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from seti.stacking.meta_models.base import Fitted, Predict, Rows, inner_splits
from seti.utils.threads import single_threaded

LEAVES = (2, 5)  # two: a sum of steps, an experiment each; five: what one says may depend on another
ROUNDS = (10, 20, 40, 80)  # trees; all of them are scored in one fit
LEARNING_RATE = 0.1


def fit(rows: Rows, seed: int, n_jobs: int = 1) -> Fitted:
    """Fit boosted trees whose size and number have the best mean AUC in the inner cross-validation.

    What keeps them from learning noise: a blend may only rise with every experiment's probability (so one that ranks
    the wrong way round is left out, not turned), leaves hold half a per cent of the rows and at least 20, and their
    values are shrunk. The smaller of two equal settings wins.
    """
    splits = list(inner_splits(rows.targets, seed))
    scores = Parallel(n_jobs, prefer="threads")(
        delayed(_scores)(rows[train], rows[test], leaves) for leaves in LEAVES for train, test in splits
    )
    means = np.reshape(scores, (len(LEAVES), len(splits), len(ROUNDS))).mean(axis=1)
    best = np.unravel_index(np.argmax(means), means.shape)
    leaves, rounds = LEAVES[best[0]], ROUNDS[best[1]]
    return Fitted(
        predict=_fit(rows, leaves, rounds),
        refit=lambda other: _fit(other, leaves, rounds),
        auc=float(means[best]),
        choices={"leaves": leaves, "trees": rounds},
    )


def _fit(rows: Rows, leaves: int, rounds: int) -> Predict:
    model = _train(rows, leaves, rounds)
    return lambda features: model.predict_proba(features)[:, 1]


def _scores(train: Rows, test: Rows, leaves: int) -> list[float]:
    model = _train(train, leaves, max(ROUNDS))
    staged = enumerate(model.staged_predict_proba(test.features), start=1)
    return [float(roc_auc_score(test.targets, probs[:, 1])) for number, probs in staged if number in ROUNDS]


def _train(rows: Rows, leaves: int, rounds: int) -> HistGradientBoostingClassifier:
    model = HistGradientBoostingClassifier(
        learning_rate=LEARNING_RATE,
        max_iter=rounds,
        max_leaf_nodes=leaves,
        min_samples_leaf=max(20, len(rows.targets) // 200),
        l2_regularization=1.0,
        max_bins=63,  # steps enough for a rank, and a third less time
        monotonic_cst=[1] * rows.features.shape[1],
        early_stopping=False,
        random_state=0,  # draws the rows that bins are made of, of tables beyond 200,000
    )
    # One thread a fit: several run at once. The limit of OpenMP is a thread's own.
    with single_threaded("openmp"):
        return model.fit(rows.features, rows.targets)
