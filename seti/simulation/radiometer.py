"""Cadences as a spectrometer records them: raw power of few samples a pixel.

Noise, bandpass and lines are those of the simulated observations, in rows as short as the competition's: chi-square
noise of 12 degrees of freedom, whose deviation is 0.4 of the power, and lines as a Fourier transform without window
leaves them.
"""

import numpy as np

from seti.simulation.bandpass import SPIKE, draw_gains, draw_noise, polyphase_response
from seti.simulation.kinds import EVERYWHERE, Contents, Limits, brightness_of
from seti.simulation.narrowband import Narrowband, Sampling, add_signal
from seti.simulation.spectra import BINS, DF, DT, PANELS, ROWS

SLEW = (5.0, 90.0)  # s between panels
LONGEST = PANELS * ROWS * DT + (PANELS - 1) * SLEW[1]  # s of a cadence
LEVELS = (1e5, 1e10)  # mean power, which telescopes do not calibrate
WIDTH = 1 << 14  # bins of the coarse channel that a cadence is cut from
LOOKS = 6  # samples in a pixel: 3 of each polarisation
EMISSION, DC, NEIGHBOURS = 0.4, 0.3, 0.4  # shares of the cadences


def draw(rng: np.random.Generator, kind: str, limits: Limits) -> tuple[np.ndarray, Contents]:
    """Draw a cadence of a kind.

    Args:
        rng: source of all random draws.
        kind: one of `kinds.KINDS`.
        limits: of the signals.

    Returns:
        `(6, 273, 256)` float32, raw power; and its signal.
    """
    starts = np.concatenate([[0], np.cumsum(ROWS * DT + rng.uniform(*SLEW, PANELS - 1))])
    sampling = Sampling(ROWS, DT, DF, tuple(starts.tolist()))
    mean = _draw_mean(rng)
    panels = draw_noise(rng, PANELS * ROWS, BINS, LOOKS).reshape(PANELS, ROWS, BINS)
    panels *= mean.astype(np.float32)
    if rng.random() < NEIGHBOURS:
        _add_signal(rng, panels, mean, sampling, brightness_of(rng, EVERYWHERE, 1.0), limits)
    shown = brightness_of(rng, kind, limits.complete)
    contents = _add_signal(rng, panels, mean, sampling, shown, limits) if shown.any() else Contents()
    gains = draw_gains(rng, PANELS, ROWS) * np.exp(rng.uniform(*np.log(LEVELS)))
    return panels * gains[..., None].astype(np.float32), contents


def _draw_mean(rng: np.random.Generator) -> np.ndarray:
    first = rng.integers(WIDTH - BINS + 1)
    mean = polyphase_response(WIDTH)[first : first + BINS] * (1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, BINS))
    if rng.random() < EMISSION:
        middle, spread = rng.uniform(0, BINS), np.exp(rng.uniform(*np.log((4, 100))))
        mean = mean + rng.uniform(0.1, 1.5) * np.exp(-0.5 * ((np.arange(BINS) - middle) / spread) ** 2)
    if rng.random() < DC:
        mean[rng.integers(BINS)] *= rng.uniform(*SPIKE)
    return mean


def _add_signal(
    rng: np.random.Generator,
    panels: np.ndarray,
    mean: np.ndarray,
    sampling: Sampling,
    brightness: np.ndarray,
    limits: Limits,
) -> Contents:
    """Add a straight, curved or scintillating line, inside the band in its panels."""
    shown = tuple(np.flatnonzero(brightness).tolist())
    curved, scintillating = rng.random(2) < (0.25, 0.3)
    snr, rate = limits.draw_snr(rng), limits.draw_drift_rate(rng)
    along = np.repeat(brightness[:, None], ROWS, axis=1)
    if scintillating:
        knots = rng.standard_normal((2, 3 + int(sampling.times.max() / rng.uniform(30, 150))))
        at = sampling.times / sampling.times.max() * (knots.shape[1] - 1)
        field = [np.interp(at, np.arange(knots.shape[1]), one) for one in knots]
        along = along * ((1 + 0.7 * field[0]) ** 2 + (0.7 * field[1]) ** 2) / 1.98
    width = max(rng.uniform(-5, 10), 0.0)  # Hz
    curve = rng.uniform(-25, 25) if curved else 0.0
    line = Narrowband(0.0, rate, curve, width, along)
    track = line.track(sampling.times, sampling.span_s, DF)[list(shown)]
    free = max(BINS - 9 - np.ptp(track), 0.0)
    start = 4 + rng.uniform(0, free) - track.min() if free else BINS / 2 - np.median(track)
    line = Narrowband(float(start), rate, curve, width, along)
    middle = int(np.clip(np.median(track) + start, 0, BINS - 1))
    sigma = mean[middle] / np.sqrt(LOOKS)
    filled = max(1.0, width / DF)
    power = snr * sigma * np.sqrt(filled / ROWS)
    for number in shown:
        add_signal(panels[number], number, line, power, sampling)
    return Contents("curve" if curved else "line", snr, rate * ROWS * DT / DF, shown)
