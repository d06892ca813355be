"""Tracks and time profiles of narrowband signals, the needles and decoys.

A signal is one track through the whole cadence, including slews and unobserved panels, so its drift is continuous from
panel to panel. Times are in seconds from the first row of panel 0 and frequencies in bins, so signals can be added to
cadences of any shape `(panels, rows, bins)`. This module needs only numpy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SHAPES = ("line", "sine", "wiggle", "dashes", "blip")

MAX_SWING = 20.0  # bins; maximum deviation of a track from its straight line
EDGE = 4.0  # bins; minimum distance of a track from the edges of the band


@dataclass(frozen=True)
class Signal:
    """Narrowband signal in a cadence.

    Attributes:
        shape: one of `SHAPES`.
        panels: panels in which the signal is on.
        snr: signal-to-noise ratio, integrated along the track over one panel; see `seti.simulate`.
        drift_rate: drift rate in Hz/s of the straight line that the track follows.
        width: full width at half maximum in frequency, in bins.
        track: `(panels, rows)`, frequency in bins at each row of every panel.
        profile: `(panels, rows)`, relative intensity, with root mean square 1 over each panel in which the signal is on
            and 0 in the others.
    """

    shape: str
    panels: tuple[int, ...]
    snr: float
    drift_rate: float
    width: float
    track: np.ndarray
    profile: np.ndarray


def draw_signal(
    rng: np.random.Generator,
    shape: str,
    panels: tuple[int, ...],
    snr: float,
    drift_rate: float,
    times: np.ndarray,
    bins: int,
    df: float,
) -> Signal:
    """Draw a signal whose track stays inside the band in all panels in which it is on.

    Args:
        rng: source of all other random draws.
        shape: one of `SHAPES`.
        panels: panels in which the signal is on.
        snr: signal-to-noise ratio over one panel.
        drift_rate: drift rate in Hz/s.
        times: `(panels, rows)` in s, slews included.
        bins: width of the band in bins.
        df: width of a bin in Hz.
    """
    track = drift_rate / df * times + draw_swing(shape, rng, times)
    seen = track[list(panels)]
    # A track wider than the band cannot fit, and is centred instead.
    margin = max(bins - 1 - 2 * EDGE - np.ptp(seen), 0.0)
    track += (bins - 1 - np.ptp(seen) - margin) / 2 + rng.uniform(0, margin) - seen.min()
    profile = np.zeros_like(track)
    drawn = draw_profile(shape, rng, times)
    for panel in panels:
        profile[panel] = drawn[panel] / np.sqrt(np.mean(drawn[panel] ** 2))
    return Signal(shape, panels, snr, drift_rate, rng.uniform(1.5, 2.5), track, profile)


def draw_swing(shape: str, rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw a track's deviation from its straight line.

    Returns:
        `(panels, rows)` like `times`, in bins, with absolute values up to `MAX_SWING`.
    """
    if shape == "sine":
        period = rng.uniform(250, 2000)  # s, from one S per panel to one per cadence
        return rng.uniform(4, MAX_SWING) * np.sin(2 * np.pi * (times / period + rng.uniform()))
    if shape == "wiggle":
        # A random walk minus its running mean, which stays within about 2-3 bins.
        step, window = 4.0, 25  # s; steps
        steps = int(times.max() / step) + window + 2
        walk = np.cumsum(rng.standard_normal(steps))
        walk = walk[window // 2 : -(window // 2)] - np.convolve(walk, np.full(window, 1 / window), "valid")
        walk *= rng.uniform(0.9, 1.6) / walk.std()
        return np.interp(times, step * np.arange(len(walk)), walk)
    return np.zeros_like(times)


def draw_profile(shape: str, rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw a signal's time profile.

    Returns:
        `(panels, rows)` like `times`, between 0 and 1, and above 0 in at least one row of each panel.
    """
    draw = {"wiggle": _stretch, "dashes": _dashes, "blip": _blip}.get(shape, _steady)
    return draw(rng, times)


def _steady(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return np.ones_like(times)


def _stretch(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw a profile that is on in part of each panel, or in all of it."""
    if rng.random() < 0.5:
        return np.ones_like(times)
    return _in_each_panel(rng, times, lambda rows: rng.uniform(0.4, 0.9) * rows)


def _blip(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw a profile that is on in a few rows of each panel."""
    return _in_each_panel(rng, times, lambda _: rng.uniform(4, 25))


def _in_each_panel(rng: np.random.Generator, times: np.ndarray, draw_length: Callable[[int], float]) -> np.ndarray:
    profile = np.zeros_like(times)
    rows = times.shape[1]
    for panel in profile:
        length = min(max(int(draw_length(rows)), 1), rows)
        start = rng.integers(rows - length + 1)
        panel[start : start + length] = 1
    return profile


def _dashes(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw a profile that is alternately on and off, with one period through the whole cadence."""
    panel_length = times[0, -1] - times[0, 0]
    period = panel_length * rng.uniform(0.06, 0.3)
    return ((times / period + rng.uniform()) % 1 < rng.uniform(0.35, 0.7)).astype(float)
