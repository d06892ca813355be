"""Tracks of signals: frequency against time, straight or not.

Times are in panels from the first row of the cadence, unobserved time between panels included; frequencies in bins.
"""

import numpy as np

from seti.simulation.wide.draws import between_knots, count_knots, in_turn, log_uniform, sign

SHAPES = {
    "line": 0.4,
    "curve": 0.1,
    "s_shape": 0.08,
    "sine": 0.1,
    "wiggle": 0.1,
    "random_walk": 0.09,
    "kink": 0.06,
    "staircase": 0.05,
    "zigzag": 0.04,
    "two_tones": 0.04,
}


def draw_swing(rng: np.random.Generator, shape: str, times: np.ndarray) -> np.ndarray:
    """Draw a track's deviation from its straight line.

    Args:
        rng: source of all random draws.
        shape: one of `SHAPES`.
        times: `(panels, rows)` in panels.

    Returns:
        `(panels, rows)`, in bins.
    """
    return _SWINGS[shape](rng, times)


def _line(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    return np.zeros_like(times)


def _curve(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Second or third order, or an exponential approach to a final frequency."""
    ahead = times / times.max()
    bend, lot = sign(rng) * log_uniform(rng, 3, 80), rng.random()
    if lot < 0.6:
        return 4 * bend * ahead * (1 - ahead)
    if lot < 0.8:
        return 10 * bend * ahead * (1 - ahead) * (ahead - rng.uniform(0.3, 0.7))
    return bend * np.exp(-ahead / log_uniform(rng, 0.05, 0.6))


def _s_shape(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """One bend each way, in the cadence or in each panel."""
    swing, width = sign(rng) * log_uniform(rng, 3, 50), log_uniform(rng, 0.1, 1.5)
    if rng.random() < 0.6:
        return swing * np.tanh((times - rng.uniform(0.2, 0.8) * times.max()) / width)
    inside = np.linspace(-1, 1, times.shape[1])
    return np.broadcast_to(0.6 * swing * np.sin(np.pi * inside * rng.uniform(0.6, 1.3)), times.shape).copy()


def _sine(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    period = log_uniform(rng, 0.15, 7)
    # No steeper than three bins in a 273rd of a panel.
    swing = min(log_uniform(rng, 1.5, 50), 130 * period)
    return swing * np.sin(2 * np.pi * (times / period + rng.random()))


def _wiggle(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Random deviations that stay within a few bins."""
    knots = count_knots(rng, times, 0.01, 0.3)
    return log_uniform(rng, 0.5, 5) * between_knots(times, rng.standard_normal(knots))


def _random_walk(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    steps = int(times.max() * 60) + 2
    walk = np.cumsum(rng.standard_normal(steps)) / np.sqrt(60)
    return log_uniform(rng, 1, 15) * between_knots(times, walk)


def _kink(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Drift rate that changes once or a few times."""
    total = np.zeros_like(times)
    for _ in range(1 + rng.poisson(0.5)):
        total += rng.normal() * 12 * np.maximum(times - rng.uniform(0, times.max()), 0)
    return total


def _staircase(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Steps of an oscillator that is corrected now and then."""
    slope, period = sign(rng) * log_uniform(rng, 1, 25), log_uniform(rng, 0.1, 1.5)
    phase = times / period + rng.random()
    return slope * period * (np.floor(phase) - phase)


def _zigzag(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    phase = (times / log_uniform(rng, 0.2, 4) + rng.random()) % 1
    return log_uniform(rng, 2, 25) * (4 * np.abs(phase - 0.5) - 1)


def _two_tones(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Two frequencies in turn, at random or regularly."""
    pace = log_uniform(rng, 0.02, 0.6)
    if rng.random() < 0.5:
        high = in_turn(rng, times, pace, 0.3, 0.7)
    else:
        high = rng.random(int(times.max() / pace) + 2)[(times / pace).astype(int)] < 0.5
    return log_uniform(rng, 1, 20) * (high - 0.5)


_SWINGS = {
    "line": _line,
    "curve": _curve,
    "s_shape": _s_shape,
    "sine": _sine,
    "wiggle": _wiggle,
    "random_walk": _random_walk,
    "kink": _kink,
    "staircase": _staircase,
    "zigzag": _zigzag,
    "two_tones": _two_tones,
}
