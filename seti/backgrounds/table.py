"""Table of cadences that share a background, `twins.csv`, and the links between them.

Four files in the data set's folder belong together: `twins.csv`, a row a cadence; `twins_gains.npz`, the links;
`twins_sources.csv`, size, time and checksum of every cadence that was read; and `twins.json`, with the digests of the
others. `twins.csv` is put in place last: where it is, the others are whole.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.cadence import OFF_PANELS, read_cadence
from seti.data.listing import SPLIT, is_loose, list_cadences
from seti.data.pack_reader import PackFiles, pack_folder
from seti.data.tables import read_table
from seti.errors import SetiError, brief
from seti.utils import files, hints
from seti.utils.checksums import panel_checksums, row_checksum, sha256

TABLE, LINKS, SOURCES, RECORD = "twins.csv", "twins_gains.npz", "twins_sources.csv", "twins.json"
FORMAT = 1  # raised when the files change their meaning
COLUMNS = ("id", "split", "group", "offset", "members", "covered", "partners", "verdict")
SOURCE_COLUMNS = ("id", "split", "size", "mtime_ns", "checksum")
ID_TABLES = {"train": competition.LABELS, "test": competition.SUBMISSION}
SAMPLE = 16  # cadences of a copied data set whose contents are compared


@dataclass(frozen=True)
class Links:
    """Verified pairs of cadences that share noise; `one` comes before `two` in the table.

    Bin b of `one` is bin b - shift of `two`, and `one` is gain x `two` + offset there, panel by panel, without signals.

    Attributes:
        one, two: `(L,)` int32, rows of `twins.csv`.
        shift: `(L,)` int32, in bins.
        gain, offset: `(L, 6)` float32.
        residual: `(L, 6)` float32, deviation of the difference, in units of the thermal noise.
    """

    one: np.ndarray
    two: np.ndarray
    shift: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    residual: np.ndarray

    def __len__(self) -> int:
        return len(self.one)


def has_twins(root: Path) -> bool:
    """Check for a table of twins, which may be out of date."""
    return (root / TABLE).is_file()


def twins_command(root: Path) -> str:
    """Command that makes the table."""
    return hints.command("twins", hints.setting("data.root", root))


def write_twins(root: Path, table: pd.DataFrame, links: Links, sources: pd.DataFrame, counts: dict[str, Any]) -> None:
    """Write the table and what belongs to it: all files, or none.

    Args:
        root: the data set's folder.
        table: `COLUMNS`, a row a cadence of the train and the test table; `group` is empty where a cadence is alone.
        links: between rows of the table.
        sources: `SOURCE_COLUMNS`, in the order of the table.
        counts: numbers to be recorded in `twins.json`.
    """
    with ExitStack() as stack:
        # The last to be entered is put in place first.
        paths = {name: stack.enter_context(files.atomic_write(root / name)) for name in (TABLE, RECORD, SOURCES, LINKS)}
        with files.name_in_errors(root / LINKS):
            np.savez(paths[LINKS], **vars(links))
        table[list(COLUMNS)].to_csv(paths[TABLE], index=False)
        sources[list(SOURCE_COLUMNS)].to_csv(paths[SOURCES], index=False)
        digests = {name: sha256(paths[name]) for name in (TABLE, SOURCES, LINKS)}
        record = {"format": FORMAT, "versions": {"seti": version("seti")}, "files": digests, "counts": counts}
        files.write_json(paths[RECORD], record)


def read_twins(root: Path, pack_dir: str | Path | None = None) -> pd.DataFrame:
    """Read the table of a data set.

    Args:
        root: the data set's folder.
        pack_dir: folder of its packs; None: `<root>/packed`.

    Returns:
        `id`, `split`, `group` (Int64, missing where alone), `offset` (bins in the group's field), `members`, `covered`
        (share of the bins that a partner covers), `partners` (ids, separated by blanks) and `verdict`.

    Raises:
        SetiError: there is no table; it was edited; it is of another data set, or cadences have changed since.
    """
    _check_record(root)
    # Ids and checksums may consist of digits alone, and an id may be "nan".
    table = _read(root / TABLE, COLUMNS).astype({"offset": np.int64, "members": np.int64, "covered": np.float64})
    table = table.assign(group=pd.to_numeric(table["group"]).astype("Int64"))
    _check_ids(root, table, pack_dir)
    sources = _read(root / SOURCES, SOURCE_COLUMNS).astype({"size": np.int64, "mtime_ns": np.int64})
    for split in ID_TABLES:
        _check_sources(root, split, sources[sources["split"] == split], pack_dir)
    return table


def read_links(root: Path) -> Links:
    """Read the links between rows of the table, which `read_twins` has checked.

    Raises:
        SetiError: the file is missing or damaged.
    """
    try:
        with np.load(root / LINKS, allow_pickle=False) as stored:
            return Links(**{name: stored[name] for name in Links.__dataclass_fields__})
    except (OSError, ValueError, KeyError) as error:
        msg = f"cannot read {root / LINKS}: {brief(error, 200)}; {twins_command(root)} makes it again"
        raise SetiError(msg) from error


def read_gains(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read the links as a table of both directions, a row a panel.

    Args:
        root: the data set's folder.
        table: as `read_twins` returns it.

    Returns:
        `id`, `partner`, `panel`, `gain`, `offset`, `residual` and `shift`, in the order of the table: bin b of `id` is
        bin b - shift of the partner, and gain x partner + offset is the background of `id` there.
    """
    links = read_links(root)
    one, two = np.concatenate([links.one, links.two]), np.concatenate([links.two, links.one])
    shift = np.concatenate([links.shift, -links.shift])
    gain = np.concatenate([links.gain, 1 / links.gain])
    offset = np.concatenate([links.offset, -links.offset / links.gain])
    residual = np.concatenate([links.residual, links.residual])
    order = np.lexsort((two, one))
    ids = table["id"].to_numpy()
    panels = gain.shape[1]
    return pd.DataFrame(
        {
            "id": ids[one[order]].repeat(panels),
            "partner": ids[two[order]].repeat(panels),
            "panel": np.tile(np.arange(panels), len(order)),
            "gain": gain[order].ravel(),
            "offset": offset[order].ravel(),
            "residual": residual[order].ravel(),
            "shift": shift[order].repeat(panels),
        }
    )


def list_ids(root: Path, pack_dir: str | Path | None = None) -> dict[str, list[str]]:
    """List the ids of both splits in the tables' order; a split without a table has none.

    In a folder without a table, they are those of the files in it, or else of its packs of all panels.

    Raises:
        SetiError: a table is damaged.
    """
    listing = list_cadences(root)
    if listing.paths:
        return {split: list(listing.paths) if split == SPLIT else [] for split in ID_TABLES}
    if listing.paths is not None:
        packs = {split: PackFiles(pack_folder(root, pack_dir), split, "all") for split in ID_TABLES}
        return {
            split: pack.read_table()["id"].tolist() if pack.manifest.exists() else [] for split, pack in packs.items()
        }
    found = {}
    for split, name in ID_TABLES.items():
        path = root / name
        found[split] = list(dict.fromkeys(read_table(path, ["id"]).columns["id"])) if path.is_file() else []
    return found


def _check_record(root: Path) -> None:
    """Refuse a table that is not the one that was written."""
    again = f"{twins_command(root)} makes it again"
    for name in (TABLE, RECORD):
        if not (root / name).is_file():
            msg = f"{root / name} is missing: {again if name == RECORD else twins_command(root) + ' makes it'}"
            raise SetiError(msg)
    try:
        record = files.read_json(root / RECORD)
        digests = {name: str(record["files"][name]) for name in (TABLE, SOURCES, LINKS)}
        found = record["format"]
    except (SetiError, KeyError, TypeError) as error:
        msg = f"{root / RECORD} is damaged: {again}"
        raise SetiError(msg) from error
    if found != FORMAT:
        msg = f"{root / RECORD} has format {brief(found, 20)!r}, and this version reads {FORMAT}: {again}"
        raise SetiError(msg)
    for name, digest in digests.items():
        path = root / name
        if not path.is_file():
            msg = f"{path} is missing: {again}"
            raise SetiError(msg)
        if sha256(path) != digest:
            msg = f"{path} is not the file that {RECORD} was written about: edited, damaged or from elsewhere; {again}"
            raise SetiError(msg)


def _check_ids(root: Path, table: pd.DataFrame, pack_dir: str | Path | None) -> None:
    """Refuse a table of other cadences than the data set's."""
    for split, ids in list_ids(root, pack_dir).items():
        held = set(table["id"][table["split"] == split])
        absent = [i for i in ids if i not in held]
        gone = sorted(held.difference(ids))
        if not absent and not gone:
            continue
        if ids and len(absent) == len(ids):
            problem = f"is of another data set: it has none of the {len(ids)} {split} ids"
        elif absent:
            problem = f"is out of date: it lacks {len(absent)} of {len(ids)} {split} ids, first {absent[0]}"
        else:
            where = "its folder" if is_loose(root) else ID_TABLES[split]
            problem = f"is out of date: {len(gone)} of its {split} ids are not in {where}, first {gone[0]}"
        msg = f"{root / TABLE} {problem}; {twins_command(root)} makes it again"
        raise SetiError(msg)


def _check_sources(root: Path, split: str, sources: pd.DataFrame, pack_dir: str | Path | None) -> None:
    """Refuse a table made of other contents than the cadences have now.

    Sizes and times are compared, as for packs. In a copy of a data set all times differ: there the OFF panels of some
    cadences are compared.
    """
    listing = list_cadences(root)
    present = listing.files(split)
    if present:
        changed = [row for row in sources.itertuples() if present.get(row.id) != (row.size, row.mtime_ns)]
        # Of cadences that were read from a pack, no file is known.
        changed = [row for row in changed if row.id in present or row.size >= 0]
        other = [row.id for row in _spread(changed) if not _is_content(listing.path(split, row.id), row.checksum)]
    else:
        other = _changed_in_pack(root, split, sources, pack_dir)
    if other:
        first = (
            f"the cadence {other[0]} has changed since"
            if len(other) == 1
            else f"cadences have changed since, first {other[0]}"
        )
        msg = f"{root / TABLE} is out of date: {first}; {twins_command(root)} makes it again"
        raise SetiError(msg)


def _spread(rows: list) -> Iterable:
    """Take some of many, from the first to the last."""
    return [rows[int(place)] for place in np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int))] if rows else []


def _is_content(path: Path, checksum: str) -> bool:
    try:
        return row_checksum(panel_checksums(read_cadence(path, OFF_PANELS))) == checksum
    except SetiError:
        return checksum == ""  # it could not be read before


def _changed_in_pack(root: Path, split: str, sources: pd.DataFrame, pack_dir: str | Path | None) -> list[str]:
    """Ids that were packed from other files; none without a pack of all panels."""
    pack = PackFiles(pack_folder(root, pack_dir), split, "all")
    if not pack.manifest.exists():
        return []
    packed = sources[["id"]].merge(pack.read_table(), on="id", how="left")
    same = (packed["size"].to_numpy() == sources["size"].to_numpy()) & (
        packed["mtime_ns"].to_numpy() == sources["mtime_ns"].to_numpy()
    )
    return packed["id"][~same & packed["size"].notna().to_numpy()].tolist()


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table of this program as text."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[list(columns)]
    except (OSError, ValueError, KeyError) as error:
        msg = f"cannot read {path}: {brief(error, 200)}; delete it, and seti twins makes it again"
        raise SetiError(msg) from error
