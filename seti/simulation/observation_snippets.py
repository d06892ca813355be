"""Data sets of snippets of observations: raw power, 16 rows of 18 s, drift rates of Hz/s.

A signal of 4 Hz/s crosses 2,700 fine channels in a cadence. A snippet of 256 is therefore cut along a track, row by row
shifted by whole bins, as the search cuts a candidate: the signal that it is about is nearly straight, and everything
that does not drift is slanted.
"""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seti.errors import SetiError
from seti.simulation.bandpass import SPIKE, draw_gains, draw_noise, polyphase_response
from seti.simulation.narrowband import Sampling, add_signal, power_of
from seti.simulation.observation import PANELS, RESOLUTION_HZ, ROW_S, SLEW, draw_sampling
from seti.simulation.observation_settings import check_population, check_snippets, population_of
from seti.simulation.one_by_one import HEADER, make_set, plan_cadences
from seti.simulation.plan import SPLITS, Planned
from seti.simulation.population import DECOYS, NEEDLE, Placed, Population, draw_signal
from seti.simulation.settings import SimulationSettings
from seti.simulation.validation import check_sizes

FULL_WIDTH = 1 << 20  # fine channels of the coarse channel that snippets are cut from
LEVELS = (1e8, 1e11)  # mean power, which telescopes do not calibrate
PLACE = 8.0  # bins between the signal and the middle of its snippet, at most
CHUNK = 16  # cadences that a process makes at once
PURPOSES = ("kinds", "cadence")
EMISSION = 0.3  # share of backgrounds with a band of emission
BAND = (5.0, 200.0)  # bins; its deviation
DC = 0.05  # share of backgrounds with the DC bin


def simulate_snippets(settings: SimulationSettings) -> Path:
    """Make a data set, or go on with one that was begun with the same settings.

    Returns:
        The folder.

    Raises:
        SetiError: a setting cannot work; the folder holds something else, or cannot be written.
    """
    check(settings)
    return make_set(settings, plan(settings), draw_cadence, file_size(settings), CHUNK)


def check(settings: SimulationSettings) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_sizes(settings)
    size = settings.observation
    check_snippets(size)
    check_population(size, limits(settings), "observation.")
    longest = PANELS * size.rows * ROW_S + (PANELS - 1) * SLEW[1]
    fastest = (size.bins - 2 * PLACE) * RESOLUTION_HZ / longest
    if not size.straighten and settings.max_drift_rate > fastest:
        msg = (
            f"max_drift_rate={settings.max_drift_rate} must be at most {fastest:.3f} Hz/s: a faster signal leaves the "
            f"{size.bins} bins within the cadence; or set observation.straighten=true"
        )
        raise SetiError(msg)


def limits(settings: SimulationSettings) -> dict[str, Any]:
    """Limits of the signals' SNR and drift rate."""
    return {"snr": list(settings.snr), "max_drift_rate": settings.max_drift_rate}


def file_size(settings: SimulationSettings) -> int:
    """Bytes of a cadence's file."""
    return HEADER + 4 * PANELS * settings.observation.rows * settings.observation.bins


def plan(settings: SimulationSettings) -> list[Planned]:
    """Decide which cadences there are, and of what kind; the numbers of every kind are exact."""

    def decoys(count: int) -> list[str]:
        return [f"decoy_{DECOYS[n % len(DECOYS)]}" for n in range(round(settings.observation.decoys * count))]

    return plan_cadences(settings, "observation", decoys, functools.partial(_rng, settings.seed, "kinds"))


def draw_cadence(settings: SimulationSettings, cadence: Planned) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a cadence.

    Returns:
        `(6, rows, bins)` float32, raw power; and its row of the truth table.
    """
    size = settings.observation
    rng = _rng(settings.seed, "cadence", SPLITS.index(cadence.split), cadence.index)
    sampling = draw_sampling(rng, size.rows)
    population = population_of(size, limits(settings))
    kind = cadence.kind.removeprefix("decoy_")
    middle = size.bins / 2 + rng.uniform(-PLACE, PLACE)
    placed = None if kind == "background" else draw_signal(rng, kind, population, sampling, middle)
    drift = placed.signal.drift_hz_s if placed else rng.uniform(-1, 1) * settings.max_drift_rate
    cut = drift + rng.normal(0, size.drift_error) if size.straighten else 0.0
    # The middle of the track is in the middle of the snippet, whatever the drift rate that is cut along.
    half = sampling.span_s / 2
    shift = np.rint((drift * half + cut * (sampling.times - half)) / RESOLUTION_HZ).astype(int)
    signals = [] if placed is None else [placed]
    if rng.random() < size.neighbours:
        signals.append(_neighbour(rng, population, sampling, shift, size.bins))
    panels = _render(rng, sampling, signals, shift, size.bins)
    truth = {
        "id": cadence.id,
        "split": cadence.split,
        "target": int(kind == NEEDLE),
        "kind": cadence.kind,
        "snr": round(placed.snr, 3) if placed else np.nan,
        "drift_rate": round(drift, 6) if placed else np.nan,
        "width_hz": round(placed.signal.width_hz, 3) if placed else np.nan,
        "curve_bins": round(placed.signal.curve_bins, 3) if placed else np.nan,
        "panels": " ".join(map(str, placed.signal.panels())) if placed else "",
        "cut_drift_rate": round(cut, 6),
        "neighbours": len(signals) - (placed is not None),
    }
    return panels, truth


def _neighbour(
    rng: np.random.Generator, population: Population, sampling: Sampling, shift: np.ndarray, bins: int
) -> Placed:
    """Draw interference of all panels that is somewhere in the snippet in one row at least."""
    kind = str(rng.choice(["static", "drifting"]))
    panel, row = rng.integers(PANELS), rng.integers(sampling.rows)
    placed = draw_signal(rng, kind, population, sampling, rng.uniform(0, bins) + shift[panel, row])
    moved = placed.signal.drift_hz_s * sampling.times[panel, row] / RESOLUTION_HZ
    return replace(placed, signal=replace(placed.signal, bin=placed.signal.bin - moved))


def _render(
    rng: np.random.Generator, sampling: Sampling, signals: list[Placed], shift: np.ndarray, bins: int
) -> np.ndarray:
    """Render noise, background and signals, cut along a track.

    Args:
        rng: source of noise and background.
        sampling: of the cadence.
        signals: in bins of the sky.
        shift: `(6, rows)`, first bin of each row.
        bins: width of the snippet.
    """
    begin = int(shift.min())
    mean = _draw_mean(rng, bins + int(np.ptp(shift)))
    gains = draw_gains(rng, PANELS, sampling.rows) * np.exp(rng.uniform(*np.log(LEVELS)))
    panels = draw_noise(rng, PANELS * sampling.rows, bins, sampling.looks).reshape(PANELS, sampling.rows, bins)
    panels *= mean[(shift - begin)[..., None] + np.arange(bins)].astype(np.float32)
    for one in signals:
        half = one.signal.track(np.array([sampling.span_s / 2]), sampling.span_s, RESOLUTION_HZ)[0]
        place = int(np.clip(half - begin, 0, len(mean) - 1))
        power = power_of(one.snr, mean[place] / np.sqrt(sampling.looks), one.signal, sampling)
        for number, panel in enumerate(panels):
            add_signal(panel, number, one.signal, power, sampling, shift[number])
    return panels * gains[..., None].astype(np.float32)


def _draw_mean(rng: np.random.Generator, width: int) -> np.ndarray:
    """Draw the mean power of a part of a coarse channel.

    It has the response of the filter bank, a slope, in some emission, and rarely the DC bin.
    """
    response = polyphase_response(FULL_WIDTH)
    first = rng.integers(FULL_WIDTH - width + 1)
    mean = response[first : first + width] * (1 + rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, width))
    if rng.random() < EMISSION:
        middle, spread = rng.uniform(0, width), np.exp(rng.uniform(*np.log(BAND)))
        mean += rng.uniform(0.05, 0.5) * np.exp(-0.5 * ((np.arange(width) - middle) / spread) ** 2)
    if rng.random() < DC:
        mean[rng.integers(width)] *= rng.uniform(*SPIKE)
    return mean


def _rng(seed: int, purpose: str, *unit: int) -> np.random.Generator:
    return np.random.default_rng([seed, PURPOSES.index(purpose), *unit])
