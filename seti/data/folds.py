"""Folds, drawn or of the label table's own column, and the fingerprint of a label table."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from seti.data.competition import LABELS
from seti.data.groups import CLASSES, Groups, find_folds
from seti.data.tables import to_numbers
from seti.errors import SetiError, SettingsError, brief
from seti.utils.notices import log_once

log = logging.getLogger(__name__)

COLUMN = "column"  # of data.folds


def divide(
    labels: pd.DataFrame,
    root: Path,
    folds: str | None,
    n_folds: int,
    seed: int,
    groups: Groups | None = None,
    stored: Path | None = None,
) -> pd.DataFrame:
    """Divide the labelled cadences into folds.

    Args:
        labels: columns id, target and, where the table has it, fold; see `competition.read_labels_and_folds`.
        root: the data set's folder, for messages.
        folds: `column` takes the table's fold column; None draws stratified folds.
        n_folds: number of folds.
        seed: of the drawing.
        groups: of the labelled cadences, none of which drawn folds divide; None: each is on its own.
        stored: table of grouped folds that were drawn before; see `groups.find_folds`.

    Returns:
        Columns id, target and fold, the number of the fold that holds the cadence out (int64).

    Raises:
        SetiError: there is no fold column, its folds cannot be used, or there are too few cadences of a class.
    """
    if folds == COLUMN:
        numbers = column_folds(labels, root / LABELS, n_folds)
    else:
        if "fold" in labels:
            line = f"{root / LABELS} has a fold column, which is not used: data.folds=column takes its folds"
            log_once(log, logging.INFO, line)
        if groups is None:
            numbers = assign_folds(labels["target"].to_numpy(), n_folds, seed)
        else:
            numbers = find_folds(stored, labels, groups, n_folds, seed)
    return labels[["id", "target"]].assign(fold=numbers)


def column_folds(labels: pd.DataFrame, path: Path, n_folds: int) -> np.ndarray:
    """Read the folds of the label table's own fold column.

    Args:
        labels: columns id, target and fold (text).
        path: of the table, for messages.
        n_folds: number of folds that there must be.

    Returns:
        `(N,)` int64, fold numbers 0 to n_folds-1.

    Raises:
        SetiError: there is no such column; a value is not a whole number from 0 on; there are other folds than 0 to
            n_folds-1; or a fold has cadences of one class only.
    """
    if "fold" not in labels:
        msg = f"{path} has no column fold, which data.folds=column takes: add it, or set data.folds=null"
        raise SettingsError(msg)
    numbers = to_numbers(labels["fold"])
    bad = ~((numbers >= 0) & (numbers < 10**6) & (numbers == numbers.round()))
    if bad.any():
        row = labels[bad].iloc[0]
        msg = (
            f"{path} has {int(bad.sum())} folds that are not whole numbers from 0 on, first {brief(row['fold'])!r} for "
            f"id {row['id']}: data.folds=column needs one for every cadence"
        )
        raise SetiError(msg)
    folds = numbers.to_numpy(np.int64)
    found = np.unique(folds)
    if len(found) == 1:
        msg = f"{path} has every cadence in fold {found[0]} of its fold column: data.folds=column needs two or more"
        raise SetiError(msg)
    if found[0] == 1 and found[-1] == len(found):
        msg = f"{path} numbers its folds from 1 to {found[-1]}: data.folds=column needs them from 0, subtract 1"
        raise SetiError(msg)
    if found[-1] != len(found) - 1:
        lacking = np.setdiff1d(np.arange(found[-1]), found)[0]
        msg = f"{path} has no cadence in fold {lacking}, but in fold {found[-1]}: number the folds from 0 without gaps"
        raise SetiError(msg)
    if len(found) != n_folds:
        msg = f"{path} has {len(found)} folds in its fold column: set data.n_folds={len(found)}, not {n_folds}"
        raise SettingsError(msg)
    for name, value in CLASSES:
        lacking = np.setdiff1d(found, folds[labels["target"] == value])
        if len(lacking):
            msg = f"{path} has no {name} in fold {lacking[0]} of its fold column: every fold needs both classes"
            raise SetiError(msg)
    return folds


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
    counts = {name: int((targets == value).sum()) for name, value in CLASSES}
    for name, count in counts.items():
        if count < n_folds:
            msg = f"{LABELS} has {count} {name} for data.n_folds={n_folds}: every fold needs one; lower data.n_folds"
            raise SettingsError(msg)
    folds = np.empty(len(targets), dtype=np.int64)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(targets)), targets)):
        folds[held_out] = fold
    return folds


def fingerprint(labels: pd.DataFrame, with_folds: bool = False) -> str:
    """Digest of a label table's ids and targets in any order: 16 hex digits of SHA-256.

    Args:
        labels: columns id, target and fold.
        with_folds: include the folds, which are the table's own or keep groups together.
    """
    table = labels.sort_values("id")
    digest = hashlib.sha256("\n".join(table["id"]).encode())
    digest.update(table["target"].to_numpy(np.int8).tobytes())
    if with_folds:
        digest.update(table["fold"].to_numpy(np.int64).tobytes())
    return digest.hexdigest()[:16]
