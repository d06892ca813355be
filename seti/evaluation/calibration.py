"""Calibration of probabilities: reliability curve, calibration error and calibrators."""

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
    """Compute the reliability curve: observed share of needles against predicted probability.

    Bin edges are quantiles of `probs`, so bins hold equal numbers of rows; needles are rare, and with bins of equal
    width nearly all rows would fall into the lowest. Rows of equal probability share a bin, which may leave fewer bins.

    Args:
        targets: `(N,)`, 0 or 1.
        probs: `(N,)` probabilities.
        bins: maximum number of bins.

    Returns:
        One row per bin in rising order: prob, the mean probability; share, of positives; count, of rows.
    """
    targets, probs = np.asarray(targets), np.asarray(probs, dtype=float)
    edges = np.quantile(probs, np.linspace(0, 1, bins + 1)[1:-1])
    table = pd.DataFrame({"prob": probs, "share": targets, "count": 1})
    means = table.groupby(np.searchsorted(edges, probs)).agg({"prob": "mean", "share": "mean", "count": "sum"})
    return means.reset_index(drop=True)


def calibration_error(targets: np.ndarray, probs: np.ndarray, bins: int = BINS) -> float:
    """Compute the expected calibration error over the bins of `reliability`.

    It is the mean of |prob - share|, weighted by the bins' counts. In small samples it is above 0 even for calibrated
    probabilities. M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015, with the equal-mass bins of J. Nixon et al., "Measuring calibration in deep learning", CVPR
    Workshops 2019.
    """
    curve = reliability(targets, probs, bins)
    return float(np.average((curve["prob"] - curve["share"]).abs(), weights=curve["count"]))


def scores(targets: np.ndarray, probs: np.ndarray) -> dict[str, float]:
    """Compute the expected calibration error and the Brier score, mean((prob - target)^2)."""
    return {
        "calibration_error": calibration_error(targets, probs),
        "brier": float(brier_score_loss(targets, probs)),
    }


def fit(method: str, targets: np.ndarray, probs: np.ndarray) -> Calibrator:
    """Fit a calibrator to held-out probabilities.

    `sigmoid` is strictly increasing, so it preserves every rank and the AUC. `isotonic` only assumes a non-decreasing
    curve and follows any such curve given enough rows, but it is piecewise constant: rows on one step tie, and ties
    lower the AUC. With one calibrator per fold, either method changes the pooled AUC.

    Args:
        method: one of `CALIBRATE`; `none` changes nothing.
        targets: `(N,)`, 0 or 1, with both classes present.
        probs: `(N,)` held-out probabilities.
    """
    if method == "sigmoid":
        return _sigmoid(targets, probs)
    if method == "isotonic":
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs, targets).predict
    return unchanged


def unchanged(probs: np.ndarray) -> np.ndarray:
    """Return the probabilities as they are: the calibrator for `none`."""
    return probs


def _sigmoid(targets: np.ndarray, probs: np.ndarray) -> Calibrator:
    """Fit Platt scaling on the logit, which leaves calibrated probabilities unchanged.

    J. Platt, "Probabilistic outputs for support vector machines", 1999. His soft targets stay short of 0 and 1, which
    keeps the slope finite where the classes do not overlap; each row enters once as a positive and once as a negative,
    with weights. A negative slope, which can arise by chance if nothing was learned, would reverse the ranks and is
    replaced by a nearly flat one.
    """
    positives = int(np.sum(targets))
    soft = np.where(targets, (positives + 1) / (positives + 2), 1 / (len(targets) - positives + 2))
    logits = _logit(probs)[:, None]
    twice = np.concatenate([logits, logits]), np.repeat([1, 0], len(targets))
    # C=inf: no regularisation.
    model = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(*twice, np.concatenate([soft, 1 - soft]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < MIN_SLOPE:
        slope, intercept = MIN_SLOPE, float(_logit(soft.mean()) - MIN_SLOPE * logits.mean())
    return lambda others: expit(slope * _logit(others) + intercept)


def _logit(probs: np.ndarray) -> np.ndarray:
    return logit(np.clip(probs, EPSILON, 1 - EPSILON))
