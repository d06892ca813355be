"""Fields of spectrum, noise included, and signals in them: what setigen makes.

A field is as wide as a cadence or wider: cadences cut from one field share their background and its noise.
Intensities are in units of the thermal noise of one pixel until `standardise`.
"""

import functools
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from seti.errors import SetiError
from seti.simulation.emission import SYSTEM_LEVEL, Background, draw_background
from seti.simulation.signals import Signal

PANELS, ROWS, BINS = 6, 273, 256  # the competition's snippets
FILE_SIZE = 128 + 2 * PANELS * ROWS * BINS  # bytes: numpy's header and float16
# The resolutions of Breakthrough Listen's Green Bank products, Lebofsky et al. 2019, PASP 131, 124505:
# frequency as in the high-resolution product, time as in the medium-resolution one (273 rows are 293 s).
DF = 2.7939677238464355  # Hz a bin
DT = 1.0737418240  # s a row
FCH1 = 6e9  # Hz: any frequency would do, setigen wants one
SLEW = (30.0, 60.0)  # s between panels
WIDEST = 2 * BINS  # bins of a shared field


@dataclass(frozen=True)
class Field:
    """A stretch of spectrum, background and noise, before any signal.

    Attributes:
        features: of its background.
        times: `(6, 273)` in s from the first row; slews are the gaps.
        offsets: where each cadence's band begins, in bins.
        background: what was drawn, for `render_field`.
        rng: goes on with the noise.
    """

    features: tuple[str, ...]
    times: np.ndarray
    offsets: np.ndarray
    background: Background
    rng: np.random.Generator


def draw_field(rng: np.random.Generator, shares: dict[str, float], cuts: int) -> Field:
    """Draw a field of which `cuts` cadences are cut; a single one is as wide as its field.

    Args:
        rng: draws everything, and goes on in `render_field`.
        shares: the probability of each background feature.
        cuts: how many cadences.
    """
    bins = BINS if cuts == 1 else WIDEST
    slews = rng.uniform(*SLEW, PANELS - 1)
    starts = np.concatenate([[0], np.cumsum(ROWS * DT + slews)])
    times = starts[:, None] + DT * np.arange(ROWS)
    background = draw_background(rng, shares, PANELS, ROWS, bins)
    offsets = rng.choice(bins - BINS + 1, cuts, replace=False)
    return Field(background.features, times, offsets, background, rng)


def render_field(drawn: Field) -> np.ndarray:
    """Add setigen's noise to a field, once: the generator goes on.

    Returns:
        `(6, 273, bins)` in units of the thermal noise.
    """
    background = drawn.background
    panels = background.brightness
    frame = _frame(panels.shape[2])
    frame.rng = drawn.rng
    rendered = np.empty_like(panels)
    for panel, brightness in zip(rendered, panels, strict=True):
        frame.zero_data()
        # Gaussian, as measured: the noise of real snippets is symmetric (docs/simulation.md).
        frame.add_noise(x_mean=SYSTEM_LEVEL, x_std=1.0, noise_type="gaussian")
        np.multiply(frame.data, 1 + brightness / SYSTEM_LEVEL, out=panel)
        panel += background.spike
    return rendered


def add_signal(panels: np.ndarray, times: np.ndarray, signal: Signal) -> None:
    """Add a signal to `(6, 273, 256)` panels in units of the thermal noise, in place.

    Its level is setigen's: SNR x noise / sqrt(rows), so that the sum along the track over one panel stands SNR
    deviations above thermal noise. A signal that is on in a part of the rows is brighter there, so that the sum
    over those rows does.
    """
    setigen, frame = import_setigen(), _frame(panels.shape[2])
    frame.noise_mean, frame.noise_std = SYSTEM_LEVEL, 1.0
    level = frame.get_intensity(signal.snr)
    across = setigen.gaussian_f_profile(signal.width * DF)
    for number in signal.panels:
        frame.data, frame.ts = panels[number], times[number]
        track = signal.track[number]
        frame.add_signal(
            frame.get_frequency(track),
            level * signal.profile[number],
            across,
            # Beyond 4 widths nothing is left; so narrow a box makes this 15 times faster than the whole panel.
            bounding_f_range=(
                frame.get_frequency(track.min() - 4 * signal.width),
                frame.get_frequency(track.max() + 4 * signal.width),
            ),
        )


def standardise(panels: np.ndarray) -> np.ndarray:
    """Give each panel mean 0 and deviation 1, as the competition's files have; returns little-endian float16."""
    mean = panels.mean(axis=(1, 2), keepdims=True)
    deviation = panels.std(axis=(1, 2), keepdims=True)
    return ((panels - mean) / deviation).astype("<f2")


@functools.cache
def import_setigen() -> ModuleType:
    """Import setigen, which takes seconds, when it is first needed.

    Raises:
        SetiError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # blimpy and its old pyparsing warn about what only their authors can fix.
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
            warnings.filterwarnings("ignore", "module 'sre_constants'", DeprecationWarning)
            import setigen
    except ImportError as error:
        msg = f"simulating needs setigen, which is not installed ({error}): pip install 'seti[simulate]'"
        raise SetiError(msg) from error
    return setigen


@functools.cache
def _frame(bins: int) -> Any:
    """One frame for each width, used again and again: making one costs as much as a panel's noise."""
    return import_setigen().Frame(shape=(ROWS, bins), df=DF, dt=DT, fch1=FCH1, t_start=0.0, seed=0)
