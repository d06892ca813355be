"""Spectra rendered with setigen: fields of background and noise, and signals added to them.

A field is at least as wide as a cadence; cadences cut from one field share its background and noise. Intensities are in
units of the thermal noise of one pixel until `standardise`.
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
from seti.simulation.wide_field import draw_cuts, draw_wide_background

PANELS, ROWS, BINS = 6, 273, 256  # the competition's snippets
FILE_SIZE = 128 + 2 * PANELS * ROWS * BINS  # bytes: numpy's header and float16
# The resolutions of Breakthrough Listen's Green Bank products, Lebofsky et al. 2019, PASP 131, 124505:
# frequency as in the high-resolution product, time as in the medium-resolution one (273 rows are 293 s).
DF = 2.7939677238464355  # Hz a bin
DT = 1.0737418240  # s a row
FCH1 = 6e9  # Hz; required by setigen, but without effect
SLEW = (30.0, 60.0)  # s between panels
WIDEST = 2 * BINS  # bins; width of a shared field


@dataclass(frozen=True)
class Field:
    """Section of spectrum before noise and signals are added.

    Attributes:
        features: features of the background.
        times: `(6, 273)` in s from the first row, with gaps for the slews.
        offsets: first bin of each cadence cut from the field.
        background: the background, for `render_field`.
        rng: generator that `render_field` continues for the noise.
        interference: signals that all cadences of the field share, in the field's bins.
    """

    features: tuple[str, ...]
    times: np.ndarray
    offsets: np.ndarray
    background: Background
    rng: np.random.Generator
    interference: tuple[Signal, ...] = ()


def draw_field(rng: np.random.Generator, shares: dict[str, float], cuts: int, width: int = WIDEST) -> Field:
    """Draw a field from which cadences are cut; a single cadence is as wide as its field.

    Args:
        rng: source of all random draws, continued by `render_field`.
        shares: the probability of each background feature.
        cuts: number of cadences to cut.
        width: bins of the field of several cadences; in a field wider than `WIDEST`, each cut overlaps the next one.
    """
    bins = BINS if cuts == 1 else WIDEST
    slews = rng.uniform(*SLEW, PANELS - 1)
    starts = np.concatenate([[0], np.cumsum(ROWS * DT + slews)])
    times = starts[:, None] + DT * np.arange(ROWS)
    if cuts > 1 and width > WIDEST:
        offsets, bins = draw_cuts(rng, cuts, width, BINS)
        background = draw_wide_background(rng, shares, PANELS, ROWS, bins)
        return Field(background.features, times, offsets, background, rng)
    background = draw_background(rng, shares, PANELS, ROWS, bins)
    offsets = rng.choice(bins - BINS + 1, cuts, replace=False)
    return Field(background.features, times, offsets, background, rng)


def render_field(drawn: Field) -> np.ndarray:
    """Render a field with setigen's noise; a second call would draw different noise.

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
        # Gaussian, because the noise of real snippets is symmetric (docs/simulation.md).
        frame.add_noise(x_mean=SYSTEM_LEVEL, x_std=1.0, noise_type="gaussian")
        np.multiply(frame.data, 1 + brightness / SYSTEM_LEVEL, out=panel)
        panel += background.spike
    for signal in drawn.interference:
        add_signal(rendered, drawn.times, signal)
    return rendered


def add_signal(panels: np.ndarray, times: np.ndarray, signal: Signal) -> None:
    """Add a signal to `(6, 273, bins)` panels in units of the thermal noise, in place.

    The level is that of setigen, SNR x noise / sqrt(rows), so that the sum along the track over one panel is SNR
    standard deviations above the thermal noise. A signal that is on in only some rows is brighter there, so that the
    same holds for the sum over those rows.
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
            # The profile vanishes beyond 4 widths; this narrow box is 15 times as fast as the whole panel.
            bounding_f_range=(
                frame.get_frequency(track.min() - 4 * signal.width),
                frame.get_frequency(track.max() + 4 * signal.width),
            ),
        )


def standardise(panels: np.ndarray) -> np.ndarray:
    """Scale each panel to mean 0 and deviation 1, as float16 like the competition's files."""
    mean = panels.mean(axis=(1, 2), keepdims=True)
    deviation = panels.std(axis=(1, 2), keepdims=True)
    return ((panels - mean) / deviation).astype("<f2")


@functools.cache
def import_setigen() -> ModuleType:
    """Import setigen on first use, because the import takes seconds.

    Raises:
        SetiError: setigen is not installed.
    """
    try:
        with warnings.catch_warnings():
            # Warnings from blimpy and its old pyparsing, which only their authors can fix.
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
            warnings.filterwarnings("ignore", "module 'sre_constants'", DeprecationWarning)
            import setigen
    except ImportError as error:
        msg = f"simulation needs setigen, which is not installed ({error}): pip install 'seti[simulate]'"
        raise SetiError(msg) from error
    return setigen


@functools.cache
def _frame(bins: int) -> Any:
    """Return the cached frame of a width, because creating one costs as much as a panel's noise."""
    return import_setigen().Frame(shape=(ROWS, bins), df=DF, dt=DT, fch1=FCH1, t_start=0.0, seed=0)
