"""Groups of cadences that belong together: of one background, one session or one source.

A group that is divided between training and held-out cadences lets a network meet, while it trains, a part of what it
is scored on. Folds that keep groups together leave no such part.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from seti.data import competition
from seti.data.tables import read_table
from seti.errors import SetiError, brief
from seti.utils import files

log = logging.getLogger(__name__)

LARGEST = 1 / 3  # share of the rows from which on a group cannot be balanced
CLASSES = (("negatives", 0), ("positives", 1))
STORED = ["id", "target", "group", "fold", "fold_seed"]  # columns of folds.csv


@dataclass(frozen=True)
class Groups:
    """The group of every labelled cadence.

    Attributes:
        names: `(N,)` text, by the label table's order of ids; a cadence alone has a name of its own.
        source: where they come from, for messages.
    """

    names: np.ndarray
    source: str

    @property
    def shared(self) -> bool:
        """True where two cadences are in the same group."""
        return len(np.unique(self.names)) < len(self.names)

    def describe(self) -> str:
        """Describe number and size of the groups of two or more."""
        sizes = pd.Series(self.names).value_counts()
        several = sizes[sizes > 1]
        if not len(several):
            return f"no two of the {len(self.names)} labelled cadences share a group"
        return (
            f"{len(several)} groups of 2 to {several.max()} cadences, {int(several.sum())} in all; "
            f"{int((sizes == 1).sum())} are alone"
        )


def read_groups(path: Path, root: Path, ids: pd.Series) -> Groups:
    """Read a table of groups that the user brings.

    Args:
        path: csv with the columns id and group.
        root: the data set's folder. Ids of its test set may be in the table; they are left out.
        ids: `(N,)` of the labelled cadences.

    Raises:
        SetiError: the table is missing or damaged, lists an id twice, or an id that is in neither split, or has no
            group for a labelled cadence.
    """
    if not path.is_file():
        msg = f"data.groups={path} is not a file: give a csv with the columns id and group, auto, or none"
        raise SetiError(msg)
    read = read_table(path, ["id", "group"])
    table = read.columns
    competition.check_ids(path, table["id"])
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"{path} lists {len(doubled)} ids twice, first {doubled.iloc[0]}: keep one row an id"
        raise SetiError(msg)
    unknown = table["id"][~table["id"].isin(ids)]
    if len(unknown):
        unknown = unknown[~unknown.isin(competition.read_test_ids(root))]
    if len(unknown):
        msg = (
            f"{path} has {len(unknown)} ids that are in neither split of {root}, first {brief(unknown.iloc[0])}: "
            "take them out, or set data.groups to the table of this data set"
        )
        raise SetiError(msg)
    found = ids.map(table.set_index("id")["group"])
    lacking = ids[found.isna() | found.isin(files.MISSING_VALUES)]
    if len(lacking):
        msg = (
            f"{path} has no group for {len(lacking)} of {len(ids)} labelled cadences, first {lacking.iloc[0]}: give "
            "each one a group; a cadence that is alone needs a name of its own"
        )
        raise SetiError(msg)
    read.say_how_it_was_read()
    return Groups(_named(found), str(path))


def from_table(groups: pd.Series, ids: pd.Series, source: Path) -> Groups:
    """Take groups out of a table that leaves cadences without twins empty, as `twins.csv` does.

    Args:
        groups: group by id; empty or missing where a cadence is alone.
        ids: `(N,)` of the labelled cadences.
        source: the table, for messages.
    """
    found = ids.map(groups)
    alone = found.isna() | (found.astype(str) == "")
    # Names of two kinds cannot meet: an id has no blank.
    return Groups(np.where(alone, "alone " + ids.astype(str), _named(found)).astype(np.str_), str(source))


def assign_grouped_folds(targets: np.ndarray, groups: Groups, n_folds: int, seed: int) -> np.ndarray:
    """Assign each cadence to a fold, stratified by target and without dividing a group.

    Args:
        targets: `(N,)`, 0 or 1, in the label table's order of ids.
        groups: of the same cadences.
        n_folds: number of folds.
        seed: of the shuffling; the same seed gives the same folds.

    Returns:
        `(N,)` int64, fold numbers 0 to n_folds-1.

    Raises:
        SetiError: there are fewer groups than folds, a group has a third of the cadences or more, or a fold would lack
            a class.
    """
    sizes = pd.Series(groups.names).value_counts()
    if len(sizes) < n_folds:
        msg = (
            f"{groups.source} has {len(sizes)} groups for data.n_folds={n_folds}: every fold needs one; lower "
            "data.n_folds, or set data.groups=none"
        )
        raise SetiError(msg)
    if sizes.iloc[0] >= LARGEST * len(targets):
        msg = (
            f"{groups.source} puts {sizes.iloc[0]} of {len(targets)} labelled cadences into group "
            f"{brief(_plain(sizes.index[0]))}, a third or more: folds cannot be balanced; divide that group, or set "
            "data.groups=none"
        )
        raise SetiError(msg)
    _check_classes(targets, groups, n_folds)
    codes = pd.factorize(groups.names)[0]
    folds = np.empty(len(targets), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(targets)), targets, codes)):
        folds[held_out] = fold
    for name, value in CLASSES:
        lacking = np.setdiff1d(np.arange(n_folds), folds[targets == value])
        if len(lacking):
            msg = (
                f"folds that keep the groups of {groups.source} together leave fold {lacking[0]} without {name}: lower "
                "data.n_folds, try another data.fold_seed, or set data.groups=none"
            )
            raise SetiError(msg)
    return folds


def find_folds(path: Path | None, labels: pd.DataFrame, groups: Groups, n_folds: int, seed: int) -> np.ndarray:
    """Read the grouped folds that an experiment has stored, or draw them.

    Args:
        path: `folds.csv` of the experiment; None draws.
        labels: columns id and target, sorted by id.
        groups: of the same cadences.
        n_folds: number of folds.
        seed: of the drawing.

    Returns:
        As `assign_grouped_folds`. A stored table of other cadences, groups, number of folds or seed is not used.

    Raises:
        SetiError: as `assign_grouped_folds`.
    """
    stored = None if path is None else _read_stored(path)
    if stored is not None:
        table = _table(labels, groups, seed)
        same = len(stored) == len(table) and all(
            (stored[name].to_numpy() == table[name].to_numpy()).all() for name in table
        )
        if same and np.array_equal(np.unique(stored["fold"]), np.arange(n_folds)):
            return stored["fold"].to_numpy(np.int64)
    return assign_grouped_folds(labels["target"].to_numpy(), groups, n_folds, seed)


def store_folds(path: Path, labels: pd.DataFrame, groups: Groups, seed: int) -> None:
    """Store the grouped folds of an experiment, which its other runs need not draw again.

    Args:
        path: `folds.csv` of the experiment.
        labels: columns id, target and fold, sorted by id.
        groups: of the same cadences.
        seed: that the folds were drawn with.
    """
    table = _table(labels, groups, seed).assign(fold=labels["fold"].to_numpy())[STORED]
    stored = _read_stored(path)
    if stored is None or not stored[STORED].equals(table):
        files.write_csv(path, table)


def _table(labels: pd.DataFrame, groups: Groups, seed: int) -> pd.DataFrame:
    return labels[["id", "target"]].reset_index(drop=True).assign(group=groups.names.astype(object), fold_seed=seed)


def _read_stored(path: Path) -> pd.DataFrame | None:
    """Read a stored table; None where there is none, or it is damaged and must be drawn again."""
    if not path.is_file():
        return None
    try:
        stored = files.read_csv(path, STORED)
    except SetiError:
        return None
    stored["group"] = stored["group"].astype(str)
    numbers = stored[["target", "fold", "fold_seed"]].apply(pd.to_numeric, errors="coerce")
    return None if numbers.isna().any(axis=None) else stored.assign(**numbers.astype(np.int64))


def _check_classes(targets: np.ndarray, groups: Groups, n_folds: int) -> None:
    for name, value in CLASSES:
        count = len(np.unique(groups.names[targets == value]))
        if count < n_folds:
            msg = (
                f"{groups.source} has {count} groups with {name} for data.n_folds={n_folds}: every fold needs one; "
                "lower data.n_folds, or set data.groups=none"
            )
            raise SetiError(msg)


def _named(groups: pd.Series) -> np.ndarray:
    """Names that a stored table gives back as they are: `007` alone would come back as a number."""
    return ("group " + groups.astype(str)).to_numpy(dtype=np.str_)


def _plain(name: str) -> str:
    return name.removeprefix("group ").removeprefix("alone ")
