"""Report of a data check: a csv of all findings, a table of their kinds, and one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.table import Table

from seti.data.findings import ERROR, Finding
from seti.errors import SetiError
from seti.utils import files
from seti.utils.console import console


def report(findings: list[Finding], root: Path, path: Path) -> None:
    """Write every finding to a csv, print a table of their kinds, and summarise in one line.

    Args:
        findings: of `seti.data.integrity.check`.
        root: the data set's folder.
        path: where the csv goes.

    Raises:
        SetiError: there are errors among the findings, or the csv cannot be written.
    """
    columns = list(Finding.__dataclass_fields__)
    with _write_errors(path):
        files.write_csv(path, pd.DataFrame([asdict(found) for found in findings], columns=columns))
    if findings:
        _print_table(findings)
    errors = sum(found.level == ERROR for found in findings)
    warnings = _count(len(findings) - errors, "warning")
    if errors:
        msg = f"{root}: {_count(errors, 'error')} and {warnings}, all of them in {path}"
        raise SetiError(msg)
    print(f"{root}: no errors, {warnings}; {path} lists them")


def try_report(path: Path) -> None:
    """Try, before a check of hours, that its report can be written.

    Args:
        path: of the csv.

    Raises:
        SetiError: it cannot.
    """
    with _write_errors(path):
        files.try_output(path)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; set report=<file> to where you may write"
        raise SetiError(msg) from error


def _print_table(findings: list[Finding]) -> None:
    table = Table("level", "problem", "split", "cadences", "first", title="data check")
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for found in findings:
        kinds.setdefault((found.level, found.problem, found.split), []).append(found)
    for kind, found in kinds.items():
        first = ", ".join(each.id or each.detail for each in found[:3]) + (", ..." if len(found) > 3 else "")
        table.add_row(*kind, str(len(found)), first)
    console().print(table)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
