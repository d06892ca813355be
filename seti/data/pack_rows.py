"""Rows of a pack: written by several processes in any order, and recorded in a journal.

A later run goes on from the journal.
"""

import functools
import itertools
import os

import numpy as np

from seti.data.cadence import read_cadence
from seti.data.pack_plan import PackPlan
from seti.errors import SetiError
from seti.utils.checksums import panel_checksums, row_checksum
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, parallel_map

_BLOCK = 32  # cadences per task of a process
_ALONE = 512  # cadences that one process packs before others would have started


def pack_rows(plan: PackPlan, known: dict[int, str], workers: int | None) -> list[str]:
    """Write every row to its place, with a progress bar, and record it in the journal.

    Args:
        plan: of the pack.
        known: checksums of rows that an earlier run has written, by place; those that still fit are left alone.
        workers: processes; None: one a core.

    Returns:
        The rows' checksums, in order.

    Raises:
        SetiError: a cadence is damaged, or of another shape or type than the first.
    """
    n = len(plan.table)
    workers = 1 if n <= _ALONE else min(workers or available_cores(), -(-n // _BLOCK))
    blocks = [range(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    jobs = ((plan.paths[b.start : b.stop], [known.get(i) for i in b], b.start) for b in blocks)
    checksums: list[str] = []
    work = functools.partial(_pack_block, _Target(plan))
    with cadence_progress() as progress, plan.journal.open("a") as stream:
        task = progress.add_task(f"packing {plan.pack.split}", total=n)
        for block, made in zip(blocks, parallel_map(work, jobs, workers=workers), strict=True):
            stream.writelines(f"{i},{made[i - block.start]}\n" for i in block if i not in known)
            stream.flush()
            checksums += made
            progress.advance(task, len(made))
    return checksums


class _Target:
    """Part of the plan that the processes need; it is pickled, so it is small."""

    def __init__(self, plan: PackPlan) -> None:
        self.partial = plan.pack.partial
        self.panels, self.size, self.dtype = plan.panels, (plan.rows, plan.bins), np.dtype(plan.dtype)
        self.offset, self.row_bytes = len(plan.header), plan.row_bytes


def _pack_block(target: _Target, job: tuple[tuple[str, ...], list[str | None], int]) -> list[str]:
    """Pack some cadences; a row on disk that still has its known checksum is left alone."""
    paths, known, start = job
    checksums = []
    row = np.empty((len(target.panels), *target.size), target.dtype)
    with target.partial.open("r+b", buffering=0) as stream:
        for number, (path, checksum) in enumerate(zip(paths, known, strict=True)):
            offset = target.offset + (start + number) * target.row_bytes
            if checksum is not None:
                read = os.preadv(stream.fileno(), [row.data], offset)
                if read == target.row_bytes and row_checksum(panel_checksums(row)) == checksum:
                    checksums.append(checksum)
                    continue
            cadence = read_cadence(path, target.panels, size=target.size, for_networks=True)
            if cadence.dtype != target.dtype:
                msg = f"cadence {path} holds {cadence.dtype}, the others {target.dtype}: remove or replace the file"
                raise SetiError(msg)
            written = 0
            content = memoryview(cadence).cast("B")
            while written < target.row_bytes:  # a nearly full disk takes a part
                written += os.pwrite(stream.fileno(), content[written:], offset + written)
            checksums.append(row_checksum(panel_checksums(cadence)))
    return checksums


def read_journal(plan: PackPlan) -> dict[int, str]:
    """Read the checksums of the rows that an earlier run of the same plan has packed."""
    journal = plan.journal
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
