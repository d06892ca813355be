"""Moving and resizing batches of planes with torch; `warp` does one plane with OpenCV."""

import functools

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seti.transforms.warp import INTERPOLATIONS


def warp(planes: Tensor, moves: Tensor, size: tuple[int, int]) -> Tensor:
    """Move planes and resize them linearly, with mirrored borders, as one sampling.

    Args:
        planes: float32 `(B, C, rows, bins)`.
        moves: float32 `(B, 2, 3)`, see `seti.transforms.warp.Move.source`.
        size: `(height, width)`.

    Returns:
        `(B, C, height, width)`.
    """
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


def resize(planes: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Resize planes `(B, C, rows, bins)` to `(B, C, height, width)`, by `linear` or `area`."""
    native = tuple(planes.shape[2:])
    if native == tuple(size):
        return planes
    if interpolation == "linear":
        return F.interpolate(planes, size, mode="bilinear", align_corners=False)
    down, right = _area_weights(native, tuple(size), planes.device)
    return down @ planes @ right.T


def _centres(length: int, to: int, device: torch.device) -> Tensor:
    """Centres of `to` pixels on a side of `length`, clamped as resizing repeats the border."""
    centres = (torch.arange(to, device=device, dtype=torch.float32) + 0.5) * (length / to) - 0.5
    return centres.clamp(0, length - 1)


@functools.lru_cache(maxsize=8)
def _area_weights(native: tuple[int, int], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Weights of OpenCV's `area` resizing: `(height, rows)` and `(width, bins)`.

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
