"""Plan of a simulated data set: which cadences there are, which share a background, which signal each one holds.

Everything random follows from (seed, what is drawn), so it does not depend on how many processes draw it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES
from seti.simulation.settings import SimulationSettings
from seti.simulation.signals import SHAPES, Signal, draw_signal
from seti.simulation.spectra import BINS, DF

LARGEST_GROUP = 5  # cadences of a shared field
KINDS = ("needle", "decoy_everywhere", "decoy_off_only", "background")
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Planned:
    """A cadence before it is drawn."""

    id: str
    split: str
    index: int
    kind: str


def plan(settings: SimulationSettings) -> list[list[Planned]]:
    """Decide which cadences there are, of what kind, and which are cut from one field.

    Ids depend on (seed, split, index) alone. The numbers of every kind are exact.

    Returns:
        Groups of cadences; those of a group share a field.
    """
    cadences = []
    for split_number, split in enumerate(SPLITS):
        count = getattr(settings, split)
        needles = _rounded(settings.positives * count)
        everywhere = _rounded(settings.decoys["everywhere"] * (count - needles))
        # Rounding both up may exceed what is left by one.
        off_only = min(_rounded(settings.decoys["off_only"] * (count - needles)), count - needles - everywhere)
        rest = count - needles - everywhere - off_only
        kinds = np.repeat(KINDS, [needles, everywhere, off_only, rest])
        rng_for(settings.seed, "kinds", split_number).shuffle(kinds)
        for index, kind in enumerate(kinds):
            digest = hashlib.sha256(f"{settings.seed}/{split}/{index}".encode()).hexdigest()
            cadences.append(Planned(digest[:15], split, index, str(kind)))
    rng = rng_for(settings.seed, "groups")
    order = [cadences[i] for i in rng.permutation(len(cadences))]
    shared = _rounded(settings.shared_backgrounds * len(order))
    groups = []
    while shared > 1:
        size = min(int(rng.integers(2, LARGEST_GROUP + 1)), shared)
        size += shared - size == 1  # nobody is left alone
        groups.append([order.pop() for _ in range(size)])
        shared -= size
    return groups + [[cadence] for cadence in order]


def _rounded(number: float) -> int:
    """Round halves up, after taking off what floating point added (0.35 * 10)."""
    return int(np.floor(round(number, 6) + 0.5))


def draw_cadence_signal(settings: SimulationSettings, cadence: Planned, times: np.ndarray) -> Signal | None:
    """Draw a cadence's needle or decoy; None where it has neither."""
    if cadence.kind == "background":
        return None
    rng = rng_for(settings.seed, "signal", SPLITS.index(cadence.split), cadence.index)
    panels = PANEL_CHOICES["all"]
    if cadence.kind != "decoy_everywhere":
        panels = ON_PANELS if cadence.kind == "needle" else OFF_PANELS
        if rng.random() >= settings.complete:
            panels = tuple(sorted(int(panel) for panel in rng.choice(panels, rng.integers(1, 3), replace=False)))
    weights = getattr(settings, f"{cadence.split}_shapes")
    total = sum(weights.values())
    shape = str(rng.choice(SHAPES, p=[weights.get(name, 0.0) / total for name in SHAPES]))
    snr = float(np.exp(rng.uniform(*np.log(settings.snr))))
    drift_rate = settings.max_drift_rate * rng.uniform(-1, 1)
    return draw_signal(rng, shape, panels, snr, drift_rate, times, BINS, DF)


def rng_for(seed: int, purpose: str, *unit: int) -> np.random.Generator:
    """Seed a generator for one purpose and one unit of work."""
    purposes = ("kinds", "groups", "field", "cut", "signal")
    return np.random.default_rng([seed, purposes.index(purpose), *unit])
