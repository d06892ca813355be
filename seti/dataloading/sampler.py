"""Sampler of an epoch: order of its cadences, and the seed of each one's transforms."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from seti.dataloading.shares import Share


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
        labelled: how many of the cadences have labels; those after them have pseudo-labels. None: all.
        weight: how often one with a pseudo-label is drawn in an epoch: 0.5 draws another half of them in each.
        share: this process's part of every batch; None: all of it.
    """

    def __init__(
        self,
        targets: np.ndarray,
        seed: tuple[int, ...],
        balanced: bool,
        first_epoch: int = 0,
        done: int = 0,
        labelled: int | None = None,
        weight: float = 1.0,
        share: Share | None = None,
    ) -> None:
        self.targets = targets
        self.seed = seed
        self.balanced = balanced
        # Lightning sets the epoch after it has started to iterate, when workers have already loaded the first batches.
        self.epoch = self.first_epoch = first_epoch
        self.done = done
        self.labelled = len(targets) if labelled is None else labelled
        self.weight = weight
        self.share = share or Share(1)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Length of a whole epoch, also of an interrupted one, for the learning-rate schedule."""
        return self.share.training_length(self._length)

    @property
    def _length(self) -> int:
        """Length of an epoch of all processes together."""
        return epoch_length(self.labelled, len(self.targets) - self.labelled, self.weight)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([*self.seed, self.epoch])
        n = self._length
        if self.labelled < len(self.targets):
            order = self._with_pseudo_labels(rng)
        elif self.balanced:
            positive = self.targets == 1
            weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
            order = rng.choice(n, size=n, p=weight)
        else:
            order = rng.permutation(n)
        seeds = rng.integers(2**31, size=n)
        begin = self.done if self.epoch == self.first_epoch else 0
        drawn = self.share.of_training(np.stack([order[begin:], seeds[begin:]], axis=1))
        return map(tuple, drawn.tolist())

    def _with_pseudo_labels(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the order of an epoch of labelled cadences and some with pseudo-labels, `(n,)`."""
        pseudo = np.arange(self.labelled, len(self.targets))
        drawn = rng.choice(pseudo, self._length - self.labelled - int(self.weight) * len(pseudo), replace=False)
        pool = np.concatenate([np.arange(self.labelled), *[pseudo] * int(self.weight), drawn])
        if not self.balanced:
            return rng.permutation(pool)
        soft = self.targets[pool].astype(np.float64)
        weight = 0.5 * soft / soft.sum() + 0.5 * (1 - soft) / (1 - soft).sum()
        return rng.choice(pool, size=len(pool), p=weight / weight.sum())


def epoch_length(labelled: int, pseudo: int, weight: float) -> int:
    """Number of cadences in an epoch, of which those with pseudo-labels count by their weight."""
    return labelled + int(weight) * pseudo + round((weight - int(weight)) * pseudo)
