"""Memory that a process keeps for its next step, where the C library would give it back to the system.

Every step of a network on a CPU frees some hundred megabytes of activations and asks for them again. The GNU C library
returns large blocks at once, and has a heap for every thread; each step's memory is then new, and the system fills it
with zeros page by page: a tenth of the time of training, and a third of prediction's, which is done in threads.
"""

import ctypes
import os
import sys

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

MAX_KEPT_BLOCK = 2**30  # bytes: a larger block goes back to the system


def keep_freed_memory() -> bool:
    """Keep what is freed from now on, in one heap for all threads that are yet to start.

    Returns:
        Whether that is so: not with another C library than GNU's, nor where the environment says how to allocate
        (`MALLOC_...`, `GLIBC_TUNABLES`, see mallopt(3)).
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    return set_thresholds(MAX_KEPT_BLOCK, 2**31 - 1) and _set(_ARENA_MAX, 1)


def set_thresholds(block: int, top: int) -> bool:
    """Say what goes back to the system when it is freed: blocks of that many bytes, and so many at the heap's end.

    Returns:
        Whether the C library took it.
    """
    return _set(_MMAP_THRESHOLD, block) and _set(_TRIM_THRESHOLD, top)


def _set(parameter: int, value: int) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and mallopt(parameter, value) == 1
