"""Cadences that are kept on the device: batches refer to them, and are put together there.

Workers send panels only where they have changed their values, by injection. What else training does to panels before
they are images (mirroring, rolling, changing places) is another order of panels, rows and bins, and that is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Original places along an axis: `(start + step * place) % size`.

    Attributes:
        size: number of places.
        start: original place of the first one.
        step: 1, or -1 where it is mirrored.
    """

    size: int
    start: int = 0
    step: int = 1

    def roll(self, shift: int) -> Self:
        """Shift to higher places; what leaves at the end re-enters at the beginning."""
        return replace(self, start=(self.start - self.step * shift) % self.size)

    def mirror(self) -> Self:
        """Reverse the order."""
        return replace(self, start=(self.start + self.step * (self.size - 1)) % self.size, step=-self.step)


@dataclass(frozen=True)
class View:
    """A cadence that lies on the device, in another order.

    Attributes:
        index: among those that are kept.
        panels: the original place of each panel.
        rows, bins: of every panel.
    """

    index: int
    panels: tuple[int, ...]
    rows: Axis
    bins: Axis

    @classmethod
    def whole(cls, index: int, shape: tuple[int, int, int]) -> Self:
        """View a cadence of `(panels, rows, bins)` as it is."""
        panels, rows, bins = shape
        return cls(index, tuple(range(panels)), Axis(rows), Axis(bins))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of panels, rows and bins."""
        return len(self.panels), self.rows.size, self.bins.size

    def pick(self, places: Sequence[int]) -> Self:
        """Take panels from these places."""
        return replace(self, panels=tuple(self.panels[place] for place in places))

    def roll(self, shift: int) -> Self:
        """Roll along frequency, as `numpy.roll` does."""
        return replace(self, bins=self.bins.roll(shift))

    def flip_time(self) -> Self:
        """Mirror every panel in time."""
        return replace(self, rows=self.rows.mirror())

    def flip_frequency(self) -> Self:
        """Mirror every panel in frequency."""
        return replace(self, bins=self.bins.mirror())


class Views(NamedTuple):
    """A batch of which some cadences are kept on the device and the others are sent.

    Attributes:
        sent: `(S, panels, rows, bins)`, at most B.
        places: int64 `(S,)`, their places in the batch.
        index: int64 `(B,)`, of the kept cadences; 0 in the places of those that are sent.
        panels: int64 `(B, panels)`, the original place of each.
        rows, bins: int64 `(B, 2)`, start and step of the axis.
    """

    sent: Tensor
    places: Tensor
    index: Tensor
    panels: Tensor
    rows: Tensor
    bins: Tensor

    def gather(self, kept: Tensor) -> Tensor:
        """Put the batch together, in the wider type of what is kept and what is sent.

        Args:
            kept: `(N, panels, rows, bins)`, on the device of the batch.

        Returns:
            `(B, panels, rows, bins)`.
        """
        rows, bins = _along(self.rows, kept.shape[2]), _along(self.bins, kept.shape[3])
        batch = kept[
            self.index[:, None, None, None], self.panels[:, :, None, None], rows[:, None, :, None], bins[:, None, None]
        ]
        if not len(self.places):
            return batch
        batch = batch.to(torch.promote_types(batch.dtype, self.sent.dtype))
        batch[self.places] = self.sent.to(batch.dtype)
        return batch


def _along(axis: Tensor, size: int) -> Tensor:
    """Original places along axes `(B, 2)` of a size: `(B, size)`."""
    return (axis[:, :1] + axis[:, 1:] * torch.arange(size, device=axis.device)) % size


def put_together(panels: Sequence[np.ndarray | View], sent: Tensor) -> Views:
    """Describe a batch of views and of panels that are sent.

    Args:
        panels: B, of one shape; one at least is a view.
        sent: the others, stacked.
    """
    whole = View.whole(0, next(view.shape for view in panels if isinstance(view, View)))
    views = [given if isinstance(given, View) else whole for given in panels]
    return Views(
        sent,
        torch.tensor([place for place, given in enumerate(panels) if not isinstance(given, View)], dtype=torch.int64),
        torch.tensor([view.index for view in views]),
        torch.tensor([view.panels for view in views]),
        torch.tensor([(view.rows.start, view.rows.step) for view in views]),
        torch.tensor([(view.bins.start, view.bins.step) for view in views]),
    )
