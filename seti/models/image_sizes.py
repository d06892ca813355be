"""Search for the image sizes that a network takes, next to one that it refuses.

Many networks halve an image several times, cut it into patches or divide it into windows, so their images need sides
of a multiple, of a smallest length, or of one length. Networks are tried on torch's `meta` device, which computes
shapes and no values: a trial takes a tenth of a second, whatever the size.
"""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable

import timm
import torch
from torch import nn

from seti.errors import SetiError, SettingsError
from seti.models.timm_network import Size, Stride, builder, use_channels_last

Shape = tuple[int, int, int]  # of images: channels, height, width

LIMIT = 3  # sizes that are named
PATIENCE = 20  # s of trials
FAR = 0.5  # logarithm of a ratio; some networks take square images alone, which are tried if nothing nearer fits
REACH = 8  # how far a side is searched in steps of 1
STEPS = (1, 2, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
USUAL = (224, 256, 384, 512, 240, 336, 448)  # sides of square images that networks are made for


def size_error(name: str, shape: Shape, stem_stride: Stride, error: Exception) -> SetiError:
    """Describe the size of images that a network does not take, with the nearest ones that fit.

    Args:
        name: of timm.
        shape: `(channels, height, width)` of the images.
        stem_stride: of the first convolution; None for the network's own.
        error: that the network raised.
    """
    build, config = builder(name, shape[0], stem_stride), timm.get_pretrained_cfg(name)
    said = f"model.backbone={name} cannot take images of {shape[1]} x {shape[2]}"
    if takes(build, shape):  # on the meta device, which needs no memory
        return SettingsError(f"{said} ({one_line(error)}): set another data.image_size, or another model.backbone")
    sizes = nearest_sizes(build, shape, config.input_size[1:] if config is not None else (224, 224))
    if not sizes:
        channels = "1 channel" if shape[0] == 1 else f"{shape[0]} channels"
        return SettingsError(
            f"{said} and {channels}, nor of any other size that was tried ({one_line(error)}): "
            "use another model.backbone"
        )
    nearest, *others = (f"[{height},{width}]" for height, width in sizes)
    if not others:
        return SettingsError(f"{said}: set data.image_size={nearest}, the only size found that fits")
    fit = f"{' and '.join(others)} fit{'s' * (len(others) == 1)} too"
    return SettingsError(f"{said}: set data.image_size={nearest}, the nearest size that fits; {fit}")


def takes(build: Callable[[Size], nn.Module], shape: Shape) -> bool:
    """Try images of a shape without computing anything.

    Args:
        build: makes the network for images of a size.
        shape: `(channels, height, width)` of the images.
    """
    try:
        with torch.device("meta"), torch.inference_mode():
            images = torch.zeros(1, *shape).contiguous(memory_format=torch.channels_last)
            return len(use_channels_last(build(shape[1:]).eval())(images)) == 1
    except Exception:  # whatever a network raises, it does not take that size
        return False


def nearest_sizes(build: Callable[[Size], nn.Module], shape: Shape, usual: Size) -> list[Size]:
    """Find sizes that a network takes, nearest first, each tried out.

    A size is near if the ratios of its sides to the wanted ones are near 1.

    Args:
        build: makes the network for images of a size.
        shape: `(channels, height, width)` of the images that it does not take.
        usual: the size that the network is made for.

    Returns:
        At most `LIMIT` sizes; none if none was found in `PATIENCE` seconds.
    """
    channels, *wanted = shape
    end = time.monotonic() + PATIENCE

    @functools.cache
    def fits(size: Size) -> bool:
        return min(size) > 0 and time.monotonic() < end and takes(build, (channels, *size))

    base = next(filter(fits, (usual, *((side, side) for side in USUAL))), None)
    if base is None:
        return []
    heights = _sides(lambda side: fits((side, base[1])), wanted[0], base[0])
    widths = _sides(lambda side: fits((base[0], side)), wanted[1], base[1])

    def distance(size: Size) -> float:
        return math.hypot(*(math.log(side / of) for side, of in zip(size, wanted, strict=True)))

    def nearest(sizes: Iterable[Size]) -> list[Size]:
        return list(itertools.islice(filter(fits, sorted(set(sizes), key=lambda size: (distance(size), size))), LIMIT))

    found = nearest([base, *itertools.product(heights, widths)])
    if base[0] == base[1] and distance(found[0]) > FAR:
        middle = round(math.sqrt(wanted[0] * wanted[1]))
        sides = _sides(lambda side: fits((side, side)), middle, base[0])
        found = nearest([*found, *((side, side) for side in sides)])
    return found


def _sides(fits: Callable[[int], bool], wanted: int, base: int) -> list[int]:
    """Find lengths of a side near a wanted one, while the other side has a length that fits."""
    if fits(wanted):
        return [wanted]
    step = next((step for step in STEPS if _repeats(fits, step, base)), None)
    if step is None:  # no rule that is known
        found = list(filter(fits, (wanted // base * base, (wanted // base + 1) * base)))
        near = [[wanted + sign * by for by in range(1, REACH + 1)] for sign in (-1, 1)]
        return found + [side for sides in near for side in itertools.islice(filter(fits, sides), 1)]
    low, high = (wanted - 1) // step, wanted // step + 1
    below = [count * step for count in (low, low - 1) if fits(count * step)][:1]
    top = max(base // step, high)
    while high < top and not fits(high * step):  # a smallest length: halve the interval that holds it
        middle = (high + top) // 2
        high, top = (high, middle) if fits(middle * step) else (middle + 1, top)
    return [*below, high * step, (high + 1) * step]


def _repeats(fits: Callable[[int], bool], step: int, base: int) -> bool:
    """Check that two odd multiples of a step fit, both longer than the usual side."""
    odd = base // step + 1 + (base // step) % 2
    return fits(odd * step) and fits((odd + 2) * step)


def one_line(error: Exception) -> str:
    """Shorten a library's message to one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
