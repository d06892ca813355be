"""From panels to the picture that the network sees: layout, transforms by name, resizing.

A picture is `(height, width, channels)`, time downwards and frequency to the right, as albumentations wants it.
The transforms draw their parameters from a seed that is given with every cadence, because albumentations' own
generators give every DataLoader worker the same numbers.
"""

import os
import random

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask the network for a newer release

import albumentations as A
import cv2
import numpy as np
import torch

from seti.cadence import PANEL_CHOICES

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


class Picture:
    """Lay out panels, transform them while training, and resize.

    Args:
        panels: `A` or `all`.
        layout: `spatial` stacks the panels along time, one channel; `channel` makes each panel a channel.
        image_size: `[height, width]`, or None for native size.
        interpolation: `linear`, or `area`, which averages all pixels that fall into one (antialiased shrinking).
        augment: the fields of the `augment` config group, or None for validation and prediction.
    """

    def __init__(
        self,
        panels: str,
        layout: str,
        image_size: list[int] | None,
        interpolation: str,
        augment: dict[str, float] | None = None,
    ) -> None:
        # Shifting or flipping a stack of all panels in time would slide OFF panels into the places of ON panels.
        # Then each panel is transformed by itself (as channels of one picture) before they are stacked.
        self.stack_first = layout == "spatial" and panels == "A"
        self.stack_last = layout == "spatial" and not self.stack_first
        self.n_panels = len(PANEL_CHOICES[panels])
        self.transform = A.Compose(geometric(augment)) if augment and geometric(augment) else None
        self.resize = (
            A.Resize(*image_size, interpolation=INTERPOLATIONS[interpolation]) if image_size is not None else None
        )

    @property
    def channels(self) -> int:
        """Channels of the picture: 1 stacked, else one a panel."""
        return 1 if self.stack_first or self.stack_last else self.n_panels

    def __call__(self, cadence: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Make the picture of one cadence.

        Args:
            cadence: `(panels, rows, bins)`, any floating-point type.
            seed: draws the transforms' parameters; None leaves the transforms out.

        Returns:
            float32 `(channels, height, width)`, C order.
        """
        # OpenCV refuses float16; torch casts it 7 times faster than numpy.
        native = cadence.astype(cadence.dtype.newbyteorder("="), copy=False)
        picture = torch.from_numpy(native).float().numpy()
        picture = stack(picture) if self.stack_first else picture.transpose(1, 2, 0)
        if self.transform is not None and seed is not None:
            # One stream for all transforms: `set_random_seed` would start each of them at the same number, so that
            # both flips and the affine transform happen together or not at all.
            self.transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
            picture = self.transform(image=np.ascontiguousarray(picture))["image"]
        if self.stack_last:
            picture = stack(picture.transpose(2, 0, 1))
        if self.resize is not None:
            picture = self.resize.apply(np.ascontiguousarray(picture), interpolation=self.resize.interpolation)
        return np.ascontiguousarray(picture.transpose(2, 0, 1))


def stack(cadence: np.ndarray) -> np.ndarray:
    """Stack panels along time: `(panels, rows, bins)` to a one-channel picture `(panels * rows, bins, 1)`."""
    return cadence.reshape(-1, cadence.shape[-1], 1)


def geometric(augment: dict[str, float]) -> list[A.BasicTransform]:
    """Build the transforms of the `augment` config group; those with probability 0 are left out.

    Only geometry: albumentations' noise, brightness, gamma and blur clip float pictures to 0..1 without a word.

    Args:
        augment: `flip_frequency`, `flip_time`, `affine`: probabilities; `shift` (share of each side), `scale`
            (share) and `rotate` (degrees): limits, drawn evenly on both sides of zero.
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
                # Zeros would draw a bright edge around dark backgrounds; the reference recipe mirrors too.
                border_mode=cv2.BORDER_REFLECT_101,
                p=augment["affine"],
            )
        )
    return transforms
