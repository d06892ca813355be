"""Work spread over the processor's cores, in processes of its own."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from typing import Any

from seti.errors import SetiError
from seti.utils import shutdown


def available_cores() -> int:
    """How many cores this process may use."""
    # Where it exists, the affinity counts the cores that this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: int | None) -> None:
    """Refuse a number of processes that cannot work.

    Raises:
        SetiError: naming the setting.
    """
    if workers is not None and workers < 1:
        msg = f"workers={workers} must be 1 or more, or null for one a core"
        raise SetiError(msg)


def parallel_map(work: Callable[..., Any], *batches: Iterable[Any], workers: int, chunk: int = 1) -> Iterator[Any]:
    """Map over batches in order, in this process or in several.

    Args:
        work: a function that other processes can import.
        batches: its arguments, as `map` takes them.
        workers: processes; 1 is this one.
        chunk: batches that a process is handed at once.

    Raises:
        SetiError: a process was killed.
    """
    if workers == 1:
        yield from map(work, *batches)
        return
    # spawn: forking a process that has threads (the progress bar, BLAS) may lock up.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            with shutdown.shielded_children():
                made = pool.map(work, *batches, chunksize=chunk)
            yield from made
        except BrokenExecutor as error:
            msg = "a worker process was killed, perhaps for want of memory: set workers=1, or fewer than now"
            raise SetiError(msg) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    shutdown.ignore_signals_in_worker()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, which would wait for more work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
