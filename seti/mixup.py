"""Mixup: train on blends of two cadences (Zhang et al. 2018, arXiv:1710.09412)."""

import torch
from torch import Tensor, nn


def draw_lambda(alpha: float) -> float:
    """Draw lambda from Beta(alpha, alpha) and fold it to max(lambda, 1 - lambda), in 0.5..1.

    Folding keeps the first cadence of each pair the stronger one; without it, a pair and its mirror image are the
    same blend twice. It draws from torch's global generator, which training seeds every epoch.
    """
    share = torch.distributions.Beta(torch.tensor(alpha), torch.tensor(alpha)).sample().item()
    return max(share, 1.0 - share)


def mixup(pictures: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """Blend each picture of a batch with another one of it.

    Args:
        pictures: `(B, C, H, W)`.
        targets: `(B,)`.
        alpha: of the Beta distribution; larger means stronger blends.

    Returns:
        Blended pictures `(B, C, H, W)`; the targets of the first and of the second parts, `(B,)` each; lambda.
    """
    share = draw_lambda(alpha)
    partner = torch.randperm(len(pictures))
    if pictures.device.type == "cuda":
        partner = partner.pin_memory().to(pictures.device, non_blocking=True)  # else the step would wait for it
    blended = share * pictures + (1.0 - share) * pictures[partner]
    return blended, targets, targets[partner], share


def mixup_loss(logits: Tensor, first: Tensor, second: Tensor, share: float) -> Tensor:
    """Lambda-weighted binary cross-entropy: `lambda * BCE(first) + (1 - lambda) * BCE(second)`, a scalar."""
    bce = nn.functional.binary_cross_entropy_with_logits
    return share * bce(logits, first) + (1.0 - share) * bce(logits, second)
