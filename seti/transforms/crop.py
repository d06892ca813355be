"""A random part of an image, enlarged to the whole."""

from typing import Any

import cv2
import numpy as np

from seti.transforms.quiet_albumentations import albumentations as A


class CropSides(A.DualTransform):
    """Keep a random share of the rows and one of the bins, at a random place, resized to the image's own size.

    albumentations' crops draw an area and a ratio, or one side for both; time and frequency have nothing in common,
    so their shares are drawn apart.

    Args:
        scale: `(low, high)`, what is kept of each side, drawn evenly.
        p: probability.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """What albumentations checks the arguments by."""

        scale: tuple[float, float]

    def __init__(self, scale: tuple[float, float], p: float = 1.0) -> None:
        super().__init__(p=p)
        self.scale = scale

    def draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw the part of an image of that size: `top, bottom, left, right` in pixels, the end not included."""
        sides = []
        for length in (height, width):
            kept = max(1, round(self.py_random.uniform(*self.scale) * length))
            start = self.py_random.randint(0, length - kept)
            sides += [start, start + kept]
        return tuple(sides)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw as `draw`, for albumentations."""
        return {"part": self.draw(*params["shape"][:2])}

    def apply(self, img: np.ndarray, part: tuple[int, int, int, int], **params: Any) -> np.ndarray:
        """Cut out and resize `(rows, bins, ...)`: what `seti.transforms.warp` does together with everything else."""
        top, bottom, left, right = part
        kept = cv2.resize(img[top:bottom, left:right], img.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return kept.reshape(img.shape)
