"""Tracks and time profiles of narrow signals, drawn with numpy alone: what a needle and a decoy look like.

A signal is one track through the whole cadence, slews and unobserved panels included, so that its drift is
continuous from panel to panel. Times are seconds from the first row of panel 0, and frequencies are bins, so
any cadence of `(panels, rows, bins)` can carry one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SHAPES = ("line", "sine", "wiggle", "dashes", "blip")

MAX_SWING = 20.0  # bins: how far a track may leave its straight line to either side
EDGE = 4.0  # bins that a track keeps from the edges of the band


@dataclass(frozen=True)
class Signal:
    """A drawn signal.

    Attributes:
        shape: one of `SHAPES`.
        panels: the panels in which it is on.
        snr: signal-to-noise ratio, integrated along the track over one panel; see `seti.simulate`.
        drift_rate: Hz/s, of the straight line that the track follows.
        width: full width at half maximum across frequency, in bins.
        track: `(panels, rows)`, the frequency in bins at each row of every panel.
        profile: `(panels, rows)`, the relative intensity, of root mean square 1 over each panel it is on in,
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
    """Draw a signal whose track stays inside the band in every panel that it is on in.

    Args:
        rng: draws what the other arguments leave open.
        shape: one of `SHAPES`.
        panels: the panels in which it is on.
        snr: signal-to-noise ratio over one panel.
        drift_rate: Hz/s.
        times: `(panels, rows)` in s, slews included.
        bins: width of the band.
        df: width of a bin in Hz.
    """
    track = drift_rate / df * times + draw_swing(shape, rng, times)
    seen = track[list(panels)]
    # A track wider than the band cannot be placed inside: then its middle goes to the middle.
    room = max(bins - 1 - 2 * EDGE - np.ptp(seen), 0.0)
    track += (bins - 1 - np.ptp(seen) - room) / 2 + rng.uniform(0, room) - seen.min()
    profile = np.zeros_like(track)
    drawn = draw_profile(shape, rng, times)
    for panel in panels:
        profile[panel] = drawn[panel] / np.sqrt(np.mean(drawn[panel] ** 2))
    return Signal(shape, panels, snr, drift_rate, rng.uniform(1.5, 2.5), track, profile)


def draw_swing(shape: str, rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw how far a track leaves its straight line.

    Returns:
        As `times`, in bins, never beyond `MAX_SWING`.
    """
    if shape == "sine":
        period = rng.uniform(250, 2000)  # s: from one S in a panel to one in the cadence
        return rng.uniform(4, MAX_SWING) * np.sin(2 * np.pi * (times / period + rng.uniform()))
    if shape == "wiggle":
        # A random walk less its own running mean: it wanders by +-2-3 bins and never away.
        step, window = 4.0, 25  # s; steps
        steps = int(times.max() / step) + window + 2
        walk = np.cumsum(rng.standard_normal(steps))
        walk = walk[window // 2 : -(window // 2)] - np.convolve(walk, np.full(window, 1 / window), "valid")
        walk *= rng.uniform(0.9, 1.6) / walk.std()
        return np.interp(times, step * np.arange(len(walk)), walk)
    return np.zeros_like(times)


def draw_profile(shape: str, rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draw when a signal is on.

    Returns:
        `(panels, rows)` as `times`, between 0 and 1, and above 0 somewhere in each panel.
    """
    draw = {"wiggle": _stretch, "dashes": _dashes, "blip": _blip}.get(shape, _steady)
    return draw(rng, times)


def _steady(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return np.ones_like(times)


def _stretch(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A part of each panel, or the whole."""
    if rng.random() < 0.5:
        return np.ones_like(times)
    return _in_each_panel(rng, times, lambda rows: rng.uniform(0.4, 0.9) * rows)


def _blip(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A few rows of each panel."""
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
    """On and off in turn, at one beat through the whole cadence."""
    panel_length = times[0, -1] - times[0, 0]
    period = panel_length * rng.uniform(0.06, 0.3)
    return ((times / period + rng.uniform()) % 1 < rng.uniform(0.35, 0.7)).astype(float)
