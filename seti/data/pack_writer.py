"""Packs: a data set in one file a split, written so that a stopped run can go on.

Cadences are written to their places in a partial file, in any order, and a journal says which are there. A run that
was stopped goes on from the journal: every row is read back and compared with its checksum, so the end is the same,
byte for byte. Reading a pack: `seti.data.pack_reader`.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from seti.data import competition
from seti.data.cadence import PANEL_CHOICES, read_format
from seti.data.listing import SPLIT, Listing, changed_files, check_names, is_loose, list_cadences
from seti.data.loose import find_cadences
from seti.data.pack_plan import PackPlan, journal_path
from seti.data.pack_reader import FORMAT, PackedCadences, PackFiles, pack_folder, table_digests
from seti.data.pack_rows import pack_rows, read_journal
from seti.errors import SetiError, SettingsError
from seti.utils import files, locks
from seti.utils.console import near
from seti.utils.processes import check_workers
from seti.utils.shutdown import Interrupted

log = logging.getLogger(__name__)

SPLITS = ("train", "test")


def pack_splits(
    root: Path,
    splits: Sequence[str],
    panels: str,
    pack_dir: Path | None = None,
    workers: int | None = None,
    force: bool = False,
) -> list[PackFiles]:
    """Pack splits one after the other.

    Args:
        root: the data set's folder.
        splits: `train`, `test` or both.
        panels: `A` or `all`.
        pack_dir: where to; None: `<root>/packed`.
        workers: processes; None: one a core.
        force: pack again what is packed.

    Raises:
        SetiError: a setting cannot work; else as `pack_split`.
    """
    if panels not in PANEL_CHOICES:
        msg = f"panels={panels} is none of {', '.join(PANEL_CHOICES)}"
        raise SettingsError(msg)
    if not splits or not set(splits) <= set(SPLITS):
        msg = f"split=[{','.join(splits)}] must name train, test or both, as in split=[train]"
        raise SettingsError(msg)
    check_workers(workers)
    if is_loose(root) and SPLIT in splits and find_cadences(root):
        log.info("%s has no table: every cadence in it is packed as %s", near(root), SPLIT)
        splits = [SPLIT]
    elif {"train", "test"} <= set(splits) and _has_test_alone(root):
        msg = f"{root / competition.LABELS} is missing: split=[test] packs the test set alone"
        raise SetiError(msg)
    return [pack_split(root, split, panels, pack_dir, workers, force) for split in splits]


def pack_split(
    root: Path, split: str, panels: str, pack_dir: Path | None = None, workers: int | None = None, force: bool = False
) -> PackFiles:
    """Pack one split, or go on with what a stopped run left.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        panels: `A` or `all`.
        pack_dir: where to; None: `<root>/packed`.
        workers: processes; None: one a core.
        force: pack again what is packed.

    Returns:
        The pack's files.

    Raises:
        SetiError: the data set is damaged; the pack is there and no longer matches, or is being written; the disk
            is full or cannot be written.
    """
    listing = list_cadences(root)
    ids = _ids(listing, split)
    pack = PackFiles(pack_folder(root, pack_dir), split, panels)
    with _system_errors(pack), _locked(pack):
        files.remove_stale_parts(pack.folder)
        for path in (pack.data, pack.table, pack.manifest):
            files.try_output(path)
        if pack.manifest.exists() and not force:
            _check_finished(pack, listing, ids)
            journal_path(pack).unlink(missing_ok=True)  # of a run that was killed in its very last step
            log.info("%s: already packed, and it matches: nothing to do", pack.data)
            return pack
        if listing.paths is None:
            competition.check_files(root, split, ids)
        present = listing.files(split)
        table = pd.DataFrame({"id": ids, "size": 0, "mtime_ns": 0})
        table[["size", "mtime_ns"]] = [present[i] for i in ids]
        paths = tuple(str(listing.path(split, i)) for i in ids)
        (rows, bins), dtype = read_format(Path(paths[0]))
        _write(PackPlan(pack, root, table, rows, bins, dtype.str, paths), workers)
    return pack


def _has_test_alone(root: Path) -> bool:
    return not (root / competition.LABELS).exists() and (root / competition.SUBMISSION).is_file()


def _ids(listing: Listing, split: str) -> pd.Series:
    """Ids of a split, sorted."""
    if split == "train":
        ids = competition.read_labels(listing.root)["id"]
    elif listing.paths:
        check_names(listing)
        ids = pd.Series(list(listing.paths), name="id")
    else:
        ids = competition.read_test_ids(listing.root).sort_values()
    return ids.reset_index(drop=True)


def _check_finished(pack: PackFiles, listing: Listing, ids: pd.Series) -> None:
    try:
        opened, changed = PackedCadences(pack, listing.root, ids.to_numpy(), PANEL_CHOICES[pack.panels]), []
        if listing.paths:
            changed = changed_files(listing, opened)
        if changed:
            msg = f"{len(changed)} of its {len(ids)} sources have changed, first {changed[0]}"
            raise SetiError(msg)
        surplus = len(pack.read_table()) - len(ids)
        if surplus:
            msg = f"it holds {surplus} ids that the table of {pack.split} does not list"
            raise SetiError(msg)
    except SetiError as error:
        msg = f"{pack.data} no longer matches: {error}; force=true packs again"
        raise SetiError(msg) from error


def _write(plan: PackPlan, workers: int | None) -> None:
    pack = plan.pack
    journal = plan.journal
    if journal.exists() and not pack.partial.exists() and pack.data.exists() and not pack.manifest.exists():
        pack.data.rename(pack.partial)  # stopped between the last two steps
    known = read_journal(plan) if pack.partial.exists() else {}
    if not known:
        pack.partial.unlink(missing_ok=True)
        journal.write_text(plan.identity() + "\n")
    _check_space(plan)
    with pack.partial.open("r+b" if pack.partial.exists() else "w+b") as stream:
        stream.truncate(plan.size)
        stream.write(plan.header)
    checksums = pack_rows(plan, known, workers)
    _sync(pack.partial)

    table = plan.table.assign(checksum=checksums)
    manifest = {
        **{"format": FORMAT, "split": pack.split, "panels": pack.panels},
        **{"rows": plan.rows, "bins": plan.bins, "dtype": plan.dtype},
        **{"cadences": len(table), "bytes": plan.size},
        **table_digests(table),
    }
    pack.manifest.unlink(missing_ok=True)  # of a pack that this one replaces: it must never stand next to new data
    pack.partial.replace(pack.data)
    files.write_csv(pack.table, table)
    files.write_json(pack.manifest, manifest)
    journal.unlink()


def _check_space(plan: PackPlan) -> None:
    partial = plan.pack.partial
    written = partial.stat().st_blocks * 512 if partial.exists() else 0
    free = shutil.disk_usage(plan.pack.folder).free
    if plan.size - written > free:
        raise SetiError(_no_space(plan.pack, plan.size - written, free))


def _no_space(pack: PackFiles, needed: int, free: int) -> str:
    return (
        f"{pack.data} needs {needed / 1e9:.3g} GB more and {pack.folder} has {free / 1e9:.3g} GB free: free some, "
        "or set pack_dir to another folder (and data.pack_dir for training)"
    )


def _sync(path: Path) -> None:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _locked(pack: PackFiles) -> Iterator[None]:
    """Keep other runs from the same pack."""
    pack.folder.mkdir(parents=True, exist_ok=True)
    with locks.hold(pack.folder, f"writing {pack.data.name}", f".{pack.data.stem}.lock"):
        yield


@contextmanager
def _system_errors(pack: PackFiles) -> Iterator[None]:
    """Turn a full disk and a missing right into one line; a signal's line says what is kept."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            written = pack.partial.stat().st_blocks * 512 if pack.partial.exists() else 0
            wanted = pack.partial.stat().st_size if pack.partial.exists() else 0
            raise SetiError(_no_space(pack, wanted - written, shutil.disk_usage(pack.folder).free)) from error
        msg = (
            f"cannot write to {pack.folder}: {error.strerror or error}; fix that, or set pack_dir to another folder "
            "(and data.pack_dir for training)"
        )
        raise SetiError(msg) from error
    except Interrupted as stop:
        raise Interrupted(stop.signum, f"the same command goes on with what {pack.partial} has") from stop
