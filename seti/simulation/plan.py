"""Plan of a simulated data set: cadences, shared backgrounds and the signal of each.

Everything random follows from (seed, what is drawn), so it does not depend on how many processes draw it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES
from seti.simulation.settings import SimulationSettings
from seti.simulation.signals import SHAPES, Signal, draw_signal
from seti.simulation.spectra import BINS, DF

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
            cadences.append(Planned(cadence_id(settings.seed, split, index), split, index, str(kind)))
    rng = rng_for(settings.seed, "groups")
    order = [cadences[i] for i in rng.permutation(len(cadences))]
    if settings.fields.both_splits is None:
        shared = _rounded(settings.shared_backgrounds * len(order))
        groups = [[order.pop() for _ in range(size)] for size in _sizes(rng, shared, settings.fields.cuts)]
        return groups + [[cadence] for cadence in order]
    return _by_split(rng, order, settings)


def cadence_id(*words: str | int) -> str:
    """Derive a cadence's id, 15 hex characters like the competition's, from what it depends on."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:15]


def _sizes(rng: np.random.Generator, shared: int, cuts: list[int]) -> Iterator[int]:
    """Sizes of groups that make up a number of cadences, or one less: no cadence is left alone."""
    fewest, most = cuts
    while shared > 1:
        size = min(int(rng.integers(fewest, most + 1)), shared)
        size += shared - size == 1
        yield size
        shared -= size


def _by_split(rng: np.random.Generator, order: list[Planned], settings: SimulationSettings) -> list[list[Planned]]:
    """Groups of which a share has cadences of both splits, and the others cadences of one."""
    pools = [[one for one in order if one.split == split] for split in SPLITS]
    shared = [_rounded(settings.shared_backgrounds * len(pool)) for pool in pools]
    groups = []
    for size in _sizes(rng, sum(shared), settings.fields.cuts):
        total = sum(shared)
        train = int(rng.random() * total < shared[0])
        if rng.random() < settings.fields.both_splits and min(shared) > 0:
            train = min(max(int(rng.binomial(size, shared[0] / total)), 1), size - 1)
        else:
            train *= size
        # A pool that runs out leaves the rest to the other.
        train = min(max(train, size - shared[1]), shared[0])
        groups.append([pools[0].pop() for _ in range(train)] + [pools[1].pop() for _ in range(size - train)])
        shared = [shared[0] - train, shared[1] - (size - train)]
    return groups + [[cadence] for pool in pools for cadence in pool]


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
    purposes = ("kinds", "groups", "field", "cut", "signal", "rfi")
    return np.random.default_rng([seed, purposes.index(purpose), *unit])
