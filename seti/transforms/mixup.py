"""Mixup and CutMix: train on pairs of cadences mixed two by two, with soft targets.

Mixup (Zhang et al. 2018, arXiv:1710.09412) blends two cadences. CutMix (Yun et al. 2019, arXiv:1905.04899) pastes a
rectangle of one into the other. Here that is a band of frequency bins that spans all times and all channels, so that a
signal inside it keeps its rhythm of ON and OFF panels. A needle that drifts across the edge of the band is cut in two:
each part counts by the width of its side of the band, not by how much of the needle it shows.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seti.utils.device import copy_to_device


@dataclass(frozen=True)
class Mixing:
    """Mixup or CutMix of training batches, by the `mixup` settings; by default, neither.

    Everything is drawn from torch's global generator on the processor, which training seeds before every batch.

    Attributes:
        alpha: of mixup's Beta distribution; None switches mixup off.
        label: `interpolate` or `union`, see `soft_targets`.
        cutmix: alpha of CutMix; None switches it off. With both on, a batch takes either with probability 1/2.
        restandardise: restore mean and deviation of every channel, see `restandardised`.
        off_last: share of the epochs, at the end, in which nothing is mixed.
    """

    alpha: float | None = None
    label: str = "interpolate"
    cutmix: float | None = None
    restandardise: bool = False
    off_last: float = 0.0

    def mixes(self, epoch: int, epochs: int | None) -> bool:
        """Check if batches of an epoch, counted from 0, are mixed in a training of that many epochs.

        `off_last` epochs are rounded up to whole ones, but the first epoch is always mixed. A range test has no
        number of epochs (None, or -1 as Lightning has it) and mixes to its end.
        """
        if self.alpha is None and self.cutmix is None:
            return False
        if not self.off_last or epochs is None or epochs < 0:
            return True
        without = math.ceil(self.off_last * epochs - 1e-9)  # 0.7 * 10 is a little more than 7
        return epoch == 0 or epoch < epochs - without

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each image of a batch with another one of it, all by the same share.

        Args:
            images: `(B, C, H, W)`, left as they are.
            targets: `(B,)` in 0..1.

        Returns:
            Mixed images `(B, C, H, W)`; soft targets `(B,)`.
        """
        if self._takes_cutmix():
            bins = images.shape[-1]
            low, high = draw_band(self.cutmix, bins)
            share, partner = (bins - (high - low)) / bins, draw_partners(images)
            mixed = paste(images, partner, (low, high))
        else:
            share, partner = draw_lambda(self.alpha), draw_partners(images)
            mixed = blend(images, partner, share)
        if self.restandardise:
            mixed = restandardised(mixed, images, partner, share)
        return mixed, soft_targets(targets, targets[partner], share, self.label)

    def _takes_cutmix(self) -> bool:
        if self.alpha is None or self.cutmix is None:
            return self.alpha is None
        return torch.rand(()).item() < 0.5


def draw_lambda(alpha: float) -> float:
    """Draw lambda from Beta(alpha, alpha) and fold it to max(lambda, 1 - lambda), in 0.5..1.

    Folding keeps the first cadence of each pair the stronger one; without it, a pair and its mirror image are the
    same blend twice. It draws from torch's global generator, which training seeds before every batch.
    """
    share = draw_beta(alpha)
    return max(share, 1.0 - share)


def draw_beta(alpha: float) -> float:
    """Draw from Beta(alpha, alpha): near 0 or 1 for small alphas, near 1/2 for large ones."""
    return torch.distributions.Beta(torch.tensor(alpha), torch.tensor(alpha)).sample().item()


def blend(images: Tensor, partner: Tensor, share: float) -> Tensor:
    """Blend each image of a batch with its partner.

    Args:
        images: `(B, C, H, W)`, left as they are.
        partner: `(B,)` integers, the image that each one is blended with.
        share: lambda, weight of the first.

    Returns:
        `lambda * first + (1 - lambda) * second`, `(B, C, H, W)`.
    """
    return share * images + (1.0 - share) * images[partner]


def draw_band(alpha: float, bins: int) -> tuple[int, int]:
    """Draw the band `[low, high)` of the partner's bins, from torch's global generator.

    As in the paper, its width is `1 - lambda` of all bins, lambda from Beta(alpha, alpha), to the nearest bin: none
    and all of them are possible. It lies inside the image, every position being equally likely.
    """
    width = round((1.0 - draw_beta(alpha)) * bins)
    low = int(torch.randint(bins - width + 1, ()))
    return low, low + width


def paste(images: Tensor, partner: Tensor, band: tuple[int, int]) -> Tensor:
    """Give each image of a batch its partner's bins inside the band.

    Args:
        images: `(B, C, H, W)`, left as they are.
        partner: `(B,)` integers, the image that the band comes from.
        band: `[low, high)` along `W`, frequency.

    Returns:
        `(B, C, H, W)`.
    """
    low, high = band
    mixed = images.clone()
    mixed[..., low:high] = images[..., low:high][partner]
    return mixed


def draw_partners(images: Tensor) -> Tensor:
    """Draw the partner of each image `(B, ...)`: a permutation `(B,)`, on the same device."""
    return copy_to_device(torch.randperm(len(images)), images.device)


def soft_targets(first: Tensor, second: Tensor, share: float, label: str) -> Tensor:
    """Compute targets of mixed images from those of their parts.

    Args:
        first, second: `(B,)` in 0..1.
        share: lambda, weight of the first: of its brightness in mixup, of its bins in CutMix.
        label: `interpolate`: `lambda * first + (1 - lambda) * second`. Cross-entropy is linear in the target, so this
            is also the lambda-weighted mean of both parts' losses. `union`: `first + second - first * second`,
            whatever lambda: a needle stays a needle whatever it is blended with. For mixup with lambda near 1 this
            overstates the second cadence, whose needle is too faint to be seen; a large alpha keeps lambda near 1/2.
            For CutMix it is wrong where the needle lay in the bins that were cut away, which happens more often the
            fewer bins of an image are left.

    Returns:
        `(B,)` in 0..1.
    """
    if label == "union":
        return first + second - first * second
    return share * first + (1.0 - share) * second


def restandardised(mixed: Tensor, images: Tensor, partner: Tensor, share: float) -> Tensor:
    """Restore the scale of mixed images: blending two independent noises lowers the deviation.

    Every channel of each image gets the lambda-weighted means of both parts' mean and deviation, so that standardised
    parts give a standardised mix. Not mean 0 and deviation 1: resizing averages noise, and images that are not mixed,
    as in validation, keep the smaller deviation that it leaves.

    Args:
        mixed, images: `(B, C, H, W)`, after and before mixing.
        partner, share: of each image, and lambda, the weight of the first.

    Returns:
        `(B, C, H, W)`.
    """
    deviation, mean = _moments(images)
    has_deviation, has_mean = _moments(mixed)
    wanted_deviation, wanted_mean = (blend(moment, partner, share) for moment in (deviation, mean))
    # A constant channel stays constant.
    return (mixed - has_mean) * (wanted_deviation / has_deviation.clamp_min(1e-6)) + wanted_mean


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Deviation and mean of each channel, `(B, C, 1, 1)`."""
    return torch.std_mean(images, dim=(-2, -1), correction=0, keepdim=True)
