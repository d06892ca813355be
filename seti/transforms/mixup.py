"""Mixup: train on blends of two cadences (Zhang et al. 2018, arXiv:1710.09412)."""

import torch
from torch import Tensor


def draw_lambda(alpha: float) -> float:
    """Draw lambda from Beta(alpha, alpha) and fold it to max(lambda, 1 - lambda), in 0.5..1.

    Folding keeps the first cadence of each pair the stronger one; without it, a pair and its mirror image are the
    same blend twice. It draws from torch's global generator, which training seeds before every batch.
    """
    share = draw_beta(alpha)
    return max(share, 1.0 - share)


def draw_beta(alpha: float) -> float:
    """Draw from Beta(alpha, alpha), in 0..1: both ends for small alphas, the middle for large ones."""
    return torch.distributions.Beta(torch.tensor(alpha), torch.tensor(alpha)).sample().item()


def blend(images: Tensor, partner: Tensor, share: float) -> Tensor:
    """Blend each image of a batch with its partner.

    Args:
        images: `(B, C, H, W)`, left as they are.
        partner: `(B,)` whole numbers, whom each image is blended with.
        share: lambda, what the first one counts.

    Returns:
        `lambda * first + (1 - lambda) * second`, `(B, C, H, W)`.
    """
    return share * images + (1.0 - share) * images[partner]
