"""Hits of the de-Doppler trees, and their fits: from flattened planes to tracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seti.search.pieces import BOW, LINK, REACH_HZ, SWING
from seti.search.settings import SearchSettings
from seti.search.tracks import process
from seti.search.tree import FINE, Level, halve, joint_peaks, levels, panel_peaks

MOST_HITS = 400_000
MOST_TRACKS = 50_000
HIT = 5.5  # SNR of a peak in one ON panel
OFF_HIT = 6.0  # SNR of a peak in one OFF panel: it need not be found alone, OFF is measured along every track
JOINT = 5.8  # SNR of a peak of the ON panels together
CURVED = 6.0  # SNR in one panel from which a curved track through the others is looked for
CURVATURE = 0.001  # Hz/s^2


@dataclass(frozen=True)
class Times:
    """Times of all rows, in rows from the cadence's first and in units of u (see `tracks`)."""

    starts: np.ndarray  # rows from the first row of panel 0 to the first row of each panel
    on: np.ndarray
    row_s: float
    rows: int = 16

    @classmethod
    def of(cls, panel_start_s: Sequence[float], on: Sequence[bool], row_s: float) -> "Times":
        """Times from the seconds at which panels begin."""
        return cls(np.asarray(panel_start_s, float) / row_s, np.asarray(on, bool), row_s)

    def with_rows(self, rows: int) -> "Times":
        """Same panels with another number of rows."""
        return replace(self, rows=rows)

    @property
    def middle(self) -> float:
        """Middle of the ON panels, in rows."""
        return float(self.starts[self.on][[0, -1]].mean() + (self.rows - 1) / 2)

    @property
    def half(self) -> float:
        """Half the span of the ON panels, in rows."""
        return float(np.ptp(self.starts[self.on][[0, -1]]) + self.rows - 1) / 2

    @property
    def u(self) -> np.ndarray:
        """Time of every row of every panel, `(6, rows)`."""
        return (self.starts[:, None] + np.arange(self.rows) - self.middle) / self.half


def _scrunched(
    planes: np.ndarray, which: np.ndarray, max_bins: float
) -> Iterator[tuple[Level, np.ndarray, np.ndarray, int]]:
    """Levels, planes summed to their step, places of panels in them, and the largest drift."""
    step, rows = 1, planes.shape[1]
    for level in levels(max_bins):
        while step < level.step:
            narrow = np.empty((len(which), rows, planes.shape[2] // 2), np.float32)
            for place, p in enumerate(which):
                halve(planes[p], narrow[place])
            planes, which = narrow, np.arange(len(which))
            step *= 2
        if planes.shape[2] < 2 * rows:
            return
        left = max_bins * 1.02 / level.step - level.shear
        yield level, planes, which, int(np.clip(np.ceil(left * (rows - 1)), 0, _power(rows) - 1))


def _power(rows: int) -> int:
    return 1 << (rows - 1).bit_length()


def panel_hits(plane: np.ndarray, p: int, times: Times, resolution_hz: float, settings: SearchSettings) -> np.ndarray:
    """Peaks of one panel's trees as hits for `process`."""
    rows = plane.shape[0]
    out = []
    bins = max_bins(times, resolution_hz, settings)
    for number, (level, scrunched, _, top) in enumerate(_scrunched(plane[None], np.arange(1), bins)):
        if level.step == 1 and level.box == 2 and level.shear == 0:
            continue  # the ON panels together are searched in it
        found = np.empty((MOST_HITS // level.step, 3), np.float32)
        norm = np.float32(1 / np.sqrt(rows * level.box))
        count = panel_peaks(
            scrunched[0],
            level.box > level.step,
            level.shear,
            top,
            norm,
            np.float32(HIT if times.on[p] else OFF_HIT),
            found,
        )
        column, drift, snr = found[:count].astype(float).T
        rate = drift / (_power(rows) - 1) * level.step
        middle = column * level.step + (level.box - 1) / 2 + rate * (rows - 1) / 2
        out.append(
            np.stack([np.full(count, p), middle, rate, np.full(count, level.box), np.full(count, number), snr], 1)
        )
    return np.concatenate(out)


def joint_hits(planes: np.ndarray, times: Times, resolution_hz: float, settings: SearchSettings) -> np.ndarray:
    """Peaks of the trees of the ON panels together as hits for `process`."""
    which = np.flatnonzero(times.on)
    anchor = which[len(which) // 2]
    rows_from = times.starts[which] - times.starts[anchor]
    rows = planes.shape[1]
    out = []
    bins = max_bins(times, resolution_hz, settings)
    for number, (level, scrunched, index, top) in enumerate(_scrunched(planes, which, bins)):
        found = np.empty((MOST_HITS // level.step, 3), np.float32)
        norms = np.full(len(which), 1 / np.sqrt(rows * level.box), np.float32)
        wide = level.box > level.step
        count = joint_peaks(scrunched, index, rows_from, wide, level.shear, top, norms, np.float32(JOINT), found)
        column, drift, snr = found[:count].astype(float).T
        unit = FINE * (_power(rows) - 1)
        fine = np.abs(drift) - level.shear * unit
        coarse = np.sign(drift) * (level.shear + ((2 * fine + FINE) // (2 * FINE)) / (_power(rows) - 1)) * level.step
        rate = drift / unit * level.step
        middle = column * level.step + (level.box - 1) / 2 + coarse * (rows - 1) / 2
        middle += rate * (times.middle - times.starts[anchor] - (rows - 1) / 2)
        out.append(
            np.stack([np.full(count, -1), middle, rate, np.full(count, level.box), np.full(count, number), snr], 1)
        )
    return np.concatenate(out)


def max_bins(times: Times, resolution_hz: float, settings: SearchSettings) -> float:
    """Largest drift, in bins a row."""
    return settings.max_drift * times.row_s / resolution_hz


def fit(
    planes: np.ndarray, hits: np.ndarray, times: Times, resolution_hz: float, settings: SearchSettings
) -> np.ndarray:
    """Tracks of the hits, strongest first, as `process` gives them; it masks them in the planes."""
    hits = hits[np.argsort(-hits[:, 5], kind="stable")]
    found = np.zeros((min(MOST_TRACKS, len(hits)), 10 + 6 * len(planes)))
    curve = 0.5 * CURVATURE * (times.half * times.row_s) ** 2 / resolution_hz
    half, panel = times.half * times.row_s, 0.5 * (times.rows - 1) * times.row_s
    scale = np.array([REACH_HZ, SWING * half, 0.5 * BOW * panel**2]) / resolution_hz
    limits = np.array([HIT, JOINT, CURVED])
    count = process(planes, times.u, times.on, hits, 1 / times.half, curve, scale, limits, found)
    found = found[:count]
    for row in np.flatnonzero(is_linked(found)):  # the parabola nearest to its ON panels, for its company
        where = positions(found[[row]], times)[0, times.on].ravel()
        found[row, :3] = np.polyfit(times.u[times.on].ravel(), where, 2)[::-1]
    return found


def positions(fitted: np.ndarray, times: Times) -> np.ndarray:
    """Bins of tracks at every row, `(tracks, 6, rows)`; `fitted` are rows of `process`."""
    u, panels = times.u, len(times.on)
    p0, p1, p2 = fitted[:, :3, None, None].swapaxes(0, 1)
    even = p0 + u * (p1 + u * p2)
    v = u - u.mean(1, keepdims=True)
    a, b, c = fitted[:, 10 + 3 * panels : 10 + 6 * panels].reshape(-1, panels, 3, 1).transpose(2, 0, 1, 3)
    return np.where(is_linked(fitted)[:, None, None], a + v * (b + v * c), even)


def is_linked(fitted: np.ndarray) -> np.ndarray:
    """Mark tracks that consist of a piece a panel."""
    return fitted[:, 8 + 2 * ((fitted.shape[1] - 10) // 6)] == LINK
