"""Whether probabilities are what they say, and how to bend them until they are."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

CALIBRATE = ("none", "sigmoid", "isotonic")
BINS = 15
EPSILON = 1e-12  # probabilities of 0 and 1 have no finite logit
MIN_SLOPE = 1e-3

Calibrator = Callable[[np.ndarray], np.ndarray]  # `(N,)` probabilities to `(N,)` probabilities


def reliability(targets: np.ndarray, probs: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Reliability curve: how many needles there are among cadences of about the same probability.

    Bins hold equally many rows, for their edges are quantiles of `probs`: needles are rare, and of bins of equal width
    the lowest would hold nearly all. Rows of equal probability stay together, which may leave fewer bins.

    Args:
        targets: `(N,)`, 0 or 1.
        probs: `(N,)` probabilities.
        bins: at most.

    Returns:
        A row a bin, from low to high: prob, its mean probability; share, of positives; count, of rows.
    """
    targets, probs = np.asarray(targets), np.asarray(probs, dtype=float)
    edges = np.quantile(probs, np.linspace(0, 1, bins + 1)[1:-1])
    table = pd.DataFrame({"prob": probs, "share": targets, "count": 1})
    means = table.groupby(np.searchsorted(edges, probs)).agg({"prob": "mean", "share": "mean", "count": "sum"})
    return means.reset_index(drop=True)


def calibration_error(targets: np.ndarray, probs: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of probability and share of positives over the bins of `reliability`.

    Bins are weighted by their rows. M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated
    probabilities using Bayesian binning", AAAI 2015, with the equal-mass bins of J. Nixon et al., "Measuring
    calibration in deep learning", CVPR Workshops 2019. Small samples have an error above 0 however calibrated.
    """
    curve = reliability(targets, probs, bins)
    return float(np.average((curve["prob"] - curve["share"]).abs(), weights=curve["count"]))


def scores(targets: np.ndarray, probs: np.ndarray) -> dict[str, float]:
    """Expected calibration error, and Brier's score: the mean squared distance of probability and target."""
    return {
        "calibration_error": calibration_error(targets, probs),
        "brier": float(brier_score_loss(targets, probs)),
    }


def fit(method: str, targets: np.ndarray, probs: np.ndarray) -> Calibrator:
    """Fit a calibrator to probabilities that were not fitted to these targets.

    `sigmoid` rises everywhere, so it keeps every rank and the AUC of whatever it is applied to. `isotonic` has no shape
    but to rise and follows any curve that enough rows draw; it has level steps, rows on a step tie, and ties cost AUC.
    Where each fold has a calibrator of its own, the pooled AUC moves with either.

    Args:
        method: one of `CALIBRATE`; `none` changes nothing.
        targets: `(N,)`, 0 or 1, both there.
        probs: `(N,)` probabilities, held out.
    """
    if method == "sigmoid":
        return _sigmoid(targets, probs)
    if method == "isotonic":
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs, targets).predict
    return unchanged


def unchanged(probs: np.ndarray) -> np.ndarray:
    """The calibrator of `none`."""
    return probs


def _sigmoid(targets: np.ndarray, probs: np.ndarray) -> Calibrator:
    """Platt's calibration on the logit, so that calibrated probabilities are left as they are.

    J. Platt, "Probabilistic outputs for support vector machines", 1999, with his targets, which stay short of 0 and 1
    and so keep the slope finite where the classes do not overlap: a row counts as a positive in part and as a negative
    in part. A slope that would turn the ranks round, as chance may have it where nothing was learnt, is made nearly
    flat instead.
    """
    positives = int(np.sum(targets))
    soft = np.where(targets, (positives + 1) / (positives + 2), 1 / (len(targets) - positives + 2))
    logits = _logit(probs)[:, None]
    twice = np.concatenate([logits, logits]), np.repeat([1, 0], len(targets))
    # C is without a bound: no regularisation.
    model = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(*twice, np.concatenate([soft, 1 - soft]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < MIN_SLOPE:
        slope, intercept = MIN_SLOPE, float(_logit(soft.mean()) - MIN_SLOPE * logits.mean())
    return lambda others: expit(slope * _logit(others) + intercept)


def _logit(probs: np.ndarray) -> np.ndarray:
    return logit(np.clip(probs, EPSILON, 1 - EPSILON))
