"""Pack a data set into one file a split: `python -m seti.pack data.root=... panels=A`. Settings: conf/pack.yaml.

Cadences are written to their places in a partial file, in any order, and a journal says which are there. A run that
was stopped goes on from the journal: every row is read back and compared with its checksum, so the end is the same,
byte for byte. Reading a pack: `seti.data.pack_reader`.
"""

import errno
import functools
import itertools
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from seti.cli import program
from seti.data import competition
from seti.data.cadence import PANEL_CHOICES, read_cadence, read_format
from seti.data.pack_reader import FORMAT, PackedCadences, PackFiles, digest, npy_header, pack_folder, table_digests
from seti.errors import SetiError
from seti.utils import files, locks
from seti.utils.checksums import panel_checksums, row_checksum
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, check_workers, parallel_map
from seti.utils.shutdown import Interrupted

log = logging.getLogger(__name__)

SPLITS = ("train", "test")
_BLOCK = 32  # cadences that a process packs at once
_ALONE = 512  # cadences that are packed before other processes would have started


@dataclass
class PackDataConfig:
    """Which data set."""

    root: str = MISSING


@dataclass
class PackConfig:
    """Everything `python -m seti.pack` reads."""

    data: PackDataConfig = field(default_factory=PackDataConfig)
    panels: str = MISSING
    split: list[str] = MISSING
    pack_dir: str | None = None
    workers: int | None = None
    force: bool = MISSING


ConfigStore.instance().store(name="pack_schema", node=PackConfig)


@dataclass(frozen=True)
class Plan:
    """What a pack will hold.

    Attributes:
        pack: its files.
        root: the data set's folder.
        table: columns id, size, mtime_ns: the sources, in the pack's order.
        rows, bins, dtype: of every panel.
    """

    pack: PackFiles
    root: Path
    table: pd.DataFrame
    rows: int
    bins: int
    dtype: str

    @property
    def panels(self) -> tuple[int, ...]:
        """Which of the six are packed."""
        return PANEL_CHOICES[self.pack.panels]

    @property
    def row_bytes(self) -> int:
        """Bytes of one cadence."""
        return len(self.panels) * self.rows * self.bins * np.dtype(self.dtype).itemsize

    @functools.cached_property
    def header(self) -> bytes:
        """The `.npy` header."""
        return npy_header(self.dtype, (len(self.table), len(self.panels), self.rows, self.bins))

    @property
    def size(self) -> int:
        """Bytes of the packed file."""
        return len(self.header) + len(self.table) * self.row_bytes

    def identity(self) -> str:
        """One line that tells what would be packed: a partial file of anything else is of no use."""
        table = self.table
        sources = table["id"] + " " + table["size"].astype(str) + " " + table["mtime_ns"].astype(str)
        told = {"format": FORMAT, "sources": digest(sources), "header": digest(pd.Series([self.header.hex()]))}
        return json.dumps(told)


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
    ids = competition.read_labels(root)["id"] if split == "train" else competition.read_test_ids(root).sort_values()
    ids = ids.reset_index(drop=True)
    pack = PackFiles(pack_folder(root, pack_dir), split, panels)
    with _system_errors(pack), _locked(pack):
        files.remove_stale_parts(pack.folder)
        if pack.manifest.exists() and not force:
            _check_finished(pack, root, ids)
            _journal(pack).unlink(missing_ok=True)  # of a run that was killed in its very last step
            log.info("%s: already packed, and it matches: nothing to do", pack.data)
            return pack
        competition.check_files(root, split, ids)
        present = competition.list_files(root, split)
        table = pd.DataFrame({"id": ids, "size": 0, "mtime_ns": 0})
        table[["size", "mtime_ns"]] = [present[i] for i in ids]
        (rows, bins), dtype = read_format(competition.cadence_path(root, split, ids[0]))
        _write(Plan(pack, root, table, rows, bins, dtype.str), workers)
    return pack


def _check_finished(pack: PackFiles, root: Path, ids: pd.Series) -> None:
    try:
        PackedCadences(pack, root, ids.to_numpy(), PANEL_CHOICES[pack.panels])
        surplus = len(pack.read_table()) - len(ids)
        if surplus:
            msg = f"it holds {surplus} ids that the table of {pack.split} does not list"
            raise SetiError(msg)
    except SetiError as error:
        msg = f"{pack.data} no longer matches: {error}; force=true packs again"
        raise SetiError(msg) from error


def _journal(pack: PackFiles) -> Path:
    return pack.table.with_suffix(".csv.part")


def _write(plan: Plan, workers: int | None) -> None:
    pack = plan.pack
    journal = _journal(pack)
    if journal.exists() and not pack.partial.exists() and pack.data.exists() and not pack.manifest.exists():
        pack.data.rename(pack.partial)  # stopped between the last two steps
    known = _read_journal(journal, plan) if pack.partial.exists() else {}
    if not known:
        pack.partial.unlink(missing_ok=True)
        journal.write_text(plan.identity() + "\n")
    _check_space(plan)
    with pack.partial.open("r+b" if pack.partial.exists() else "w+b") as stream:
        stream.truncate(plan.size)
        stream.write(plan.header)
    checksums = _pack_rows(plan, journal, known, workers)
    _sync(pack.partial)

    table = plan.table.assign(checksum=checksums)
    manifest = {
        **{"format": FORMAT, "split": pack.split, "panels": pack.panels},
        **{"rows": plan.rows, "bins": plan.bins, "dtype": plan.dtype},
        **{"cadences": len(table), "bytes": plan.size},
        **table_digests(table),
    }
    pack.manifest.unlink(missing_ok=True)  # of a pack that this one replaces: it must never stand beside new data
    pack.partial.replace(pack.data)
    files.write_csv(pack.table, table)
    files.write_json(pack.manifest, manifest)
    journal.unlink()


def _pack_rows(plan: Plan, journal: Path, known: dict[int, str], workers: int | None) -> list[str]:
    n = len(plan.table)
    workers = 1 if n <= _ALONE else min(workers or available_cores(), -(-n // _BLOCK))
    blocks = [range(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    jobs = ((plan.table["id"].iloc[b.start : b.stop].tolist(), [known.get(i) for i in b], b.start) for b in blocks)
    checksums: list[str] = []
    work = functools.partial(_pack_block, _Target(plan))
    with cadence_progress() as progress, journal.open("a") as stream:
        task = progress.add_task(f"packing {plan.pack.split}", total=n)
        for block, made in zip(blocks, parallel_map(work, jobs, workers=workers), strict=True):
            stream.writelines(f"{i},{made[i - block.start]}\n" for i in block if i not in known)
            stream.flush()
            checksums += made
            progress.advance(task, len(made))
    return checksums


class _Target:
    """What a process needs to know of the plan."""

    def __init__(self, plan: Plan) -> None:
        self.partial = plan.pack.partial
        self.folder = plan.root / plan.pack.split
        self.panels, self.size, self.dtype = plan.panels, (plan.rows, plan.bins), np.dtype(plan.dtype)
        self.offset, self.row_bytes = len(plan.header), plan.row_bytes


def _pack_block(target: _Target, job: tuple[list[str], list[str | None], int]) -> list[str]:
    """Pack some cadences; those with a known checksum are read back and left alone where it fits."""
    ids, known, start = job
    checksums = []
    row = np.empty((len(target.panels), *target.size), target.dtype)
    with target.partial.open("r+b", buffering=0) as stream:
        for number, (cadence_id, checksum) in enumerate(zip(ids, known, strict=True)):
            offset = target.offset + (start + number) * target.row_bytes
            if checksum is not None:
                read = os.preadv(stream.fileno(), [row.data], offset)
                if read == target.row_bytes and row_checksum(panel_checksums(row)) == checksum:
                    checksums.append(checksum)
                    continue
            path = target.folder / cadence_id[0] / f"{cadence_id}.npy"
            cadence = read_cadence(path, target.panels, size=target.size)
            if cadence.dtype != target.dtype:
                msg = f"cadence {path} holds {cadence.dtype}, the others {target.dtype}: remove or replace the file"
                raise SetiError(msg)
            written = 0
            content = memoryview(cadence).cast("B")
            while written < target.row_bytes:  # a nearly full disk takes a part
                written += os.pwrite(stream.fileno(), content[written:], offset + written)
            checksums.append(row_checksum(panel_checksums(cadence)))
    return checksums


def _read_journal(journal: Path, plan: Plan) -> dict[int, str]:
    """Checksums of the rows that an earlier run of the same plan has packed; none of another plan's."""
    if not journal.exists():
        return {}
    lines = journal.read_text().split("\n")
    if lines[0] != plan.identity():
        return {}
    known = {}
    kept = list(itertools.takewhile(lambda line: line.count(",") == 1, lines[1:-1]))  # the last may be half a line
    for line in kept:
        place, checksum = line.split(",")
        known[int(place)] = checksum
    journal.write_text("\n".join([lines[0], *kept, ""]))
    return known


def _check_space(plan: Plan) -> None:
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


def pack(cfg: PackConfig) -> list[PackFiles]:
    """Pack the splits one after the other.

    Args:
        cfg: `conf/pack.yaml`.

    Raises:
        SetiError: a setting cannot work; else as `pack_split`.
    """
    if cfg.panels not in PANEL_CHOICES:
        msg = f"panels={cfg.panels} is none of {', '.join(PANEL_CHOICES)}"
        raise SetiError(msg)
    unknown = [split for split in cfg.split if split not in SPLITS]
    if unknown or not cfg.split:
        msg = f"split={list(cfg.split)} must name train, test or both: split=[train]"
        raise SetiError(msg)
    check_workers(cfg.workers)
    pack_dir = None if cfg.pack_dir is None else Path(cfg.pack_dir)
    root = Path(cfg.data.root)
    return [pack_split(root, split, cfg.panels, pack_dir, cfg.workers, cfg.force) for split in cfg.split]


@program.program("pack")
def main(cfg: PackConfig) -> None:
    """Pack, and say what is where."""
    for made in pack(cfg):
        manifest = made.read_manifest()
        print(f"{made.data}: {manifest['cadences']} cadences, {manifest['bytes'] / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
