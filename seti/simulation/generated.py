"""Data sets of generators of different making, which networks are compared across.

Each generator draws one cadence of a kind at a time, with noise, backgrounds, signals and storage of its own. A set has
the competition's layout, and `truth.csv` the same columns for all of them.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from seti.simulation import crowded, radiometer, setigen_cadences
from seti.simulation.kinds import NEEDLE, Contents, Limits
from seti.simulation.one_by_one import HEADER, make_set, plan_cadences
from seti.simulation.plan import SPLITS, Planned
from seti.simulation.settings import SimulationSettings
from seti.simulation.spectra import BINS, FILE_SIZE, PANELS, ROWS, import_setigen
from seti.simulation.stream import draw_stream_cadence
from seti.simulation.validation import check_drift, check_limits, check_sizes
from seti.simulation.wide.storage import as_float16

CHUNK = 8  # cadences that a process makes at once
# Shares of the cadences without needle that hold a decoy of each kind; the rest hold none.
DECOYS = {"decoy_everywhere": 0.2, "decoy_faint_off": 0.1, "decoy_off_only": 0.15, "decoy_partial": 0.15}
MODULES = {"setigen": setigen_cadences, "crowded": crowded, "radiometer": radiometer}
TEST = 10_000_000  # index in the stream of the first cadence of a wide test set


def simulate_generated(settings: SimulationSettings) -> Path:
    """Make a data set, or go on with one that was begun with the same settings.

    Returns:
        The folder.

    Raises:
        SetiError: a setting cannot work; the folder holds something else, or cannot be written; setigen is missing.
    """
    check(settings)
    if settings.product == "setigen":
        import_setigen()  # before anything is written
    return make_set(settings, plan(settings), draw_cadence, file_size(settings), CHUNK)


def check(settings: SimulationSettings) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_sizes(settings)
    if settings.product != "wide":
        check_limits(settings)
        check_drift(settings, MODULES[settings.product].LONGEST)


def file_size(settings: SimulationSettings) -> int:
    """Bytes of a cadence's file."""
    return HEADER + 4 * PANELS * ROWS * BINS if settings.product == "radiometer" else FILE_SIZE


def plan(settings: SimulationSettings) -> list[Planned]:
    """Decide which cadences there are, and of what kind; the numbers of every kind are exact."""

    def decoys(count: int) -> list[str]:
        return [kind for kind, share in DECOYS.items() for _ in range(int(share * count))]

    return plan_cadences(settings, settings.product, decoys, functools.partial(_rng, settings, "kinds"))


def draw_cadence(settings: SimulationSettings, cadence: Planned) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a cadence.

    Returns:
        `(6, 273, 256)`, float16, or float32 of raw power; and its row of the truth table.
    """
    split = SPLITS.index(cadence.split)
    if settings.product == "wide":
        drawn = draw_stream_cadence(settings.seed, split * TEST + cadence.index, kind=cadence.kind)
        contents = Contents(drawn.shape, drawn.snr, drawn.drift, drawn.panels)
        panels = as_float16(drawn.data)
    else:
        limits = Limits(tuple(settings.snr), settings.max_drift_rate, settings.complete)
        rng = _rng(settings, "cadence", split, cadence.index)
        panels, contents = MODULES[settings.product].draw(rng, cadence.kind, limits)
    return panels, {
        "id": cadence.id,
        "split": cadence.split,
        "target": int(cadence.kind == NEEDLE),
        "kind": cadence.kind,
        "shape": contents.shape,
        "snr": round(contents.snr, 3),
        "drift": round(contents.drift, 3),
        "panels": " ".join(map(str, contents.panels)),
    }


def _rng(settings: SimulationSettings, purpose: str, *unit: int) -> np.random.Generator:
    words = (("wide", *MODULES).index(settings.product), ("kinds", "cadence").index(purpose))
    return np.random.default_rng([settings.seed, *words, *unit])
