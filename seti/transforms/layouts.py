"""Layouts: the ways in which the panels of a cadence become the channels of an image.

A layout is one frozen dataclass. To add one, write it here with the members of `Layout` (and those of `DrawnLayout`, if
it has a faster way on the host), and add it to `LAYOUTS` and its name to `layout_names.py`: `data.layout` accepts it,
and training, prediction and mirrored views follow. Functions of this module build most members.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from seti.data.cadence import OFF_PANELS
from seti.transforms.dedoppler import Dedoppler, compress
from seti.transforms.panels import Cadence, Panels
from seti.transforms.resampling import resize, warp
from seti.transforms.warp import Move

Stack = Callable[[Sequence[Cadence]], Tensor]  # panels of some cadences, `(B, panels, rows, bins)`
Size = tuple[int, int]


class Layout(Protocol):
    """An arrangement of panels as an image `(channels, time, frequency)`.

    Built as `layout(panels)`, and as `layout(panels, dedoppler)` where it integrates along drift rates.

    Attributes:
        integrates: sums power along drift rates. Panels then need two rows at least and a normalisation by their noise,
            and no transform may bend tracks.
        panels: numbers, 0 to 5, of the panels that it takes in.
        channels: of the image.
        mirrors_time: flipping the image along its height gives the image of the cadence mirrored in time. Where this
            does not hold, mirrored views are made again from mirrored panels.
        mirrors_frequency: the same along its width.
    """

    integrates: ClassVar[bool]
    panels: tuple[int, ...]

    @property
    def channels(self) -> int: ...  # noqa: D102

    @property
    def mirrors_time(self) -> bool: ...  # noqa: D102

    @property
    def mirrors_frequency(self) -> bool: ...  # noqa: D102

    def size(self, rows: int, bins: int) -> Size:
        """Native height and width of the image of panels of that size."""
        ...

    def frame(self, rows: int, bins: int) -> Size:
        """Height and width of the plane that a random move acts on."""
        ...

    def hand_over(self, cadences: Sequence[Cadence], moves: Sequence[Move] | None, stack: Stack) -> Panels:
        """Put cadences into a batch for `images`.

        Args:
            cadences: of one size.
            moves: one a cadence, drawn for `frame`, or None where nothing is moved.
            stack: stacks the panels of cadences in memory that suits the caller.
        """
        ...

    def images(self, inputs: Panels, size: Size, interpolation: str) -> Tensor:
        """Make the images of a batch, on the device where it lies.

        Args:
            inputs: from `hand_over`, with normalised float32 panels.
            size: `(height, width)` of the images.
            interpolation: `linear` or `area`.

        Returns:
            float32 `(B, channels, height, width)`.
        """
        ...


@runtime_checkable
class DrawnLayout(Layout, Protocol):
    """A layout whose images the host draws one by one, with OpenCV instead of torch."""

    def draw(self, cadence: np.ndarray, move: Move, out: np.ndarray, interpolation: str) -> None:
        """Draw the image of one cadence.

        Args:
            cadence: `(panels, rows, bins)`, C order, any native floating-point type, left as it is.
            move: drawn for `frame`.
            out: float32 `(channels, height, width)`, C order, to be written to.
            interpolation: `linear` or `area`.
        """
        ...


@dataclass(frozen=True)
class Spatial:
    """Panels stacked along time, in one channel.

    A stack of ON panels is moved as a whole. Moving a stack that includes OFF panels would slide these into the places
    of ON panels, so each panel is moved by itself before they are stacked.
    """

    integrates: ClassVar[bool] = False
    channels: ClassVar[int] = 1
    mirrors_frequency: ClassVar[bool] = True
    panels: tuple[int, ...]

    @property
    def moves_as_one(self) -> bool:
        """True where the stack is moved, False where each panel is."""
        return not set(self.panels) & set(OFF_PANELS)

    @property
    def mirrors_time(self) -> bool:
        """With OFF panels, not so: they would come to the places of ON panels."""
        return self.moves_as_one

    def size(self, rows: int, bins: int) -> Size:
        """All rows of all panels."""
        return rows * len(self.panels), bins

    def frame(self, rows: int, bins: int) -> Size:
        """The stack, or one panel."""
        return self.size(rows, bins) if self.moves_as_one else (rows, bins)

    def hand_over(self, cadences: Sequence[Cadence], moves: Sequence[Move] | None, stack: Stack) -> Panels:
        """Panels, and the move of the stack or of each panel."""
        return with_moves(cadences, moves, self.frame, stack)

    def images(self, inputs: Panels, size: Size, interpolation: str) -> Tensor:
        """Stack and move, or move and stack; then resize."""
        batch, _, rows, bins = inputs.panels.shape
        height, width = self.size(rows, bins)
        if self.moves_as_one:
            return move_and_resize(inputs.panels.reshape(batch, 1, height, width), inputs.moves, size, interpolation)
        planes = inputs.panels if inputs.moves is None else warp(inputs.panels, inputs.moves, (rows, bins))
        return resize(planes.reshape(batch, 1, height, width), size, interpolation)

    def draw(self, cadence: np.ndarray, move: Move, out: np.ndarray, interpolation: str) -> None:
        """Draw as `images` does, one cadence."""
        if not self.moves_as_one and move.moves:
            still, cadence = cadence, np.empty(cadence.shape, np.float32)
            for panel, moved in zip(still, cadence, strict=True):
                move.apply(panel, moved, interpolation)
            move = Move()
        move.apply(stack_in_time(cadence), out[0], interpolation)


@dataclass(frozen=True)
class Channel:
    """Layout `channel`: one channel per panel."""

    integrates: ClassVar[bool] = False
    mirrors_time: ClassVar[bool] = True
    mirrors_frequency: ClassVar[bool] = True
    panels: tuple[int, ...]

    @property
    def channels(self) -> int:
        """One channel per panel."""
        return len(self.panels)

    def size(self, rows: int, bins: int) -> Size:
        """Size of one panel."""
        return rows, bins

    def frame(self, rows: int, bins: int) -> Size:
        """Size of one panel: all panels of a cadence move by the same transform."""
        return rows, bins

    def hand_over(self, cadences: Sequence[Cadence], moves: Sequence[Move] | None, stack: Stack) -> Panels:
        """Panels, and the transform that all panels of a cadence share."""
        return with_moves(cadences, moves, self.frame, stack)

    def images(self, inputs: Panels, size: Size, interpolation: str) -> Tensor:
        """Move and resize each panel."""
        return move_and_resize(inputs.panels, inputs.moves, size, interpolation)

    def draw(self, cadence: np.ndarray, move: Move, out: np.ndarray, interpolation: str) -> None:
        """Move and resize each panel."""
        for panel, channel in zip(cadence, out, strict=True):
            move.apply(panel, channel, interpolation)


@dataclass(frozen=True)
class DedopplerPlanes:
    """A channel a panel, its de-Doppler plane: drift rate downwards, frequency to the right."""

    integrates: ClassVar[bool] = True
    # A mirrored cadence drifts the other way, and its last panel comes first.
    mirrors_time: ClassVar[bool] = False
    mirrors_frequency: ClassVar[bool] = False
    panels: tuple[int, ...]
    dedoppler: Dedoppler

    @property
    def channels(self) -> int:
        """One channel per panel."""
        return len(self.panels)

    def size(self, rows: int, bins: int) -> Size:
        """Drift rates and bins."""
        return self.dedoppler.drifts, bins

    def frame(self, rows: int, bins: int) -> Size:
        """Size of one panel."""
        return rows, bins

    def hand_over(self, cadences: Sequence[Cadence], moves: Sequence[Move] | None, stack: Stack) -> Panels:
        """Mirrored panels, with the numbers and gaps by which they are aligned."""
        return with_gaps(cadences, moves, self.dedoppler, stack)

    def images(self, inputs: Panels, size: Size, interpolation: str) -> Tensor:
        """De-Doppler planes, compressed and resized."""
        numbers = torch.tensor(self.panels) if inputs.numbers is None else inputs.numbers
        return resize(compress(self.dedoppler(inputs.panels, numbers, inputs.gaps)), size, interpolation)


@dataclass(frozen=True)
class ChannelDedopplerPlanes:
    """The panels' channels, followed by their de-Doppler planes resized to the panels' size."""

    integrates: ClassVar[bool] = True
    mirrors_time: ClassVar[bool] = False
    mirrors_frequency: ClassVar[bool] = False
    panels: tuple[int, ...]
    dedoppler: Dedoppler

    @property
    def channels(self) -> int:
        """Two channels per panel: its pixels and its de-Doppler plane."""
        return 2 * len(self.panels)

    def size(self, rows: int, bins: int) -> Size:
        """Size of one panel."""
        return rows, bins

    def frame(self, rows: int, bins: int) -> Size:
        """Size of one panel."""
        return rows, bins

    def hand_over(self, cadences: Sequence[Cadence], moves: Sequence[Move] | None, stack: Stack) -> Panels:
        """Panels with their gaps, as `DedopplerPlanes` hands them over."""
        return with_gaps(cadences, moves, self.dedoppler, stack)

    def images(self, inputs: Panels, size: Size, interpolation: str) -> Tensor:
        """Channels of both layouts."""
        panels = resize(inputs.panels, size, interpolation)
        planes = DedopplerPlanes(self.panels, self.dedoppler).images(inputs, size, interpolation)
        return torch.cat([panels, planes], dim=1)


# The choices of `data.layout`.
LAYOUTS: dict[str, type[Layout]] = {
    "spatial": Spatial,
    "channel": Channel,
    "dedoppler": DedopplerPlanes,
    "channel_dedoppler": ChannelDedopplerPlanes,
}


def make_layout(name: str, panels: tuple[int, ...], dedoppler: Dedoppler | None) -> Layout:
    """Build a layout by its name in `LAYOUTS`; only those that integrate take `dedoppler`."""
    layout = LAYOUTS[name]
    return layout(panels, dedoppler) if layout.integrates else layout(panels)


def with_moves(
    cadences: Sequence[Cadence], moves: Sequence[Move] | None, frame: Callable[[int, int], Size], stack: Stack
) -> Panels:
    """Batch of panels that `images` moves: the moves go along, as places where pixels come from."""
    if moves is None:
        return Panels(stack(cadences))
    size = frame(*cadences[0].panels.shape[1:])
    return Panels(stack(cadences), torch.from_numpy(np.stack([move.source(*size) for move in moves])))


def with_gaps(cadences: Sequence[Cadence], moves: Sequence[Move] | None, dedoppler: Dedoppler, stack: Stack) -> Panels:
    """Batch of panels that are aligned in time: they are flipped before, and bring numbers."""
    if moves is not None:
        cadences = [cadence.mirrored(move) for cadence, move in zip(cadences, moves, strict=True)]
    numbers = torch.from_numpy(np.stack([cadence.numbers for cadence in cadences]).astype(np.float32))
    training = cadences[0].seed is not None
    gaps = torch.tensor([dedoppler.draw_gap(cadence.seed) for cadence in cadences]) if training else None
    return Panels(stack(cadences), None, numbers, gaps)


def move_and_resize(planes: Tensor, moves: Tensor | None, size: Size, interpolation: str) -> Tensor:
    """Move planes `(B, C, rows, bins)` and resize them; linearly, by one sampling for both."""
    if moves is not None:
        planes = warp(planes, moves, size if interpolation == "linear" else tuple(planes.shape[2:]))
    return resize(planes, size, interpolation)


def stack_in_time(cadence: np.ndarray) -> np.ndarray:
    """Stack panels along time: `(panels, rows, bins)` to `(panels * rows, bins)`."""
    return cadence.reshape(-1, cadence.shape[-1])
