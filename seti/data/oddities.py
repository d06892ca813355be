"""Readable panels that teach a network nothing: raw powers, exchanged axes, constant ones."""

import logging
from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from seti.data.findings import name_panels
from seti.data.sources import CadenceSource
from seti.errors import SetiError
from seti.utils.wording import count

log = logging.getLogger(__name__)

COMPETITION = (273, 256)  # rows and bins of the competition's panels
SAMPLE = 16  # cadences that are looked at
FARTHEST_MEAN = 0.5  # deviations that the mean of standardised panels is at most away from 0
DEVIATIONS = 0.2, 5.0  # limits of the deviation of standardised panels


def describe_scale(cadences: Iterable[np.ndarray]) -> str | None:
    """Describe panels that are not standardised.

    Args:
        cadences: a few, `(panels, rows, bins)` each.

    Returns:
        Their usual mean and deviation, and the setting that standardises them; None for panels of about mean 0 and
        deviation 1, and where all are constant.
    """
    means, deviations = [], []
    for cadence in cadences:
        panels = cadence.reshape(len(cadence), -1).astype(np.float64)
        means.append(panels.mean(axis=1))
        deviations.append(panels.std(axis=1))
    if not means:
        return None
    mean, deviation = np.concatenate(means), np.concatenate(deviations)
    alive = deviation > 0
    if not alive.any():
        return None
    usual_mean, usual_deviation = float(np.median(mean[alive])), float(np.median(deviation[alive]))
    low, high = DEVIATIONS
    if abs(usual_mean) <= FARTHEST_MEAN * usual_deviation and low <= usual_deviation <= high:
        return None
    return (
        f"the panels have mean {usual_mean:.2g} and deviation {usual_deviation:.2g}, not 0 and 1: data.normalise=panel "
        "(or robust, flatten, whiten) standardises them, data.normalise=none does not"
    )


def describe_shape(rows: int, bins: int) -> str | None:
    """Describe panels of the competition's size with exchanged axes; None for other sizes."""
    if (rows, bins) != COMPETITION[::-1]:
        return None
    return (
        f"the panels are {rows} x {bins}, the competition's {COMPETITION[0]} x {COMPETITION[1]} (time x frequency): "
        "exchange the last two axes unless these panels have them right"
    )


def describe_constant(source: CadenceSource, places: Iterable[int]) -> str | None:
    """Describe cadences with a panel that has one value throughout, as 32-bit floats.

    Args:
        source: of the cadences.
        places: of those that are looked at; damaged ones are passed over.

    Returns:
        How many there are, and the first one; None where there is none.
    """
    looked, found, first = 0, 0, ""
    for place in places:
        try:
            panels = source.read(int(place))
        except SetiError:
            continue
        looked += 1
        dead = np.array([_is_constant(panel) for panel in panels])
        if dead.any():
            numbers = np.array(source.panels)[dead]
            first = first or f"{source.ids[place]}, {name_panels(numbers)}"
            found += 1
    if not found:
        return None
    which = count(looked, "cadence") + (" looked at" if looked < len(source) else "")
    have = "has" if found == 1 else "have"
    return f"{found} of {which} {have} a constant panel, first {first}: such a score means nothing"


def _is_constant(panel: np.ndarray) -> bool:
    if np.float32(panel[0, 0]) != np.float32(panel[-1, -1]):  # settles it for nearly all
        return False
    return bool(np.ptp(panel.astype(np.float32)) == 0)


def sample_places(number: int) -> np.ndarray:
    """Places of a few of `number` cadences, evenly spaced."""
    return np.unique(np.linspace(0, number - 1, min(number, SAMPLE)).astype(int)) if number else np.zeros(0, int)


def warn_of_unscorable(source: CadenceSource, normalise: str, places: Iterable[int] | None = None) -> None:
    """Warn of panels that give a score without meaning.

    Args:
        source: of the cadences that are scored.
        normalise: `data.normalise` of the networks.
        places: of the cadences that are looked at for constant panels; None: a few.
    """
    looked = sample_places(len(source)) if places is None else places
    for line in (*find_oddities(source, normalise), describe_constant(source, looked)):
        if line is not None:
            log.warning("%s", line)


def find_oddities(source: CadenceSource, normalise: str) -> list[str]:
    """Describe what would keep a network from learning, by a look at a few cadences.

    Args:
        source: of the training cadences.
        normalise: the setting `data.normalise`.
    """
    found = [describe_shape(source.rows, source.bins)]
    if normalise == "none":
        with suppress(SetiError):  # training names a damaged cadence
            found.append(describe_scale(source.read(int(place)) for place in sample_places(len(source))))
    return [line for line in found if line is not None]
