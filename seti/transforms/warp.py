"""Flips, affine moves, crop and resizing of a plane as one interpolation, with OpenCV."""

import math
import random
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from seti.transforms.geometric import BORDER, CropSides
from seti.transforms.quiet_albumentations import albumentations as A

# Cadences may come as views of a file that is mapped read-only: nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}

# Takes a pixel (x, y) to (a x + b y + c, d x + e y + f). Plain numbers: numpy would take a tenth of the warp and more.
Matrix = tuple[float, float, float, float, float, float]
STILL: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Move:
    """A geometric move of an image, at the image's own size.

    Attributes:
        flip_time, flip_frequency: applied first.
        affine: shift, scale, rotation and crop, applied after the flips; None leaves pixels where they are.
    """

    flip_time: bool = False
    flip_frequency: bool = False
    affine: Matrix | None = None

    @property
    def moves(self) -> bool:
        """True unless pixels stay where they are."""
        return self.flip_time or self.flip_frequency or self.affine is not None

    def matrix(self, height: int, width: int) -> Matrix:
        """Matrix of flips and affine together, for an image of that size in pixels."""
        along = (-1.0, width - 1.0) if self.flip_frequency else (1.0, 0.0)
        down = (-1.0, height - 1.0) if self.flip_time else (1.0, 0.0)
        mirror = (along[0], 0.0, along[1], 0.0, down[0], down[1])
        return mirror if self.affine is None else compose(self.affine, mirror)

    def source(self, height: int, width: int) -> np.ndarray:
        """Inverse of `matrix`: the places where an image's pixels come from.

        Returns:
            float32 `(2, 3)`: takes a pixel `(x, y, 1)` of the moved image to its place in the original.
        """
        return np.array(invert(self.matrix(height, width)), np.float32).reshape(2, 3)

    def apply(self, plane: np.ndarray, out: np.ndarray, interpolation: str) -> None:
        """Move an image and resize it to the size of `out`.

        Args:
            plane: `(rows, bins)` of any native floating-point type, left as it is.
            out: float32 `(height, width)`, C order, written to.
            interpolation: one of `INTERPOLATIONS`.
        """
        if self.affine is None:
            # Resizing first would be the same image, but for the last bit.
            _resize(self._flip(_cast(plane, _scratch(*plane.shape))), out, interpolation)
        elif interpolation == "linear" or plane.shape == out.shape:
            _warp(plane, compose(_scaling(plane.shape, out.shape), self.matrix(*plane.shape)), out)
        else:
            # A warp looks at four pixels and cannot average over more.
            native = np.empty(plane.shape, np.float32)
            _warp(plane, self.matrix(*plane.shape), native)
            _resize(native, out, interpolation)

    def _flip(self, plane: np.ndarray) -> np.ndarray:
        if self.flip_time and self.flip_frequency:
            return cv2.flip(plane, -1)
        if self.flip_time or self.flip_frequency:
            return cv2.flip(plane, 0 if self.flip_time else 1)
        return plane


def compose(second: Matrix, first: Matrix) -> Matrix:
    """Compose two matrices: `first`, then `second`."""
    a, b, c, d, e, f = second
    u, v, w, x, y, z = first
    return a * u + b * x, a * v + b * y, a * w + b * z + c, d * u + e * x, d * v + e * y, d * w + e * z + f


def invert(matrix: Matrix) -> Matrix:
    """Invert a matrix."""
    a, b, c, d, e, f = matrix
    size = a * e - b * d
    a, b, d, e = e / size, -b / size, -d / size, a / size
    return a, b, -(a * c + b * f), d, e, -(d * c + e * f)


class SingleWarp(A.Compose):
    """Flips, affine transform, crop and resizing, drawn like `A.Compose`, applied as one warp.

    The parameters are drawn by the transforms themselves, in their order and from the composition's random state: a
    seed gives those that `A.Compose` with the same transforms would draw.

    Args:
        transforms: `A.HorizontalFlip` (frequency), `A.VerticalFlip` (time), then at most one `A.Affine` whose border is
            `BORDER`, then at most one `CropSides`. The crop comes last so that borders are those of the whole image:
            the warp also sees the pixels around the part that is kept.
        size: `(height, width)` to resize to, or None.
        interpolation: one of `INTERPOLATIONS`.
    """

    def __init__(
        self, transforms: list[A.BasicTransform], size: tuple[int, int] | None = None, interpolation: str = "linear"
    ) -> None:
        super().__init__(transforms)
        # One stream for all transforms, as `A.Compose` has it where it is given a seed.
        self.set_random_state(np.random.default_rng(0), random.Random(0))
        self.size = size
        self.interpolation = interpolation

    def draw(self, height: int, width: int) -> Move:
        """Draw the parameters for an image of that size."""
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
            elif isinstance(transform, CropSides):
                affine = compose(_enlarging(transform.draw(height, width), height, width), affine or STILL)
            else:
                affine = _draw_affine(transform, height, width)
        return Move(**flips, affine=None if affine == STILL else affine)

    def start(self, seed: int) -> None:
        """Seed the random stream; no transform here draws from numpy's generator."""
        self.py_random.seed(seed)

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        """Transform `image=`, float32 `(rows, bins, channels)`, to `(height, width, channels)`."""
        image = data["image"]
        rows, bins, channels = image.shape
        move = self.draw(rows, bins)
        out = np.empty((channels, *(self.size or (rows, bins))), np.float32)
        for channel in range(channels):
            move.apply(image[:, :, channel], out[channel], self.interpolation)
        return data | {"image": np.ascontiguousarray(out.transpose(1, 2, 0))}


def _draw_affine(transform: A.Affine, height: int, width: int) -> Matrix:
    """Draw in the order of `get_params_dependent_on_data`, without its matrix for boxes."""
    shift = transform._get_translate_params((height, width))
    transform._get_shear_params()
    scale = transform._get_scale(transform.scale, transform.keep_ratio, transform.balanced_scale, transform.py_random)
    turn = math.radians(transform.py_random.uniform(*transform.rotate) % 360)
    a, b = math.cos(turn) * scale["x"], math.sin(turn) * scale["y"]
    d, e = -math.sin(turn) * scale["x"], math.cos(turn) * scale["y"]
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return a, b, x + shift["x"] - a * x - b * y, d, e, y + shift["y"] - d * x - e * y


_own = threading.local()


def _scratch(height: int, width: int) -> np.ndarray:
    """Memory for one image at a time: allocating it would cost a fifth of a resizing."""
    memory = getattr(_own, "memory", None)
    if memory is None or memory.size < height * width:
        memory = _own.memory = np.empty(height * width, np.float32)
    return memory[: height * width].reshape(height, width)


def _cast(plane: np.ndarray, to: np.ndarray) -> np.ndarray:
    # OpenCV refuses float16; torch casts it 7 times faster than numpy.
    torch.from_numpy(to).copy_(torch.from_numpy(plane))
    return to


def _resize(plane: np.ndarray, out: np.ndarray, interpolation: str) -> None:
    if plane.shape == out.shape:
        np.copyto(out, plane)
    else:
        cv2.resize(plane, out.shape[::-1], dst=out, interpolation=INTERPOLATIONS[interpolation])


def _scaling(shape: tuple[int, ...], to: tuple[int, ...]) -> Matrix:
    """Matrix of a resizing for centres of pixels; outer edges of both images coincide."""
    down, right = to[0] / shape[0], to[1] / shape[1]
    return right, 0.0, (right - 1) / 2, 0.0, down, (down - 1) / 2


def _enlarging(part: tuple[int, int, int, int], height: int, width: int) -> Matrix:
    """Matrix of a crop, `part` (top, bottom, left, right), that is enlarged to the whole."""
    top, bottom, left, right = part
    return compose(_scaling((bottom - top, right - left), (height, width)), (1.0, 0.0, -left, 0.0, 1.0, -top))


def _warp(plane: np.ndarray, matrix: Matrix, out: np.ndarray) -> None:
    """Warp with mirrored borders; `matrix` takes a pixel of `plane` to its place in `out`."""
    rows, bins = plane.shape
    a, b, c, d, e, f = invert(matrix)
    left, right = _reach(a * (out.shape[1] - 1), b * (out.shape[0] - 1), c, bins)
    above, below = _reach(d * (out.shape[1] - 1), e * (out.shape[0] - 1), f, rows)
    if max(left, right) < bins and max(above, below) < rows:
        # OpenCV looks up mirrored pixels one by one. Mirroring the border first takes a quarter off the whole.
        wide = _scratch(above + rows + below, left + bins + right)
        _cast(plane, wide[above : above + rows, left : left + bins])
        _mirror(wide[above : above + rows].T, left, right)
        _mirror(wide, above, below)
        plane, c, f = wide, c + left, f + above
    else:
        plane = _cast(plane, _scratch(rows, bins))
    back = np.array([[a, b, c], [d, e, f]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(plane, back, out.shape[::-1], dst=out, flags=flags, borderMode=BORDER)


def _reach(along: float, down: float, start: float, length: int) -> tuple[int, int]:
    """Whole pixels by which the corners of an image reach before and after a side of `length`."""
    corners = start, start + along, start + down, start + along + down
    return max(0, math.ceil(-min(corners))), max(0, math.ceil(max(corners)) - length + 2)


def _mirror(lines: np.ndarray, before: int, after: int) -> None:
    """Fill the first and last lines by mirroring, as BORDER_REFLECT_101 (edge not repeated)."""
    end = len(lines) - after
    if before:
        lines[:before] = lines[2 * before : before : -1]
    if after:
        lines[end:] = lines[end - 2 : end - 2 - after : -1] if end - 2 - after >= 0 else lines[end - 2 :: -1][:after]
