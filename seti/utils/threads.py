"""Limits on the threads of numerical libraries."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def single_threaded(user_api: str | None = None) -> AbstractContextManager:
    """Limit numerical libraries to one thread inside a block.

    Args:
        user_api: "blas" or "openmp", None for both. The limit of OpenMP is a thread's own, that of BLAS the process's.
    """
    return _libraries().limit(limits=1, user_api=user_api)


@cache
def _libraries() -> ThreadpoolController:
    # Finding them takes milliseconds, `threadpool_limits` does it each time, and a stack makes thousands of small fits.
    return ThreadpoolController()
