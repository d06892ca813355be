"""Cadences of a crowded band: persistent emission, combs, skewed noise, other signals.

The backgrounds are those of the competition's simulation with every feature likely; the noise is gamma-distributed,
and each row and panel has a gain of its own.
"""

import numpy as np

from seti.data.cadence import ON_PANELS
from seti.simulation.emission import SYSTEM_LEVEL, draw_background
from seti.simulation.kinds import Contents, Limits, brightness_of
from seti.simulation.signals import draw_signal
from seti.simulation.spectra import BINS, DF, DT, PANELS, ROWS, SLEW, standardise

LONGEST = PANELS * ROWS * DT + (PANELS - 1) * SLEW[1]  # s of a cadence
SHARES = {"slope": 0.9, "comb": 0.8, "emission": 0.9, "bursts": 0.7, "flicker": 0.7, "spike": 0.5}
FORM = (1.5, 12.0)  # of the noise's gamma distribution; the skew is 2 / sqrt(form)
LINES = 2.0  # lines of fixed frequency on average
OTHERS = 1.0  # other moving signals on average, seen in an OFF panel at least
SHAPES = {"line": 0.4, "wiggle": 0.2, "dashes": 0.2, "blip": 0.1, "sine": 0.1}
REACH = 8  # bins on each side of a track


def draw(rng: np.random.Generator, kind: str, limits: Limits) -> tuple[np.ndarray, Contents]:
    """Draw a cadence of a kind; arguments and result are those of `setigen_cadences.draw`."""
    starts = np.concatenate([[0], np.cumsum(ROWS * DT + rng.uniform(*SLEW, PANELS - 1))])
    times = starts[:, None] + DT * np.arange(ROWS)
    background = draw_background(rng, SHARES, PANELS, ROWS, BINS)
    brightness = np.maximum(background.brightness, 0) + _lines(rng)
    form = float(np.exp(rng.uniform(*np.log(FORM))))
    noise = rng.standard_gamma(form, brightness.shape, dtype=np.float32)
    noise -= np.float32(form)
    noise *= np.float32(1 / np.sqrt(form))
    panels = brightness + noise * (1 + brightness / SYSTEM_LEVEL) + background.spike
    for _ in range(rng.poisson(OTHERS)):
        other = ("decoy_everywhere", "decoy_off_only", "decoy_partial")[rng.integers(3)]
        _add_signal(rng, panels, times, brightness_of(rng, other, limits.complete), limits)
    shown = brightness_of(rng, kind, limits.complete)
    contents = _add_signal(rng, panels, times, shown, limits) if shown.any() else Contents()
    panels *= 1 + 0.02 * rng.standard_normal((PANELS, ROWS, 1))
    panels += 0.2 * rng.standard_normal((PANELS, ROWS, 1))
    return standardise(panels), contents


def _lines(rng: np.random.Generator) -> np.ndarray:
    """Draw lines of fixed frequency that come and go, never in ON panels alone."""
    total = np.zeros((PANELS, ROWS, BINS))
    for _ in range(rng.poisson(LINES)):
        across = np.exp(-0.5 * ((np.arange(BINS) - rng.uniform(0, BINS)) / rng.uniform(0.5, 2)) ** 2)
        shown = rng.random((PANELS, 1)) < rng.uniform(0.5, 1)
        along = rng.uniform(0.5, 8) * rng.gamma(2, 0.5, (PANELS, ROWS)) * shown
        along[1] = np.maximum(along[1], along[list(ON_PANELS)].max(axis=0))
        total += along[..., None] * across
    return total


def _add_signal(
    rng: np.random.Generator, panels: np.ndarray, times: np.ndarray, brightness: np.ndarray, limits: Limits
) -> Contents:
    shown = tuple(np.flatnonzero(brightness).tolist())
    shape = str(rng.choice(list(SHAPES), p=list(SHAPES.values())))
    snr, rate = limits.draw_snr(rng), limits.draw_drift_rate(rng)
    signal = draw_signal(rng, shape, shown, snr, rate, times, BINS, DF)
    sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(2.5))))  # bins
    for number in shown:
        track = signal.track[number]
        at = np.rint(track).astype(int)[:, None] + np.arange(-REACH, REACH + 1)
        power = snr / np.sqrt(ROWS) * brightness[number] * signal.profile[number][:, None]
        power = power * np.exp(-0.5 * ((at - track[:, None]) / sigma) ** 2)
        inside = (at >= 0) & (at < BINS)
        panels[number][np.broadcast_to(np.arange(ROWS)[:, None], at.shape)[inside], at[inside]] += power[inside]
    return Contents(shape, snr, rate * ROWS * DT / DF, shown)
