"""The share that one of several processes has of the cadences."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Share:
    """One of several processes that train together, each on an equal part of every batch.

    Attributes:
        batch: cadences in a batch of all processes together.
        rank: number of the process, counted from 0.
        count: how many there are.
    """

    batch: int
    rank: int = 0
    count: int = 1

    @property
    def size(self) -> int:
        """Number of this process's cadences in a batch."""
        return self.batch // self.count

    def of_training(self, items: np.ndarray) -> np.ndarray:
        """Take this process's part of every batch of an epoch.

        The last, smaller batch is cut to equal parts, since gradients are averaged over the processes. It is dropped
        where a part would be a single cadence, as it is in one process.

        Args:
            items: `(N, ...)` in the order of the epoch, from the beginning of a batch.
        """
        if self.count == 1:
            return items
        whole = len(items) // self.batch * self.batch
        each = self._last(len(items))
        full = items[:whole].reshape(-1, self.count, self.size, *items.shape[1:])[:, self.rank]
        rest = items[whole + self.rank * each : whole + (self.rank + 1) * each]
        return np.concatenate([full.reshape(-1, *items.shape[1:]), rest])

    def training_length(self, length: int) -> int:
        """Number of this process's cadences in an epoch of that many."""
        return length if self.count == 1 else length // self.batch * self.size + self._last(length)

    def training_batches(self, length: int) -> int:
        """Number of batches in an epoch of that many cadences."""
        return length // self.batch + (self._last(length) > 0)

    def _last(self, length: int) -> int:
        """Number of this process's cadences in the last, smaller batch."""
        left = length % self.batch
        if self.count == 1:  # a single cadence is dropped, unless it is all there is
            return 0 if left == 1 and length > self.batch else left
        each = left // self.count
        return each if each > 1 else 0

    def rows(self, length: int) -> np.ndarray:
        """Indices of this process's rows of a table of that length."""
        return np.arange(self.rank, length, self.count)

    def validation_batches(self, length: int) -> list[list[int]]:
        """Divide the rows of this process into batches: as many of them as every other process has.

        Args:
            length: number of held-out cadences, at least one a process.
        """
        largest = -(-length // self.count)
        parts = np.array_split(self.rows(length), -(-largest // self.size))
        return [part.tolist() for part in parts]

    def put_together(self, parts: list[np.ndarray]) -> np.ndarray:
        """Join the rows of all processes, by rank, in the order of the table.

        Args:
            parts: of each process, the values of its `rows`.
        """
        joined: Any = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
        for rank, part in enumerate(parts):
            joined[rank :: self.count] = part
        return joined
