"""Fingerprints: a 64-bit key for every bin of a panel, equal where the noise is the same.

A panel of a cadence was scaled to mean 0 and deviation 1, so the same noise has another gain and offset in every cut.
The difference of two neighbouring bins has lost the offset; the signs of 64 weighted sums over its rows have lost the
gain as well. The weights are +1 and -1, as many of each, so that a steady slope or step between the bins adds nothing.
"""

import functools

import numpy as np

BITS = 64
MOST_ROWS = 96  # rows that are summed: more cost time and make no key rarer
FEWEST_ROWS = 8  # of fewer, too few different sums can be made
# In the place of a key: the two bins are the same up to a constant; the panel has the key elsewhere as well.
DEAD, REPEATED = np.uint64(0), np.uint64(1)

_HALF_EXPONENT = np.float32(2.0**112)  # 127 - 15, the difference of the exponents' biases


def fingerprint(panels: np.ndarray) -> np.ndarray:
    """Compute the keys of some panels.

    Args:
        panels: `(panels, rows, bins)`, floats, all finite.

    Returns:
        `(panels, bins - 1)` uint64: the key of bin b is that of the difference between bins b + 1 and b; or `DEAD`, or
        `REPEATED`.
    """
    step = max(1, panels.shape[1] // MOST_ROWS)
    rows = as_float32(panels[:, ::step][:, :MOST_ROWS])
    # A level far above the noise would be rounded off in float32 sums.
    sums = _weights(rows.shape[1]) @ (rows - rows[:, :1])
    differences = sums[:, :, 1:] - sums[:, :, :-1]
    bits = np.packbits(differences > 0, axis=1, bitorder="little")
    keys = np.ascontiguousarray(bits.transpose(0, 2, 1)).view("<u8")[..., 0].astype(np.uint64, copy=False)
    for own in keys:
        own[_repeated(own)] = REPEATED
    keys[~differences.any(axis=1)] = DEAD
    return keys


def as_float32(values: np.ndarray) -> np.ndarray:
    """Convert finite floats to float32; numpy converts float16 five times as slowly.

    The bits of a float16 are moved to their places in a float32; its exponent then lacks the difference of the biases.
    """
    if values.dtype != np.float16:
        return values.astype(np.float32)
    bits = values.view(np.int16).astype(np.int32)  # copies the sign into bits 16 to 31
    bits <<= 13
    bits &= np.int32(-0x70002000)  # sign, exponent and mantissa
    wide = bits.view(np.float32)
    wide *= _HALF_EXPONENT
    return wide


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Places of keys that occur more than once."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    repeated = np.zeros(len(keys), bool)
    repeated[order[1:][same]] = True
    repeated[order[:-1][same]] = True
    return repeated


@functools.lru_cache(maxsize=8)
def _weights(rows: int) -> np.ndarray:
    """Weights of the sums, `(64, rows)`: as many +1 as -1, and one 0 where `rows` is odd."""
    rng = np.random.default_rng(20_210_519)
    signs = np.resize(np.array([1, -1], np.float32), rows)
    if rows % 2:
        signs[-1] = 0
    return np.stack([rng.permutation(signs) for _ in range(BITS)])
