"""Baseline without a network: logistic regression on each panel's mean, deviation, minimum, maximum and skewness.

Where it scores well, brightness alone separates the classes, and a network's score on that data set proves little.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seti.data import competition
from seti.data.cadence import read_cadence
from seti.errors import SetiError


def panel_statistics(cadence: np.ndarray) -> np.ndarray:
    """Describe each panel by mean, deviation, minimum, maximum and skewness.

    Args:
        cadence: `(6, rows, bins)`.

    Returns:
        `(30,)`: the six means, then the six deviations, and so on.
    """
    pixels = cadence.reshape(len(cadence), -1).astype(np.float64)
    mean, deviation = pixels.mean(axis=1), pixels.std(axis=1)
    # Not scipy's: a constant panel has no skewness there, and one NaN would stop the regression.
    third = ((pixels - mean[:, None]) ** 3).mean(axis=1)
    skewness = np.divide(third, deviation**3, out=np.zeros_like(third), where=deviation**3 > 0)
    return np.concatenate([mean, deviation, pixels.min(axis=1), pixels.max(axis=1), skewness])


def score(root: Path) -> float:
    """Fit on the training cadences, score on the test ones.

    Returns:
        Test AUC.

    Raises:
        SetiError: the data set is missing or damaged, or its test labels are not known.
    """
    labels, test = competition.read_labels(root), competition.read_test_labels(root)
    if test is None:
        msg = f"{root / competition.TEST_LABELS} is missing: only a simulated data set can be scored"
        raise SetiError(msg)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_features(root, "train", labels["id"]), labels["target"])
    probs = model.predict_proba(_features(root, "test", test["id"]))[:, 1]
    return float(roc_auc_score(test["target"], probs))


def _features(root: Path, split: str, ids: pd.Series) -> np.ndarray:
    competition.check_files(root, split, ids)
    paths = [competition.cadence_path(root, split, i) for i in ids]
    # spawn: a fork of a process with threads can hang.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return np.stack(list(pool.map(_file_statistics, paths, chunksize=32)))


def _file_statistics(path: Path) -> np.ndarray:
    return panel_statistics(read_cadence(path))
