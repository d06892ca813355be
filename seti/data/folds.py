"""Stratified folds, and the fingerprint that identifies a label table."""

import hashlib

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from seti.data.competition import LABELS
from seti.errors import SetiError


def assign_folds(targets: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Assign each cadence to the fold that holds it out, stratified by target.

    Args:
        targets: `(N,)`, 0 or 1, in the label table's order of ids.
        n_folds: number of folds.
        seed: of the shuffling; the same seed gives the same folds.

    Returns:
        `(N,)` int64, fold numbers 0 to n_folds-1.

    Raises:
        SetiError: a class has fewer cadences than there are folds.
    """
    counts = {name: int((targets == value).sum()) for name, value in (("negatives", 0), ("positives", 1))}
    for name, count in counts.items():
        if count < n_folds:
            msg = f"{LABELS} has {count} {name} for data.n_folds={n_folds}: every fold needs one; lower data.n_folds"
            raise SetiError(msg)
    folds = np.empty(len(targets), dtype=np.int64)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(targets)), targets)):
        folds[held_out] = fold
    return folds


def fingerprint(labels: pd.DataFrame) -> str:
    """Digest of a label table's ids and targets in any order: 16 hex digits of SHA-256."""
    table = labels.sort_values("id")
    digest = hashlib.sha256("\n".join(table["id"]).encode())
    digest.update(table["target"].to_numpy(np.int8).tobytes())
    return digest.hexdigest()[:16]
