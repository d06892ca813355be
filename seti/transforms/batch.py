"""Images from panels on the device that the network runs on, a whole batch at once.

The same images as `seti.transforms.image` makes on the host, to interpolation error: workers hand over panels as
they were read and where the transforms move them, and no step here waits for the device.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seti.data.cadence import PANEL_LETTERS
from seti.transforms.image import ImageMaker
from seti.transforms.warp import INTERPOLATIONS


class Panels(NamedTuple):
    """A batch of cadences that are not images yet.

    Attributes:
        panels: `(B, panels, rows, bins)`, as they were read.
        moves: float32 `(B, 2, 3)`, see `ImageMaker.source`; None where nothing is moved.
        numbers: float32 `(B, panels)`, which of the cadence's six each panel is; None where all are in their places.
        gaps: float32 `(B,)` rows between two panels, for the de-Doppler transform; None for the usual ones.
    """

    panels: Tensor
    moves: Tensor | None = None
    numbers: Tensor | None = None
    gaps: Tensor | None = None


def to_device(inputs: Tensor | Panels, device: torch.device) -> Tensor | Panels:
    """Move a batch's inputs, without waiting where they lie in pinned memory."""
    if isinstance(inputs, Tensor):
        return inputs.to(device, non_blocking=True)
    return Panels(*(None if part is None else part.to(device, non_blocking=True) for part in inputs))


def in_reverse(inputs: Panels, maker: ImageMaker) -> Panels:
    """Panels of a batch mirrored in time: each in its place, and the cadence's last one observed first."""
    numbers = len(PANEL_LETTERS) - 1 - torch.as_tensor(maker.numbers if inputs.numbers is None else inputs.numbers)
    return inputs._replace(panels=inputs.panels.flip(2), numbers=numbers.expand(len(inputs.panels), -1))


def prepare(inputs: Tensor | Panels, maker: ImageMaker) -> Tensor:
    """Make the network's images of a batch, where it lies.

    Args:
        inputs: panels, or images that were made on the host, which come back as they are.
        maker: says how panels are laid out and resized.

    Returns:
        float32 `(B, channels, height, width)`.
    """
    if isinstance(inputs, Tensor):
        return inputs
    # Coordinates and weights need more than half precision, whatever the network computes in.
    with torch.autocast(inputs.panels.device.type, enabled=False):
        return _prepare(inputs, maker)


def _prepare(inputs: Panels, maker: ImageMaker) -> Tensor:
    panels = maker.normalisation(inputs.panels) if maker.normalisation.changes else inputs.panels.float()
    if maker.fan is None:
        return _laid_out(panels, inputs.moves, maker)
    planes = _dedoppler(panels, inputs, maker)
    return planes if maker.fan_alone else torch.cat([_laid_out(panels, None, maker), planes], dim=1)


def _dedoppler(panels: Tensor, inputs: Panels, maker: ImageMaker) -> Tensor:
    """De-Doppler planes of a batch: `(B, panels, height, width)`."""
    numbers = torch.tensor(maker.numbers) if inputs.numbers is None else inputs.numbers
    planes = compressed(maker.fan(panels, numbers, inputs.gaps))
    return _resize(planes, maker.shape(*panels.shape[2:])[1:], maker.interpolation)


def compressed(planes: Tensor) -> Tensor:
    """The inverse hyperbolic sine: a needle is worth tens of deviations, and a strong one hardly more than that.

    By the logarithm, which torch computes 10 times as fast on a CPU.
    """
    return torch.log(planes.abs() + (planes.square() + 1).sqrt()).copysign(planes)


def _laid_out(panels: Tensor, moves: Tensor | None, maker: ImageMaker) -> Tensor:
    """Images of the panels themselves, moved and resized: `(B, channels, height, width)`."""
    batch, count, rows, bins = panels.shape
    planes = panels.reshape(batch, -1, *maker.frame(rows, bins))
    _, height, width = maker.shape(rows, bins)
    if moves is not None:
        # One sampling where the layout lets it: the warp's own pixels are those of the resized image.
        at_once = maker.interpolation == "linear" and not maker.stack_last
        planes = _warp(planes, moves, (height, width) if at_once else planes.shape[2:])
    if maker.stack_last:
        planes = planes.reshape(batch, 1, count * rows, bins)
    return _resize(planes, (height, width), maker.interpolation)


def _warp(planes: Tensor, moves: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample `(B, C, rows, bins)` where `moves` says, resized to `size`, with mirrored borders."""
    rows, bins = planes.shape[2:]
    down, right = (_centres(native, to, planes.device) for native, to in ((rows, size[0]), (bins, size[1])))
    x, y = right[None, None, :], down[None, :, None]
    at = moves[:, :, :, None, None]
    # In -1..1 between the outer pixels' centres: about these `reflection` mirrors, as OpenCV's BORDER_REFLECT_101.
    grid = torch.stack(
        [
            (at[:, axis, 0] * x + at[:, axis, 1] * y + at[:, axis, 2]) * (2 / max(length - 1, 1)) - 1
            for axis, length in enumerate((bins, rows))
        ],
        dim=-1,
    )
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def _centres(length: int, to: int, device: torch.device) -> Tensor:
    """Where the centres of `to` pixels lie on a side of `length`; past the outer ones resizing repeats them."""
    centres = (torch.arange(to, device=device, dtype=torch.float32) + 0.5) * (length / to) - 0.5
    return centres.clamp(0, length - 1)


def _resize(planes: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    native = tuple(planes.shape[2:])
    if native == tuple(size):
        return planes
    if interpolation == "linear":
        return F.interpolate(planes, size, mode="bilinear", align_corners=False)
    down, right = _area_weights(native, tuple(size), planes.device)
    return down @ planes @ right.T


@functools.lru_cache(maxsize=8)
def _area_weights(native: tuple[int, int], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """What each pixel counts in OpenCV's `area` resizing, down `(height, rows)` and to the right `(width, bins)`.

    Taken from OpenCV itself, which averages when both sides shrink and interpolates when one of them grows.
    """
    sides = []
    for axis in (0, 1):
        weights = np.empty((size[axis], native[axis]), np.float32)
        for pixel in range(native[axis]):
            line = np.zeros(native, np.float32)
            line[(slice(None),) * axis + (pixel,)] = 1
            resized = cv2.resize(line, (size[1], size[0]), interpolation=INTERPOLATIONS["area"])
            weights[:, pixel] = resized.take(0, axis=1 - axis)
        sides.append(torch.from_numpy(weights).to(device))
    return sides[0], sides[1]
