"""Needles and decoys of randomised cadences, and their pixels.

A needle is in some or all ON panels and in no OFF panel. Decoys are drawn like needles, but for their panels, and are
seen in an OFF panel at least.
"""

from dataclasses import dataclass

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_LETTERS
from seti.simulation.kinds import NEEDLE
from seti.simulation.wide.draws import log_uniform, pick, sign, smooth
from seti.simulation.wide.lines import FORMS, add_pixels, draw_pixels
from seti.simulation.wide.timing import TIMINGS, draw_timing
from seti.simulation.wide.tracks import SHAPES, draw_swing

DECOYS = {"decoy_everywhere": 0.34, "decoy_faint_off": 0.2, "decoy_off_only": 0.22, "decoy_partial": 0.24}
SNR = (5.0, 200.0)
WIDTHS = (0.4, 20.0)  # bins
FAINT = (0.2, 0.9)  # brightness in OFF panels, of that in ON panels
SEEN = 3.0  # least SNR by which a decoy shows in an OFF panel, unless it is nearly as bright there as in ON panels
TRIES = 4
COUNT = len(PANEL_LETTERS)


@dataclass(frozen=True)
class Drawn:
    """Signal in a cadence.

    Attributes:
        kind: `needle` or one of `DECOYS`.
        shape: of the track, one of `tracks.SHAPES`.
        timing: one of `timing.TIMINGS`.
        snr: over one panel, relative to the noise along the track: what a filter matched to the signal has.
        drift: bins a panel, mean over the cadence.
        width: full width at half maximum, in bins.
        brightness: `(panels,)`, relative to the SNR; 0 in panels without the signal.
    """

    kind: str
    shape: str
    timing: str
    snr: float
    drift: float
    width: float
    brightness: np.ndarray


def draw_times(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Draw the times of the rows, in panels from the first.

    The time between panels is anything from none to four panels.

    Returns:
        `(6, rows)`.
    """
    lot = rng.random()
    gap = (
        0.0
        if lot < 0.3
        else rng.uniform(0, 0.35)
        if lot < 0.8
        else rng.uniform(0.35, 1)
        if lot < 0.93
        else rng.uniform(1, 4)
    )
    gaps = gap * np.clip(1 + 0.1 * rng.standard_normal(COUNT - 1), 0.5, 1.5)
    starts = np.concatenate([[0.0], np.cumsum(1 + gaps)])
    return starts[:, None] + np.arange(rows) / rows


def draw_brightness(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Draw the brightness of a signal in each panel, `(6,)`; about 1 where it is on."""
    brightness = np.zeros(COUNT)
    on, off = list(ON_PANELS), list(OFF_PANELS)
    if kind in (NEEDLE, "decoy_off_only"):
        lot, panels = rng.random(), on if kind == NEEDLE else off
        count = 3 if lot < 0.55 else 2 if lot < 0.8 else 1
        brightness[rng.choice(panels, count, replace=False)] = 1
    elif kind == "decoy_partial":
        for panels in (on, off):
            brightness[rng.choice(panels, rng.integers(1, 4), replace=False)] = 1
        if brightness.all():
            brightness[rng.integers(COUNT)] = 0
    else:
        brightness[:] = 1
        if kind == "decoy_faint_off":
            faint = rng.uniform(*FAINT)
            brightness[off] = faint if rng.random() < 0.5 else np.clip(faint * rng.uniform(0.6, 1.4, 3), *FAINT)
    if rng.random() < 0.4:
        brightness *= np.clip(np.exp(rng.uniform(0.1, 0.6) * rng.standard_normal(COUNT)), 0.35, 2.5)
    return brightness


def draw_drift(rng: np.random.Generator, kind: str, limit: float) -> float:
    """Draw a drift rate; `limit` crosses the band in a cadence, and some are faster."""
    if rng.random() < (0.03 if kind == NEEDLE else 0.15):
        return 0.0
    return sign(rng) * limit * rng.random() * (1.4 if rng.random() < 0.1 else 1.0)


def add_signal(
    rng: np.random.Generator, kind: str, panels: np.ndarray, deviation: np.ndarray, times: np.ndarray
) -> Drawn:
    """Draw a signal and add it, in place.

    Args:
        rng: source of all random draws.
        kind: `needle` or one of `DECOYS`.
        panels: float32 `(6, rows, bins)`.
        deviation: of the noise in each pixel, `(6, rows, bins)`.
        times: `(6, rows)` in panels.
    """
    brightness = draw_brightness(rng, kind)
    snr = log_uniform(rng, *SNR) * (rng.uniform(1, 8) if rng.random() < 0.06 else 1.0)
    off = brightness[list(OFF_PANELS)]
    if kind == "decoy_faint_off":
        snr = max(snr, SEEN / off.max())
    for attempt in range(TRIES + 1):
        plain = attempt == TRIES  # a straight and steady line in the band always shows
        drawn, pixels = _draw(rng, kind, brightness, snr, deviation, times, plain)
        if _labelled_right(drawn, [energy for _, _, energy in pixels]):
            break
    for number, (first, powers, _) in enumerate(pixels):
        if brightness[number]:
            add_pixels(panels[number], first, powers)
    return drawn


def _draw(
    rng: np.random.Generator,
    kind: str,
    brightness: np.ndarray,
    snr: float,
    deviation: np.ndarray,
    times: np.ndarray,
    plain: bool,
) -> tuple[Drawn, list[tuple[np.ndarray, np.ndarray, float]]]:
    """Draw a signal; of each panel first bins, powers, and the SNR inside the band."""
    rows, bins = deviation.shape[1:]
    shape, timing = ("line", "steady") if plain else (pick(rng, SHAPES), pick(rng, TIMINGS))
    form, width = ("gaussian", 2.0) if plain else (pick(rng, FORMS), _draw_width(rng))
    # A line that is wide is often as bright in each bin as a narrow one, and so has a higher SNR.
    snr = min(snr * max(width, 1.0) ** (0.5 * rng.random()), max(snr, 400.0))
    drift = draw_drift(rng, kind, bins / times.max()) * (0.3 if plain else 1.0)
    if rows < 64 and rng.random() < 0.5:  # as snippets that are cut along a track
        drift *= 0.15
    swing = draw_swing(rng, shape, times)
    smeared = np.gradient(swing, axis=1) if rows > 1 and shape not in ("two_tones", "staircase") else 0.0
    moved = np.clip(drift / rows + smeared + np.zeros_like(times), -24, 24)
    track = _place(rng, drift * times + swing, brightness > 0, bins, plain)
    along = draw_timing(rng, timing, times)
    widths = np.full(times.shape, width)
    if not plain and rng.random() < 0.1:  # broadens or narrows on its way
        widths *= np.exp(log_uniform(rng, 0.1, 0.7) * smooth(rng, times.size, 4)).reshape(times.shape)
    unsteady = rng.uniform(0.2, 1) if rng.random() < 0.25 else 0.0
    noise = _noise_along(deviation, track, brightness > 0)
    pixels = []
    for number in range(COUNT):
        if not brightness[number]:
            pixels.append((np.zeros(rows, np.int64), np.zeros((rows, 1), np.float32), 0.0))
            continue
        first, powers = draw_pixels(form, widths[number], track[number], moved[number])
        powers *= along[number][:, None].astype(np.float32)
        total = float(np.sqrt(np.vdot(powers, powers))) or 1.0
        powers *= np.float32(snr * brightness[number] * noise / total)
        if unsteady:  # the signal is noise itself, as chi-square power is
            powers *= 1 + np.float32(unsteady) * (rng.standard_exponential(powers.shape, dtype=np.float32) - 1)
        pixels.append((first, powers, _seen(first, powers, bins) / noise))
    return Drawn(kind, shape, timing, snr, drift, width, brightness), pixels


def _draw_width(rng: np.random.Generator) -> float:
    lot = rng.random()
    return log_uniform(rng, 0.8, 4) if lot < 0.55 else log_uniform(rng, *WIDTHS) if lot < 0.85 else rng.uniform(0.3, 1)


def _place(rng: np.random.Generator, track: np.ndarray, present: np.ndarray, bins: int, plain: bool) -> np.ndarray:
    """Shift a track into the band; a few stay partly outside."""
    seen = track[present]
    span = float(np.ptp(seen))
    if not plain and rng.random() < 0.08:
        return track - seen.ravel()[rng.integers(seen.size)] + rng.uniform(0, bins - 1)
    edge = 3.0
    free = max(bins - 1 - 2 * edge - span, 0.0)
    # A track wider than the band cannot fit, and is centred instead.
    return track - seen.min() + (bins - 1 - span - free) / 2 + rng.uniform(0, free)


def _noise_along(deviation: np.ndarray, track: np.ndarray, present: np.ndarray) -> float:
    bins = deviation.shape[2]
    at = np.clip(np.rint(track), 0, bins - 1).astype(np.int64)
    some = np.take_along_axis(deviation, at[..., None], axis=2)[present]
    return max(float(np.median(some)), 1e-3)


def _seen(first: np.ndarray, powers: np.ndarray, bins: int) -> float:
    """Root of the summed squares inside the band."""
    at = first[:, None] + np.arange(powers.shape[1])
    inside = powers[(at >= 0) & (at < bins)]
    return float(np.sqrt(np.vdot(inside, inside)))


def _labelled_right(drawn: Drawn, energies: list[float]) -> bool:
    """Check that the signal shows in the panels that its label says."""
    on, off = (max(energies[number] for number in numbers) for numbers in (ON_PANELS, OFF_PANELS))
    if drawn.kind == NEEDLE:
        return on >= 0.4 * drawn.snr
    return off >= 0.7 * on or off >= max(SEEN, 0.15 * on)
