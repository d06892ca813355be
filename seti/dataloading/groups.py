"""Groups that folds keep together: of `twins.csv`, of a csv of the user, or none."""

import logging
from pathlib import Path

import pandas as pd

from seti.backgrounds.table import TABLE, has_twins, read_twins
from seti.data.cleaned_set import COVERAGE, is_cleaned
from seti.data.folds import COLUMN
from seti.data.groups import Groups, from_table, read_groups
from seti.errors import SetiError
from seti.utils import files
from seti.utils.notices import log_once

log = logging.getLogger(__name__)


def choose_groups(choice: str | None, root: Path, ids: pd.Series, folds: str | None) -> Groups | None:
    """Choose the groups of the labelled cadences, and say once which they are.

    Args:
        choice: `data.groups`: `auto` takes the groups of `<root>/twins.csv` where there is one, or of `coverage.csv` in
            a data set without repeated backgrounds; None takes none; anything else is the path of a csv with the
            columns id and group.
        root: the data set's folder.
        ids: `(N,)` of the labelled cadences.
        folds: `data.folds`: folds of the label table's column are not drawn, so nothing is grouped.

    Returns:
        None where every cadence is on its own, also by a table in which no two of them share a group.

    Raises:
        SetiError: the table cannot be used.
    """
    if choice is None or folds == COLUMN:
        return None
    if choice != "auto":
        groups, end = read_groups(Path(choice), root, ids), ""
    elif has_twins(root):
        groups, end = _twins(root, ids), "; data.groups=none draws folds without them"
    elif is_cleaned(root):
        groups, end = _cleaned(root, ids), "; data.groups=none draws folds without them"
    else:
        return None
    log_once(log, logging.INFO, f"folds keep the groups of {groups.source} together: {groups.describe()}{end}")
    return groups if groups.shared else None


def _twins(root: Path, ids: pd.Series) -> Groups:
    try:
        table = read_twins(root)
    except SetiError as error:
        msg = f"{error}; data.groups=none draws folds without it"
        raise SetiError(msg) from error
    train = table[table["split"] == "train"]
    return from_table(train.set_index("id")["group"], ids, root / TABLE)


def _cleaned(root: Path, ids: pd.Series) -> Groups:
    """Groups that a cleaned data set had before: its folds are those of the original."""
    table = files.read_csv(root / COVERAGE, ["id", "split", "group"])
    train = table[table["split"] == "train"].set_index("id")
    if not ids.isin(train.index).all() or train.index.has_duplicates:
        msg = f"{root / COVERAGE} is of another data set: make {root} again, or set data.groups=none"
        raise SetiError(msg)
    return from_table(pd.to_numeric(train["group"], errors="coerce").astype("Int64"), ids, root / COVERAGE)
