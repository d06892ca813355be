"""Record of the data set that a cleaned one was made from, and its check."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.backgrounds import table
from seti.data import competition
from seti.data.cleaned_set import CLEAN
from seti.errors import SetiError
from seti.utils import files, hints
from seti.utils.console import near

FORMAT = 1  # raised when the same twins give other bytes
SAME = ("format", "root", "twins", "tables")  # a stopped command goes on where these are as they were
TABLES = (competition.LABELS, competition.SUBMISSION, competition.TEST_LABELS, "truth.csv")


@dataclass(frozen=True)
class Original:
    """A data set that was cleaned.

    Attributes:
        root: its folder.
        pack_dir: folder of its packs; None: `<root>/packed`.
    """

    root: Path
    pack_dir: Path | None


def identify(root: Path, pack_dir: Path | None) -> dict[str, Any]:
    """Content of `clean.json` for a data set that is to be cleaned."""
    return {
        "format": FORMAT,
        "versions": {"seti": version("seti")},
        "root": str(root.resolve()),
        "pack_dir": None if pack_dir is None else str(pack_dir.resolve()),
        "twins": table_digest(root),
        "tables": table_digests(root),
        "contents": contents_digest(root),
    }


def find_original(cleaned: Path) -> Original:
    """Find the data set that a cleaned one was made from.

    Its tables are compared with the record, and its cadences with its `twins.csv`, by size and time or else by the
    contents of some.

    Raises:
        SetiError: `clean.json` is damaged, that data set is gone, or it has changed since.
    """
    record = files.read_json(cleaned / CLEAN)
    made = record.get("root")
    if not isinstance(made, str):
        msg = f"{cleaned / CLEAN} does not name the data set that it was made from: make {cleaned} again"
        raise SetiError(msg)
    root, packs = near(Path(made)), record.get("pack_dir")
    if not root.is_dir():
        msg = (
            f"{root}, from which {cleaned} was made, is no longer there: put it back, or delete {cleaned} and make it "
            f"again with {_command('<its new folder>', cleaned)}"
        )
        raise SetiError(msg)
    pack_dir = near(Path(packs)) if isinstance(packs, str) else None
    table.read_twins(root, pack_dir)
    changed = [name for name, digest in table_digests(root).items() if (record.get("tables") or {}).get(name) != digest]
    if record.get("twins") != table_digest(root):
        changed.append(table.TABLE)
    contents = contents_digest(root)
    if record.get("contents", contents) != contents:  # records before this key was there have none
        changed.append(table.SOURCES)
    if changed:
        msg = (
            f"{root / changed[0]} has changed since {cleaned} was made: delete {cleaned} and make it again with "
            f"{_command(root, cleaned)}"
        )
        raise SetiError(msg)
    return Original(root, pack_dir)


def tables_of(root: Path) -> list[Path]:
    """Tables that belong to the data set itself."""
    return [root / name for name in TABLES if (root / name).is_file()]


def table_digests(root: Path) -> dict[str, str]:
    """SHA-256 by name of the tables that belong to the data set itself."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tables_of(root)}


def contents_of(root: Path) -> np.ndarray:
    """Checksums of all cadences as they were searched, `(N,)` text, in the order of `twins.csv`."""
    return pd.read_csv(root / table.SOURCES, dtype=str, keep_default_na=False)["checksum"].to_numpy(dtype=np.str_)


def contents_digest(root: Path) -> str:
    """SHA-256 of the checksums of all cadences; a copy of the data set has the same."""
    return hashlib.sha256("\n".join(contents_of(root)).encode()).hexdigest()


def table_digest(root: Path) -> str:
    """SHA-256 of the table of twins."""
    return hashlib.sha256((root / table.TABLE).read_bytes()).hexdigest()


def _command(root: Path | str, cleaned: Path) -> str:
    place = hints.shell(hints.setting("data.root", root)) if isinstance(root, Path) else f"data.root={root}"
    return f"{hints.command('twins')} {place} {hints.shell(hints.setting('clean', cleaned))}"
