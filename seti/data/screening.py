"""Screening for `data.on_error=skip`: finds and records damaged cadences."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from seti.data import competition
from seti.data.cadence import read_format
from seti.data.sources import CadenceSource
from seti.errors import SetiError
from seti.utils import files
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores

_BLOCK = 64
_SAMPLE = 9  # cadences whose size is looked at


def find_damaged(source: CadenceSource) -> dict[str, str]:
    """Read every cadence once, on all cores.

    Returns:
        The reason why a cadence cannot be read, by id; empty where all can.
    """
    blocks = [range(start, min(start + _BLOCK, len(source))) for start in range(0, len(source), _BLOCK)]

    def read(block: range) -> dict[str, str]:
        problems = {}
        for index in block:
            try:
                source.read(index)
            except SetiError as error:
                problems[str(source.ids[index])] = str(error)
        return problems

    damaged: dict[str, str] = {}
    # Threads suffice: reading and checking for NaN release the interpreter lock.
    with ThreadPoolExecutor(available_cores()) as pool, cadence_progress() as progress:
        task = progress.add_task("looking for damage", total=len(source))
        for block, problems in zip(blocks, pool.map(read, blocks), strict=True):
            damaged |= problems
            progress.advance(task, len(block))
    return damaged


def usual_size(root: Path, split: str, ids: Iterable[str]) -> tuple[int, int] | None:
    """Find the panel size of most of the first readable cadence files.

    Returns:
        `(rows, bins)`, or None where no file can be read.
    """
    seen: Counter[tuple[int, int]] = Counter()
    for i in ids:
        try:
            seen[read_format(competition.cadence_path(root, split, str(i)))[0]] += 1
        except SetiError:
            continue
        if seen.total() == _SAMPLE:
            break
    return seen.most_common(1)[0][0] if seen else None


def write_skipped(path: Path, skipped: dict[str, str]) -> None:
    """Write ids and reasons of skipped cadences as CSV; without any, remove the file."""
    if skipped:
        files.write_csv(path, pd.DataFrame({"id": list(skipped), "reason": list(skipped.values())}))
    else:
        path.unlink(missing_ok=True)
