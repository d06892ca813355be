"""Background emission modelled on real snippets: bands, combs, bursts, flicker, DC spike.

Brightness is in units of the thermal noise of one pixel, above a flat system noise of `SYSTEM_LEVEL`. The measurements
behind the ranges below are in docs/simulation.md.
"""

from dataclasses import dataclass

import numpy as np

FEATURES = ("slope", "comb", "emission", "bursts", "flicker", "spike")

# A radiometer's noise grows with the received power. In real snippets the noise of steady bins grows by 0-0.05 per unit
# of brightness (docs/simulation.md); a flat level of 25 deviations gives 0.04.
SYSTEM_LEVEL = 25.0
SPIKE_SPACING = 256  # bins; a field of this width has the DC spike with exactly the configured probability


@dataclass(frozen=True)
class Background:
    """Background of a field before noise.

    Attributes:
        features: names of the features present, out of `FEATURES`.
        brightness: `(panels, rows, bins)` in units of the thermal noise.
        spike: `(bins,)` in the same units, added after the noise because it does not increase it.
    """

    features: tuple[str, ...]
    brightness: np.ndarray
    spike: np.ndarray


def draw_background(
    rng: np.random.Generator, shares: dict[str, float], panels: int, rows: int, bins: int
) -> Background:
    """Draw a background.

    Args:
        rng: source of all random draws.
        shares: the probability of each of `FEATURES`.
        panels: number of panels.
        rows: number of rows per panel.
        bins: width of the field, which may exceed that of a cadence.
    """
    probability = {name: shares[name] for name in FEATURES}
    probability["spike"] *= bins / SPIKE_SPACING
    features = tuple(name for name in FEATURES if rng.random() < probability[name])

    brightness = np.zeros((panels, rows, bins))
    # A profile constant in time, which bursts and flicker also follow in part.
    profile = np.zeros(bins)
    if "slope" in features:
        profile += _slope(rng, bins)
    if "comb" in features:
        comb = _comb(rng, bins)
        if rng.random() < 0.15:
            _add_slanted(rng, brightness, comb)
        else:
            profile += comb
    # Bursts and flicker brighten the whole band, and its features a little more.
    response = 1 + rng.uniform(0, 1) * _unit(profile) + rng.uniform(0, 0.6) * _unit(_slope(rng, bins))
    steadiness = rng.uniform(0, 0.25)
    for panel in brightness:
        panel += (1 + steadiness * _smooth(rng, rows, 6))[:, None] * profile
    if "emission" in features:
        for _ in range(1 + (rng.random() < 0.3)):
            _add_emission(rng, brightness)
    if "bursts" in features:
        for panel in brightness:
            panel += _bursts(rng, rows)[:, None] * response
    if "flicker" in features:
        _add_flicker(rng, brightness, response)
    # Power is never negative: the deepest dip keeps a tenth of the system level.
    np.maximum(brightness, -0.9 * SYSTEM_LEVEL, out=brightness)

    spike = np.zeros(bins)
    if "spike" in features:
        spike[rng.integers(bins)] = _log_uniform(rng, 15, 200)
    return Background(features, brightness, spike)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _unit(values: np.ndarray) -> np.ndarray:
    """Shift and scale to 0..1; constant values are returned unchanged."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else values


def _smooth(rng: np.random.Generator, length: int, knots: int) -> np.ndarray:
    """Draw a slowly varying curve of about unit standard deviation."""
    return np.interp(np.linspace(0, knots - 1, length), np.arange(knots), rng.standard_normal(knots))


def _slope(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Draw a sloped and curved band, with a step in half of the draws."""
    x = np.linspace(-1, 1, bins)
    band = rng.normal() * x + rng.normal() * x**2
    if rng.random() < 0.5:
        band += 1.5 * rng.normal() * np.tanh((x - rng.uniform(-1, 1)) / rng.uniform(0.02, 0.3))
    return _log_uniform(rng, 0.4, 6) * _unit(band)


def _comb(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Draw a comb of evenly spaced teeth that grow towards one edge."""
    at = np.arange(bins)
    teeth = (0.5 + 0.5 * np.cos(2 * np.pi * (at / _log_uniform(rng, 14, 60) + rng.uniform()))) ** rng.uniform(1, 3)
    from_edge = at if rng.random() < 0.5 else at[::-1]
    envelope = np.exp(-from_edge / _log_uniform(rng, 40, 400))
    return _log_uniform(rng, 1.5, 25) * envelope * (teeth + rng.uniform(0, 0.5))


def _add_slanted(rng: np.random.Generator, brightness: np.ndarray, profile: np.ndarray) -> None:
    """Add a drifting profile, which gives slanted bands."""
    _, rows, bins = brightness.shape
    drift = rng.uniform(-20, 20) / rows  # bins a row
    at = np.arange(bins)[None, :] - drift * np.arange(rows)[:, None]
    slanted = np.interp(at, np.arange(bins), profile)
    for panel in brightness:
        panel += rng.uniform(0.5, 1.2) * slanted


def _add_emission(rng: np.random.Generator, brightness: np.ndarray) -> None:
    """Add a pulsing band with a halo; it may be intermittent or change frequency."""
    _, rows, bins = brightness.shape
    centre = rng.uniform(0, bins)
    core, halo = _log_uniform(rng, 1, 6), rng.uniform(10, 40)
    level, share = _log_uniform(rng, 6, 60), rng.uniform(0, 0.25)
    beat, depth = rng.uniform(40, 200), rng.uniform(0, 0.6)
    roaming, intermittent, rough = rng.random(3) < (0.25, 0.35, 0.5)
    for panel in brightness:
        if roaming and rng.random() < 0.4:
            centre = rng.uniform(0, bins)
        off = np.arange(bins) - centre
        across = (1 - share) / (1 + (off / core) ** 2) + share * np.exp(-0.5 * (off / halo) ** 2)
        along = 1 + depth * np.sin(2 * np.pi * (np.arange(rows) / beat + rng.uniform())) + 0.2 * _smooth(rng, rows, 8)
        if intermittent:
            along *= _smooth(rng, rows, 5) > rng.uniform(-1, 0.5)
        if rough:
            along *= rng.gamma(3, 1 / 3, rows)
        panel += level * np.maximum(along, 0)[:, None] * across


def _bursts(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Draw short stretches of bright rows."""
    along = np.zeros(rows)
    for _ in range(rng.poisson(1.5)):
        length = int(_log_uniform(rng, 1, 30))
        start = rng.integers(rows)
        window = along[start : start + length]
        window += _log_uniform(rng, 1, 20) * rng.uniform(0.6, 1.0, len(window))
    return along


def _add_flicker(rng: np.random.Generator, brightness: np.ndarray, response: np.ndarray) -> None:
    """Add flicker of rows across the whole band, stronger in some stretches than in others."""
    _, rows, _ = brightness.shape
    level, shape = _log_uniform(rng, 0.15, 2.5), rng.uniform(0.7, 4)
    for panel in brightness:
        stretches = np.exp(0.8 * _smooth(rng, rows, rng.integers(3, 12)))
        panel += level * (stretches * rng.gamma(shape, 1 / shape, rows))[:, None] * response
