"""The competition's layout of a data set: label tables, ids, and paths of cadence files."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.cadence import read_cadence, read_format
from seti.data.tables import is_rewritten_number, read_table, to_numbers
from seti.errors import SetiError, brief
from seti.utils import near_paths
from seti.utils.notices import log_once

log = logging.getLogger(__name__)

LABELS = "train_labels.csv"
SUBMISSION = "sample_submission.csv"
TEST_LABELS = "test_labels.csv"
MISSING = "there is no such file"
SPLIT_OF = {LABELS: "train", SUBMISSION: "test", TEST_LABELS: "test"}
PLAIN_NAME = re.compile(r"\w[\w-]{0,199}", re.ASCII)


def cadence_path(root: Path, split: str, cadence_id: str) -> Path:
    """Path of a cadence's file: `root/split/<first character>/<id>.npy`."""
    return root / split / cadence_id[0] / f"{cadence_id}.npy"


def can_name_a_file(cadence_id: object) -> bool:
    """Check that an id is a plain file name: letters, digits, _ and -, at most 200 of them."""
    return isinstance(cadence_id, str) and PLAIN_NAME.fullmatch(cadence_id) is not None


def read_labels(root: Path) -> pd.DataFrame:
    """Read the label table.

    Returns:
        Columns `id` (text) and `target` (0 or 1, int64), sorted by id: results do not depend on the file's order.

    Raises:
        SetiError: as `read_labels_and_folds`.
    """
    return read_labels_and_folds(root)[["id", "target"]]


def read_labels_and_folds(root: Path) -> pd.DataFrame:
    """Read the label table with its `fold` column, if there is one.

    Returns:
        Columns `id` (text), `target` (0 or 1, int64) and, where the table has it, `fold` (text), sorted by id.

    Raises:
        SetiError: the folder, the table or a column is missing; an id is listed twice or cannot name a file; a
            target is other than 0 or 1.
    """
    return _read_targets(root, LABELS, ("fold",)).sort_values("id", ignore_index=True)


def read_test_ids(root: Path) -> pd.Series:
    """Read the ids of the test set, in the sample submission's order.

    Raises:
        SetiError: as `read_labels`.
    """
    return _read_ids(root, SUBMISSION, [])["id"]


def read_test_labels(root: Path) -> pd.DataFrame | None:
    """Read the labels of the test set, which only simulated data sets have.

    Returns:
        Columns `id` and `target`, or None where there is no such table.
    """
    return _read_targets(root, TEST_LABELS) if (root / TEST_LABELS).exists() else None


def find_test_labels(root: Path, ids: pd.Series) -> pd.DataFrame | None:
    """Read labels of the test set that a test AUC can be computed with.

    Labels are a help: without usable ones there is a warning and no AUC, and everything else goes on.

    Args:
        root: the data set's folder.
        ids: of the test set, each of which must have a label.

    Returns:
        Columns `id` and `target`, or None.
    """
    try:
        labels = read_test_labels(root)
    except SetiError as error:
        say_no_test_labels(root, f"no test AUC: {error}")
        return None
    if labels is None:
        return None
    unlabelled = ids[~ids.isin(labels["id"])]
    if len(unlabelled):
        first = ", ".join(unlabelled[:3]) + (", ..." if len(unlabelled) > 3 else "")
        line = f"no test AUC: {root / TEST_LABELS} has no label for {len(unlabelled)} of {len(ids)} test ids ({first})"
        say_no_test_labels(root, line)
        return None
    if labels["target"][labels["id"].isin(ids)].nunique() < 2:
        say_no_test_labels(root, f"no test AUC: the test ids have one class in {root / TEST_LABELS}")
        return None
    return labels


def say_no_test_labels(root: Path, line: str) -> None:
    """Warn once a run that a data set's test labels cannot be used."""
    log_once(log, logging.WARNING, line, about=("test labels", root.resolve()))


def list_files(root: Path, split: str) -> dict[str, tuple[int, int]]:
    """List size (bytes) and modification time (ns) of a split's cadence files, by id.

    A file outside the folder named by the first character of its id is left out.
    """
    found = {}
    try:
        with os.scandir(root / split) as folders:
            names = [entry.name for entry in folders if len(entry.name) == 1 and entry.is_dir()]
        for name in names:
            with os.scandir(root / split / name) as entries:
                for entry in entries:
                    if entry.name.endswith(".npy") and entry.name[0] == name:
                        with suppress(FileNotFoundError):  # a dangling link
                            status = entry.stat()
                            found[entry.name[:-4]] = status.st_size, status.st_mtime_ns
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not (root / split).exists():
            return {}
        msg = f"cannot list the cadences of {root / split}: {error.strerror or error}; fix that"
        raise SetiError(msg) from error
    return found


def find_unfit(root: Path, split: str, ids: Iterable[str]) -> dict[str, str]:
    """Find ids whose file is missing or has another length than most; no file is opened.

    Returns:
        The reason, by id.
    """
    present = list_files(root, split)
    near = find_near_names(present, [i for i in ids if i not in present])
    sizes = Counter(present[i][0] for i in ids if i in present)
    usual = max(sizes, key=lambda size: (sizes[size], size), default=0)
    unfit = {}
    for i in ids:
        if i not in present:
            unfit[i] = f"{MISSING}, {near[i]}" if i in near else MISSING
        elif present[i][0] != usual:
            unfit[i] = f"the file has {present[i][0]} bytes, most others have {usual}"
    return unfit


def find_near_names(present: Iterable[str], missing: list[str]) -> dict[str, str]:
    """Explain ids whose file is there under almost the same name."""
    if not missing:
        return {}
    folded = {name.lower(): name for name in present}
    numbers = {name.lstrip("0"): name for name in present if name.startswith("0")}
    near = {}
    for i in missing:
        if i.lower() in folded:
            near[i] = f"but {folded[i.lower()]}.npy is there: write the ids in the case of the files' names"
        elif i.isdecimal() and i in numbers:
            near[i] = (
                f"but {numbers[i]}.npy is there: a spreadsheet took the leading zeros off the ids; make the table "
                "again with the id column imported as text"
            )
    return near


def check_files(root: Path, split: str, ids: Sequence[str] | pd.Series, instead: str = "") -> None:
    """Refuse missing files and files of another size, before an epoch is spent on the others.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: of the split.
        instead: ends the message with another way out, if the command has one.

    Raises:
        SetiError: number of ids whose file is missing or has another size than most, and the first three.
    """
    unfit = find_unfit(root, split, ids)
    missing = [i for i, problem in unfit.items() if problem.startswith(MISSING)]
    named = missing or list(unfit)
    if not named:
        return
    first = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    path = cadence_path(root, split, named[0])
    if missing:
        hints = [unfit[i].removeprefix(f"{MISSING}, ") for i in missing if unfit[i] != MISSING]
        fix = hints[0] if hints else f"add the files or take the ids out of the table{instead}"
        msg = f"{len(named)} of {len(ids)} {split} ids have no file ({first}): {path} is missing; {fix}"
        raise SetiError(msg)
    like = next((i for i in ids if i not in unfit), None)
    if len(named) == 1 and like is not None:
        # Reading a single file is quick, and gives a better reason.
        try:
            read_cadence(path, size=read_format(cadence_path(root, split, like))[0])
        except SetiError as error:
            msg = f"{error}{instead}"
            raise SetiError(msg) from error
    msg = (
        f"{len(named)} of {len(ids)} {split} files have another size than the others ({first}): "
        f"{path}: {unfit[named[0]]}; replace them{instead}"
    )
    raise SetiError(msg)


def check_overlap(root: Path) -> None:
    """Refuse ids that are in train and in test: their scores would be memorised, not predicted.

    Missing and damaged tables are ignored here: functions that read them raise the error.

    Raises:
        SetiError: number of such ids, and the first three.
    """
    try:
        train, test = (read_table(root / name, ["id"]).columns["id"] for name in (LABELS, SUBMISSION))
    except SetiError:
        return
    both = train[train.isin(test)]
    if len(both):
        first = ", ".join(map(str, both[:3])) + (", ..." if len(both) > 3 else "")
        msg = f"{root} lists {len(both)} ids in train and in test ({first}): take them out of one of the two tables"
        raise SetiError(msg)


def check_ids(path: Path, ids: pd.Series) -> None:
    """Refuse ids that are not plain names: each becomes a part of a path.

    Raises:
        SetiError: number of such ids, and the first.
    """
    bad = [i for i in ids if not can_name_a_file(i)]
    if not bad:
        return
    numbers = [i for i in bad if isinstance(i, str) and is_rewritten_number(i)]
    if numbers:
        msg = (
            f"{path} has {len(numbers)} ids that a spreadsheet took for numbers, first {numbers[0][:60]!r}, and their "
            "digits are lost: make the table again from the original, with the id column imported as text"
        )
        raise SetiError(msg)
    first = repr(bad[0])[:60]
    msg = f"{path} has {len(bad)} ids that cannot name a file, first {first}: ids are letters, digits, _ and -"
    raise SetiError(msg)


def _read_targets(root: Path, name: str, optional: tuple[str, ...] = ()) -> pd.DataFrame:
    table = _read_ids(root, name, ["target"], optional)
    targets = to_numbers(table["target"])
    bad = ~targets.isin([0, 1])
    if bad.any():
        row = table[bad].iloc[0]
        msg = (
            f"{root / name} has {int(bad.sum())} targets other than 0 and 1, "
            f"first {brief(row['target'])!r} for id {row['id']}: fix the table"
        )
        raise SetiError(msg)
    return table.assign(target=targets.astype(np.int64))


def _read_ids(root: Path, name: str, columns: list[str], optional: tuple[str, ...] = ()) -> pd.DataFrame:
    if not root.is_dir():
        msg = (
            f"data.root={root} is not a folder: set data.root to a folder that holds {name} and {SPLIT_OF[name]}/"
            f"{near_paths.hint('data.root', root)}"
        )
        raise SetiError(msg)
    path = root / name
    if not path.is_file():
        msg = (
            f"{path} is missing: data.root must be a folder in the competition's layout "
            f"({LABELS}, {SUBMISSION}, train/, test/)"
        )
        raise SetiError(msg)
    read = read_table(path, ["id", *columns], optional)
    table = read.columns
    if table.empty:
        msg = f"{path} lists no cadence: put at least one id into it"
        raise SetiError(msg)
    check_ids(path, table["id"])
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"{path} lists {len(doubled)} ids twice, first {doubled.iloc[0]}: keep one row an id"
        raise SetiError(msg)
    read.say_how_it_was_read()
    return table
