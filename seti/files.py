"""Files that appear whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from seti.errors import SetiError

MISSING_VALUES = ["", "nan", "NaN", "NA", "N/A", "null", "None"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, renamed to `path` when the block ends without an error.

    A run killed in between leaves the old file or the new one, never half of one. The temporary name keeps
    the suffix, because numpy and matplotlib choose a format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object, indented, whole or not at all."""
    with whole_file(path) as beside:
        beside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        SetiError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}; delete it, or restore it from a copy"
        raise SetiError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no JSON object: delete it, or restore it from a copy"
        raise SetiError(msg)
    return content


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index, whole or not at all. Floats keep every digit that tells them apart."""
    with whole_file(path) as beside:
        table.to_csv(beside, index=False)


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table whose `id` column, where it has one, stays text.

    Args:
        path: the file.
        columns: the columns it must have; others are kept.

    Raises:
        SetiError: the file is missing, is no table, or lacks a column.
    """
    try:
        # "nan", "NA" and "null" mean a missing value everywhere but in an id.
        missing_values = {name: MISSING_VALUES for name in pd.read_csv(path, nrows=0).columns if name != "id"}
        table = pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=missing_values)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        msg = f"cannot read {path} as a table: {' '.join(str(error).split())}; mend or replace the file"
        raise SetiError(msg) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus for row names, and shifts the columns
        msg = f"{path} has rows of more fields than its header names: mend the table"
        raise SetiError(msg)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = ", ".join(map(str, table.columns))
        msg = f"{path} has no column {', '.join(missing)}: it has {has}; name its columns {', '.join(columns)}"
        raise SetiError(msg)
    return table
