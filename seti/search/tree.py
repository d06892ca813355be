"""De-Doppler trees: sums along tracks of every drift rate, in one panel or several together.

A Taylor tree over n rows makes the n sums of total drift 0 to n - 1 columns in n log n additions a column (Taylor
1974; turboSETI and hyperseti use it too). A signal that drifts over several bins in a row is smeared: it is searched
in boxes of 2, 4, 8, ... bins, half overlapping, so that a track crosses one to two half boxes in a row. Rows of these
*levels* are sheared by one column a row before the tree adds its own drift.

Masked bins hold their value minus `MASK` (see `tracks`); trees count them as 0.
"""

from dataclasses import dataclass

import numpy as np

from seti.search.compiled import compiled

MASK = 1000.0
BLOCK = 2048  # columns; the trees of one block stay in the processor's cache
FINE = 4  # drift rates of several panels together, for one of a single panel


@dataclass(frozen=True)
class Level:
    """Boxes of `box` bins every `step` bins, sheared by `shear` columns a row before the tree."""

    box: int
    step: int
    shear: int


def levels(max_bins_per_row: float) -> list[Level]:
    """Levels that cover drifts up to so many bins a row, without gaps."""
    found = [Level(1, 1, 0), Level(2, 1, 0), Level(2, 1, 1)]
    while found[-1].step * 2 < max_bins_per_row:
        box = found[-1].box * 2
        found.append(Level(box, box // 2, 1))
    return found


@compiled(fastmath=True)
def halve(plane, out):
    """Sums of neighbouring columns, masked bins counted as 0: half as many columns in `out`."""
    rows, width = plane.shape
    for r in range(rows):
        for j in range(width // 2):
            a, b = plane[r, 2 * j], plane[r, 2 * j + 1]
            out[r, j] = (a if a > -500 else np.float32(0)) + (b if b > -500 else np.float32(0))


@compiled(fastmath=True)
def _load(plane, work, start, sign, shear, wide, norm):
    """Fill `work` with boxes; column j of row r is the plane's `start + j + sign * shear * r`."""
    rows, width = plane.shape
    length = work.shape[1]
    for r in range(rows):
        first = start + sign * shear * r
        low = max(0, -first)
        high = min(length, width - (1 if wide else 0) - first)
        if high <= low:
            work[r] = 0
            continue
        work[r, :low] = 0
        work[r, high:] = 0
        target = work[r, low:high]
        source = plane[r, first + low : first + high]
        if wide:
            second = plane[r, first + low + 1 : first + high + 1]
            for j in range(len(target)):
                a, b = source[j], second[j]
                target[j] = ((a if a > -500 else np.float32(0)) + (b if b > -500 else np.float32(0))) * norm
        else:
            for j in range(len(target)):
                a = source[j]
                target[j] = (a if a > -500 else np.float32(0)) * norm
    for r in range(rows, work.shape[0]):
        work[r] = 0


# Loops from 0 over slices: numba must ask of other indices whether they are negative, which no vector loop survives.
@compiled(fastmath=True)
def _add(a, b, out):
    for j in range(len(out)):
        out[j] = a[j] + b[j]


@compiled(fastmath=True)
def _keep_two(upper, lower, next_lower, code, step, best, drift):
    """Keep the larger of `upper + lower` and `upper + next_lower` where it exceeds `best`."""
    for j in range(len(best)):
        v, w = upper[j] + lower[j], upper[j] + next_lower[j]
        better = v > best[j]
        here, most = code if better else drift[j], v if better else best[j]
        better = w > most
        drift[j] = code + step if better else here
        best[j] = w if better else most


@compiled(fastmath=True)
def _keep_one(upper, lower, code, best, drift):
    for j in range(len(best)):
        v = upper[j] + lower[j]
        better = v > best[j]
        drift[j] = code if better else drift[j]
        best[j] = v if better else best[j]


@compiled(fastmath=True)
def _keep3(a, b, c, code, best, drift):
    for j in range(len(best)):
        v = a[j] + b[j] + c[j]
        better = v > best[j]
        drift[j] = code if better else drift[j]
        best[j] = v if better else best[j]


@compiled(fastmath=True)
def _tree(work, other, sign, stop):
    """Sums over `stop` rows of `work` each, for every total drift, in the array returned."""
    size, length = work.shape
    group = 1
    low, high = 0, length
    here, there = work, other
    while group < stop:
        low, high = low + group, high - group
        for g in range(0, size, 2 * group):
            for k in range(2 * group):
                upper, lower, out = here[g + k // 2], here[g + group + k // 2], there[g + k]
                shift = sign * ((k + 1) // 2)
                _add(upper[low:high], lower[low + shift : high + shift], out[low:high])
        here, there = there, here
        group *= 2
    return here


@compiled(fastmath=True)
def _peaks(best, drift, margin, length, start, threshold, found, count):
    """Append the peaks of a block to `found`; its new number of rows.

    `best[margin]` is column `start`. A peak is stronger than the two columns on either side.
    """
    for j in range(margin, margin + length):
        v = best[j]
        if (
            v > threshold
            and v > best[j - 1]
            and v >= best[j + 1]
            and v > best[j - 2]
            and v >= best[j + 2]
            and count < found.shape[0]
        ):
            found[count, 0], found[count, 1], found[count, 2] = start + j - margin, drift[j], v
            count += 1
    return count


@compiled(fastmath=True)
def panel_peaks(plane, wide, shear, top, norm, threshold, found):
    """Peaks of one panel's tree as rows `(column, total drift, snr)` of `found`; their number.

    The strongest drift rate of a column counts. `top` is the
    largest drift of the tree, in columns over all rows, besides the shear.
    """
    rows, width = plane.shape
    size = 2  # the last step adds two halves
    while size < rows:
        size *= 2
    margin = size + 4
    length = BLOCK + 2 * margin
    work, other = np.empty((size, length), np.float32), np.empty((size, length), np.float32)
    best, drift = np.empty(length, np.float32), np.empty(length, np.int32)
    count = 0
    for start in range(0, width, BLOCK):
        best[:] = -1
        for sign in (1, -1):
            _load(plane, work, start - margin, sign, shear, wide, norm)
            # The last step of the tree adds two halves; its sums are compared at once.
            half = size // 2
            sums = _tree(work, other, sign, half)
            inside, found_drift = best[size : length - size], drift[size : length - size]
            for k in range(0, min(size, top + 1), 2):
                m = k // 2
                code = np.int32(sign * (k + shear * (size - 1)))
                upper = sums[m, size : length - size]
                lower = sums[half + m, size + sign * m : length - size + sign * m]
                if k < top and k + 1 < size:
                    after = sums[half + m, size + sign * (m + 1) : length - size + sign * (m + 1)]
                    _keep_two(upper, lower, after, code, np.int32(sign), inside, found_drift)
                else:
                    _keep_one(upper, lower, code, inside, found_drift)
        count = _peaks(best, drift, margin, min(BLOCK, width - start), start, threshold, found, count)
    return count


@compiled(fastmath=True)
def joint_peaks(planes, which, rows_from, wide, shear, top, norms, threshold, found):
    """Peaks of several panels together as rows `(column, fine drift, snr)`; their number.

    `which` are the panels, `rows_from` the rows from the first row of the anchor panel to the first row of each. The
    column is that at the anchor's first row, and the drift rate in columns a row is `shear` plus the fine drift /
    (FINE * (size - 1)), with the sign of the fine drift (which counts the shear too).
    """
    count_panels = len(which)
    _, rows, width = planes.shape
    size = 1
    while size < rows:
        size *= 2
    reach = 0.0
    for p in range(count_panels):
        reach = max(reach, abs(rows_from[p]))
    margin = int(reach * (1 + shear)) + size + 8
    length = BLOCK + 2 * margin
    trees = np.empty((count_panels, size, length), np.float32)
    work, other = np.empty((size, length), np.float32), np.empty((size, length), np.float32)
    best, drift = np.empty(BLOCK + 8, np.float32), np.empty(BLOCK + 8, np.int32)
    first = margin - 4
    span = BLOCK + 8
    count = 0
    scale = np.float32(1 / np.sqrt(count_panels))
    for start in range(0, width, BLOCK):
        best[:] = -1
        for sign in (1, -1):
            for p in range(count_panels):
                _load(planes[which[p]], work, start - margin, sign, shear, wide, norms[p] * scale)
                trees[p] = _tree(work, other, sign, size)
            for fine in range(FINE * top + 1):
                coarse = (2 * fine + FINE) // (2 * FINE)
                rate = shear + fine / (FINE * (size - 1))
                code = sign * (fine + shear * FINE * (size - 1))
                if count_panels == 3:
                    s0 = first + sign * int(np.floor(rate * rows_from[0] + 0.5))
                    s1 = first + sign * int(np.floor(rate * rows_from[1] + 0.5))
                    s2 = first + sign * int(np.floor(rate * rows_from[2] + 0.5))
                    a = trees[0, coarse, s0 : s0 + span]
                    b = trees[1, coarse, s1 : s1 + span]
                    c = trees[2, coarse, s2 : s2 + span]
                    _keep3(a, b, c, np.int32(code), best, drift)
                else:
                    for j in range(span):
                        v = np.float32(0)
                        for p in range(count_panels):
                            v += trees[p, coarse, first + j + sign * int(np.floor(rate * rows_from[p] + 0.5))]
                        better = v > best[j]
                        drift[j] = code if better else drift[j]
                        best[j] = v if better else best[j]
        count = _peaks(best, drift, 4, min(BLOCK, width - start), start, threshold, found, count)
    return count
