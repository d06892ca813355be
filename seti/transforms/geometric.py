"""Geometric transforms of the `augment` settings: flips, shift, scale, rotation, crop.

`seti.transforms.warp` draws their parameters and applies all of them as one interpolation.
"""

from typing import Any

import cv2
import numpy as np

from seti.transforms.quiet_albumentations import albumentations as A

# Zeros would draw a bright edge around dark backgrounds; the reference recipe mirrors too.
BORDER = cv2.BORDER_REFLECT_101


def geometric_transforms(augment: dict[str, Any]) -> list[A.BasicTransform]:
    """Build the transforms of the `augment` config group; those with probability 0 are left out.

    Geometry only: albumentations' noise, brightness, gamma and blur silently clip float images to 0..1.

    Args:
        augment: `flip_frequency`, `flip_time`, `affine`: probabilities; `shift` (share of each side), `scale`
            (share) and `rotate` (degrees): limits, drawn evenly on both sides of zero. `crop`: probability;
            `crop_scale`: `[low, high]`, the share of each side that is kept. The other fields are
            those of `panel_augmentation` and `cutout`.
    """
    transforms: list[A.BasicTransform] = []
    if augment["flip_frequency"] > 0:
        transforms.append(A.HorizontalFlip(p=augment["flip_frequency"]))
    if augment["flip_time"] > 0:
        transforms.append(A.VerticalFlip(p=augment["flip_time"]))
    if augment["affine"] > 0:
        transforms.append(
            A.Affine(
                translate_percent=(-augment["shift"], augment["shift"]),
                scale=(1 - augment["scale"], 1 + augment["scale"]),
                rotate=(-augment["rotate"], augment["rotate"]),
                keep_ratio=True,
                interpolation=cv2.INTER_LINEAR,
                border_mode=BORDER,
                p=augment["affine"],
            )
        )
    if augment["crop"] > 0:
        transforms.append(CropSides(scale=tuple(augment["crop_scale"]), p=augment["crop"]))
    return transforms


class CropSides(A.DualTransform):
    """Crop random shares of rows and bins, at a random place, and resize to the image's size.

    albumentations' crops draw an area and a ratio, or one side for both. Time and frequency are unrelated axes, so here
    their shares are drawn independently.

    Args:
        scale: `(low, high)`, share of each side that is kept, drawn evenly.
        p: probability.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """Types of the arguments, which albumentations checks."""

        scale: tuple[float, float]

    def __init__(self, scale: tuple[float, float], p: float = 1.0) -> None:
        super().__init__(p=p)
        self.scale = scale

    def draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw the part that is kept: `top, bottom, left, right` in pixels, ends not included."""
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
        """Crop and resize `(rows, bins, ...)`; `SingleWarp` does so with all other transforms."""
        top, bottom, left, right = part
        kept = cv2.resize(img[top:bottom, left:right], img.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return kept.reshape(img.shape)
