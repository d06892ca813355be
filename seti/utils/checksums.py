"""Checksums of panels: quick enough to be made whenever a panel is read."""

import functools
import hashlib

import numpy as np

_WIDTH = 1009  # words; a prime


def panel_checksums(cadence: np.ndarray) -> np.ndarray:
    """Checksum every panel.

    Its 64-bit words are written into rows of `_WIDTH`, the columns are added, and the sums are added again, each
    times an odd random number of its own; everything modulo 2^64. A changed word always changes the outcome, as odd
    numbers can be divided by modulo 2^64; so do words that change places, unless they lie whole rows apart, and no
    page, sector or row of a panel is as long as a row here. It finds accidents, not forgery, 20 times as fast as
    SHA-256.

    Args:
        cadence: `(panels, rows, bins)`, C order.

    Returns:
        `(panels,)` uint64. Equal ones mean equal panels in all likelihood, not for certain.
    """
    size = cadence[0].nbytes
    panels = cadence.reshape(len(cadence), -1).view(np.uint8)
    whole = size // 8 * 8
    if whole == size:
        words = panels.view(np.uint64)
    else:  # the last few bytes are filled up to a word
        words = np.zeros((len(panels), whole + 8), np.uint8)
        words[:, :size] = panels
        words = words.view(np.uint64)
    full = words.shape[1] // _WIDTH
    rest = words[:, full * _WIDTH :]
    columns = words[:, : full * _WIDTH].reshape(len(words), full, _WIDTH).sum(axis=1)
    weights = _weights(_WIDTH + rest.shape[1])
    return np.vecdot(columns, weights[:_WIDTH]) + np.vecdot(rest, weights[_WIDTH:])


def row_checksum(checksums: np.ndarray) -> str:
    """Join panels' checksums into one of the cadence, 16 hex digits."""
    return hashlib.blake2b(np.ascontiguousarray(checksums, dtype="<u8").tobytes(), digest_size=8).hexdigest()


@functools.lru_cache(maxsize=4)
def _weights(count: int) -> np.ndarray:
    # PCG64's raw output is fixed for good, unlike numpy's distributions: checksums are kept in files.
    return np.random.PCG64(20_210_519).random_raw(count) | np.uint64(1)
