"""From panels to the network's image: layout, normalisation, random moves and resizing.

Time goes downwards and frequency to the right. Transforms draw their parameters from a seed that is given with every
cadence, because albumentations' own generators give every DataLoader worker the same numbers.
"""

from typing import Any

import numpy as np

from seti.data.cadence import PANEL_CHOICES
from seti.transforms.dedoppler import Dedoppler
from seti.transforms.geometric import geometric_transforms
from seti.transforms.layouts import DrawnLayout, make_layout
from seti.transforms.normalisation import Normalisation
from seti.transforms.warp import Move, SingleWarp

NO_NORMALISATION = Normalisation()


class ImageMaker:
    """Lay out panels, transform them while training, and resize.

    Called, it makes the image of one cadence on the host. `seti.transforms.batch` makes those of a batch, on the host
    or on a device, and normalises before.

    Args:
        panels: `A` or `all`.
        layout: a name in `seti.transforms.layouts.LAYOUTS`.
        image_size: `[height, width]`, or None for native size.
        interpolation: `linear`, or `area`, which averages all pixels that fall into one (antialiased shrinking).
        augment: the fields of the `augment` config group, or None for validation and prediction.
        normalisation: of the panels, before anything is moved.
        dedoppler: the drift rates, for layouts that integrate along them.
    """

    def __init__(
        self,
        panels: str,
        layout: str,
        image_size: list[int] | None,
        interpolation: str,
        augment: dict[str, Any] | None = None,
        normalisation: Normalisation = NO_NORMALISATION,
        dedoppler: Dedoppler | None = None,
    ) -> None:
        self.layout = make_layout(layout, PANEL_CHOICES[panels], dedoppler)
        self.normalisation = normalisation
        self.image_size = image_size
        self.interpolation = interpolation
        transforms = geometric_transforms(augment) if augment else []
        self.transform = SingleWarp(transforms) if transforms else None
        self.draws_one_by_one = isinstance(self.layout, DrawnLayout)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the panels that the network sees."""
        return self.layout.panels

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.layout.channels

    def shape(self, rows: int, bins: int) -> tuple[int, int, int]:
        """Channels, height and width of the image of panels of that size."""
        height, width = self.image_size or self.layout.size(rows, bins)
        return self.channels, height, width

    def draw_move(self, seed: int | None, rows: int, bins: int) -> Move:
        """Draw the random move of a cadence; without a seed or transforms, nothing moves."""
        if self.transform is None or seed is None:
            return Move()
        # Not `set_random_seed`: it would start each transform at the same number, so that both flips and the affine
        # transform happen together or not at all.
        self.transform.start(seed)
        return self.transform.draw(*self.layout.frame(rows, bins))

    def __call__(self, cadence: np.ndarray, seed: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """Make the image of one cadence, by a layout that is drawn one by one.

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
        cadence = np.ascontiguousarray(cadence.astype(cadence.dtype.newbyteorder("="), copy=False))
        self.layout.draw(cadence, self.draw_move(seed, rows, bins), out, self.interpolation)
        return out
