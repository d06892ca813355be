"""Narrowband signals in the rows of an observation, with smearing and leakage.

A row lasts 18 s, in which a drifting tone crosses several fine channels: its power is spread over them. The response of
a fine channel to a tone is that of a Fourier transform without window, sinc^2.

Times are in seconds from the middle of the cadence's first row, bins are in ascending frequency and a whole number is
the middle of a bin, as in the search.
"""

from dataclasses import dataclass

import numpy as np

LEAKAGE = 12  # bins on each side of a tone that get power; 98 % of it
STEPS = 4  # positions in a row for each bin that the tone crosses in it
LINE = np.linspace(-1.5, 1.5, 13)  # positions across a line of some width, in its standard deviations


@dataclass(frozen=True)
class Narrowband:
    """Narrowband signal through a cadence.

    Attributes:
        bin: at the middle of the cadence's first row.
        drift_hz_s: drift rate, mean over the cadence.
        curve_bins: largest distance of the track from the straight line, half-way through the cadence; its sign is that
            of the distance.
        width_hz: full width at half maximum of the line.
        brightness: `(panels, rows)`, factors of the signal's power, 0 in panels that lack it.
    """

    bin: float
    drift_hz_s: float
    curve_bins: float
    width_hz: float
    brightness: np.ndarray

    def track(self, times: np.ndarray, span_s: float, resolution_hz: float) -> np.ndarray:
        """Bins at the times, for a cadence of `span_s` seconds from its first row to its last."""
        ahead = times / span_s
        return self.bin + self.drift_hz_s * times / resolution_hz + 4 * self.curve_bins * ahead * (1 - ahead)

    def panels(self) -> tuple[int, ...]:
        """Panels that hold the signal."""
        return tuple(np.flatnonzero(self.brightness.any(axis=1)).tolist())


@dataclass(frozen=True)
class Sampling:
    """Times and resolution of a cadence.

    Attributes:
        rows: rows of a panel.
        row_s: length of a row in s.
        resolution_hz: width of a bin.
        panel_start_s: start of each panel in s, that of the first being 0.
        on: for each panel, True if it points at the target.
    """

    rows: int
    row_s: float
    resolution_hz: float
    panel_start_s: tuple[float, ...]
    on: tuple[bool, ...] = (True, False) * 3

    @property
    def on_panels(self) -> list[int]:
        """Panels ON the target."""
        return [panel for panel, on in enumerate(self.on) if on]

    @property
    def off_panels(self) -> list[int]:
        """Panels OFF the target."""
        return [panel for panel, on in enumerate(self.on) if not on]

    @property
    def times(self) -> np.ndarray:
        """`(panels, rows)`, middles of the rows in s from that of the first."""
        return np.asarray(self.panel_start_s)[:, None] + self.row_s * np.arange(self.rows)

    @property
    def span_s(self) -> float:
        """Seconds from the first row to the last."""
        return float(self.times[-1, -1])

    @property
    def looks(self) -> int:
        """Independent samples in a pixel of total power: those of both feeds."""
        return max(2 * round(self.row_s * self.resolution_hz), 2)


def channels_filled(drift_hz_s: float, width_hz: float, row_s: float, resolution_hz: float) -> float:
    """Number of fine channels over which a row spreads a signal, at least 1."""
    return max(1.0, float(np.hypot(drift_hz_s * row_s, width_hz)) / resolution_hz)


def power_of(snr: float, sigma: float, signal: Narrowband, sampling: Sampling) -> float:
    """Power in a row that gives a signal its SNR.

    The SNR is that which the search measures: of the three ON panels together, along the track, summed over the `n`
    fine channels that the signal fills in a row (`channels_filled`),

        snr = power * sqrt(3 * rows) / (sigma * sqrt(n))

    `power` is the signal's in one row, over all channels, and `sigma` the deviation of the noise of one pixel. Of a
    signal that is not in all ON panels it is the SNR that it would have if it were.
    """
    filled = channels_filled(signal.drift_hz_s, signal.width_hz, sampling.row_s, sampling.resolution_hz)
    return snr * sigma * np.sqrt(filled) / np.sqrt(3 * sampling.rows)


def add_signal(
    panel: np.ndarray,
    number: int,
    signal: Narrowband,
    power: float,
    sampling: Sampling,
    shift: np.ndarray | None = None,
) -> None:
    """Add a signal to a panel, in place; what lies outside of the panel's bins is left out.

    Args:
        panel: `(rows, bins)`.
        number: of the panel, from 0.
        signal: the signal.
        power: in a row, over all channels, in the panel's units.
        sampling: of the cadence.
        shift: `(rows,)`, bin of the signal's coordinates that is the panel's first, for a panel cut along a track.
    """
    bins = panel.shape[1]
    crossed = abs(signal.drift_hz_s) * sampling.row_s / sampling.resolution_hz
    steps = max(1, int(np.ceil(STEPS * crossed)))
    within = (np.arange(steps) + 0.5) / steps - 0.5  # of a row
    deviations = np.zeros(1)
    weights = np.ones(1)
    if signal.width_hz > 0.2 * sampling.resolution_hz:
        deviations = LINE * signal.width_hz / sampling.resolution_hz / 1.1774  # half maximum at 1.1774 deviations
        weights = np.exp(-0.5 * (2 * LINE) ** 2)
        weights /= weights.sum()
    for row, brightness in enumerate(signal.brightness[number]):
        if not brightness:
            continue
        times = sampling.times[number, row] + sampling.row_s * within
        track = signal.track(times, sampling.span_s, sampling.resolution_hz) - (0 if shift is None else shift[row])
        low = max(int(np.floor(track.min() + deviations[0])) - LEAKAGE, 0)
        high = min(int(np.ceil(track.max() + deviations[-1])) + LEAKAGE + 1, bins)
        if low >= high:
            continue
        offsets = np.arange(low, high)[:, None, None] - track[:, None] - deviations
        profile = (np.sinc(offsets) ** 2).mean(axis=1) @ weights
        panel[row, low:high] += power * brightness * profile
