"""Findings of a data check."""

from dataclasses import dataclass

import numpy as np

from seti.data.cadence import PANEL_LETTERS

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """A fault of a data set, or something unusual in it.

    Attributes:
        id: of the cadence; empty where a whole table or pack is concerned.
        split: `train` or `test`.
        level: `error` where training or prediction would stop or go wrong, else `warning`.
        problem: its kind, a few words.
        detail: what exactly.
        path: of the file concerned.
    """

    id: str
    split: str
    level: str
    problem: str
    detail: str
    path: str


def name_panels(numbers: np.ndarray) -> str:
    """Name panels by number and letter: `panel 0 (A), 1 (B)`."""
    return "panel " + ", ".join(f"{number} ({PANEL_LETTERS[number]})" for number in numbers)
