"""One coarse channel of a scan: claimed by one process, searched, and written once."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seti.data.observation import Header, open_observation
from seti.data.observation_cadence import ObservationCadence
from seti.search.channel import EVENT_COLUMNS, HIT_COLUMNS, ChannelResult, search_channel
from seti.search.judge import load_judge
from seti.search.scan_folder import ScanFolder, write_edges
from seti.search.settings import SearchSettings
from seti.utils import locks

DONE, BUSY = "done", "busy"  # the part's result is there; another process is at it
MOST_MISSING = 0.5  # share of values that are not finite up to which a panel is searched


@dataclass(frozen=True)
class ScanTask:
    """All that a worker process needs to know of a scan.

    Attributes:
        folder: the scan's files.
        cadence: the six observations.
        settings: of the search.
        feed: polarisation to search, counted from 0.
        edge: bins kept at each end of a coarse channel, for the search of its borders; 0: none.
        judge: value of ckpt_dir, for `load_judge`.
    """

    folder: ScanFolder
    cadence: ObservationCadence
    settings: SearchSettings
    feed: int = 0
    edge: int = 0
    judge: str | None = None

    @property
    def header(self) -> Header:
        """Header of the first observation."""
        return self.cadence.headers[0]

    @property
    def span_s(self) -> float:
        """Time from the first row of the first panel to the end of the last panel, s."""
        last = self.cadence.headers[-1]
        return self.cadence.panel_start_s[-1] + last.rows * last.tsamp_s

    def search(self, read_panel: Callable[[int], np.ndarray]) -> ChannelResult:
        """Search six panels with the cadence's times and the scan's settings."""
        return search_channel(
            read_panel,
            resolution_hz=self.header.resolution_hz,
            row_s=self.header.tsamp_s,
            panel_start_s=self.cadence.panel_start_s,
            on=self.cadence.on,
            settings=self.settings,
            judge=load_judge(self.judge),
        )


class UnsearchableError(Exception):
    """A panel holds nothing to search; the message says which, and why."""


def make_once(task: ScanTask, part: str, make: Callable[[ScanTask, str], None]) -> str:
    """Make the result of a part, unless it is there or another process is at it.

    Args:
        task: the scan.
        part: name of a coarse channel or of a border.
        make: searches the part and writes its result.

    Returns:
        `DONE` or `BUSY`.
    """
    try:
        with locks.hold(task.folder.channels, f"searching {part}", name=f".{part}.lock"):
            if not task.folder.result(part).exists():
                make(task, part)
    except locks.LockedError:
        return BUSY
    return DONE


def search_coarse_channel(task: ScanTask, part: str) -> None:
    """Search a coarse channel and write its result; its edges are written first.

    A channel with a panel of zeros, constants or NaN gets an empty table and a summary that says so.
    """
    number, began = int(part), time.monotonic()
    edges: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    filled: dict[str, int] = {}
    with ExitStack() as stack:
        files = [stack.enter_context(open_observation(path, task.header.coarse_width)) for path in task.cadence.files]

        def read_panel(panel: int) -> np.ndarray:
            values = files[panel].coarse_channel(number, task.feed)
            name = task.cadence.files[panel].name
            values, missing = checked_panel(values, name)
            if missing:
                filled[name] = missing
            if task.edge:
                edges[panel] = values[:, : task.edge].copy(), values[:, -task.edge :].copy()
            return values

        found, reason = searched(task, read_panel)
    if len(edges) == len(files) and reason is None:
        low, high = (np.stack([edges[panel][side] for panel in range(len(files))]) for side in (0, 1))
        write_edges(task.folder.edges(part), low, high)
    task.folder.write(part, found.events, found.hits, summarise(found, reason, began, filled))


def searched(task: ScanTask, read_panel: Callable[[int], np.ndarray]) -> tuple[ChannelResult, str | None]:
    """Search, or return empty tables and the reason why there is nothing to search."""
    try:
        return task.search(read_panel), None
    except UnsearchableError as error:
        events, hits = pd.DataFrame(columns=list(EVENT_COLUMNS)), pd.DataFrame(columns=list(HIT_COLUMNS))
        return ChannelResult(events, hits, events.assign(reason=[])), str(error)


def checked_panel(values: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    """Refuse a panel that holds nothing, and fill single values that are not finite.

    Args:
        values: `(rows, bins)`; changed in place.
        name: of the panel's file, for the message.

    Returns:
        The panel, with the median in place of values that are not finite, and the number of these.

    Raises:
        UnsearchableError: all values are the same, or most are not finite.
    """
    # One sum settles it for a panel without NaN or infinity; a sum may also overflow, which the mask then sorts out.
    missing = 0
    if not np.isfinite(values.sum(dtype=np.float64)):
        finite = np.isfinite(values)
        missing = values.size - int(finite.sum())
        if missing > MOST_MISSING * values.size:
            msg = f"{missing} of {values.size} values of {name} are NaN or infinite"
            raise UnsearchableError(msg)
        if missing:
            values[~finite] = np.median(values[finite])
    low, high = float(values.min()), float(values.max())
    if low == high:
        msg = f"every value of {name} is {low:g}"
        raise UnsearchableError(msg)
    return values, missing


def summarise(found: ChannelResult, reason: str | None, began: float, filled: dict[str, int]) -> dict[str, Any]:
    """Counts of a part that was searched."""
    return {
        "searched": reason is None,
        "reason": reason,
        "events": len(found.events),
        "hits": len(found.hits),
        "candidates": len(found.candidates),
        "filled": filled,
        "seconds": round(time.monotonic() - began, 3),
    }
