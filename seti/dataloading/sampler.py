"""In which order an epoch sees its cadences, and the seed of each one's transforms."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffle again every epoch, and hand each cadence the seed of its transforms.

    The order and the seeds follow from `(seed, epoch)` alone. So they do not depend on the number of workers, no
    two workers can draw the same transforms, and a resumed run goes on exactly as the uninterrupted one.

    Args:
        targets: `(N,)`, 0 or 1.
        seed: a sequence of integers that tells this run from others.
        balanced: draw, with replacement, as many positives as negatives.
        first_epoch: the epoch that a resumed run goes on with.
        done: how many cadences that epoch had seen when it was interrupted; they are left out.
    """

    def __init__(
        self, targets: np.ndarray, seed: tuple[int, ...], balanced: bool, first_epoch: int = 0, done: int = 0
    ) -> None:
        self.targets = targets
        self.seed = seed
        self.balanced = balanced
        # Lightning sets the epoch after it has begun to iterate, when workers have loaded the first batches already.
        self.epoch = self.first_epoch = first_epoch
        self.done = done

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Of a whole epoch, an interrupted one too: the learning rate is planned by it."""
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
