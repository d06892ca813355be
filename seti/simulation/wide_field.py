"""Fields of several thousand bins, which many cadences are cut from, and their interference.

The competition's cadences were cut from spectra much wider than a cadence: neighbours overlap, and their neighbours in
turn, so that a background is known from end to end.
"""

import numpy as np

from seti.data.cadence import OFF_PANELS, PANEL_CHOICES
from seti.simulation.emission import FEATURES, Background, draw_background
from seti.simulation.signals import SHAPES, Signal, draw_signal

SECTION = 512  # bins; width of the backgrounds that a wide one is blended from
LEAST_OVERLAP = 4  # bins that a cut shares with the next one at least
RFI_SNR = (20.0, 400.0)  # over one panel; drawn log-uniformly
RFI_STEADY = 0.6  # share of the interference that is in all panels
RFI_DRIFT = 0.15  # Hz/s, largest, in both directions


def draw_cuts(rng: np.random.Generator, cuts: int, width: int, bins: int) -> tuple[np.ndarray, int]:
    """Draw the places of a chain of cuts, each of which overlaps the next one.

    Args:
        rng: source of all random draws.
        cuts: number of cuts, two or more.
        width: bins of the field at most.
        bins: of a cut.

    Returns:
        `(cuts,)` first bins, from 0 on, and the bins of the field, a whole number of sections.
    """
    farthest = min(bins - LEAST_OVERLAP, max(1, 2 * (width - bins) // (cuts - 1)))
    places = np.concatenate([[0], np.cumsum(rng.integers(1, farthest + 1, cuts - 1))])
    if places[-1] > width - bins:  # larger gaps than on average
        places = places * (width - bins) // places[-1]
    needed = -(-(int(places[-1]) + bins) // SECTION) * SECTION
    return rng.permutation(places), min(needed, width)


def draw_wide_background(
    rng: np.random.Generator, shares: dict[str, float], panels: int, rows: int, bins: int
) -> Background:
    """Draw a background whose features change along the field.

    It is blended from sections that overlap by half.
    """
    brightness, spike = np.zeros((panels, rows, bins)), np.zeros(bins)
    total = np.zeros(bins)
    found = set()
    half = SECTION // 2
    ramp = (np.arange(half) + 0.5) / half
    weight = np.concatenate([ramp, ramp[::-1]])
    for start in range(-half, bins, half):
        section = draw_background(rng, shares, panels, rows, SECTION)
        inside = slice(max(start, 0), min(start + SECTION, bins))
        own = slice(inside.start - start, inside.stop - start)
        brightness[:, :, inside] += weight[own] * section.brightness[:, :, own]
        total[inside] += weight[own]
        # The sections overlap: half of each keeps its spike.
        middle = slice(max(start + half // 2, 0), min(start + half // 2 + half, bins))
        spike[middle] += section.spike[middle.start - start : middle.stop - start]
        found |= set(section.features)
    brightness /= total
    return Background(tuple(name for name in FEATURES if name in found), brightness, spike)


def draw_interference(rng: np.random.Generator, times: np.ndarray, bins: int, mean: float, df: float) -> list[Signal]:
    """Draw interference of the field, which all cadences cut from it share.

    Args:
        rng: source of all random draws.
        times: `(panels, rows)` in s.
        bins: width of the field.
        mean: mean number of signals.
        df: width of a bin in Hz.

    Returns:
        Signals in all panels, or in some of which one is OFF: none of them is a needle.
    """
    signals = []
    for _ in range(rng.poisson(mean)):
        panels = PANEL_CHOICES["all"]
        if rng.random() >= RFI_STEADY:
            chosen = {int(rng.choice(OFF_PANELS)), *(panel for panel in panels if rng.random() < 0.5)}
            panels = tuple(sorted(chosen))
        snr = float(np.exp(rng.uniform(*np.log(RFI_SNR))))
        shape = str(rng.choice(SHAPES, p=[0.6, 0.05, 0.1, 0.15, 0.1]))
        signals.append(draw_signal(rng, shape, panels, snr, RFI_DRIFT * rng.uniform(-1, 1), times, bins, df))
    return signals
