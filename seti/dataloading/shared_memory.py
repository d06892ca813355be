"""Shared memory in which DataLoader workers hand over batches, reused for each batch.

torch makes a file of shared memory for every tensor of every batch. The system fills it with zeros page by page; the
training process requests it from a thread of the worker, which waits for the interpreter lock, and maps and unmaps it:
2 ms for a batch of 1.5 MB and 12 ms for one of 32 MB, while the network idles. Here a worker writes into a slot of
memory that both processes share from the start, and sends its number.
"""

import itertools
import math
import mmap
import os
import weakref
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from seti.transforms.batch import empty

# Slots in use by the training process: the current batch, the next one, which Lightning prefetches, and one spare.
HELD = 3

_slots: "SharedSlots | None" = None  # of this process, where it is a worker
_numbers = itertools.count()
_open: weakref.WeakValueDictionary[int, "SharedSlots"] = weakref.WeakValueDictionary()


class SharedSlots:
    """Slots of shared memory for the batches of workers; one without a tensor is free.

    Args:
        workers: number of processes that are forked from this one later, and write.
        each: number of slots of every worker. Unused ones take no memory.
        size: bytes of a slot.

    Raises:
        OSError: the system cannot reserve that much memory.
    """

    def __init__(self, workers: int, each: int, size: int) -> None:
        self.each = each
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        # Anonymous: forked processes share it, and it is freed with the last of them, however they end.
        self._memory = mmap.mmap(-1, workers * each * self.size)
        self._taken = np.frombuffer(mmap.mmap(-1, workers * each), np.uint8)
        self._filling: int | None = None  # in a worker: the slot that is taken, but not handed over yet
        self._owner = os.getpid()
        self._number = next(_numbers)
        _open[self._number] = self

    @classmethod
    def for_batches(cls, workers: int, size: int, prefetched: int = 2) -> Self | None:
        """Make slots for a DataLoader with that many prefetched batches; None without memory."""
        try:
            return cls(workers, prefetched + HELD, size)
        except (OSError, ValueError, OverflowError):
            return None

    def take(self, worker: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """Take a free slot (in a worker) for an uninitialised tensor.

        Returns:
            None where the worker has no free slot, or the tensor does not fit.
        """
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        if math.prod(shape) * kind.itemsize > self.size:
            return None
        if self._filling is None:  # else the last batch failed
            mine = self._taken[worker * self.each : (worker + 1) * self.each]
            free = int(mine.argmin())  # the first one
            if mine[free]:
                return None
            self._filling = worker * self.each + free
            self._taken[self._filling] = 1
        return torch.from_numpy(self._array(self._filling, shape, kind))

    def hand_over(self, tensor: Tensor | None) -> Any:
        """Make the message (in a worker) that replaces a tensor; small ones are sent by value."""
        if tensor is None:
            return None
        array = tensor.numpy()
        if self._filling is not None and array.ctypes.data == self._array(self._filling, (1,), np.uint8).ctypes.data:
            sent = _InSlot(self._number, self._filling, array.shape, array.dtype.str)
            self._filling = None
            return sent
        return _ByValue(array) if array.nbytes < mmap.PAGESIZE else tensor

    def receive(self, slot: int, shape: tuple[int, ...], dtype: str) -> Tensor:
        """Get the tensor (in the training process) that a worker has written into a slot."""
        array = self._array(slot, shape, dtype)
        # torch keeps the array alive as long as a tensor uses its memory.
        weakref.finalize(array, self._release, slot).atexit = False
        return torch.from_numpy(array)

    def _release(self, slot: int) -> None:
        if os.getpid() == self._owner:  # a process forked in the meantime holds copies
            self._taken[slot] = 0

    def _array(self, slot: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        count = math.prod(shape)
        return np.frombuffer(self._memory, dtype, count, slot * self.size).reshape(shape)


class _InSlot:
    """Message that becomes a tensor in a slot when it is unpickled."""

    def __init__(self, *where: Any) -> None:
        self.where = where

    def __reduce__(self) -> tuple:
        return _receive, self.where


class _ByValue:
    """Message that becomes a tensor of a small array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __reduce__(self) -> tuple:
        return torch.from_numpy, (self.array,)


def _receive(number: int, *where: Any) -> Tensor:
    return _open[number].receive(*where)


def use_in_worker(slots: SharedSlots | None) -> None:
    """Let `new_tensor` in this worker process take slots; None where there are none."""
    global _slots
    _slots = slots


def new_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make an uninitialised tensor for a batch; in a worker, in shared memory."""
    worker = get_worker_info()
    if worker is None:
        return empty(shape, dtype)
    place = None if _slots is None else _slots.take(worker.id, shape, dtype)
    return torch.empty(shape, dtype=dtype).share_memory_() if place is None else place
