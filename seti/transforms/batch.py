"""Batches of images, made on the host, or handed over as panels and made on the device.

Both give the same images, to interpolation error. Workers hand over panels as they were read and the moves drawn for
them, and no step on the device waits for it.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from seti.transforms.image import ImageMaker
from seti.transforms.panels import Cadence, Empty, Panels, stack_panels
from seti.transforms.views import Views

AT_ONCE = 4  # cadences of which the host makes images with torch: the spectra of 8 fall out of a processor's cache


def to_device(inputs: Tensor | Panels, device: torch.device) -> Tensor | Panels:
    """Move a batch's inputs, without waiting where they lie in pinned memory."""
    if isinstance(inputs, Tensor):
        return inputs.to(device, non_blocking=True)
    return inputs.each_tensor(lambda part: part.to(device, non_blocking=True))


def hand_over(cadences: Sequence[Cadence], maker: ImageMaker, empty: Empty) -> Panels:
    """Put cadences of one size into a batch of panels, for `prepare`.

    Args:
        cadences: all of them with a seed, or none.
        maker: of the images.
        empty: makes the tensor that holds the panels.
    """
    moved = maker.transform is not None and cadences[0].seed is not None
    moves = [maker.draw_move(cadence.seed, *cadence.panels.shape[1:]) for cadence in cadences] if moved else None
    return maker.layout.hand_over(cadences, moves, partial(stack_panels, empty=empty))


def prepare(inputs: Tensor | Panels, maker: ImageMaker, kept: Tensor | None = None) -> Tensor:
    """Make the network's images of a batch, where it lies.

    Args:
        inputs: panels, or images that were made on the host, which come back as they are.
        maker: of the images.
        kept: cadences on the device, `(N, panels, rows, bins)`, which views refer to.

    Returns:
        float32 `(B, channels, height, width)`.
    """
    if isinstance(inputs, Tensor):
        return inputs
    if isinstance(inputs.panels, Views):
        inputs = inputs._replace(panels=inputs.panels.gather(kept))
    # Coordinates and weights need more than half precision, whatever the network computes in.
    with torch.autocast(inputs.panels.device.type, enabled=False):
        panels = maker.normalisation(inputs.panels) if maker.normalisation.changes else inputs.panels.float()
        _, *size = maker.shape(*panels.shape[2:])
        return maker.layout.images(inputs._replace(panels=panels), tuple(size), maker.interpolation)


def fill(images: Tensor, cadences: Iterable[Cadence], maker: ImageMaker) -> list[float]:
    """Make images on the host, in place, each while its cadence is in the processor's cache.

    Args:
        images: float32 `(B, channels, height, width)`, written to.
        cadences: B of one size, read when they are needed.
        maker: of the images.

    Returns:
        The cadences' targets.
    """
    targets = []
    if maker.draws_one_by_one:
        for cadence, out in zip(cadences, images.numpy(), strict=True):
            panels = cadence.panels
            if maker.normalisation.changes:
                panels = maker.normalisation(torch.from_numpy(panels)[None])[0].numpy()
            maker(panels, cadence.seed, out)
            targets.append(cadence.target)
        return targets
    cadences = iter(cadences)
    for part in images.split(AT_ONCE):
        some = list(islice(cadences, len(part)))
        part.copy_(prepare(hand_over(some, maker, empty), maker))
        targets += [cadence.target for cadence in some]
    return targets


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make an uninitialised tensor in this process's memory."""
    # numpy asks for huge pages: torch's fresh memory takes 3 times as long to be written to.
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype))
