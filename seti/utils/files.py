"""Atomic writes, JSON and CSV files, and one-line explanations of system errors."""

import csv
import errno
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from seti.errors import SetiError, brief

MAX_COLUMNS = 10_000
MISSING_VALUES = ["", "nan", "NaN", "NA", "N/A", "null", "None"]
STALE = 24 * 3600  # s after which a temporary file is abandoned, whichever machine wrote it
FIXES = {
    errno.ENOSPC: "free some space, or write to another folder",
    errno.EDQUOT: "free some of your quota, or write to another folder",
    errno.EROFS: "the file system is read-only: write to another folder",
    errno.EACCES: "change the rights, or write to another folder",
    errno.EPERM: "change the rights, or write to another folder",
    errno.ENAMETOOLONG: "choose shorter names",
    errno.ENOTDIR: "a part of this path is a file: choose another folder",
    errno.EISDIR: "there is a folder of that name: choose another name, or move the folder away",
    errno.EEXIST: "there is a file of that name: choose another folder, or move the file away",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower data.num_workers",
    errno.ENFILE: "the machine has too many files open: end other programs",
    errno.EAGAIN: "the system allows no more processes: raise the limit (ulimit -u), or lower data.num_workers",
    errno.ENOMEM: "the machine is out of memory: lower data.num_workers or data.batch_size, or end other programs",
    errno.ESTALE: "the network file system has replaced it: give the command again",
    errno.EIO: "the disk or the network failed: see the system's log",
}


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` if the block succeeds.

    A run that is killed leaves the old file or the new one, never a partial one. The temporary name keeps the suffix,
    because numpy and matplotlib choose the format by it.

    Args:
        path: the file to write.
        durable: flush to disk, so that not even a power failure leaves an empty file. This takes milliseconds per
            file; turn it off for thousands of files whose sizes are checked afterwards.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    temporary = path.with_name(f".{path.stem}.{_host()}-{os.getpid()}.part{path.suffix}")
    with name_in_errors(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if durable:
                _flush(temporary)
            temporary.replace(path)
            if durable:
                _flush(path.parent)
        finally:
            with suppress(OSError):  # this error must not replace the original one
                temporary.unlink(missing_ok=True)


def try_output(path: Path) -> None:
    """Try to write next to a file before the work for it begins; leaves nothing.

    Raises:
        OSError: the file could not be written; the error names it.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _try_folder(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def try_outputs(folder: Path, names: Iterable[str]) -> None:
    """Try to write files of a folder that the setting `out` names, as `try_output` does.

    Raises:
        OSError: a file could not be written.
        SetiError: the folder is one of the system's, such as /proc, in which no file can be made.
    """
    for name in names:
        try:
            try_output(folder / name)
        except FileNotFoundError as error:
            msg = f"out={folder}: no file can be made there, give another folder"
            raise SetiError(msg) from error


def _try_folder(folder: Path) -> None:
    """Make a file in a folder and remove it."""
    try:  # without a name: nothing stays if the process is killed here
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except (AttributeError, OSError) as error:  # not on every system
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        handle, trial = tempfile.mkstemp(prefix=".seti-", suffix=".part", dir=folder)
        os.close(handle)
        Path(trial).unlink()


@contextmanager
def name_in_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Add the path to system errors that name no file, or only a temporary one."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None or (temporary is not None and str(error.filename) == str(temporary))
        if unnamed and error.errno is not None:
            raise OSError(error.errno, error.strerror or os.strerror(error.errno), str(path)) from error
        raise


def explain(error: OSError) -> str:
    """Explain in one line which path the system refused, why, and how to fix it."""
    if error.errno is None:  # re-raised by a library that keeps only the text
        lines = str(error).strip().splitlines()
        return f"the system refused a file: {lines[-1] if lines else type(error).__name__}"
    where = "" if error.filename is None else f"{error.filename}: "
    fix = FIXES.get(error.errno)
    return f"{where}{error.strerror or os.strerror(error.errno)}" + (f"; {fix}" if fix else "")


def remove_stale_parts(folder: Path) -> None:
    """Delete temporary files that killed runs left in a folder, but not those of live runs."""
    for path in folder.glob(".*.part*"):
        match = re.fullmatch(r"\..*\.([^.]*)-(\d+)\.part(\.[^.]*)?", path.name)
        if match is None:
            continue
        with suppress(OSError):
            dead = match[1] == _host() and not _runs(int(match[2]))
            if dead or time.time() - path.stat().st_mtime > STALE:
                path.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())[:40]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _flush(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not supported by some network file systems
            raise
    finally:
        os.close(handle)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object atomically, indented."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        SetiError: the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"cannot read {path}: {_why_not_json(error)}; delete it, or restore it from a copy"
        raise SetiError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} is not a JSON object: delete it, or restore it from a copy"
        raise SetiError(msg)
    return content


def _why_not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        cut = not error.doc[error.pos :].strip()  # it ends in the middle of a value
        reason = "ends too early" if cut else f"is not JSON at line {error.lineno}, column {error.colno}"
        return f"it {reason}" if error.doc.strip() else "it is empty"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    return f"{error.strerror}" if isinstance(error, OSError) and error.strerror else brief(error, 200)


def _refuse_constant(name: str) -> float:
    msg = f"{name} is not a number"  # Python's json accepts NaN and Infinity, which are not JSON
    raise ValueError(msg)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically, without its index; floats can be restored exactly."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table, keeping its `id` column, if any, as text.

    Args:
        path: the CSV file.
        columns: the required columns; other columns are kept.

    Raises:
        SetiError: the file is missing, is not a table, or lacks a column.
    """
    try:
        header = _read_header(path)
        # "nan", "NA" and "null" mean a missing value everywhere except in an id.
        missing_values = {name: MISSING_VALUES for name in header if name != "id"}
        table = pd.read_csv(path, dtype={"id": str}, low_memory=False, keep_default_na=False, na_values=missing_values)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        msg = f"cannot read {path} as a table: {brief(error, 200)}; fix or replace the file"
        raise SetiError(msg) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = brief(", ".join(header), 100)
        msg = f"{path} has no column {', '.join(missing)}: it has {has}; name its columns {', '.join(columns)}"
        raise SetiError(msg)
    return table


def _read_header(path: Path) -> list[str]:
    """Read the column names and check that every row has as many fields.

    pandas would silently rename the second of two columns with one name, take surplus fields for row names and absent
    fields for missing values, and spend minutes on a row with a million fields.

    Raises:
        ValueError: the header or a row is malformed; the message names the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        try:
            header = next(rows, [])
            if not 0 < len(set(header)) == len(header) <= MAX_COLUMNS:
                msg = "its first line does not name columns, each once"
                raise ValueError(msg)
            for row in rows:
                if row and len(row) != len(header):
                    msg = f"line {rows.line_num} has {len(row)} fields, the header {len(header)}"
                    raise ValueError(msg)
        except csv.Error as error:
            msg = f"line {rows.line_num}: {error}"
            raise ValueError(msg) from error
    return header
