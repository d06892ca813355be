"""CutMix along frequency: a band of bins comes from another cadence (Yun et al. 2019, arXiv:1905.04899).

The paper pastes a rectangle. Here the band spans all times and all channels, so that a signal that stands in it keeps
its rhythm of ON and OFF panels. A needle that drifts across the edge of the band is cut in two: what is left of it on
either side counts by the width of the band, not by how much of it can be seen.
"""

import torch
from torch import Tensor

from seti.transforms.mixup import draw_beta


def draw_band(alpha: float, bins: int) -> tuple[int, int]:
    """Draw the band `[low, high)` of bins that comes from the partner, from torch's global generator.

    As in the paper, its width is `1 - lambda` of all bins, lambda from Beta(alpha, alpha), to the nearest bin: none
    and all of them are possible. It lies wholly inside of the image, everywhere as likely.
    """
    width = round((1.0 - draw_beta(alpha)) * bins)
    low = int(torch.randint(bins - width + 1, ()))
    return low, low + width


def paste(images: Tensor, partner: Tensor, band: tuple[int, int]) -> Tensor:
    """Give each image of a batch its partner's bins inside of the band.

    Args:
        images: `(B, C, H, W)`, left as they are.
        partner: `(B,)` whole numbers, from whom the band comes.
        band: `[low, high)` along `W`, frequency.

    Returns:
        `(B, C, H, W)`.
    """
    low, high = band
    mixed = images.clone()
    mixed[..., low:high] = images[..., low:high][partner]
    return mixed
