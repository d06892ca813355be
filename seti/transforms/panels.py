"""Panels before they are images: those of one cadence, and those of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seti.data.cadence import PANEL_LETTERS
from seti.transforms.views import View, Views, put_together
from seti.transforms.warp import Move

LAST = len(PANEL_LETTERS) - 1  # number of the panel observed last


@dataclass(frozen=True)
class Cadence:
    """A cadence that was read, of which an image is to be made.

    Attributes:
        seed: draws the transforms; None leaves them out.
        panels: `(panels, rows, bins)`, any floating-point type, or a view of panels on the device.
        numbers: `(panels,)`: number, 0 to 5, of the panel in each place.
        target: 0, 1 or NaN.
    """

    seed: int | None
    panels: np.ndarray | View
    numbers: np.ndarray
    target: float

    def mirrored(self, move: Move) -> "Cadence":
        """Mirror the whole cadence by a move's flips; mirrored in time, its last panel comes first."""
        panels, numbers = self.panels, self.numbers
        kept = isinstance(panels, View)
        if move.flip_frequency:
            panels = panels.flip_frequency() if kept else panels[:, :, ::-1]
        if move.flip_time:
            panels = panels.flip_time() if kept else panels[:, ::-1]
            numbers = LAST - numbers
        return replace(self, panels=panels, numbers=numbers)


class Panels(NamedTuple):
    """A batch of cadences that are not images yet.

    Attributes:
        panels: `(B, panels, rows, bins)`, as they were read, or views of some that are kept on the device.
        moves: float32 `(B, 2, 3)`, see `seti.transforms.warp.Move.source`; None where nothing is moved.
        numbers: float32 `(B, panels)`, number of the panel in each place; None where each is in its own.
        gaps: float32 `(B,)` rows between two panels, for the de-Doppler transform; None for the usual ones.
    """

    panels: Tensor | Views
    moves: Tensor | None = None
    numbers: Tensor | None = None
    gaps: Tensor | None = None

    def each_tensor(self, change: Callable[[Tensor], Any]) -> "Panels":
        """Change every tensor of the batch, as by moving it."""
        changed = (None if part is None or isinstance(part, Views) else change(part) for part in self)
        batch = Panels(*changed)
        views = self.panels
        return batch._replace(panels=Views(*map(change, views))) if isinstance(views, Views) else batch

    def mirrored_in_frequency(self) -> "Panels":
        """Mirror every panel in frequency."""
        return self._replace(panels=self.panels.flip(3))

    def mirrored_in_time(self, numbers: Sequence[int]) -> "Panels":
        """Mirror every panel in time, in its place; the panel observed last is now the first.

        Args:
            numbers: of the panels, where the batch does not carry them.
        """
        now = LAST - torch.as_tensor(numbers if self.numbers is None else self.numbers)
        return self._replace(panels=self.panels.flip(2), numbers=now.expand(len(self.panels), -1))


Empty = Callable[[tuple[int, ...], torch.dtype], Tensor]  # makes an uninitialised tensor of a shape and type


def stack_panels(cadences: Sequence[Cadence], empty: Empty) -> Tensor | Views:
    """Stack the panels of cadences, in the widest of their types: `(B, panels, rows, bins)`.

    Where some are views of cadences on the device, only the others are stacked.
    """
    given = [cadence.panels for cadence in cadences]
    sent = [panels for panels in given if not isinstance(panels, View)]
    if not sent:
        return put_together(given, torch.empty(0))
    widest = np.result_type(*{panels.dtype for panels in sent})
    stacked = empty((len(sent), *sent[0].shape), torch.from_numpy(np.empty(0, widest)).dtype)
    np.stack(sent, out=stacked.numpy())
    return stacked if len(sent) == len(given) else put_together(given, stacked)
