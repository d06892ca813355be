"""Borders of coarse channels: a signal that drifts into the next channel is one event.

Each coarse channel leaves the spectra at both of its ends, as wide as the fastest signal drifts in a cadence. Both
sides of a border, joined, are searched like a channel. Of what is found there, only signals that touch the border are
kept, and they replace what the two channels saw of them.
"""

import time
import zipfile

import numpy as np
import pandas as pd

from seti.data.observation import Header, open_observation
from seti.search.coarse_channel import ScanTask, UnsearchableError, searched, summarise
from seti.utils import files

MARGIN = 256  # bins on each side of a border in addition to the drift, which give the noise around a signal
NEAR = 32  # bins from the border within which a signal is taken from the border's search
BLOCK = 64  # bins whose median gives the bandpass at one frequency
SAME_BINS = 6.0  # two tracks no further apart than this, at one time in the cadence, are the same signal
SAME_DRIFT = 0.1  # and no further apart than this in drift rate, Hz/s


def edge_width(header: Header, max_drift: float, span_s: float) -> int:
    """Number of bins that are kept at each end of a coarse channel.

    Args:
        header: of an observation.
        max_drift: largest drift rate searched, Hz/s.
        span_s: duration of the cadence, s.
    """
    return min(int(np.ceil(max_drift * span_s / header.resolution_hz)) + MARGIN, header.coarse_width // 2)


def border_parts(channels: list[int]) -> list[str]:
    """Name the borders between consecutive channels: `12-13`."""
    present = set(channels)
    return [f"{k}-{k + 1}" for k in sorted(present) if k + 1 in present]


def search_border(task: ScanTask, part: str) -> None:
    """Search the border of two coarse channels and write its result.

    Bins are counted from the lower end of the strip around the border.
    """
    began = time.monotonic()
    lower, upper = sides(task.header, part)
    below, above = edge_spectra(task, lower, upper_end=True), edge_spectra(task, upper, upper_end=False)

    def read_panel(panel: int) -> np.ndarray:
        if below is None or above is None:
            msg = "one of the two coarse channels holds nothing to search"
            raise UnsearchableError(msg)
        both = [flatten(below[panel]), flatten(above[panel])]
        return np.concatenate(both, axis=1).astype(np.float32)

    found, reason = searched(task, read_panel)
    kept = found.events[touches(found.events, task.edge)]
    task.folder.write(part, kept, found.hits, summarise(found, reason, began, {}))


def sides(header: Header, part: str) -> tuple[int, int]:
    """Return the coarse channels below and above a border, in frequency."""
    first, second = (int(number) for number in part.split("-"))
    return (first, second) if header.ascending else (second, first)


def touches(events: pd.DataFrame, border: float) -> pd.Series:
    """Mark events whose extent reaches the border, or nearly."""
    return (events["bin_start"].astype(float) <= border + NEAR) & (events["bin_end"].astype(float) >= border - NEAR)


def flatten(panel: np.ndarray) -> np.ndarray:
    """Divide a panel by its bandpass, so that the two sides of a border agree in level.

    Args:
        panel: `(rows, bins)`.

    Returns:
        The same shape, 1 where there is only noise.
    """
    profile = panel.mean(axis=0, dtype=np.float64)
    bins = len(profile)
    blocks = max(1, bins // BLOCK)
    levels = np.array([np.median(block) for block in np.array_split(profile, blocks)])
    middles = (np.arange(blocks) + 0.5) * bins / blocks - 0.5
    bandpass = np.interp(np.arange(bins), middles, levels)
    # The response falls steeply at the border: the last half block is continued along its slope, not held.
    if blocks > 1:
        for side, (near, far) in ((slice(0, int(middles[0]) + 1), (0, 1)), (slice(int(middles[-1]), None), (-1, -2))):
            slope = (levels[near] - levels[far]) / (middles[near] - middles[far])
            bandpass[side] = levels[near] + slope * (np.arange(bins)[side] - middles[near])
    floor = max(float(np.median(levels)) * 1e-3, np.finfo(np.float32).tiny)
    return panel / np.maximum(bandpass, floor)


def without_duplicates(events: pd.DataFrame, start_s: float, end_s: float, resolution_hz: float) -> pd.DataFrame:
    """Keep one row a signal where two channels, or a channel and a border, have found the same.

    Two rows are the same signal if their tracks meet somewhere in the cadence and have about the same drift rate. A
    border's row is kept before a channel's, and otherwise the one of the higher SNR.

    Args:
        events: with `freq_mhz` at the first row, `drift_hz_s`, `snr`, `part`.
        start_s: the first time, s after the first row.
        end_s: the last time.
        resolution_hz: width of a fine channel.
    """
    if len(events) < 2:
        return events
    order = np.lexsort([-events["snr"], ~events["part"].str.contains("-")])
    ranked = events.iloc[order]
    frequency, drift = ranked["freq_mhz"].to_numpy() * 1e6, ranked["drift_hz_s"].to_numpy()
    part = ranked["part"].to_numpy()
    kept: list[int] = []
    for row in range(len(ranked)):
        others = [one for one in kept if part[one] != part[row]]
        apart = frequency[others] - frequency[row]
        slope = drift[others] - drift[row]
        first, last = apart + slope * start_s, apart + slope * end_s
        nearest = np.where(first * last <= 0, 0, np.minimum(abs(first), abs(last)))
        if not ((nearest <= SAME_BINS * resolution_hz) & (abs(slope) <= SAME_DRIFT)).any():
            kept.append(row)
    return ranked.iloc[kept]


def edge_spectra(task: ScanTask, number: int, upper_end: bool) -> np.ndarray | None:
    """Spectra at one end of a coarse channel, kept by its search or else read from the files.

    Args:
        task: the scan.
        number: of the coarse channel.
        upper_end: the end of higher frequency.

    Returns:
        `(panels, rows, task.edge)` in ascending frequency; None if the channel holds nothing to search.
    """
    if not files.read_json(task.folder.summary(str(number)))["searched"]:
        return None
    try:
        with np.load(task.folder.edges(str(number))) as kept:
            return kept["high" if upper_end else "low"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # gone, or damaged
        width = task.header.coarse_width
        at_end = upper_end == task.header.ascending  # of the channel, in the file's order
        start = number * width + (width - task.edge if at_end else 0)
        spectra = []
        for path in task.cadence.files:
            with open_observation(path, width) as observation:
                values = observation.read(start, start + task.edge, task.feed)
            spectra.append(np.nan_to_num(values, posinf=0.0, neginf=0.0))
        return np.stack(spectra)
