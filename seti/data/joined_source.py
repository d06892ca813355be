"""Two sources of cadences as one: labelled ones, then test cadences with pseudo-labels."""

import copy
from typing import Self

import numpy as np

from seti.data.sources import CadenceSource
from seti.errors import SetiError


class JoinedCadences:
    """The cadences of one source, then those of another: a `CadenceSource`.

    Args:
        first, second: of the same panels and size.

    Raises:
        SetiError: their panels have different sizes.
    """

    def __init__(self, first: CadenceSource, second: CadenceSource) -> None:
        if (first.rows, first.bins) != (second.rows, second.bins):
            msg = (
                f"cadences from {second.description} have panels of {second.rows} x {second.bins}, those from "
                f"{first.description} of {first.rows} x {first.bins}: use cadences of one size"
            )
            raise SetiError(msg)
        self.first, self.second = first, second
        self.panels, self.rows, self.bins = first.panels, first.rows, first.bins
        self.ids = np.concatenate([first.ids, second.ids])
        self._places = np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Origin of both."""
        return f"{self.first.description} and {self.second.description}"

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence, as its own source does."""
        place = int(self._places[index])
        first = len(self.first)
        return self.first.read(place, out) if place < first else self.second.read(place - first, out)

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)
        taken.ids, taken._places = self.ids[indices], self._places[indices]
        return taken
