"""Kinds of cadences that generators of different making share, and the panels of each."""

from dataclasses import dataclass

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_LETTERS

NEEDLE, EVERYWHERE, BACKGROUND = "needle", "decoy_everywhere", "background"
KINDS = (NEEDLE, EVERYWHERE, "decoy_faint_off", "decoy_off_only", "decoy_partial", BACKGROUND)
FAINT = (0.3, 0.8)  # brightness in OFF panels, of that in ON panels


@dataclass(frozen=True)
class Limits:
    """Limits that signals are drawn within.

    Attributes:
        snr: lowest and highest SNR over one panel; drawn evenly in its logarithm.
        max_drift_rate: in Hz/s, in both directions.
        complete: share of the needles, and of the decoys in OFF panels, that are in all three.
    """

    snr: tuple[float, float]
    max_drift_rate: float
    complete: float

    def draw_snr(self, rng: np.random.Generator) -> float:
        """Draw an SNR."""
        return float(np.exp(rng.uniform(*np.log(self.snr))))

    def draw_drift_rate(self, rng: np.random.Generator) -> float:
        """Draw a drift rate in Hz/s."""
        return self.max_drift_rate * rng.uniform(-1, 1)


@dataclass(frozen=True)
class Contents:
    """Signal of a cadence: its needle or decoy.

    Attributes:
        shape: of the track; empty without a signal.
        snr: over one panel; NaN without.
        drift: bins a panel; NaN without.
        panels: those that hold it.
    """

    shape: str = ""
    snr: float = np.nan
    drift: float = np.nan
    panels: tuple[int, ...] = ()


def brightness_of(rng: np.random.Generator, kind: str, complete: float) -> np.ndarray:
    """Draw the brightness of a kind of signal in each panel.

    Returns:
        `(6,)`, 1 where it is on, or less in OFF panels.
    """
    brightness = np.zeros(len(PANEL_LETTERS))
    on, off = list(ON_PANELS), list(OFF_PANELS)
    if kind in (NEEDLE, "decoy_off_only"):
        panels = on if kind == NEEDLE else off
        brightness[panels if rng.random() < complete else rng.choice(panels, rng.integers(1, 3), replace=False)] = 1
    elif kind == "decoy_partial":
        for panels in (on, off):
            brightness[rng.choice(panels, rng.integers(1, 3), replace=False)] = 1
    elif kind != BACKGROUND:
        brightness[:] = 1
    if kind == "decoy_faint_off":
        brightness[off] = rng.uniform(*FAINT)
    return brightness
