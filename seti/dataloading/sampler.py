"""Sampler of an epoch: order of its cadences, and the seed of each one's transforms."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffle cadences in every epoch, and give each one a seed for its transforms.

    Order and seeds follow from `(seed, epoch)` alone. So they do not depend on the number of workers, no two workers
    draw the same transforms, and a resumed run continues exactly as an uninterrupted one.

    Args:
        targets: `(N,)`, 0 or 1.
        seed: integers, different for every run and fold.
        balanced: draw with replacement, positives as often as negatives.
        first_epoch: epoch in which a resumed run continues.
        done: number of cadences that this epoch had seen when it was interrupted; they are left out.
    """

    def __init__(
        self, targets: np.ndarray, seed: tuple[int, ...], balanced: bool, first_epoch: int = 0, done: int = 0
    ) -> None:
        self.targets = targets
        self.seed = seed
        self.balanced = balanced
        # Lightning sets the epoch after it has started to iterate, when workers have already loaded the first batches.
        self.epoch = self.first_epoch = first_epoch
        self.done = done

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Length of a whole epoch, also of an interrupted one, for the learning-rate schedule."""
        return len(self.targets)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([*self.seed, self.epoch])
        n = len(self.targets)
        if self.balanced:
            positive = self.targets == 1
            weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
            order = rng.choice(n, size=n, p=weight)
        else:
            order = rng.permutation(n)
        seeds = rng.integers(2**31, size=n)
        begin = self.done if self.epoch == self.first_epoch else 0
        return zip(order[begin:].tolist(), seeds[begin:].tolist(), strict=True)
