"""One pass over many cadences on all cores: format, faults and panel checksums of each file."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.progress import Progress

from seti.data.cadence import read_cadence
from seti.errors import SetiError
from seti.utils.checksums import panel_checksums
from seti.utils.processes import available_cores, parallel_map

_BLOCK = 64  # cadences per task of a process
_ALONE = 1024  # cadences that one process reads before others would have started


@dataclass(frozen=True)
class Scan:
    """Summary of some cadences after one read of each; memory does not grow with their size.

    Attributes:
        problems: `(N,)` text, empty where a cadence can be read.
        formats: `(N,)` shape and type, as text.
        checksums: `(N, 6)` uint64, of the panels.
        dead: `(N, 6)` bool: every value of the panel is the same.
    """

    problems: list[str]
    formats: list[str]
    checksums: np.ndarray
    dead: np.ndarray


def scan_files(paths: list[str], workers: int | None, progress: Progress, task: int) -> Scan:
    """Read every file once, on all cores."""
    scan = Scan([], [], np.zeros((len(paths), 6), np.uint64), np.zeros((len(paths), 6), bool))
    for start, (problems, formats, checksums, dead) in spread_blocks(_scan_block, paths, workers, progress, task):
        scan.problems.extend(problems)
        scan.formats.extend(formats)
        scan.checksums[start : start + len(problems)] = checksums
        scan.dead[start : start + len(problems)] = dead
    return scan


def spread_blocks(
    work: Callable[[list], Any], items: list, workers: int | None, progress: Progress, task: int
) -> Iterator[tuple[int, Any]]:
    """Apply a function to blocks of a list in parallel; yield (start, result) in order."""
    starts = range(0, len(items), _BLOCK)
    workers = 1 if len(items) <= _ALONE else workers or available_cores()
    blocks = (items[start : start + _BLOCK] for start in starts)
    for start, result in zip(starts, parallel_map(work, blocks, workers=workers), strict=True):
        yield start, result
        progress.advance(task, min(_BLOCK, len(items) - start))


def _scan_block(paths: list[str]) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    problems, formats = [], []
    checksums, dead = np.zeros((len(paths), 6), np.uint64), np.zeros((len(paths), 6), bool)
    for row, path in enumerate(paths):
        try:
            cadence = read_cadence(path, for_networks=True)
        except SetiError as error:
            problems.append(str(error))
            formats.append("")
            continue
        problems.append("")
        formats.append(_format(cadence.shape, cadence.dtype))
        checksums[row] = panel_checksums(cadence)
        # Two values settle it for a panel that is alive.
        for panel in np.flatnonzero(cadence[:, 0, 0] == cadence[:, -1, -1]):
            dead[row, panel] = (cadence[panel] == cadence[panel, 0, 0]).all()
    return problems, formats, checksums, dead


@functools.lru_cache(maxsize=64)  # numpy takes 5 us to spell a type
def _format(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{shape[1]} x {shape[2]} {dtype}"
