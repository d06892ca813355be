"""Recognition of cadences of which a repeated background was subtracted.

A data set of `seti twins clean=<folder>` has cadences of two kinds: untouched ones, and cleaned ones whose covered bins
hold differences of at least 0, in units of the thermal noise, of which only rounding noise is left without a signal.
Divided by their own noise, the covered bins would show nothing else.
"""

import torch
from torch import Tensor

REMAINDER = 0.05  # of the thermal noise: the largest median of a covered bin
FEWEST = 4  # bins; shorter overlaps are not found


def covered_bins(panels: Tensor) -> Tensor:
    """Mark the bins that hold differences.

    A bin is taken for covered where it is nowhere below 0 and nearly 0 half of the time, in every panel. Noise about a
    median of 0 is below it half of the time.

    Args:
        panels: `(B, panels, rows, bins)`, as they were read.

    Returns:
        `(B, bins)` bool; none in a cadence with fewer than `FEWEST` such bins.
    """
    nowhere_below = (panels.amin(dim=2) >= 0).all(dim=1)
    nearly_zero = ((panels < REMAINDER).float().mean(dim=2) > 0.5).all(dim=1)
    found = nowhere_below & nearly_zero
    return found & (found.sum(dim=1, keepdim=True) >= FEWEST)


def is_cleaned(panels: Tensor) -> bool:
    """Check whether one cadence `(panels, rows, bins)` has bins that hold differences."""
    return bool(covered_bins(panels[None]).any())


def merge(cleaned: Tensor, scaled: Tensor, covered: Tensor, scale: Tensor) -> Tensor:
    """Join covered bins, the other bins of cleaned cadences, and untouched cadences.

    Args:
        cleaned: `(B, panels, rows, bins)`, as they were read.
        scaled: the same, by `contrast`.
        covered: `(B, bins)` bool.
        scale: `(B, bins)`, noise of each bin, which the uncovered bins of cleaned cadences are divided by.
    """
    touched = covered.any(dim=1)[:, None, None, None]
    own = torch.where(covered[:, None, None, :], cleaned, cleaned / scale[:, None, None, :])
    return torch.where(touched, own, scaled)
