"""Parts of a scan, coarse channels and borders, spread over processes."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from seti.data.observation import Header
from seti.errors import SetiError
from seti.search.coarse_channel import BUSY, ScanTask, make_once
from seti.search.progress import ScanProgress
from seti.utils import files, memory, processes
from seti.utils.processes import available_cores
from seti.utils.ray_pool import Cluster
from seti.utils.threads import single_threaded

POLL = 0.5  # s between two looks at parts that another process searches
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# Memory of a worker: interpreter and libraries, and copies of one panel that the search holds at its peak.
BASE_BYTES, PANEL_COPIES = 300_000_000, 8
NETWORKS_BYTES = 600_000_000  # torch, and networks of the user's own as a judge


def search_parts(
    task: ScanTask,
    parts: Sequence[str],
    make: Callable[[ScanTask, str], None],
    spread: Callable[..., Iterator[Any]],
    noun: str,
) -> int:
    """Search all parts that are not done, in several processes.

    Other programs may search the same folder: each part is searched by one of them.

    Args:
        task: the scan.
        parts: names of coarse channels or of borders.
        make: searches one part, and writes its result; a function that other processes can import.
        spread: of `processes.pool`.
        noun: of the parts, for the progress.

    Returns:
        The number of parts that were done before.
    """
    done = set(task.folder.done(parts))
    open_parts = [part for part in parts if part not in done]
    progress = ScanProgress(noun, len(parts), len(done))
    with progress.shown():
        busy = []
        states = spread(make_once, itertools.repeat(task), open_parts, itertools.repeat(make))
        for part, state in zip(open_parts, states, strict=True):
            if state == BUSY:
                busy.append(part)
            else:
                progress.advance(_events(task, part))
        said = False
        while busy:  # the other process may have finished them, or may have been killed
            left = []
            for part in busy:
                if make_once(task, part, make) == BUSY:
                    left.append(part)
                else:
                    progress.advance(_events(task, part))
            busy = left
            if busy and not said:
                print(
                    f"waiting for another process on {task.folder.path}, which searches {', '.join(busy[:5])}",
                    flush=True,
                )
                said = True
            if busy:
                time.sleep(POLL)
    return len(done)


@contextmanager
def spreading(
    workers: int | None, header: Header, parts: int, networks: bool, cluster: Cluster | None
) -> Iterator[Callable[..., Iterator[Any]]]:
    """Keep processes that search, for several maps; gives a function as `processes.pool` does.

    Args:
        workers, header, parts, networks: as for `fitting_workers`.
        cluster: whose actors search; None: workers of this machine do.
    """
    if cluster is None:
        with processes.pool(fitting_workers(workers, header, parts, networks)) as spread:
            yield spread
        return
    with cluster.actors(parts, memory=worker_bytes(header, networks)) as actors:
        yield actors.in_order


def fitting_workers(workers: int | None, header: Header, parts: int, networks: bool = False) -> int:
    """Choose the number of worker processes: one a core, and as many as fit into memory.

    Args:
        workers: that the user asks for; None for as many as is good.
        header: of an observation.
        parts: coarse channels to search.
        networks: True if workers load networks of the user's own.

    Raises:
        SetiError: not even one coarse channel fits.
    """
    wanted = max(1, min(workers or available_cores(), parts))
    each = worker_bytes(header, networks)
    available = memory.available_bytes()
    if available is None:
        return wanted
    fit = int(available // each)
    if fit < 1:
        msg = (
            f"a coarse channel of {header.coarse_width} fine channels and {header.rows} rows takes about "
            f"{each / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available: end other programs, or set "
            "coarse_width to a smaller part of the channels"
        )
        raise SetiError(msg)
    if workers is not None and fit < wanted:
        print(f"workers={workers} take about {wanted * each / 1e9:.1f} GB, which are not available: {fit} are used")
    return min(wanted, fit)


def worker_bytes(header: Header, networks: bool) -> int:
    """Memory of a process that searches, in bytes, perhaps with networks of the user's own."""
    return BASE_BYTES + networks * NETWORKS_BYTES + PANEL_COPIES * header.rows * header.coarse_width * 4


def _events(task: ScanTask, part: str) -> int:
    return int(files.read_json(task.folder.summary(part)).get("events", 0))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Limit numerical libraries to one thread, here and in processes started in the block."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with single_threaded():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
