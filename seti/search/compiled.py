"""Compiled functions of the search, kept on disk between starts."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """Compile a function at its first call, and keep the machine code on disk.

    It is kept until a compiled function of this package changes. numba itself compares the function's own file only:
    after a change of a function that others call, in another file, they would go on with the old one. Where no folder
    can be written, the function is compiled at each start.

    Args:
        options: of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        made = numba.njit(nogil=True, **options)(function)
        try:
            made.enable_caching()
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return made
        kept = getattr(getattr(made, "_cache", None), "_cache_file", None)
        if hasattr(kept, "_source_stamp"):
            kept._source_stamp = _stamp(Path(__file__).parent)
        return made

    return decorate


def is_kept(function: Any) -> bool:
    """True if machine code of a function lies on disk, or if it cannot be kept there.

    Args:
        function: made by `compiled`; it has not been called in this process.
    """
    kept = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return not hasattr(kept, "_load_index") or bool(kept._load_index())


@functools.cache
def _stamp(folder: Path) -> str:
    """Digest of the sources in a folder that have compiled functions."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        if b"@compiled(" in source:
            digest.update(source)
    return digest.hexdigest()
