"""Noise of a coarse channel: chi-square, under the response of a polyphase filter bank.

In units of the mean power in the middle of the channel.
"""

import functools

import numpy as np

TAPS = 8  # of the filter bank
SPIKE = (2.0, 30.0)  # power of the DC bin


@functools.lru_cache(maxsize=4)
def polyphase_response(width: int, taps: int = TAPS) -> np.ndarray:
    """Power response of a critically sampled polyphase filter bank with a Hamming window.

    At the edge a tone is half as strong, and so is its alias from the neighbouring channel: noise is at 0.5 there.

    Args:
        width: number of fine channels.
        taps: of the filter.

    Returns:
        `(width,)`, 1 in the middle.
    """
    time = np.arange(-taps / 2, taps / 2, 1 / 32) + 1 / 64
    window = np.hamming(len(time)) * np.sinc(time)
    edges = np.linspace(0, 1, 513)  # from the middle of the channel to that of its neighbour
    gain = (np.cos(2 * np.pi * edges[:, None] * time) @ window / window.sum()) ** 2
    folded = gain[:257] + gain[512:255:-1]  # up to the edge, with the alias
    distance = np.abs(np.arange(width) + 0.5 - width / 2) / width
    return np.interp(distance, edges[:257], folded / folded[0])


def draw_bandpass(rng: np.random.Generator, width: int) -> np.ndarray:
    """Draw the mean power of a coarse channel.

    Returns:
        `(width,)`: the filter's response, times a slope and in half of the channels broad emission.
    """
    knots = 1 + rng.uniform(0.02, 0.15) * rng.uniform(-1, 1, 4)
    place = np.linspace(-1, 1, width)
    mean = np.polynomial.polynomial.polyval(place, np.polynomial.polynomial.polyfit(np.linspace(-1, 1, 4), knots, 3))
    if rng.random() < 0.5:
        middle, spread = rng.uniform(-0.8, 0.8), rng.uniform(0.01, 0.1)
        mean += rng.uniform(0.03, 0.3) * np.exp(-0.5 * ((place - middle) / spread) ** 2)
    return polyphase_response(width) * np.maximum(mean, 0.1)


def draw_gains(rng: np.random.Generator, panels: int, rows: int) -> np.ndarray:
    """Draw the gain of each row: it wanders by a percent, and a few rows are brighter (bursts).

    Returns:
        `(panels, rows)`.
    """
    gains = 1 + 0.003 * rng.standard_normal((panels, rows)) + 0.01 * rng.standard_normal((panels, 1))
    bursts = rng.random((panels, rows)) < 0.03
    return np.where(bursts, gains * rng.uniform(1.02, 1.2, (panels, rows)), gains)


def draw_noise(rng: np.random.Generator, rows: int, width: int, looks: int) -> np.ndarray:
    """Draw chi-square noise of mean 1.

    Args:
        rng: source of the noise.
        rows: number of rows.
        width: number of fine channels.
        looks: independent samples in a pixel; the noise has 2 degrees of freedom for each.

    Returns:
        `(rows, width)` float32.
    """
    return rng.standard_gamma(looks, (rows, width), dtype=np.float32) / np.float32(looks)
