"""Cutout: hide rectangles of the training images (DeVries & Taylor 2017, arXiv:1708.04552)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seti.utils.device import copy_to_device


@dataclass(frozen=True)
class Cutout:
    """Hide rectangles in some images of a batch, on the batch's device; by default, in none.

    The target stays, and is wrong where a rectangle covers a whole needle: rectangles should be smaller than needles
    are long. In a spatial stack, a rectangle may reach over several panels.

    Everything is drawn from torch's global generator on the CPU, which training seeds before every batch.

    Attributes:
        probability: that an image has rectangles.
        size: largest `(height, width)`, as shares of the image's; each side is drawn evenly, from one pixel up.
        holes: number of rectangles; they may overlap.
    """

    probability: float = 0.0
    size: Sequence[float] = (1.0, 1.0)
    holes: int = 1

    def __call__(self, images: Tensor) -> Tensor:
        """Fill rectangles with their channel's mean; zeros would be bright in some images.

        Args:
            images: `(B, C, H, W)`, left as they are.

        Returns:
            `(B, C, H, W)`; rectangles span all channels.
        """
        if not self.probability:
            return images
        height, width = images.shape[-2:]
        rectangles = copy_to_device(self.draw(len(images), height, width), images.device)
        rows, bins = (torch.arange(length, device=images.device) for length in (height, width))
        hidden = torch.zeros(len(images), height, width, dtype=torch.bool, device=images.device)
        for hole in rectangles.unbind(1):  # one by one: all at once would take a mask for each
            top, bottom, left, right = hole[:, :, None].unbind(1)
            down, along = (rows >= top) & (rows < bottom), (bins >= left) & (bins < right)
            hidden |= down[:, :, None] & along[:, None, :]
        return torch.where(hidden[:, None], images.mean(dim=(-2, -1), keepdim=True), images)

    def draw(self, count: int, height: int, width: int) -> Tensor:
        """Draw the rectangles of `count` images of `height` by `width` pixels.

        Returns:
            `(count, holes, 4)` integers: rows `[top, bottom)` and bins `[left, right)`, inside the image; all zeros
            where an image has none.
        """
        chosen = torch.rand(count) < self.probability
        sides = []
        for length, share in ((height, self.size[0]), (width, self.size[1])):
            drawn, place = torch.rand(2, count, self.holes, dtype=torch.float64)
            side = 1 + (drawn * max(1, round(share * length))).long()
            start = (place * (length - side + 1)).long()
            sides += [start, start + side]
        return torch.stack(sides, dim=-1) * chosen[:, None, None]
