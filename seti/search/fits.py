"""Steps of a fit: box sums along a track, its best shift, its SNR in a panel, and its mask.

A track is `p0 + p1 * u + p2 * u^2` in bins, where u is time from the middle of the ON panels in units of half their
span: p1 is half the drift over the span, p2 a small curvature. Planes are `(6, rows, width)`, in units of the noise
(see `flatten`). A masked bin holds its value minus `MASK`: it counts neither for nor against other tracks.
"""

import numpy as np

from seti.search.compiled import compiled
from seti.search.flatten import COMPRESSION, LINEAR
from seti.search.tree import MASK

FLAGS = {"reassoc", "contract", "arcp", "nsz"}
LONGEST = 4096  # bins in the window of one row


@compiled(fastmath=FLAGS)
def boxes(row, centre, width, step, count, sums, out):
    """Box sums at `count` positions, `step` bins apart, around `centre`; masked bins are 0.

    `sums` is scratch of `LONGEST + 1` values, whose first is 0.
    """
    total = row.shape[0]
    first = centre - (count // 2) * step
    low = int(np.floor(first - width / 2 + 0.5)) - 1
    wanted = int((count - 1) * step + width) + 5
    length = min(wanted, LONGEST)
    begin, end = min(max(-low, 0), length), min(max(total - low, 0), length)
    for i in range(begin):
        sums[i + 1] = 0
    value = np.float32(0)
    inside = row[low + begin : low + end] if end > begin else row[:0]
    after = sums[begin + 1 : begin + 1 + len(inside)]
    for i in range(len(inside)):
        v = inside[i]
        value += v if v > -500 else np.float32(0)
        after[i] = value
    for i in range(max(end, begin), length):
        sums[i + 1] = value
    # A bin b covers b - 0.5 to b + 0.5: the sum up to position x is at index x + 0.5 - low.
    left, right = first + 0.5 - low - width / 2, first + 0.5 - low + width / 2
    fits = count if wanted <= LONGEST else min(count, max(0, int((LONGEST - 2 - right) / step)))
    for j in range(fits):
        a, c = left + j * step, right + j * step
        ia, ic = np.uint32(a), np.uint32(c)
        fa, fc = np.float32(a - ia), np.float32(c - ic)
        out[j] = sums[ic] + fc * (sums[ic + 1] - sums[ic]) - sums[ia] - fa * (sums[ia + 1] - sums[ia])
    for j in range(fits, count):
        out[j] = 0


@compiled(fastmath=FLAGS)
def stamps(planes, time, use, track, width, step, count, out, when):
    """Box sums around a track in units of noise, of all rows of the panels in use; their number."""
    panels, rows, _ = planes.shape
    scale = np.float32(1 / np.sqrt(width))
    sums = np.zeros(LONGEST + 1, np.float32)
    n = 0
    for p in range(panels):
        if not use[p]:
            continue
        for r in range(rows):
            u = time[p, r]
            boxes(planes[p, r], track[0] + u * (track[1] + u * track[2]), width, step, count, sums, out[n])
            for j in range(count):
                out[n, j] *= scale
            when[n] = u
            n += 1
    return n


@compiled(fastmath=FLAGS)
def _totals(stamp, offset, ratio, a, totals):
    """Sums over rows for the shifts -a to a of `ratio` columns each, all within the stamp.

    `offset` is the column of every row at shift 0, plus 0.5. Up to three shifts either way take one pass over the rows.
    """
    n = len(offset)
    t0, t1, t2, t3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    t4, t5, t6 = np.float32(0), np.float32(0), np.float32(0)
    if a == 1:
        for r in range(n):
            x, row = offset[r], stamp[r]
            t0 += row[np.uint32(x - ratio)]
            t1 += row[np.uint32(x)]
            t2 += row[np.uint32(x + ratio)]
        totals[0], totals[1], totals[2] = t0, t1, t2
    elif a == 2:
        for r in range(n):
            x, row = offset[r], stamp[r]
            t0 += row[np.uint32(x - 2 * ratio)]
            t1 += row[np.uint32(x - ratio)]
            t2 += row[np.uint32(x)]
            t3 += row[np.uint32(x + ratio)]
            t4 += row[np.uint32(x + 2 * ratio)]
        totals[0], totals[1], totals[2], totals[3], totals[4] = t0, t1, t2, t3, t4
    elif a == 3:
        for r in range(n):
            x, row = offset[r], stamp[r]
            t0 += row[np.uint32(x - 3 * ratio)]
            t1 += row[np.uint32(x - 2 * ratio)]
            t2 += row[np.uint32(x - ratio)]
            t3 += row[np.uint32(x)]
            t4 += row[np.uint32(x + ratio)]
            t5 += row[np.uint32(x + 2 * ratio)]
            t6 += row[np.uint32(x + 3 * ratio)]
        totals[0], totals[1], totals[2], totals[3], totals[4], totals[5], totals[6] = t0, t1, t2, t3, t4, t5, t6
    else:
        for i in range(2 * a + 1):
            shift = (i - a) * ratio
            total = np.float32(0)
            for r in range(n):
                total += stamp[r, np.uint32(offset[r] + shift)]
            totals[i] = total


@compiled(fastmath=FLAGS)
def _limited_totals(stamp, offset, ratio, a, count, totals):
    """Same sums where a shift may leave the stamp, `count` columns wide."""
    for i in range(2 * a + 1):
        shift = (i - a) * ratio
        total = np.float32(0)
        for r in range(len(offset)):
            x = int(offset[r] + shift)
            if x >= 0 and x < count:
                total += stamp[r, x]
        totals[i] = total


@compiled(fastmath=FLAGS, error_model="numpy")
def best_shift(stamp, when, n, count, step, centre, a, b, c, grid):
    """Best shift `i + j * v + k * v^2`, in steps of `grid`, as (snr, i, j, k); v is u - centre.

    `a`, `b` and `c` are the largest i, j and k; `a` is at least 1.
    """
    middle = count // 2
    best, bi, bj, bk = np.float32(-1e9), 0.0, 0.0, 0.0
    longest = 1e-9
    for r in range(n):
        longest = max(longest, abs(when[r] - centre))
    ratio = grid / step
    within = (a + b + c) * ratio + 1 < middle
    v, offset, totals = np.empty(n), np.empty(n), np.empty(2 * a + 1, np.float32)
    for r in range(n):
        v[r] = (when[r] - centre) / longest
    for k in range(-c, c + 1):
        for j in range(-b, b + 1):
            for r in range(n):
                offset[r] = np.float32((j + k * v[r]) * v[r] * ratio + middle + 0.5)
            if within:
                _totals(stamp, offset, ratio, a, totals)
            else:
                _limited_totals(stamp, offset, ratio, a, count, totals)
            for i in range(2 * a + 1):
                if totals[i] > best:
                    best, bi, bj, bk = totals[i], (i - a) * grid, j * grid / longest, k * grid / longest / longest
    return best / np.sqrt(n), bi, bj, bk


@compiled(fastmath=FLAGS)
def move(track, centre, i, j, k):
    """Track plus `i + j * (u - centre) + k * (u - centre)^2`."""
    return np.array(
        [
            track[0] + i - j * centre + k * centre * centre,
            track[1] + j - 2 * k * centre,
            track[2] + k,
        ]
    )


@compiled(fastmath=FLAGS)
def improve(planes, time, use, track, width, a, b, c, grid, centre, stamp, when):
    """Move a track to the best of a grid of shifts; the track and its SNR in the panels in use."""
    longest = 1.0
    step = max(grid / 2, 0.125)
    count = 2 * (int((a + b + c) * grid * longest / step) + 2) + 1
    count = min(count, stamp.shape[1])
    n = stamps(planes, time, use, track, width, step, count, stamp, when)
    snr, i, j, k = best_shift(stamp, when, n, count, step, centre, a, b, c, grid)
    return move(track, centre, i, j, k), snr


@compiled(fastmath=FLAGS)
def measure(planes, time, p, track, width, shift):
    """SNR of a track in one panel, the share of bins not masked, and the SNR uncompressed.

    The mean of the surroundings is subtracted first: wide emission that was not flattened away is not a signal.
    """
    _, rows, total = planes.shape
    inside, weight, squares, side, around, strong = 0.0, 0.0, 0.0, 0.0, 0, 0.0
    near, far = width * 1.0 + 3, width * 4.0 + 24
    for r in range(rows):
        u = time[p, r]
        x = track[0] + u * (track[1] + u * track[2]) + shift
        row = planes[p, r]
        a, c = x - width / 2, x + width / 2
        for b in range(max(int(np.floor(a + 0.5)), 0), min(int(np.ceil(c + 0.5)), total)):
            v = row[b]
            cover = min(b + 0.5, c) - max(b - 0.5, a)
            if cover > 0 and v > -500:
                inside += cover * v
                if v > LINEAR:
                    strong += cover * (LINEAR * np.exp((v - LINEAR) / COMPRESSION) - v)
                weight += cover
                squares += cover * cover
        left = row[max(int(np.floor(x - far)), 0) : max(min(int(np.ceil(x - near)), total), 0)]
        right = row[max(int(np.floor(x + near)) + 1, 0) : max(min(int(np.floor(x + far)) + 1, total), 0)]
        for part in (left, right):
            for i in range(len(part)):
                v = part[i]
                side += min(max(v, np.float32(-3)), np.float32(3)) if v > -500 else np.float32(0)
                around += 1 if v > -500 else 0
    if weight < 0.05 * rows * width:
        return 0.0, weight / (rows * width), 0.0
    background = side / around if around > 20 else 0.0
    # The mean of limited values of skewed noise is a little below 0; that cancels between many tracks, not here.
    snr = (inside - background * weight) / np.sqrt(squares)
    return snr, weight / (rows * width), snr + strong / np.sqrt(squares)


@compiled(fastmath=FLAGS)
def mask(planes, time, p, track, width, snr):
    """Mask the bins of a track in one panel, and as much on either side as its leakage is seen."""
    _, rows, total = planes.shape
    longest = min(40 + int(width), 200)
    # How far the leakage goes: mean over rows at each distance, in units of its noise.
    reach = width / 2 + 1.0
    if snr > 12:
        quiet = 0
        for d in range(1, longest):
            excess, n = 0.0, 0
            for r in range(rows):
                u = time[p, r]
                x = track[0] + u * (track[1] + u * track[2])
                for side in (-1, 1):
                    b = int(np.floor(x + side * (width / 2 + 0.5 + d) + 0.5))
                    if 0 <= b < total and planes[p, r, b] > -500:
                        excess += planes[p, r, b]
                        n += 1
            if n > 0 and excess / np.sqrt(n) > 3.0:
                quiet = 0
                reach = width / 2 + 1.5 + d
            else:
                quiet += 1
                if quiet == 3:
                    break
    for r in range(rows):
        u = time[p, r]
        x = track[0] + u * (track[1] + u * track[2])
        for b in range(max(int(np.floor(x - reach + 0.5)), 0), min(int(np.floor(x + reach + 0.5)) + 1, total)):
            if planes[p, r, b] > -500:
                planes[p, r, b] -= np.float32(MASK)


@compiled(fastmath=FLAGS)
def fit_panel(planes, time, p, track, width, stamp, when):
    """Fit position and drift rate of a track in one panel; the track and its SNR there."""
    use = np.zeros(planes.shape[0], np.bool_)
    use[p] = True
    centre = 0.5 * (time[p, 0] + time[p, -1])
    track, _ = improve(planes, time, use, track, width, 3, 3, 0, width / 3, centre, stamp, when)
    return improve(planes, time, use, track, width, 3, 3, 0, max(0.12, width / 9), centre, stamp, when)


@compiled(fastmath=FLAGS)
def finish(planes, time, use, track, width, centre, stamp, when):
    """Last steps of a fit over several panels, to a small part of the width."""
    snr = 0.0
    for grid in (width / 2, width / 4, width / 10):
        before = -1.0
        for _ in range(8):
            track, snr = improve(planes, time, use, track, width, 2, 3, 2, max(grid, 0.08), centre, stamp, when)
            if snr < before + 0.1:
                break
            before = snr
    return track, snr


@compiled(fastmath=FLAGS)
def width_of(planes, time, use, track, smear, stamp, when):
    """Box width with the largest SNR: the smearing's own, or wider ones."""
    best, width = -1.0, smear
    for factor in (1.0, 1.4, 2.0, 3.0, 4.5, 7.0):
        trial = smear * factor
        if trial > 64:
            break
        n = stamps(planes, time, use, track, trial, 1.0, 1, stamp, when)
        total = 0.0
        for r in range(n):
            total += stamp[r, 0]
        total /= np.sqrt(n)
        if total > best * 1.04:
            best, width = total, trial
        elif factor > width / smear * 2.5:
            break
    return width
