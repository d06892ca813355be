"""Flips, shift, scale, rotation and resizing of a picture as one interpolation instead of one each."""

import os
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask the network for a newer release

import albumentations as A
import cv2
import numpy as np

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}
# Zeros would draw a bright edge around dark backgrounds; the reference recipe mirrors too.
BORDER = cv2.BORDER_REFLECT_101


@dataclass(frozen=True)
class Move:
    """Where the pixels of a picture go, at the picture's own size.

    Attributes:
        flip_time, flip_frequency: mirrored first.
        affine: `(3, 3)`, applied behind the flips: takes a pixel's `(x, y, 1)` to where it goes; None leaves it there.
    """

    flip_time: bool = False
    flip_frequency: bool = False
    affine: np.ndarray | None = None

    @property
    def moves(self) -> bool:
        """Whether anything changes."""
        return self.flip_time or self.flip_frequency or self.affine is not None

    def flip(self, plane: np.ndarray) -> np.ndarray:
        """Mirror a picture; one that is not mirrored comes back itself."""
        if self.flip_time and self.flip_frequency:
            return cv2.flip(plane, -1)
        if self.flip_time or self.flip_frequency:
            return cv2.flip(plane, 0 if self.flip_time else 1)
        return plane

    def matrix(self, height: int, width: int) -> np.ndarray:
        """Flips and affine as one matrix, `(3, 3)`, for a picture of that size."""
        mirror = np.eye(3)
        if self.flip_frequency:
            mirror[0] = -1, 0, width - 1
        if self.flip_time:
            mirror[1] = 0, -1, height - 1
        return mirror if self.affine is None else self.affine @ mirror

    def apply(self, plane: np.ndarray, out: np.ndarray, interpolation: str) -> None:
        """Draw a picture where the move puts it, resized to the size of `out`.

        Args:
            plane: float32 `(rows, bins)`, left as it is.
            out: float32 `(height, width)`, C order, written to.
            interpolation: one of `INTERPOLATIONS`.
        """
        if self.affine is None:
            # Resizing first would be the same picture, but for the last bit.
            _resize(self.flip(plane), out, interpolation)
        elif interpolation == "linear" or plane.shape == out.shape:
            _warp(plane, _scaling(plane.shape, out.shape) @ self.matrix(*plane.shape), out)
        else:
            # A warp looks at four pixels and cannot average over more.
            native = np.empty_like(plane)
            _warp(plane, self.matrix(*plane.shape), native)
            _resize(native, out, interpolation)


class OneWarp(A.Compose):
    """Flips and affine transforms with a resizing behind them, like `A.Compose`, but applied as one warp.

    The parameters are drawn by the transforms themselves, in their order and from the composition's random state: a
    seed gives those that `A.Compose` with the same transforms would draw.

    Args:
        transforms: `A.HorizontalFlip` (frequency), `A.VerticalFlip` (time), and behind them at most one `A.Affine`
            with `BORDER` as its border.
        size: `(height, width)` to resize to, or None.
        interpolation: one of `INTERPOLATIONS`.
    """

    def __init__(
        self, transforms: list[A.BasicTransform], size: tuple[int, int] | None = None, interpolation: str = "linear"
    ) -> None:
        super().__init__(transforms)
        self.size = size
        self.interpolation = interpolation

    def draw(self, height: int, width: int) -> Move:
        """Draw the parameters for a picture of that size."""
        if self.py_random.random() >= self.p:  # `A.Compose` draws it too, though p is 1
            return Move()
        flips, affine = {"flip_time": False, "flip_frequency": False}, None
        for transform in self.transforms:
            if not transform.should_apply():
                continue
            if isinstance(transform, A.HorizontalFlip):
                flips["flip_frequency"] = True
            elif isinstance(transform, A.VerticalFlip):
                flips["flip_time"] = True
            else:
                affine = transform.get_params_dependent_on_data({"shape": (height, width)}, {})["matrix"]
        return Move(**flips, affine=None if affine is None or np.array_equal(affine, np.eye(3)) else affine)

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        """Transform `image=`, float32 `(rows, bins, channels)`, to `(height, width, channels)`."""
        image = data["image"]
        rows, bins, channels = image.shape
        move = self.draw(rows, bins)
        out = np.empty((channels, *(self.size or (rows, bins))), np.float32)
        for channel in range(channels):
            move.apply(np.ascontiguousarray(image[:, :, channel]), out[channel], self.interpolation)
        return data | {"image": np.ascontiguousarray(out.transpose(1, 2, 0))}


def _resize(plane: np.ndarray, out: np.ndarray, interpolation: str) -> None:
    if plane.shape == out.shape:
        np.copyto(out, plane)
    else:
        cv2.resize(plane, out.shape[::-1], dst=out, interpolation=INTERPOLATIONS[interpolation])


def _scaling(shape: tuple[int, ...], to: tuple[int, ...]) -> np.ndarray:
    """Where resizing takes a pixel's centre, `(3, 3)`: the pictures' edges lie on each other, half a pixel outside."""
    down, right = to[0] / shape[0], to[1] / shape[1]
    return np.array([[right, 0, (right - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def _warp(plane: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Warp with mirrored borders; `matrix` takes a pixel of `plane` to its place in `out`."""
    height, width = out.shape
    back = cv2.invertAffineTransform(matrix[:2])
    corners = back @ np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
    before = np.maximum(np.ceil(-corners.min(axis=1)), 0).astype(int)
    behind = np.maximum(np.ceil(corners.max(axis=1)) - plane.shape[::-1] + 2, 0).astype(int)
    if (np.maximum(before, behind) < plane.shape[::-1]).all():
        # OpenCV looks up mirrored pixels one by one. Mirroring the border first takes a quarter off the whole.
        plane = cv2.copyMakeBorder(plane, before[1], behind[1], before[0], behind[0], BORDER)
        back[:, 2] += before
    cv2.warpAffine(
        plane, back, (width, height), dst=out, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=BORDER
    )
