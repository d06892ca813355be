"""Flattening of a panel: local levels are divided out, and noise becomes the unit.

The response of the polyphase filterbank, slopes and wide emission are smooth in frequency: medians of blocks follow
them, and lines of one bin do not move a median. Bursts and gains differ from row to row: a second median, of one
row's blocks, follows those. A signal stays unless it fills half of a block.
"""

import numpy as np
from numba import njit

BAND_BLOCK = 256  # bins; narrower than the narrowest wide emission that is worth following
ROW_BLOCK = 512  # bins of one row
NOISE_BLOCK = 8192  # bins; all rows together
LINEAR = 8.0  # up to this many deviations a value is kept as it is
COMPRESSION = 2.0
BUCKETS, LOW, HIGH = 256, 0.3, 1.9  # histogram of one row's block, in units of the band's level


def flatten(panel: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Deviations from the local level in units of the local noise, `(rows, width)` float32.

    Values over `LINEAR` are compressed by a logarithm, so that one strong row does not decide about a track that
    crosses it; `expand` inverts it. Bins without a level (zeros, constants, not finite) and the DC spike are 0.
    """
    panel = np.ascontiguousarray(panel, np.float32)
    width = panel.shape[1]
    flat = np.empty_like(panel) if out is None else out
    gains = np.array([_finite_median(row[:: max(1, width // 16384)]) for row in panel])
    if not (gains > 0).any():
        flat[:] = 0
        return flat
    scale = np.where(gains > 0, 1 / np.where(gains > 0, gains, 1), 0).astype(np.float32)
    spectrum = _spectrum(panel, scale)
    band = _band(spectrum)
    inverse = np.where(band > 0, 1 / np.where(band > 0, band, 1), 0).astype(np.float32)
    levels, noise = _levels(panel, scale, inverse, ROW_BLOCK, NOISE_BLOCK)
    noise = _filled(noise)
    _divide(panel, scale, inverse, levels, noise, ROW_BLOCK, NOISE_BLOCK, flat)
    _remove_dc(flat)
    return flat


def expand(value: np.ndarray) -> np.ndarray:
    """Values before their compression."""
    return np.where(value > LINEAR, LINEAR * np.exp((np.minimum(value, 60.0) - LINEAR) / COMPRESSION), value)


def _finite_median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0


def _band(spectrum: np.ndarray) -> np.ndarray:
    """Level of every bin: medians of blocks, joined by straight lines."""
    width = len(spectrum)
    block = min(BAND_BLOCK, width)
    whole = width // block * block
    blocks = spectrum[:whole].reshape(-1, block)
    with np.errstate(invalid="ignore"):
        medians = (
            np.median(blocks, axis=1) if np.isfinite(spectrum.sum()) else np.array([_finite_median(b) for b in blocks])
        )
    centres = (np.arange(len(medians)) + 0.5) * block - 0.5
    if len(medians) == 1:
        return np.full(width, medians[0])
    band = np.interp(np.arange(width), centres, medians)
    half = block // 2  # beyond the outer centres: straight on, for the response falls there
    band[:half] = medians[0] + (np.arange(half) - centres[0]) * (medians[1] - medians[0]) / block
    outer = np.arange(int(centres[-1]), width)
    band[outer] = medians[-1] + (outer - centres[-1]) * (medians[-1] - medians[-2]) / block
    return band


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def _spectrum(panel, scale):
    """Mean over rows, of the middle two of four quarters: a drifting signal does not raise it."""
    rows, width = panel.shape
    out = np.empty(width, np.float32)
    if rows < 4:
        for b in range(width):
            out[b] = panel[0, b] * scale[0]
        return out
    sums = np.zeros((4, width), np.float32)
    for q in range(4):
        first, last = rows * q // 4, rows * (q + 1) // 4
        used = 0
        total = sums[q]
        for r in range(first, last):
            factor = scale[r]
            used += factor > 0
            row = panel[r]
            for b in range(width):
                total[b] += row[b] * factor
        share = np.float32(1 / max(used, 1))
        for b in range(width):
            total[b] *= share
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    for b in range(width):
        low, high = min(first[b], second[b]), max(first[b], second[b])
        other, upper = min(third[b], fourth[b]), max(third[b], fourth[b])
        out[b] = 0.5 * (max(low, other) + min(high, upper))
    return out


@njit(cache=True, nogil=True)
def _quantile(counts, total, share):
    wanted = share * total
    below = 0.0
    for i in range(len(counts)):
        if below + counts[i] >= wanted and counts[i] > 0:
            return LOW + (HIGH - LOW) * (i + (wanted - below) / counts[i]) / len(counts)
        below += counts[i]
    return HIGH


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def _levels(panel, scale, inverse, row_block, noise_block):
    """Medians of every row's blocks, and noise of wider blocks, in units of the band's level."""
    rows, width = panel.shape
    count = max(1, width // row_block)
    per = max(1, noise_block // row_block)
    levels = np.ones((rows, count), np.float32)
    noise = np.zeros((count + per - 1) // per, np.float64)
    found = np.zeros(len(noise), np.int64)
    step = BUCKETS / (HIGH - LOW)
    counts = np.zeros(BUCKETS, np.int32)
    for r in range(rows):
        for j in range(count):
            counts[:] = 0
            start, stop = j * row_block, (j + 1) * row_block if j < count - 1 else width
            total = 0
            for b in range(start, stop):
                value = (panel[r, b] * scale[r] * inverse[b] - LOW) * step
                if value >= 0 and value < BUCKETS:
                    counts[int(value)] += 1
                    total += 1
                elif value >= BUCKETS or value < 0:
                    counts[BUCKETS - 1 if value > 0 else 0] += 1
                    total += 1
            if total < (stop - start) // 2 or counts[0] > total // 4 or counts[BUCKETS - 1] > total // 2:
                levels[r, j] = 0.0
                continue
            median = _quantile(counts, total, 0.5)
            levels[r, j] = median
            noise[j // per] += (_quantile(counts, total, 0.75) - _quantile(counts, total, 0.25)) / 1.349 / median
            found[j // per] += 1
    for i in range(len(noise)):
        noise[i] = noise[i] / found[i] if found[i] > 0 else 0.0
    return levels, noise


def _filled(noise: np.ndarray) -> np.ndarray:
    """Noise of blocks; a block crowded by signals, with far more, takes the median of all."""
    known = noise[noise > 0]
    if not len(known):
        return noise
    middle = np.median(known)
    return np.where((noise > 0) & (noise > 1.5 * middle), middle, noise)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def _divide(panel, scale, inverse, levels, noise, row_block, noise_block, flat):
    rows, width = panel.shape
    count = levels.shape[1]
    for r in range(rows):
        for j in range(2 * count):  # half blocks, in which the level is a straight line
            start = j * row_block // 2
            stop = (j + 1) * row_block // 2 if j < 2 * count - 1 else width
            own = j // 2
            other = own - 1 if j % 2 == 0 else own + 1
            other = own if other < 0 or other >= count or levels[r, other] == 0 else other
            deviation = noise[min(own * row_block // noise_block, len(noise) - 1)]
            if levels[r, own] == 0 or deviation < 1e-6:
                flat[r, start:stop] = 0
                continue
            centre = (own + 0.5) * row_block - 0.5
            slope = (levels[r, other] - levels[r, own]) / row_block * (other - own)
            factor = scale[r]
            for b in range(start, stop):
                level = levels[r, own] + slope * (b - centre)
                value = (panel[r, b] * factor * inverse[b] - level) / (deviation * level)
                if value > LINEAR:
                    value = LINEAR + COMPRESSION * np.log(min(value, np.float32(1e9)) / LINEAR)
                elif not value > -LINEAR:
                    value = -LINEAR if value <= -LINEAR else np.float32(0)  # 0 where it is not a number
                flat[r, b] = value


def _remove_dc(flat: np.ndarray) -> None:
    middle = flat.shape[1] // 2
    flat[:, middle] = 0
    for near in (middle - 2, middle - 1, middle + 1, middle + 2):
        if 0 <= near < flat.shape[1] and flat[:, near].mean() > 2:
            flat[:, near] = 0
