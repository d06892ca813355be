"""C library settings that keep freed memory in the process for its next step.

Each step of a network on a CPU frees some hundred megabytes of activations and allocates them again. By default the
GNU C library returns large blocks to the system at once and keeps one heap per thread, so each step gets fresh memory
that the system has to zero page by page. That costs a tenth of the time of training, and a third of the time of
prediction, which runs in threads.
"""

import ctypes
import os
import sys

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

MAX_KEPT_BLOCK = 2**30  # bytes; larger blocks are returned to the system


def keep_freed_memory() -> bool:
    """Keep memory that is freed from now on, in one heap shared by all threads started later.

    Returns:
        True if set. False with a C library other than GNU's, or where the environment already configures allocation
        (`MALLOC_...`, `GLIBC_TUNABLES`; see mallopt(3)).
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    return set_thresholds(MAX_KEPT_BLOCK, 2**31 - 1) and _set(_ARENA_MAX, 1)


def set_thresholds(block: int, top: int) -> bool:
    """Set the sizes in bytes above which freed memory is returned to the system.

    Args:
        block: size of a single block.
        top: size of the free space at the end of the heap.

    Returns:
        True if the C library accepted both.
    """
    return _set(_MMAP_THRESHOLD, block) and _set(_TRIM_THRESHOLD, top)


def _set(parameter: int, value: int) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and mallopt(parameter, value) == 1
