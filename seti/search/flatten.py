"""Flattening of a panel: local levels are divided out, and noise becomes the unit.

The response of the polyphase filterbank, slopes and wide emission are smooth in frequency: medians of blocks follow
them, and lines of one bin do not move a median. Bursts and gains differ from row to row: a second median, of one
row's blocks, follows those. A signal stays unless it fills half of a block.
"""

import numpy as np

from seti.search.compiled import compiled

BAND_BLOCK = 256  # bins; narrower than the narrowest wide emission that is worth following
ROW_BLOCK = 512  # bins of one row
NOISE_BLOCK = 8192  # bins; all rows together
LINEAR = 8.0  # up to this many deviations a value is kept as it is
COMPRESSION = 2.0
BUCKETS, GROUP, LOW, HIGH = 256, 16, 0.3, 1.9  # histogram of one row's block, in units of the band's level


def flatten(panel: np.ndarray) -> np.ndarray:
    """Replace a panel, in place, by its deviations from the local level over the local noise.

    Values over `LINEAR` are compressed by a logarithm, so that one strong row does not decide about a track that
    crosses it; `expand` inverts it. Bins without a level (zeros, constants, not finite) and the DC spike are 0.

    Args:
        panel: `(rows, width)` float32, contiguous.

    Returns:
        The panel.
    """
    width = panel.shape[1]
    gains = np.array([_finite_median(row[:: max(1, width // 16384)]) for row in panel])
    if not (gains > 0).any():
        panel[:] = 0
        return panel
    scale = np.where(gains > 0, 1 / np.where(gains > 0, gains, 1), 0).astype(np.float32)
    inverse = _inverse(*_band(_spectrum(panel, scale)), width)
    levels, noise = _levels(panel, scale, inverse, ROW_BLOCK, NOISE_BLOCK)
    _divide(panel, scale, inverse, levels, _filled(noise), ROW_BLOCK, NOISE_BLOCK)
    _remove_dc(panel)
    return panel


def expand(value: np.ndarray) -> np.ndarray:
    """Values before their compression."""
    return np.where(value > LINEAR, LINEAR * np.exp((np.minimum(value, 60.0) - LINEAR) / COMPRESSION), value)


def _finite_median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0


def _band(spectrum: np.ndarray) -> tuple[np.ndarray, int]:
    """Medians of blocks of a spectrum, and bins of a block; `_inverse` joins the medians."""
    width = len(spectrum)
    block = min(BAND_BLOCK, width)
    blocks = spectrum[: width // block * block].reshape(-1, block)
    if np.isfinite(spectrum.sum()):
        middle = block // 2
        ordered = np.sort(blocks, axis=1)  # quicker than a partition of so few
        medians = ordered[:, middle] if block % 2 else (ordered[:, middle - 1] + ordered[:, middle]) * np.float32(0.5)
        return medians.astype(np.float64), block
    with np.errstate(invalid="ignore"):
        return np.array([_finite_median(part) for part in blocks]), block


@compiled()
def _inverse(medians, block, width):
    """Inverse of the level of every bin, 0 where the level is not above 0."""
    out = np.empty(width, np.float32)
    count = len(medians)
    for i in range(max(1, count - 1)):
        # Beyond the outer centres: straight on, for the response falls there.
        first = 0 if i == 0 else int((i + 0.5) * block - 0.5) + 1
        last = width if i >= count - 2 else int((i + 1.5) * block - 0.5) + 1
        slope = (medians[i + 1] - medians[i]) / block if count > 1 else 0.0
        start = medians[i] - slope * ((i + 0.5) * block - 0.5)
        for b in range(first, last):
            level = start + slope * b
            out[b] = 1 / level if level > 0 else 0.0
    return out


@compiled(fastmath={"reassoc", "contract", "arcp"})
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


@compiled()
def _quantile(counts, sums, wanted):
    """Value below which `wanted` counts lie; `sums` are those of `GROUP` buckets each."""
    below, group = 0, 0
    while group < len(sums) - 1 and below + sums[group] < wanted:
        below += sums[group]
        group += 1
    for i in range(group * GROUP, len(counts)):
        if below + counts[i] >= wanted and counts[i] > 0:
            return LOW + (HIGH - LOW) * (i + (wanted - below) / counts[i]) / len(counts)
        below += counts[i]
    return HIGH


@compiled(fastmath={"reassoc", "contract", "arcp"})
def _buckets(row, inverse, factor, out):
    """Bucket of each value of a block, outer ones for all beyond; number of those not NaN."""
    step = BUCKETS / (HIGH - LOW)
    total = np.int32(0)
    for b in range(len(row)):
        value = (row[b] * factor * inverse[b] - LOW) * step
        total += np.int32(1) if value == value else np.int32(0)
        value = value if value > 0 else 0.0  # what is not a number is taken back by the caller
        out[b] = np.int32(value if value < BUCKETS - 1 else BUCKETS - 1.0)
    return total


@compiled(fastmath={"reassoc", "contract", "arcp"})
def _levels(panel, scale, inverse, row_block, noise_block):
    """Medians of every row's blocks, and noise of wider blocks, in units of the band's level."""
    rows, width = panel.shape
    count = max(1, width // row_block)
    per = max(1, noise_block // row_block)
    levels = np.ones((rows, count), np.float32)
    noise = np.zeros((count + per - 1) // per, np.float64)
    found = np.zeros(len(noise), np.int64)
    # Two histograms in turn: the same bucket twice running would wait for its own first count.
    even, odd, sums = np.zeros(BUCKETS, np.int32), np.zeros(BUCKETS, np.int32), np.zeros(BUCKETS // GROUP, np.int32)
    places = np.empty(width - (count - 1) * row_block, np.int32)
    for r in range(rows):
        for j in range(count):
            start, stop = j * row_block, (j + 1) * row_block if j < count - 1 else width
            size = stop - start
            total = _buckets(panel[r, start:stop], inverse[start:stop], scale[r], places)
            even[:] = 0
            odd[:] = 0
            for b in range(size // 2):
                even[places[2 * b]] += 1
                odd[places[2 * b + 1]] += 1
            if size % 2:
                even[places[size - 1]] += 1
            even[0] -= size - total
            for i in range(BUCKETS):
                even[i] += odd[i]
            for group in range(BUCKETS // GROUP):
                part = np.int32(0)
                for i in range(GROUP):
                    part += even[group * GROUP + i]
                sums[group] = part
            if total < size // 2 or even[0] > total // 4 or even[BUCKETS - 1] > total // 2:
                levels[r, j] = 0.0
                continue
            median = _quantile(even, sums, 0.5 * total)
            levels[r, j] = median
            noise[j // per] += (
                (_quantile(even, sums, 0.75 * total) - _quantile(even, sums, 0.25 * total)) / 1.349 / median
            )
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


# Division by zero gives infinity, as in numpy: a test for it would keep the loop from being vectorised.
@compiled(fastmath={"reassoc", "contract", "arcp"}, error_model="numpy")
def _divide_block(values, inverse, factor, level, slope, deviation):
    """Replace the values of half a block by their deviations; the number of those over `LINEAR`."""
    least, most = np.float32(-LINEAR), np.float32(LINEAR)
    share = np.float32(1) / deviation
    over = np.int32(0)
    for b in range(len(values)):
        value = (values[b] * factor * inverse[b] / (level + slope * np.float32(b)) - np.float32(1)) * share
        value = value if value == value else np.float32(0)
        value = value if value > least else least
        values[b] = value
        over += np.int32(1) if value > most else np.int32(0)
    return over


@compiled(fastmath={"reassoc", "contract", "arcp"})
def _divide(panel, scale, inverse, levels, noise, row_block, noise_block):
    """Replace a panel by its deviations, in place."""
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
                panel[r, start:stop] = 0
                continue
            centre = (own + 0.5) * row_block - 0.5
            slope = (levels[r, other] - levels[r, own]) / row_block * (other - own)
            level = levels[r, own] + slope * (start - centre)
            part = panel[r, start:stop]
            over = _divide_block(
                part, inverse[start:stop], scale[r], np.float32(level), np.float32(slope), np.float32(deviation)
            )
            if over > 0:
                for b in range(len(part)):
                    if part[b] > LINEAR:
                        part[b] = LINEAR + COMPRESSION * np.log(min(part[b], np.float32(1e9)) / LINEAR)


def _remove_dc(flat: np.ndarray) -> None:
    middle = flat.shape[1] // 2
    flat[:, middle] = 0
    for near in (middle - 2, middle - 1, middle + 1, middle + 2):
        if 0 <= near < flat.shape[1] and flat[:, near].mean() > 2:
            flat[:, near] = 0
