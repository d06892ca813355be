"""Short random draws that the modules of randomised cadences share."""

import math
from collections.abc import Mapping

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number evenly in its logarithm."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Draw a name by its weight."""
    lot = rng.random() * sum(weights.values())
    for name, weight in weights.items():
        lot -= weight
        if lot < 0:
            return name
    return name


def sign(rng: np.random.Generator) -> float:
    """Draw -1 or 1."""
    return 1.0 if rng.random() < 0.5 else -1.0


def smooth(rng: np.random.Generator, length: int, knots: int) -> np.ndarray:
    """Draw a slowly varying curve of about unit deviation, `(length,)`."""
    knots = max(int(knots), 2)
    return np.interp(np.linspace(0, knots - 1, length), np.arange(knots), rng.standard_normal(knots))


def between_knots(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate between values at knots, evenly spaced from time 0 to the last one."""
    return np.interp(times / times.max() * (len(values) - 1), np.arange(len(values)), values)


def count_knots(rng: np.random.Generator, times: np.ndarray, low: float, high: float) -> int:
    """Draw a number of knots whose distance lies between two times, at least 4."""
    return max(int(times.max() / log_uniform(rng, low, high)), 2) + 2


def in_turn(rng: np.random.Generator, times: np.ndarray, period: float, low: float, high: float) -> np.ndarray:
    """Mark one part of each period, whose share is drawn between two limits."""
    return (times / period + rng.random()) % 1 < rng.uniform(low, high)


def unit(values: np.ndarray) -> np.ndarray:
    """Shift and scale to 0..1; constant values become 0."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else np.zeros_like(values)
