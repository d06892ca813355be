"""From panels to the image that the network sees: layout, transforms by name, resizing.

Time goes downwards and frequency to the right. The transforms draw their parameters from a seed that is given with
every cadence, because albumentations' own generators give every DataLoader worker the same numbers.
"""

from typing import Any

import cv2
import numpy as np

from seti.data.cadence import DEDOPPLER_LAYOUTS, PANEL_CHOICES
from seti.transforms.crop import CropSides
from seti.transforms.dedoppler import Dedoppler
from seti.transforms.normalisation import Normalisation
from seti.transforms.quiet_albumentations import albumentations as A
from seti.transforms.warp import BORDER, Move, OneWarp, invert

NO_NORMALISATION = Normalisation()


class ImageMaker:
    """Lay out panels, transform them while training, and resize.

    Args:
        panels: `A` or `all`.
        layout: `spatial` stacks the panels along time, one channel; `channel` makes each panel a channel; `dedoppler`
            makes its de-Doppler plane one; `channel_dedoppler` has the panels' channels and behind them the planes'.
        image_size: `[height, width]`, or None for native size.
        interpolation: `linear`, or `area`, which averages all pixels that fall into one (antialiased shrinking).
        augment: the fields of the `augment` config group, or None for validation and prediction.
        normalisation: of the panels, before anything is moved.
        fan: of the layouts with de-Doppler planes.
    """

    def __init__(
        self,
        panels: str,
        layout: str,
        image_size: list[int] | None,
        interpolation: str,
        augment: dict[str, Any] | None = None,
        normalisation: Normalisation = NO_NORMALISATION,
        fan: Dedoppler | None = None,
    ) -> None:
        self.normalisation = normalisation
        self.fan = fan if layout in DEDOPPLER_LAYOUTS else None
        self.fan_alone = layout == "dedoppler"
        self.numbers = PANEL_CHOICES[panels]
        # Shifting or flipping a stack of all panels in time would slide OFF panels into the places of ON panels.
        # Then each panel is transformed by itself before they are stacked.
        self.stack_first = layout == "spatial" and panels == "A"
        self.stack_last = layout == "spatial" and not self.stack_first
        self.n_panels = len(self.numbers)
        self.image_size = image_size
        self.interpolation = interpolation
        self.transform = OneWarp(geometric(augment)) if augment and geometric(augment) else None

    @property
    def channels(self) -> int:
        """Channels of the image: 1 stacked, else one a panel, or two with its de-Doppler plane beside it."""
        if self.stack_first or self.stack_last:
            return 1
        return self.n_panels * (2 if self.fan and not self.fan_alone else 1)

    @property
    def by_batch(self) -> bool:
        """Whether images are made a batch at once (`seti.transforms.batch`), on the host too."""
        return self.fan is not None

    def shape(self, rows: int, bins: int) -> tuple[int, int, int]:
        """Channels, height and width of the image of panels of that size."""
        if self.fan_alone:
            height, width = self.image_size or (self.fan.drifts, bins)
        else:
            stacked = self.n_panels if self.channels == 1 else 1
            height, width = self.image_size or (rows * stacked, bins)
        return self.channels, height, width

    def frame(self, rows: int, bins: int) -> tuple[int, int]:
        """Height and width of what the transforms move: the stack, or each panel."""
        return (rows * self.n_panels, bins) if self.stack_first else (rows, bins)

    def draw(self, seed: int | None, rows: int, bins: int) -> Move:
        """Draw how a cadence is moved; nothing moves without a seed or transforms."""
        if self.transform is None or seed is None:
            return Move()
        # Not `set_random_seed`: it would start each transform at the same number, so that both flips and the affine
        # transform happen together or not at all.
        self.transform.start(seed)
        return self.transform.draw(*self.frame(rows, bins))

    def source(self, seed: int | None, rows: int, bins: int) -> np.ndarray:
        """Draw how a cadence is moved, as a device wants to know it: where each pixel comes from.

        Returns:
            float32 `(2, 3)`: takes a pixel `(x, y, 1)` of the moved frame to its place in the one that was read.
        """
        back = invert(self.draw(seed, rows, bins).matrix(*self.frame(rows, bins)))
        return np.array(back, np.float32).reshape(2, 3)

    def __call__(self, cadence: np.ndarray, seed: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """Make the image of one cadence.

        Args:
            cadence: `(panels, rows, bins)`, any floating-point type.
            seed: draws the transforms' parameters; None leaves the transforms out.
            out: float32 `(channels, height, width)`, C order, to be written to; None makes a new array.

        Returns:
            float32 `(channels, height, width)`, C order.
        """
        _, rows, bins = cadence.shape
        if out is None:
            out = np.empty(self.shape(rows, bins), np.float32)
        move = self.draw(seed, rows, bins)
        planes = np.ascontiguousarray(cadence.astype(cadence.dtype.newbyteorder("="), copy=False))
        if self.stack_last:
            if move.moves:
                still, planes = planes, np.empty(planes.shape, np.float32)
                for panel in range(self.n_panels):
                    move.apply(still[panel], planes[panel], self.interpolation)
            Move().apply(stack(planes), out[0], self.interpolation)
            return out
        if self.stack_first:
            planes = stack(planes)[None]
        for channel in range(len(planes)):
            move.apply(planes[channel], out[channel], self.interpolation)
        return out


def stack(cadence: np.ndarray) -> np.ndarray:
    """Stack panels along time: `(panels, rows, bins)` to `(panels * rows, bins)`."""
    return cadence.reshape(-1, cadence.shape[-1])


def geometric(augment: dict[str, Any]) -> list[A.BasicTransform]:
    """Build the transforms of the `augment` config group; those with probability 0 are left out.

    Only geometry: albumentations' noise, brightness, gamma and blur clip float images to 0..1 without a word.

    Args:
        augment: `flip_frequency`, `flip_time`, `affine`: probabilities; `shift` (share of each side), `scale`
            (share) and `rotate` (degrees): limits, drawn evenly on both sides of zero. `crop`: probability;
            `crop_scale`: `[low, high]`, the share of each side that is kept. The rest is `seti.transforms.cutout`'s.
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
