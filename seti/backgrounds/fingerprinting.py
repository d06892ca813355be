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
    if data.rows < FEWEST_ROWS or data.bins < FEWEST_ROWS:
        msg = f"{data.root} has panels of {data.rows} x {data.bins}: backgrounds are compared from 8 rows and 8 bins on"
        raise SetiError(msg)
    folder = parts.folder_of(data.root)
    folder.mkdir(exist_ok=True)
    cadences = data.open(OFF_PANELS)
    starts = range(0, len(cadences), BLOCK)
    paths = [folder / f"fingerprints-{number}.npz" for number in range(len(starts))]
    made = 0
    with cadence_progress() as progress:
        task = progress.add_task("fingerprints", total=len(cadences))
        jobs = []
        for start, path in zip(starts, paths, strict=True):
            own = np.arange(start, min(start + BLOCK, len(cadences)))
            made_from = parts.identity(
                "fingerprints", data.rows, data.bins, data.ids[own], data.splits[own], data.sizes[own], data.times[own]
            )
            if parts.is_made(path, made_from):
                progress.advance(task, len(own))
            else:
                jobs.append((path, made_from, own))
        count = 1 if len(cadences) <= ALONE else workers or available_cores()
        work = functools.partial(_fingerprint_block, data.bins)
        blocks = ((path, made_from, cadences.take(own)) for path, made_from, own in jobs)
        for number in parallel_map(work, blocks, workers=min(count, max(1, len(jobs)))):
            made += number
            progress.advance(task, number)
    read = [parts.read(path, "checksums", "problems", "constant", "repeated") for path in paths]
    return Fingerprints(paths, *(np.concatenate(column) for column in zip(*read, strict=True)), made)


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
