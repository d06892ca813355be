"""Fingerprints of all cadences of a data set, block by block on all cores."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seti.backgrounds import parts
from seti.backgrounds.cadences import Cadences, DataSet
from seti.backgrounds.fingerprints import DEAD, FEWEST_ROWS, REPEATED, fingerprint
from seti.data.cadence import OFF_PANELS
from seti.errors import SetiError, brief
from seti.utils.checksums import panel_checksums, row_checksum
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, parallel_map
from seti.utils.shards import Shard, not_done, say_if_empty, shard_of

BLOCK = 512  # cadences of a part
ALONE = 1024  # cadences that one process reads before others would have started


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of a data set, on disk.

    Attributes:
        paths: the parts, in the order of the cadences.
        checksums: `(N,)` text, of the OFF panels; empty where a cadence cannot be read.
        problems: `(N,)` text, the reason why a cadence cannot be read, else empty.
        constant: `(N,)` bool: every OFF panel has the same value, or the same spectrum, in every row.
        repeated: `(N,)` share of the keys that their panel has more than once.
        made: number of cadences that were read by this run.
    """

    paths: list[Path]
    checksums: np.ndarray
    problems: np.ndarray
    constant: np.ndarray
    repeated: np.ndarray
    made: int

    def panels(self) -> Iterator[np.ndarray]:
        """Yield the keys panel by panel, `(N, bins - 1)` uint64 each, as memory cannot hold all."""
        for panel in OFF_PANELS:
            yield np.concatenate([parts.read(path, f"keys_{panel}")[0] for path in self.paths])


def fingerprint_all(data: DataSet, workers: int | None) -> Fingerprints:
    """Read the OFF panels of every cadence once, and keep their keys in parts.

    Raises:
        SetiError: the panels have too few rows or bins.
    """
    blocks, made = _fingerprint(data, workers, None)
    paths = [block.path for block in blocks]
    read = [parts.read(path, "checksums", "problems", "constant", "repeated") for path in paths]
    return Fingerprints(paths, *(np.concatenate(column) for column in zip(*read, strict=True)), made)


def fingerprint_shard(data: DataSet, workers: int | None, shard: Shard) -> tuple[int, str]:
    """Do a shard of `fingerprint_all`.

    Returns:
        How many cadences are done, by all shards, and the shards that have some left, for a message.

    Raises:
        SetiError: the panels have too few rows or bins.
    """
    blocks, _ = _fingerprint(data, workers, shard)
    say_if_empty(shard, blocks, "block", BLOCK, len(data.ids))
    made = [parts.is_made(block.path, block.made_from) for block in blocks]
    done = sum(len(block.own) for block, is_made in zip(blocks, made, strict=True) if is_made)
    return done, not_done(made, shard)


@dataclass(frozen=True)
class _Block:
    """Cadences of one part: its file, the digest of what it is made from, and their numbers."""

    path: Path
    made_from: str
    own: np.ndarray


def _fingerprint(data: DataSet, workers: int | None, shard: Shard | None) -> tuple[list[_Block], int]:
    """Make the parts of a shard; return all blocks, and the number of cadences that were read."""
    if data.rows < FEWEST_ROWS or data.bins < FEWEST_ROWS:
        msg = f"{data.root} has panels of {data.rows} x {data.bins}: backgrounds are compared from 8 rows and 8 bins on"
        raise SetiError(msg)
    folder = parts.folder_of(data.root)
    folder.mkdir(exist_ok=True)
    cadences = data.open(OFF_PANELS)
    blocks = []
    for number, start in enumerate(range(0, len(cadences), BLOCK)):
        own = np.arange(start, min(start + BLOCK, len(cadences)))
        described = data.ids[own], data.splits[own], data.sizes[own], data.times[own]
        made_from = parts.identity("fingerprints", data.rows, data.bins, *described)
        blocks.append(_Block(folder / f"fingerprints-{number}.npz", made_from, own))
    mine = shard_of(blocks, shard)
    made, total = 0, sum(len(block.own) for block in mine)
    with cadence_progress() as progress:
        task = progress.add_task("fingerprints", total=total)
        jobs = []
        for block in mine:
            if parts.is_made(block.path, block.made_from):
                progress.advance(task, len(block.own))
            else:
                jobs.append(block)
        count = 1 if total <= ALONE else workers or available_cores()
        work = functools.partial(_fingerprint_block, data.bins)
        sent = ((block.path, block.made_from, cadences.take(block.own)) for block in jobs)
        for number in parallel_map(work, sent, workers=min(count, max(1, len(jobs)))):
            made += number
            progress.advance(task, number)
    return blocks, made


def _fingerprint_block(bins: int, job: tuple[Path, str, Cadences]) -> int:
    path, made_from, cadences = job
    keys = np.zeros((len(OFF_PANELS), len(cadences), bins - 1), np.uint64)
    checksums, problems = [], []
    for number in range(len(cadences)):
        try:
            panels = cadences.read(number)
        except SetiError as error:
            checksums.append("")
            problems.append(brief(error, 300))
            continue
        keys[:, number] = fingerprint(panels)
        checksums.append(row_checksum(panel_checksums(panels)))
        problems.append("")
    readable = np.array([not problem for problem in problems])
    parts.write(
        path,
        made_from,
        checksums=np.array(checksums),
        problems=np.array(problems),
        constant=(keys == DEAD).all(axis=(0, 2)) & readable,
        repeated=(keys == REPEATED).mean(axis=(0, 2)),
        **{f"keys_{panel}": own for panel, own in zip(OFF_PANELS, keys, strict=True)},
    )
    return len(cadences)
