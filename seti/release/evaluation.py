"""Scores by SNR, drift and shape at fixed false alarms, and calibration."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from seti.evaluation.calibration import calibration_error, reliability

NEEDLE, BACKGROUND = "needle", "background"
# Shares of a survey's cadences that probabilities are calibrated for; of the stream, half are needles.
NEEDLES, DECOYS = 0.1, 0.36
FALSE_ALARMS = (0.01, 0.001)  # shares of the other cadences above a threshold
SNR_BINS = (5, 8, 12, 20, 35, 60, 100, np.inf)
DRIFT_BINS = (0, 1, 4, 8, 16, 24, 32, np.inf)  # bins a panel, either way
RESAMPLED = 20_000  # cadences of which a calibration error is taken


def ensemble(logits: np.ndarray) -> np.ndarray:
    """Mean probability of the members: `(N, members)` logits to `(N,)`."""
    return expit(logits.astype(np.float64)).mean(axis=1)


def survey_weights(truth: pd.DataFrame) -> np.ndarray:
    """Weights `(N,)` that give a set the survey's shares of needles, decoys and backgrounds."""
    needle = truth["target"].to_numpy() == 1
    empty = ~needle & (truth["kind"].fillna("") == BACKGROUND).to_numpy()
    groups = [(needle, NEEDLES), (empty, 1 - NEEDLES - DECOYS), (~needle & ~empty, DECOYS)]
    weights = np.zeros(len(truth))
    for members, share in groups:
        if members.any():
            weights[members] = share / members.sum()
    return weights / weights.sum()


def fit_calibration(sets: Sequence[tuple[np.ndarray, pd.DataFrame]]) -> tuple[float, float]:
    """Fit slope and offset of the members' logits to calibrate their mean probability.

    They maximise the likelihood of the targets under `survey_weights`, as in Platt's scaling, each set counting alike.

    Args:
        sets: logits `(N, members)` and truth of each set.

    Returns:
        Slope, above 0, and offset.
    """
    logits = np.concatenate([logits for logits, _ in sets])
    targets = np.concatenate([truth["target"].to_numpy() for _, truth in sets])
    weights = np.concatenate([survey_weights(truth) for _, truth in sets]) / len(sets)

    def loss(fitted: np.ndarray) -> float:
        probs = np.clip(ensemble(np.exp(fitted[0]) * logits + fitted[1]), 1e-7, 1 - 1e-7)
        return float(-(weights * np.where(targets == 1, np.log(probs), np.log1p(-probs))).sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).x
    return float(np.exp(found[0])), float(found[1])


def set_scores(logits: np.ndarray, truth: pd.DataFrame) -> dict[str, Any]:
    """Score an ensemble on one set.

    Args:
        logits: `(N, members)`, calibrated.
        truth: see `seti.release.fixed_sets.FixedSet`.

    Returns:
        Plain values: cadences, auc, of the members too, calibration_error and reliability for the
        survey's shares, and for each share
        of false alarms: recall, recall by SNR, drift and shape as `[low, high or name, needles, recall]`, and the share
        of each kind of decoy that is taken for a needle.
    """
    targets, probs, weights = truth["target"].to_numpy(), ensemble(logits), survey_weights(truth)
    chosen = np.random.default_rng(0).choice(len(targets), RESAMPLED, p=weights)
    survey = targets[chosen], probs[chosen]
    scored: dict[str, Any] = {
        "cadences": len(truth),
        "needles": int(targets.sum()),
        "auc": _rounded(roc_auc_score(targets, probs)),
        "member_auc": [_rounded(roc_auc_score(targets, column)) for column in logits.T],
        "calibration_error": _rounded(calibration_error(*survey)),
        "reliability": reliability(*survey).round(4).to_numpy().tolist(),
    }
    for share in FALSE_ALARMS:
        threshold = weighted_quantile(probs[targets == 0], weights[targets == 0], 1 - share)
        found = probs > threshold
        scored[f"at_{share:g}"] = {
            "threshold": float(threshold),
            "recall": _rounded(found[targets == 1].mean()),
            "by_snr": _by_bins(truth["snr"], found, targets, SNR_BINS),
            "by_drift": _by_bins(truth["drift"].abs(), found, targets, DRIFT_BINS),
            "by_shape": _by_names(truth["shape"], found, targets == 1),
            "alarms_by_kind": _by_names(truth["kind"], found, targets == 0),
        }
    return scored


def weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """Smallest value that at least a share of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


def _by_bins(values: pd.Series, found: np.ndarray, targets: np.ndarray, edges: tuple[float, ...]) -> list[list[Any]]:
    rows = []
    for low, high in itertools.pairwise(edges):
        inside = ((values >= low) & (values < high)).to_numpy() & (targets == 1)
        if inside.any():
            rows.append([low, None if np.isinf(high) else high, int(inside.sum()), _rounded(found[inside].mean())])
    return rows


def _by_names(names: pd.Series, found: np.ndarray, chosen: np.ndarray) -> list[list[Any]]:
    names = names.fillna("").to_numpy()
    return [
        [name, int((chosen & (names == name)).sum()), _rounded(found[chosen & (names == name)].mean())]
        for name in sorted(set(names[chosen]) - {""})
    ]


def _rounded(value: float) -> float:
    return round(float(value), 4)
