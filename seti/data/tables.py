"""Tables that users bring: csv files as spreadsheets, editors and other programs write them.

A table is read where it has one meaning: with commas, semicolons, tabs or bars between columns, in UTF-8, UTF-16 or
Latin-1, with column names in any case, with blanks around values, and with comments and blank lines before the header.
One line says how a table was read that is not plain csv. Tables of this program's own are read more strictly, by
`seti.utils.files.read_csv`.
"""

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from seti.data.table_text import BLANKS, find_column, read_rows
from seti.errors import SetiError, brief
from seti.utils.notices import log_once

log = logging.getLogger(__name__)

WORDS = {"true": "1", "false": "0"}  # of a spreadsheet's checkboxes
REWRITTEN_NUMBER = re.compile(r"\d+([.,]\d*)?(E[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class UserTable:
    """A table as it was read.

    Attributes:
        path: of the file.
        columns: the columns that were asked for, all text, without blanks around values; ids are plain names also
            where the file has paths.
        remarks: in which respects the file is not plain csv, a few words each.
    """

    path: Path
    columns: pd.DataFrame
    remarks: tuple[str, ...]

    def say_how_it_was_read(self) -> None:
        """Log the remarks, once a run."""
        if self.remarks:
            line = f"{self.path} is read with {', '.join(self.remarks)}"
            log_once(log, logging.INFO, line, about=("how a table is read", self.path.resolve()))


def read_table(path: Path, columns: list[str], optional: tuple[str, ...] = ()) -> UserTable:
    """Read some columns of a table as text.

    Args:
        path: the file.
        columns: names that the header must have, in any case and with blanks around them.
        optional: names of columns that are read where there are any.

    Raises:
        SetiError: the file is missing, is not a table, has a column twice, or lacks one of `columns`.
    """
    try:
        raw = read_rows(path.read_bytes(), columns)
        places = {name: find_column(raw.header, name) for name in columns}
    except (OSError, ValueError) as error:
        msg = f"cannot read {path} as a table: {brief(error, 200)}; fix or replace the file"
        raise SetiError(msg) from error
    missing = [name for name in columns if places[name] is None]
    if missing:
        has = brief(", ".join(map(_show, raw.header)), 100)
        msg = f"{path} has no column {', '.join(missing)}: it has {has}; name its columns {', '.join(columns)}"
        raise SetiError(msg)
    for name in optional:
        with suppress(ValueError):  # two such columns in other spellings are other columns
            places[name] = find_column(raw.header, name)
    found = {name: place for name, place in places.items() if place is not None}
    remarks = list(raw.remarks)
    renamed = [raw.header[place] for name, place in found.items() if raw.header[place].strip(BLANKS) != name]
    if renamed:
        remarks.append(f"the column names {brief(', '.join(renamed))} in lower case")
    given = {name: [row[place] for row in raw.rows] for name, place in found.items()}
    values = {name: [cell if cell.isalnum() else _bare(cell) for cell in cells] for name, cells in given.items()}
    if values != given:
        remarks.append("blanks around values left out")
    if "id" in values:
        names = [one if one.isalnum() else plain_id(one) for one in values["id"]]
        if names != values["id"]:
            remarks.append("ids taken out of file names or quotes")
            values["id"] = names
    table = pd.DataFrame({name: pd.Series(cells, dtype=str) for name, cells in values.items()})
    return UserTable(path, table, tuple(remarks))


def plain_id(given: str) -> str:
    """Take the id out of a cadence's path, its file name, or a spreadsheet's quotes.

    `train/0/0012.npy`, `0012.npy`, `="0012"` and `'0012` are 0012. Anything else is returned as it is.
    """
    name = re.sub(r"""\A(?:="(.*)"|'([^']*)'?)\Z""", lambda match: match[1] or match[2] or "", given)
    *folders, file = re.split(r"[/\\]", name)
    bare = re.sub(r"\.npy\Z", "", file, flags=re.IGNORECASE)
    if not folders:
        return bare
    if folders[-1] == bare[:1] and bare:
        return bare
    if bare != file and len(folders[-1]) != 1:  # a folder of one character is the layout's, and it is not this id's
        return bare
    return given


def to_numbers(values: pd.Series) -> pd.Series:
    """Read text as numbers: `1`, `1.0`, `1,0`, `true`; NaN where it is anything else."""
    given = pd.Series(values.unique(), dtype=str)  # of many rows, few are different
    words = [WORDS.get(word.lower(), word.replace(",", ".")) for word in given]
    numbers = pd.to_numeric(pd.Series(words, dtype=str), errors="coerce")
    return values.map(dict(zip(given, numbers, strict=True))).astype(float)


def is_rewritten_number(cadence_id: str) -> bool:
    """Check for an id that a spreadsheet took for a number, such as `1.23E+14`."""
    plain = re.fullmatch(r"[0-9a-fA-F]+", cadence_id) is not None
    return not plain and REWRITTEN_NUMBER.fullmatch(cadence_id) is not None


def _bare(cell: str) -> str:
    """A value without blanks around it; csv takes quotes between blanks for a part of it."""
    bare = cell.strip(BLANKS)
    if bare != cell and len(bare) > 1 and bare[0] == bare[-1] == '"':
        return bare[1:-1].strip(BLANKS)
    return bare


def _show(name: str) -> str:
    """A column's name; quoted where blanks or odd characters would be overlooked."""
    return name if name.isprintable() and name.split() == [name] else repr(name)
