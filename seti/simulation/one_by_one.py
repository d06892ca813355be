"""Data sets whose cadences are drawn one at a time, each on a background of its own.

A product says which kinds there are and how a cadence is drawn; the folder, its tables and the processes are the same
for all.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seti.data.competition import cadence_path
from seti.simulation.dataset import is_written, make_cadences, write_cadence, write_tables, writing
from seti.simulation.kinds import BACKGROUND, NEEDLE
from seti.simulation.plan import SPLITS, Planned, cadence_id
from seti.simulation.settings import SimulationSettings

HEADER = 128  # bytes of numpy's header

# From settings and a planned cadence to its panels and its row of the truth table.
Draw = Callable[[SimulationSettings, Planned], tuple[np.ndarray, dict[str, Any]]]


def plan_cadences(
    settings: SimulationSettings,
    product: str,
    decoys: Callable[[int], list[str]],
    rng: Callable[[int], np.random.Generator],
) -> list[Planned]:
    """Decide which cadences there are, and of what kind; the numbers of every kind are exact.

    Args:
        settings: numbers of cadences, share of needles, seed.
        product: name that the cadences' ids are derived from.
        decoys: from the number of cadences without needle to the kinds of those that hold a decoy.
        rng: source of the order of kinds in a split, given its number.
    """
    cadences = []
    for number, split in enumerate(SPLITS):
        count = getattr(settings, split)
        needles = round(settings.positives * count)
        kinds = [NEEDLE] * needles + decoys(count - needles)
        kinds += [BACKGROUND] * (count - len(kinds))
        for index, kind in enumerate(rng(number).permutation(kinds)):
            cadences.append(Planned(cadence_id(product, settings.seed, split, index), split, index, str(kind)))
    return cadences


def make_set(settings: SimulationSettings, cadences: list[Planned], draw: Draw, file_size: int, chunk: int) -> Path:
    """Make a data set, or go on with one that was begun with the same settings.

    Args:
        settings: root, workers, and all that `draw` needs.
        cadences: of `plan_cadences`.
        draw: a function that other processes can import.
        file_size: bytes of a cadence's file.
        chunk: cadences that a process makes at once.

    Returns:
        The folder.

    Raises:
        SetiError: the folder holds something else, or cannot be written.
    """
    root = Path(settings.root)
    groups = [cadences[first : first + chunk] for first in range(0, len(cadences), chunk)]
    with writing(root, settings, file_size):
        work = functools.partial(_make_group, settings, draw, file_size)
        write_tables(root, make_cadences(work, groups, settings.workers))
    return root


def _make_group(
    settings: SimulationSettings, draw: Draw, file_size: int, number: int, group: list[Planned]
) -> list[dict[str, Any]]:
    rows = []
    for cadence in group:
        path = cadence_path(Path(settings.root), cadence.split, cadence.id)
        panels, truth = draw(settings, cadence)
        rows.append(truth)
        if not is_written(path, file_size):
            write_cadence(path, panels)
    return rows
