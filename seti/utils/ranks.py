"""Processes that train one fold together: who this one is, and what they agree on.

Their first one, of rank 0, leads: it alone writes files and prints. Without others everything here does nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from seti.utils import launchers
from seti.utils.launchers import Launch

# A process that is not heard of for so long ends all others. One that dies is noticed at once.
TIMEOUT = timedelta(minutes=10)
T = TypeVar("T")
_met = False


def is_joined() -> bool:
    """True in a process that has joined others."""
    return distributed.is_available() and distributed.is_initialized()


def has_met() -> bool:
    """True in a process that has come to where it meets others, whatever became of it."""
    return _met


def count() -> int:
    """Number of processes that train the fold."""
    return distributed.get_world_size() if is_joined() else 1


def rank() -> int:
    """Number of this process, counted from 0."""
    return distributed.get_rank() if is_joined() else 0


def leads() -> bool:
    """True in the process that writes and prints."""
    return rank() == 0


def open_store(launch: Launch) -> distributed.Store:
    """Open the table of texts that the processes share before and after they train.

    Raises:
        RuntimeError: the first process did not come.
    """
    global _met
    _met = True
    os.environ.update(launchers.meet(launch))
    if launch.name == launchers.OWN:  # the process that started this one keeps it
        return distributed.TCPStore("127.0.0.1", int(os.environ["MASTER_PORT"]), is_master=False, timeout=TIMEOUT)
    store, _, _ = next(iter(distributed.rendezvous("env://", launch.rank, launch.count, timeout=TIMEOUT)))
    store.set_timeout(TIMEOUT)
    return store


def join(launch: Launch, store: distributed.Store, cuda: bool) -> None:
    """Join the other processes of a run, by gloo for host memory and NCCL for GPUs.

    What the processes agree on lies on the host, so that no step of a GPU waits for it, and so that the death of one
    is noticed at once.
    """
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    given = {"store": distributed.PrefixStore("group", store), "rank": launch.rank, "world_size": launch.count}
    distributed.init_process_group(backend, timeout=TIMEOUT, **given)


def leave() -> None:
    """Leave the other processes, when all of them are done."""
    if is_joined():
        wait()
        distributed.destroy_process_group()


def wait() -> None:
    """Wait for all processes."""
    largest(0)


def largest(value: float) -> float:
    """Return the largest of the processes' values."""
    if not is_joined():
        return value
    shared = torch.tensor(float(value), dtype=torch.float64)
    distributed.all_reduce(shared, distributed.ReduceOp.MAX)
    return shared.item()


def mean(value: Tensor) -> Tensor:
    """Average a tensor over the processes, on its device; it is left as it is."""
    if not is_joined():
        return value
    shared = value.clone()
    distributed.all_reduce(shared)
    return shared / count()


def from_leader(ask: Callable[[], T]) -> T:
    """Return the leader's answer in every process; only the leader is asked."""
    if not is_joined():
        return ask()
    answer: list[Any] = [ask() if leads() else None]
    distributed.broadcast_object_list(answer, 0, device=torch.device("cpu"))
    return answer[0]


def gather(value: T) -> list[T]:
    """Return the values of all processes, by rank."""
    if not is_joined():
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


@contextmanager
def led(context: AbstractContextManager) -> Iterator[None]:
    """Enter a context in the leader, and go on in all processes once it is entered."""
    if not leads():
        wait()
        yield
        return
    with context:
        if is_joined():
            wait()
        yield
