"""Needles and decoys of an observation: kinds, and random draws of each."""

from dataclasses import dataclass

import numpy as np

from seti.simulation.narrowband import Narrowband, Sampling

NEEDLE = "needle"
# Decoys in the order in which they take turns.
DECOYS = ("static", "drifting", "faint_in_off", "off_only", "partial", "single_on", "curved")
FAINT = (0.3, 0.6)  # power in OFF panels, of that in ON panels
CURVE = (3.0, 12.0)  # bins between a curved track and the straight line
DC_MARGIN = 16  # bins around the DC bin in which no signal begins
EDGE = 16  # bins at the edges of a coarse channel that no track reaches


@dataclass(frozen=True)
class Placed:
    """Signal in a coarse channel.

    Attributes:
        kind: `needle`, or one of `DECOYS`.
        snr: as `power_of` defines it.
        signal: its track and brightness.
    """

    kind: str
    snr: float
    signal: Narrowband


@dataclass(frozen=True)
class Population:
    """Limits that signals are drawn within.

    Attributes:
        snr: lowest and highest SNR of needles.
        decoy_snr: lowest and highest SNR of decoys.
        max_drift_rate: largest drift rate in Hz/s, in both directions.
        max_width_hz: widest line; in half of the signals the line is narrower than a bin.
        curved: share of needles with a curved track.
        scintillating: share of needles whose brightness changes from row to row.
    """

    snr: tuple[float, float]
    decoy_snr: tuple[float, float]
    max_drift_rate: float
    max_width_hz: float
    curved: float
    scintillating: float


def kinds_of(needles: int, decoys: int) -> list[str]:
    """List the kinds of a number of needles and decoys."""
    return [NEEDLE] * needles + [DECOYS[number % len(DECOYS)] for number in range(decoys)]


def draw_signals(
    rng: np.random.Generator, kinds: list[str], limits: Population, sampling: Sampling, width: int
) -> list[Placed]:
    """Draw the signals of a coarse channel, spread over its bins.

    Args:
        rng: source of all random draws.
        kinds: one for each signal.
        limits: limits of the draws.
        sampling: of the cadence.
        width: number of fine channels.

    Returns:
        The signals; each track stays inside the coarse channel.
    """
    kinds = [str(kind) for kind in rng.permutation(kinds)]
    slot = (width - 2 * EDGE) / max(len(kinds), 1)
    return [
        draw_signal(rng, kind, limits, sampling, EDGE + slot * (number + rng.uniform(0.1, 0.9)), width)
        for number, kind in enumerate(kinds)
    ]


def brightness_of(rng: np.random.Generator, kind: str, sampling: Sampling) -> np.ndarray:
    """Draw the brightness of a kind of signal in each panel.

    Returns:
        `(panels, rows)`, 1 where a needle would have its power.
    """
    on, off = sampling.on_panels, sampling.off_panels
    panels = np.zeros(len(sampling.on))
    if kind in (NEEDLE, "faint_in_off"):
        panels[on] = 1
    if kind == "faint_in_off":
        panels[off] = rng.uniform(*FAINT)
    elif kind == "off_only":
        panels[off] = 1
    elif kind == "single_on":
        panels[rng.choice(on)] = 1
    elif kind == "partial":  # intermittent: on in one or two panels of each
        for some in (on, off):
            panels[rng.choice(some, rng.integers(1, 3), replace=False)] = 1
    elif kind in ("static", "drifting", "curved"):
        panels[:] = 1
    return np.repeat(panels[:, None], sampling.rows, axis=1)


def scintillation(rng: np.random.Generator, sampling: Sampling) -> np.ndarray:
    """Draw a brightness that changes within minutes, of mean 1 over the ON panels.

    Returns:
        `(panels, rows)`.
    """
    times = sampling.times
    step = rng.uniform(30, 150)  # s
    knots = rng.standard_normal((2, int(times.max() / step) + 3))
    field = [np.interp(times / step, np.arange(knots.shape[1]), one) for one in knots]
    # Half coherent, half scattered: never quite gone, as the square of a sum of both.
    intensity = (1 + 0.7 * field[0]) ** 2 + (0.7 * field[1]) ** 2
    return intensity / intensity[sampling.on_panels].mean()


def draw_signal(
    rng: np.random.Generator,
    kind: str,
    limits: Population,
    sampling: Sampling,
    start: float,
    width: int | None = None,
) -> Placed:
    """Draw a signal.

    Args:
        rng: source of all random draws.
        kind: `needle`, or one of `DECOYS`.
        limits: limits of the draws.
        sampling: of the cadence.
        start: bin at the middle of the first row.
        width: fine channels of the coarse channel that the track stays inside of; None: it may go anywhere.
    """
    curve = 0.0
    if kind == "curved" or (kind == NEEDLE and rng.random() < limits.curved):
        curve = rng.uniform(*CURVE) * rng.choice([-1.0, 1.0])
    low, high = -limits.max_drift_rate, limits.max_drift_rate
    if width is not None:
        middle = width / 2
        if abs(start - middle) < DC_MARGIN:
            start = middle + (DC_MARGIN if start >= middle else -DC_MARGIN)
        # No further than the edges of the coarse channel.
        per_bin = sampling.resolution_hz / sampling.span_s
        low = min(max(low, (EDGE - start + abs(curve)) * per_bin), 0)
        high = max(min(high, (width - 1 - EDGE - start - abs(curve)) * per_bin), 0)
    drift = 0.0 if kind == "static" else rng.uniform(low, high)
    line = max(rng.uniform(-limits.max_width_hz, limits.max_width_hz), 0.0)
    brightness = brightness_of(rng, kind, sampling)
    if kind == NEEDLE and rng.random() < limits.scintillating:
        brightness = brightness * scintillation(rng, sampling)
    snr = float(np.exp(rng.uniform(*np.log(limits.snr if kind == NEEDLE else limits.decoy_snr))))
    return Placed(kind, snr, Narrowband(float(start), float(drift), float(curve), float(line), brightness))
