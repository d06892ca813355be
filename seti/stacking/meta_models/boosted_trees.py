"""Gradient-boosted trees as a non-linear meta-model."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from seti.stacking.meta_models.base import Fitted, Predict, Rows, inner_splits

LEAVES = (2, 5)  # two: an additive model of single experiments; five: with interactions between experiments
ROUNDS = (10, 20, 40, 80)  # numbers of trees, all scored in a single fit
LEARNING_RATE = 0.1


def fit(rows: Rows, seed: int, n_jobs: int = 1) -> Fitted:
    """Fit boosted trees, choosing their size and number by AUC in an inner cross-validation.

    Three constraints prevent overfitting. The blend is non-decreasing in each experiment's probability, so an
    experiment with reversed ranks is ignored, not inverted. Leaves hold at least 20 rows and 0.5 % of all rows. Leaf
    values are regularised. The smaller of two equal settings wins.
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
        max_bins=63,  # enough resolution for ranks, and a third less time
        monotonic_cst=[1] * rows.features.shape[1],
        early_stopping=False,
        random_state=0,  # used only to sample rows for the bins of tables beyond 200,000 rows
    )
    # One thread per fit, because several fits run at once. OpenMP limits apply per calling thread.
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(rows.features, rows.targets)
