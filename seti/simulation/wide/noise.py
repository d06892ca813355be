"""Families of noise: Gaussian, chi-square, heavy-tailed, correlated and others.

Radiometers give chi-square noise, whose degrees of freedom grow with the samples in a pixel; logarithms, quantisation
and windows before the Fourier transform change its tails and correlate its pixels.
"""

from dataclasses import dataclass

import numpy as np

from seti.simulation.wide.draws import log_uniform, pick, sign

FAMILIES = {
    "gaussian": 0.3,
    "chi_square": 0.36,
    "amplitude": 0.06,  # square root of power
    "logarithm": 0.08,
    "heavy_tailed": 0.1,
    "laplace": 0.04,
    "uniform": 0.03,
    "outliers": 0.03,
}
EULER = 0.5772156649


@dataclass(frozen=True)
class Noise:
    """Noise of a cadence.

    Attributes:
        family: one of `FAMILIES`.
        values: float32 `(panels, rows, bins)`, of mean 0 and deviation 1.
        growth: by which the deviation grows per unit of brightness, brightness being in deviations.
    """

    family: str
    values: np.ndarray
    growth: float


def draw_noise(rng: np.random.Generator, shape: tuple[int, int, int]) -> Noise:
    """Draw a family and its noise.

    Args:
        rng: source of all random draws.
        shape: panels, rows and bins.
    """
    family = pick(rng, FAMILIES)
    freedom = log_uniform(rng, 2, 400)
    values = SOURCES[family](rng, shape, freedom)
    if rng.random() < 0.3:
        _correlate(rng, values)
    # Of true chi-square noise the deviation is a fixed share of the power.
    growth = np.sqrt(2 / freedom) if family == "chi_square" and rng.random() < 0.7 else log_uniform(rng, 0.002, 0.5)
    if family != "chi_square" and rng.random() < 0.35:
        growth = 0.0
    return Noise(family, values, float(growth))


def _gaussian(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def chi_square(rng: np.random.Generator, shape: tuple[int, int, int], freedom: float) -> np.ndarray:
    """Draw chi-square noise of mean 0 and deviation 1.

    Few degrees of freedom are drawn exactly; from 5 on by the cube of a Gaussian (Wilson and Hilferty 1931, PNAS 17,
    684), which is off by less than 0.01 deviations between -2 and 4 deviations.
    """
    if freedom < 3:
        return rng.standard_exponential(shape, dtype=np.float32) - np.float32(1)
    if freedom < 5:
        values = rng.standard_exponential(shape, dtype=np.float32)
        values += rng.standard_exponential(shape, dtype=np.float32)
        values -= 2
        values *= np.float32(np.sqrt(0.5))
        return values
    values = rng.standard_normal(shape, dtype=np.float32)
    spread = 2 / (9 * freedom)
    values *= np.float32(np.sqrt(spread))
    values += np.float32(1 - spread)
    np.maximum(values, 0, out=values)
    values *= values * values
    values -= 1
    values *= np.float32(np.sqrt(freedom / 2))
    return values


def _amplitude(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    """Rayleigh noise."""
    values = np.sqrt(rng.standard_exponential(shape, dtype=np.float32))
    values -= np.float32(np.sqrt(np.pi) / 2)
    values *= np.float32(1 / np.sqrt(1 - np.pi / 4))
    return values


def _logarithm(rng: np.random.Generator, shape: tuple[int, int, int], freedom: float) -> np.ndarray:
    """Logarithm of chi-square power, with a tail to low values."""
    if freedom < 12:
        values = np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), np.float32(1e-6)))
        values += np.float32(EULER)
        values *= np.float32(np.sqrt(6) / np.pi)
        return values
    power = chi_square(rng, shape, freedom)
    power *= np.float32(np.sqrt(2 / freedom))
    power += 1
    np.log(np.maximum(power, np.float32(1e-3), out=power), out=power)
    power -= power[:, ::8].mean()
    power /= power[:, ::8].std()
    return power


def _heavy_tailed(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    """Gaussian noise whose deviation differs from pixel to pixel."""
    values = rng.standard_normal(shape, dtype=np.float32)
    spread = rng.uniform(0.15, 0.6)
    # The same numbers, moved far away, serve as the second source.
    moved = np.roll(
        values.ravel(), int(rng.integers(10_000, values.size) if values.size > 20_000 else values.size // 2)
    )
    values *= np.exp(np.float32(spread) * moved.reshape(shape) - np.float32(spread**2))
    return values


def _laplace(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    values = rng.standard_exponential(shape, dtype=np.float32)
    values -= rng.standard_exponential(shape, dtype=np.float32)
    values *= np.float32(np.sqrt(0.5))
    return values


def _uniform(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    values = rng.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(np.sqrt(12))
    return values


def _outliers(rng: np.random.Generator, shape: tuple[int, int, int], _: float) -> np.ndarray:
    """Gaussian noise with single bright or dark pixels."""
    values = rng.standard_normal(shape, dtype=np.float32)
    count = rng.poisson(values.size * log_uniform(rng, 1e-5, 3e-3))
    height = log_uniform(rng, 3, 40) * (sign(rng) if rng.random() < 0.3 else 1.0)
    values.ravel()[rng.integers(values.size, size=count)] += np.float32(height) * rng.standard_exponential(count)
    return values


SOURCES = {
    "gaussian": _gaussian,
    "chi_square": chi_square,
    "amplitude": _amplitude,
    "logarithm": _logarithm,
    "heavy_tailed": _heavy_tailed,
    "laplace": _laplace,
    "uniform": _uniform,
    "outliers": _outliers,
}


def _correlate(rng: np.random.Generator, values: np.ndarray) -> None:
    """Correlate neighbouring bins, rows, or both, in place, keeping the deviation."""
    where = rng.random()
    for axis in (2,) if where < 0.5 else (1,) if where < 0.75 else (1, 2):
        share = rng.uniform(0.1, 0.9) * (1.0 if rng.random() < 0.85 else -0.5)
        before = values.copy()
        here, there = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        values[here] += np.float32(share) * before[there]
        values *= np.float32(1 / np.sqrt(1 + share**2))
