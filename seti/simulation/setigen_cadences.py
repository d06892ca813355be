"""Cadences made with setigen alone: its chi-square noise, paths and profiles.

A cadence is one frame of six times 273 rows, without time between panels. The band is even but for a few bright
stretches of fixed frequency.
"""

import functools
from typing import Any

import numpy as np

from seti.simulation.kinds import Contents, Limits, brightness_of
from seti.simulation.spectra import BINS, DF, DT, FCH1, PANELS, ROWS, import_setigen, standardise

LONGEST = PANELS * ROWS * DT  # s of a cadence
FREEDOM = (4, 12, 24, 48, 204)  # degrees of freedom of the noise
PATHS = ("constant", "squared", "sine", "jumping")
MEAN = 10.0  # of the noise


def draw(rng: np.random.Generator, kind: str, limits: Limits) -> tuple[np.ndarray, Contents]:
    """Draw a cadence of a kind.

    Args:
        rng: source of all random draws.
        kind: one of `kinds.KINDS`.
        limits: of the signals.

    Returns:
        `(6, 273, 256)` float16, each panel of mean 0 and deviation 1; and its signal.
    """
    frame = _frame(PANELS * ROWS)
    frame.rng, frame.chi2_df = rng, int(rng.choice(FREEDOM))
    frame.zero_data()
    frame.add_noise(x_mean=MEAN, noise_type="chi2")
    frame.noise_mean, frame.noise_std = MEAN, MEAN * np.sqrt(2 / frame.chi2_df)
    for _ in range(rng.poisson(0.8)):
        _add_band(rng, frame)
    if rng.random() < 0.3:
        _add_rfi(rng, frame)
    brightness = brightness_of(rng, kind, limits.complete)
    contents = _add_signal(rng, frame, brightness, limits) if brightness.any() else Contents()
    return standardise(frame.data.reshape(PANELS, ROWS, BINS)), contents


def _add_signal(rng: np.random.Generator, frame: Any, brightness: np.ndarray, limits: Limits) -> Contents:
    shape = str(rng.choice(PATHS, p=(0.5, 0.2, 0.2, 0.1)))
    snr, rate = limits.draw_snr(rng), limits.draw_drift_rate(rng)
    track = _path(rng, shape, rate)(frame.ts) / DF
    on = np.repeat(brightness > 0, ROWS)
    # A path wider than the band is cut off at its edges, in the middle of its panels.
    free = max(BINS - 9 - np.ptp(track[on]), 0.0)
    track += 4 + rng.uniform(0, free) - track[on].min() if free else BINS / 2 - np.median(track[on])
    level = snr * frame.noise_std / np.sqrt(ROWS)
    along = level * np.repeat(brightness, ROWS) * np.clip(_timing(rng)(frame.ts), 0, None)
    width = DF * float(np.exp(rng.uniform(np.log(1), np.log(6))))
    _add(frame, track, along, _across(rng, width), 6 * width / DF)
    panels = tuple(np.flatnonzero(brightness).tolist())
    return Contents(shape, snr, rate * ROWS * DT / DF, panels)


def _path(rng: np.random.Generator, shape: str, rate: float) -> Any:
    setigen = import_setigen()
    if shape == "squared":
        return setigen.squared_path(0.0, 2 * rate / LONGEST)  # from standstill to twice the rate
    if shape == "sine":
        return setigen.sine_path(0.0, rate, rng.uniform(300, 2500), rng.uniform(3, 15) * DF)
    if shape == "jumping":
        return setigen.simple_rfi_path(0.0, rate, rng.uniform(1, 6) * DF, "uniform", "stationary", rng)
    return setigen.constant_path(0.0, rate)


def _timing(rng: np.random.Generator) -> Any:
    setigen = import_setigen()
    lot = rng.random()
    if lot < 0.6:
        return setigen.constant_t_profile(1.0)
    if lot < 0.8:
        return setigen.sine_t_profile(rng.uniform(30, 600), rng.uniform(0, 600), rng.uniform(0.3, 1), 1.0)
    period = rng.uniform(30, 300)
    return setigen.periodic_gaussian_t_profile(
        period * rng.uniform(0.2, 0.5), period, rng.uniform(0, period), 0.1 * period, "up", 3, 1.5, 1.0, 0.0, rng
    )


def _across(rng: np.random.Generator, width: float) -> Any:
    setigen, lot = import_setigen(), rng.random()
    if lot < 0.4:
        return setigen.gaussian_f_profile(width)
    if lot < 0.6:
        return setigen.box_f_profile(max(width, 1.5 * DF))
    if lot < 0.8:
        return setigen.lorentzian_f_profile(width)
    return setigen.sinc2_f_profile(width)


def _add_band(rng: np.random.Generator, frame: Any) -> None:
    """Add a bright stretch of fixed frequency, wide and soft."""
    width, track = rng.uniform(8, 60), np.full(len(frame.ts), rng.uniform(0, BINS))
    along = rng.uniform(0.2, 3) * frame.noise_std * (1 + 0.3 * np.sin(frame.ts / rng.uniform(20, 400)))
    _add(frame, track, along, import_setigen().gaussian_f_profile(width * DF), 2 * width)


def _add_rfi(rng: np.random.Generator, frame: Any) -> None:
    """Add a line that wanders around a fixed frequency, in all panels."""
    kind, spread = ("stationary", 1.0) if rng.random() < 0.5 else ("random_walk", 0.05)
    spread *= rng.uniform(0.5, 4) * DF
    path = import_setigen().simple_rfi_path(0.0, 0.0, spread, "normal", kind, rng)
    track = path(frame.ts) / DF + rng.uniform(20, BINS - 20)
    along = np.full(len(frame.ts), rng.uniform(1, 8) * frame.noise_std)
    _add(frame, track, along, import_setigen().gaussian_f_profile(1.5 * DF), 8)


def _add(frame: Any, track: np.ndarray, along: np.ndarray, across: Any, reach: float) -> None:
    """Add a signal panel by panel, so that setigen computes the bins around it alone."""
    part = _frame(ROWS)
    for panel in range(PANELS):
        rows = slice(panel * ROWS, (panel + 1) * ROWS)
        middle = track[rows]
        if not along[rows].any() or middle.max() + reach < 0 or middle.min() - reach > BINS - 1:
            continue
        part.data, part.ts = frame.data[rows], frame.ts[rows]
        ends = np.sort(part.get_frequency(np.array([middle.min() - reach, middle.max() + reach])))
        part.add_signal(part.get_frequency(middle), along[rows], across, bounding_f_range=tuple(ends))


@functools.cache
def _frame(rows: int) -> Any:
    """Return the cached frame of a length, because creating one costs as much as its noise."""
    return import_setigen().Frame(shape=(rows, BINS), df=DF, dt=DT, fch1=FCH1, t_start=0.0, seed=0)
