"""Interference other than lines: packets, sweeps, dropouts, flagged bins."""

import numpy as np

from seti.simulation.wide.draws import log_uniform, sign


def add_patches(rng: np.random.Generator, brightness: np.ndarray) -> None:
    """Add rectangles of power, as packets give, in place; one at least is in an OFF panel."""
    panels, rows, bins = brightness.shape
    level, length, width = log_uniform(rng, 0.3, 20), log_uniform(rng, 0.01, 0.3) * rows, log_uniform(rng, 12, 120)
    grid = rng.uniform(5, 40) if rng.random() < 0.5 else 0.0
    numbers = rng.integers(panels, size=1 + rng.poisson(6))
    numbers[0] = rng.choice([1, 3, 5])
    for number in numbers:
        first = rng.uniform(-width / 2, bins - width / 2)
        first = round(first / grid) * grid if grid else first
        begin, end = max(int(first), 0), max(int(first + width), 1)
        row = int(rng.uniform(-0.02, 1) * rows)
        brightness[number, max(row, 0) : row + max(int(length), 1), begin:end] += np.float32(level)


def add_sweeps(rng: np.random.Generator, brightness: np.ndarray) -> None:
    """Add fast sweeps across the band, in place, in ON and OFF panels alike."""
    panels, rows, bins = brightness.shape
    level, width = log_uniform(rng, 0.5, 15), log_uniform(rng, 1, 10)
    lasting = log_uniform(rng, 0.01, 0.5) * rows  # rows that a sweep takes
    direction, period = sign(rng), lasting + log_uniform(rng, 0.2, 1.5) * rows
    first, at = rng.uniform(0, period), np.arange(bins)
    for number in range(panels):
        time = (number * rows * 1.1 + np.arange(rows) + first) % period
        for row in np.flatnonzero(time < lasting):
            middle = direction * (time[row] / lasting - 0.5) * bins + bins / 2
            spread = width + 0.5 * bins / lasting
            brightness[number, row] += (level * np.exp(-0.5 * ((at - middle) / spread) ** 2)).astype(np.float32)


def drop_out(rng: np.random.Generator, panels: np.ndarray) -> None:
    """Set rows, bins, or both to one value, in place, as flagging and lost packets do."""
    count, rows, bins = panels.shape
    value = float(panels.min()) if rng.random() < 0.4 else float(panels[:, ::8].mean())
    if rng.random() < 0.6:
        for _ in range(1 + rng.poisson(1)):
            row = int(rng.integers(rows))
            panels[rng.integers(count), row : row + max(1, int(log_uniform(rng, 0.004, 0.15) * rows))] = value
    if rng.random() < 0.6:
        for _ in range(1 + rng.poisson(1)):
            first = int(rng.integers(bins))
            panels[:, :, first : first + int(log_uniform(rng, 1, 12))] = value
