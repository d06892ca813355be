"""Recall at a fixed share of false alarms."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_curve

FALSE_ALARMS = 0.01


class OperatingPoint(NamedTuple):
    """Threshold on the scores, and the recall with it.

    Attributes:
        recall: share of the needles at or above the threshold.
        threshold: None where even the highest score of all is a false alarm too many.
    """

    recall: float
    threshold: float | None


def recall_at(targets: np.ndarray, scores: np.ndarray, false_alarms: float = FALSE_ALARMS) -> OperatingPoint:
    """Find the lowest threshold that keeps the false alarms within a share of the negatives.

    Args:
        targets: `(N,)`, 0 or 1, with both classes present.
        scores: `(N,)`, higher for a needle.
        false_alarms: share of the cadences without a needle that may lie at or above the threshold.
    """
    share, recall, thresholds = roc_curve(targets, scores, drop_intermediate=False)
    last = int(np.flatnonzero(share <= false_alarms)[-1])
    threshold = float(thresholds[last])
    return OperatingPoint(float(recall[last]), threshold if np.isfinite(threshold) else None)
