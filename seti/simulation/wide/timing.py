"""Brightness of signals in time: steady, dashes, dots, pulses, scintillation.

Times are in panels from the first row of the cadence, as in `tracks`.
"""

import numpy as np

from seti.simulation.wide.draws import between_knots, count_knots, in_turn, log_uniform

TIMINGS = {
    "steady": 0.42,
    "dashes": 0.12,
    "dots": 0.05,
    "blip": 0.08,
    "stretch": 0.1,
    "pulse": 0.05,
    "beat": 0.05,
    "scintillation": 0.08,
    "noisy": 0.05,
}


def draw_timing(rng: np.random.Generator, kind: str, times: np.ndarray) -> np.ndarray:
    """Draw a brightness that is above 0 in at least one row of each panel.

    Args:
        rng: source of all random draws.
        kind: one of `TIMINGS`.
        times: `(panels, rows)` in panels.

    Returns:
        `(panels, rows)`, not negative.
    """
    drawn = _TIMINGS[kind](rng, times)
    for panel in drawn:
        if not panel.any():
            panel[rng.integers(len(panel))] = 1
    return drawn


def _steady(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return np.ones_like(times)


def _dashes(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return in_turn(rng, times, log_uniform(rng, 0.03, 0.6), 0.2, 0.85)


def _dots(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Single short flashes, evenly spaced or scattered."""
    rows = times.shape[1]
    dots, length = np.zeros_like(times), max(1, int(rng.integers(1, 5) * rows / 273))
    for panel in dots:
        for start in rng.integers(rows, size=1 + rng.poisson(4)):
            panel[start : start + length] = 1
    return dots


def _blip(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A few rows of each panel."""
    return _in_each_panel(rng, times, log_uniform(rng, 0.01, 0.15), rng.random() < 0.5)


def _stretch(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A part of each panel."""
    return _in_each_panel(rng, times, rng.uniform(0.25, 0.95), rng.random() < 0.2)


def _in_each_panel(rng: np.random.Generator, times: np.ndarray, share: float, alike: bool) -> np.ndarray:
    drawn, rows = np.zeros_like(times), times.shape[1]
    length = min(max(int(share * rows), 1), rows)
    start = rng.integers(rows - length + 1)
    for panel in drawn:
        start = start if alike else rng.integers(rows - length + 1)
        panel[start : start + length] = 1
    return drawn


def _pulse(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A rise and a fall in each panel."""
    inside = np.linspace(0, 1, times.shape[1])
    middles = rng.uniform(0, 1, (len(times), 1)) if rng.random() < 0.5 else rng.uniform(0, 1)
    return np.exp(-0.5 * ((inside - middles) / log_uniform(rng, 0.03, 0.4)) ** 2) + np.zeros_like(times)


def _beat(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return 1 + rng.uniform(0.3, 1) * np.sin(2 * np.pi * (times / log_uniform(rng, 0.05, 3) + rng.random()))


def _scintillation(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    knots = count_knots(rng, times, 0.02, 1)
    return between_knots(times, np.exp(rng.uniform(0.3, 1) * rng.standard_normal(knots)))


def _noisy(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Another brightness in each row, with none in some."""
    form = log_uniform(rng, 0.4, 4)
    return rng.gamma(form, 1 / form, times.shape) * (rng.random(times.shape) < rng.uniform(0.5, 1))


_TIMINGS = {
    "steady": _steady,
    "dashes": _dashes,
    "dots": _dots,
    "blip": _blip,
    "stretch": _stretch,
    "pulse": _pulse,
    "beat": _beat,
    "scintillation": _scintillation,
    "noisy": _noisy,
}
