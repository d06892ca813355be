"""Stream of randomised cadences: an endless training set, addressed by seed and index.

What a network learns from the cadences of one simulator need not hold for another telescope's. So everything that
differs between telescopes and simulators is drawn for each cadence: `seti.simulation.wide`.
"""

from dataclasses import dataclass

import numpy as np

from seti.errors import SetiError
from seti.simulation.kinds import BACKGROUND, KINDS, NEEDLE
from seti.simulation.wide.background import draw_background, draw_spike
from seti.simulation.wide.draws import pick
from seti.simulation.wide.interference import add_patches, add_sweeps, drop_out
from seti.simulation.wide.noise import draw_noise
from seti.simulation.wide.signals import COUNT, DECOYS, Drawn, add_signal, draw_times
from seti.simulation.wide.storage import store

NEEDLES = 0.5  # share of cadences with a needle
EMPTY = 0.2  # share of the others without any signal
OTHERS = 0.25  # share of cadences with more signals than one; the others are decoys
CALM = 0.4  # share of cadences with a weak background
STREAM = 15  # sets these generators apart from others of the same seed


@dataclass(frozen=True)
class StreamCadence:
    """Randomised cadence and what it holds.

    Attributes:
        data: `(6, rows, bins)`, float16 or float32.
        label: 1 with a needle, 0 without.
        kind: `needle`, `decoy_everywhere`, `decoy_faint_off`, `decoy_off_only`, `decoy_partial` or `background`.
        snr: of the needle or decoy over one panel, relative to the noise along its track; NaN without.
        drift: its drift rate in bins a panel; NaN without.
        shape: its track, one of `seti.simulation.wide.tracks.SHAPES`; empty without.
        timing: its brightness in time, one of `seti.simulation.wide.timing.TIMINGS`; empty without.
        width: of its line in bins; NaN without.
        panels: panels that hold it.
        noise: family of noise, one of `seti.simulation.wide.noise.FAMILIES`.
        form: of the numbers, one of `seti.simulation.wide.storage.FORMS`.
    """

    data: np.ndarray
    label: int
    kind: str
    snr: float
    drift: float
    shape: str
    timing: str
    width: float
    panels: tuple[int, ...]
    noise: str
    form: str


def draw_stream_cadence(
    seed: int, index: int, rows: int = 273, bins: int = 256, kind: str | None = None
) -> StreamCadence:
    """Draw a cadence of the stream.

    Args:
        seed: of the stream, 0 or more.
        index: of the cadence in the stream, 0 or more.
        rows: rows of a panel.
        bins: width of the band.
        kind: as `StreamCadence.kind`; None to draw it, half of the cadences being needles.

    Returns:
        The cadence; the same arguments give the same on every machine with the same numpy.

    Raises:
        SetiError: a number is out of range, or there is no such kind.
    """
    if min(seed, index) < 0 or rows < 2 or bins < 16:
        msg = (
            f"a stream has no cadence of seed={seed}, index={index}, rows={rows}, bins={bins}: the first two must be 0 "
            "or more, with at least 2 rows and 16 bins"
        )
        raise SetiError(msg)
    if kind is not None and kind not in KINDS:
        msg = f"a stream has no cadence of kind={kind!r}: there are {', '.join(KINDS)}"
        raise SetiError(msg)
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, STREAM, index])))
    kind = kind or _draw_kind(rng)
    shape = (COUNT, rows, bins)
    noise = draw_noise(rng, shape)
    brightness = draw_background(rng, shape)
    if rng.random() < CALM:
        brightness *= np.float32(0.4 * rng.random())
    if rng.random() < 0.1:
        add_patches(rng, brightness)
    if rng.random() < 0.05:
        add_sweeps(rng, brightness)
    deviation = _deviation(rng, brightness, noise.growth)
    panels = brightness
    panels += noise.values * deviation
    panels += draw_spike(rng, bins).astype(np.float32)
    main, kinds = None, [] if kind == BACKGROUND else [kind]
    if kinds and rng.random() < OTHERS:
        kinds += [pick(rng, DECOYS) for _ in range(1 + min(rng.poisson(0.5), 4))]
    times = draw_times(rng, rows)
    for number, each in enumerate(kinds):
        drawn = add_signal(rng, each, panels, deviation, times)
        main = drawn if number == 0 else main
    if rng.random() < 0.05:
        drop_out(rng, panels)
    form, data = store(rng, panels, noise.growth)
    return _described(data, kind, main, noise.family, form)


def _draw_kind(rng: np.random.Generator) -> str:
    if rng.random() < NEEDLES:
        return NEEDLE
    return BACKGROUND if rng.random() < EMPTY else pick(rng, DECOYS)


def _deviation(rng: np.random.Generator, brightness: np.ndarray, growth: float) -> np.ndarray:
    """Deviation of the noise in each pixel, which grows with brightness and may be uneven."""
    deviation = 1 + np.float32(growth) * brightness
    np.maximum(deviation, np.float32(0.1), out=deviation)
    if rng.random() < 0.2:
        deviation *= np.exp(np.float32(0.3) * rng.standard_normal((COUNT, 1, 1), dtype=np.float32))
    if rng.random() < 0.15:
        deviation *= np.exp(np.float32(0.2) * rng.standard_normal((1, 1, brightness.shape[2]), dtype=np.float32))
    if rng.random() < 0.15:
        deviation *= np.exp(np.float32(0.2) * rng.standard_normal((COUNT, brightness.shape[1], 1), dtype=np.float32))
    return deviation


def _described(data: np.ndarray, kind: str, main: Drawn | None, noise: str, form: str) -> StreamCadence:
    if main is None:
        return StreamCadence(data, 0, kind, np.nan, np.nan, "", "", np.nan, (), noise, form)
    panels = tuple(np.flatnonzero(main.brightness).tolist())
    label = int(kind == NEEDLE)
    return StreamCadence(
        data, label, kind, main.snr, main.drift, main.shape, main.timing, main.width, panels, noise, form
    )
