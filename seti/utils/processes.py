"""Parallel work in processes, one per processor core."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seti.errors import SetiError
from seti.utils import malloc, shutdown


def available_cores() -> int:
    """Count the cores that this process may use."""
    # The affinity mask also reflects the limits of batch systems and taskset; not every system has one.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: int | None) -> None:
    """Refuse an impossible number of worker processes.

    Raises:
        SetiError: `workers` is below 1.
    """
    if workers is not None and workers < 1:
        msg = f"workers={workers} must be 1 or more, or null for one per core"
        raise SetiError(msg)


def lead_to_package() -> None:
    """Let Python processes that are started from now on import this package."""
    root = Path(__file__).parents[2]
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root.name not in ("site-packages", "dist-packages") and str(root) not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, known)])
    if str(root) not in sys.path:
        sys.path.append(str(root))


def parallel_map(work: Callable[..., Any], *batches: Iterable[Any], workers: int, chunk: int = 1) -> Iterator[Any]:
    """Map a function over its arguments in order, in this process or in several.

    Args:
        work: a function that other processes can import.
        batches: its arguments, one iterable each, as for `map`.
        workers: number of processes; 1 runs everything in this process.
        chunk: number of calls sent to a process at once.

    Raises:
        SetiError: a worker process was killed.
    """
    with pool(workers) as spread:
        yield from spread(work, *batches, chunk=chunk)


@contextmanager
def pool(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Keep worker processes for several maps.

    Gives a function that is called as `parallel_map`, without `workers`. Processes are started when they are first
    needed. The errors are those of `parallel_map`.
    """
    if workers == 1:
        yield _in_this_process
        return
    # spawn, because forking a process that has threads (progress bar, BLAS) can deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as executor:

        def spread(work: Callable[..., Any], *batches: Iterable[Any], chunk: int = 1) -> Iterator[Any]:
            try:
                with shutdown.shielded_children():
                    made = executor.map(work, *batches, chunksize=chunk)
                yield from made
            except BrokenExecutor as error:
                msg = (
                    "a worker process was killed, perhaps for lack of memory: set workers=1, or fewer workers than now"
                )
                raise SetiError(msg) from error

        try:
            yield spread
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def run_apart(work: Callable[[], Any]) -> bool:
    """Run a function in a process of its own, so that its memory ends with it.

    An interruption of this process ends it at once.

    Args:
        work: a function that other processes can import; its errors are not shown.

    Returns:
        True if it ended without an error and was not killed.
    """
    process = multiprocessing.get_context("spawn").Process(target=_run_quietly, args=(work,))
    with shutdown.shielded_children():
        process.start()
    try:
        process.join()
    finally:
        if process.is_alive():
            process.kill()
            process.join()
    return process.exitcode == 0


def _run_quietly(work: Callable[[], Any]) -> None:
    _start_worker()
    try:
        work()
    except Exception:  # the exit code says it
        os._exit(1)


def _in_this_process(work: Callable[..., Any], *batches: Iterable[Any], chunk: int = 1) -> Iterator[Any]:
    yield from map(work, *batches)


def _start_worker() -> None:
    malloc.keep_freed_memory()  # a setting of the process: it does not come from the parent
    shutdown.ignore_signals_in_worker()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit with the parent, which cannot stop its workers if it is killed."""
    multiprocessing.parent_process().join()
    os._exit(1)
