"""Tracks that do not drift evenly, as pieces, one a panel, linked from panel to panel.

A track of one drift rate and one curvature does not follow an oscillator that swings or walks at random. Within the 16
rows of a panel it is nearly straight, though: a strong hit of one ON panel is sought again in the others near the line
midway between the two, where both drift rates meet. OFF panels are searched as freely, so that interference that
swings the same way is seen there.

A piece is `a + b * v + c * v^2` in bins, where v is u (see `fits`) from the middle of its panel.
"""

import numpy as np

from seti.search.compiled import compiled
from seti.search.fits import FLAGS, improve, measure, width_of

LINKED = 8.0  # SNR in one panel from which a track is linked
WEAK = 0.5  # a panel in which an even track has less than this share of the SNR is fitted again
LEAST = 5.5  # SNR in every ON panel of a linked track; noise reaches 4 somewhere in the window
REACH_HZ = 60.0  # distance from the line midway between two panels
SWING = 0.4  # Hz/s between the drift rates of two panels
BOW = 0.003  # Hz/s^2 within a panel
LINK = 2.0  # in place of 0 or 1 for a track that is curved: it consists of pieces
WIDEST = 700.0  # bins in the window of one row


@compiled(fastmath=FLAGS)
def as_track(piece, middle):
    """Polynomial in u of a piece around `middle`."""
    return np.array(
        [
            piece[0] - piece[1] * middle + piece[2] * middle * middle,
            piece[1] - 2 * piece[2] * middle,
            piece[2],
        ]
    )


@compiled(fastmath=FLAGS)
def as_piece(track, middle):
    """Piece around `middle` of a polynomial in u."""
    return np.array([track[0] + middle * (track[1] + middle * track[2]), track[1] + 2 * middle * track[2], track[2]])


@compiled(fastmath=FLAGS)
def refine(planes, time, p, track, width, bow, stamp, when):
    """Refit a track in one panel, bent where that is much better; the track and its SNR there."""
    use = np.zeros(planes.shape[0], np.bool_)
    use[p] = True
    middle = 0.5 * (time[p, 0] + time[p, -1])
    most = max(1, min(int(bow / (width / 2) + 1), 10))
    best, snr = track, 0.0
    # Straight, then bent, then the better of them to a small part of the width. One call: it is compiled once.
    for step in range(3):
        shift = most if step == 1 else 2
        grid = width / 2 if step == 1 else width / 3 if step == 0 else max(0.12, width / 6)
        curve = most if step == 1 else 2 if step == 2 and best[2] != 0 else 0
        start = track if step == 1 else best
        found, better = improve(planes, time, use, start, width, shift, 3, curve, grid, middle, stamp, when)
        if step != 1 or better * better > snr * snr + 12:
            best, snr = found, better
    return best, snr


@compiled(fastmath=FLAGS)
def seek(planes, time, p, track, centre, width, reach, swing, stamp, when):
    """Best track of one panel in a window around a track; the track and its SNR.

    It is within `reach` bins of `track` at `centre`, and turned by up to `swing` bins at the panel's far end.
    """
    use = np.zeros(planes.shape[0], np.bool_)
    use[p] = True
    grid = max(width / 2, (reach + swing) / WIDEST * 2)
    return improve(
        planes, time, use, track, width, int(reach / grid) + 1, int(swing / grid) + 1, 0, grid, centre, stamp, when
    )


@compiled(fastmath=FLAGS)
def link(planes, time, on, source, track, width, scale, pieces, snrs):
    """Follow the track of one ON panel into all panels, piece by piece.

    `scale` are the reach in bins, the swing in bins for a unit of u, and the bow in bins at half a panel. It fills
    `pieces`, `(panels, 3)`, and `snrs`, `(panels,)`. Returns whether it is in every ON panel,
    and the width.
    """
    panels, rows = planes.shape[:2]
    stamp = np.zeros((rows, 4096), np.float32)
    when = np.zeros(rows, np.float64)
    middle = np.zeros(panels)
    for p in range(panels):
        middle[p] = 0.5 * (time[p, 0] + time[p, -1])
    half = 0.5 * abs(time[0, -1] - time[0, 0])
    alone = np.zeros(panels, np.bool_)
    alone[source] = True
    fitted = np.zeros(panels, np.bool_)
    for again in range(2):
        track, _ = refine(planes, time, source, track, width, scale[2], stamp, when)
        wider = width_of(planes, time, alone, track, width, stamp, when) if again == 0 else width
        if wider == width:
            break
        width = wider
    pieces[source] = as_piece(track, middle[source])
    snrs[source] = measure(planes, time, source, track, width, 0.0)[0]
    fitted[source] = True
    # ON panels first: OFF panels between two of them are sought where the ON panels say.
    for kind in (True, False):
        while True:
            nearest, origin, least = -1, -1, 1e9
            for p in range(panels):
                if on[p] != kind or fitted[p]:
                    continue
                for q in range(panels):
                    if fitted[q] and on[q] and abs(middle[p] - middle[q]) < least:
                        nearest, origin, least = p, q, abs(middle[p] - middle[q])
            if nearest < 0:
                break
            p, q = nearest, origin
            gap = middle[p] - middle[q]
            line = np.array([pieces[q, 0] - pieces[q, 1] * middle[q], pieces[q, 1], 0.0])
            swing = scale[1] * (0.5 * abs(gap) + half)
            centre, reach = middle[q] + 0.5 * gap, scale[0]
            other = -1  # the ON panel on the far side
            if not kind:
                for r in range(panels):
                    beyond = on[r] and (middle[r] - middle[p]) * (middle[q] - middle[p]) < 0
                    if beyond and (other < 0 or abs(middle[r] - middle[p]) < abs(middle[other] - middle[p])):
                        other = r
            if other >= 0:
                # Cubic between two panels, from their positions and drift rates.
                span = middle[other] - middle[q]
                s = gap / span
                a, b = pieces[q, 0], pieces[other, 0]
                da, db = pieces[q, 1] * span, pieces[other, 1] * span
                here = (
                    (2 * s**3 - 3 * s**2 + 1) * a
                    + (s**3 - 2 * s**2 + s) * da
                    + (3 * s**2 - 2 * s**3) * b
                    + (s**3 - s**2) * db
                )
                rate = ((6 * s**2 - 6 * s) * (a - b) + (3 * s**2 - 4 * s + 1) * da + (3 * s**2 - 2 * s) * db) / span
                line = np.array([here - rate * middle[p], rate, 0.0])
                centre, swing, reach = middle[p], scale[1] * half, 0.7 * scale[0]
            found, _ = seek(planes, time, p, line, centre, width, reach, swing, stamp, when)
            found, _ = refine(planes, time, p, found, width, scale[2], stamp, when)
            pieces[p] = as_piece(found, middle[p])
            snrs[p] = measure(planes, time, p, found, width, 0.0)[0]
            fitted[p] = True
            if kind and snrs[p] < max(LEAST, 0.25 * snrs[source]):
                return False, width
    return True, width


@compiled(fastmath=FLAGS)
def keep_linked(planes, time, on, pieces, width, row):
    """Fill a row of `process` with the pieces of a linked track and what is measured along them."""
    panels = planes.shape[0]
    middle = 0.5 * (time[:, 0] + time[:, -1])
    z, near, together, ons = 0.0, -9.0, 0.0, 0
    for p in range(panels):
        snr, free, strong = measure(planes, time, p, as_track(pieces[p], middle[p]), width, 0.0)
        row[6 + p], row[6 + panels + p], row[10 + 2 * panels + p] = snr, free, strong
        row[10 + 3 * panels + 3 * p : 13 + 3 * panels + 3 * p] = pieces[p]
        if on[p]:
            z += snr
            ons += 1
        else:
            near = max(near, snr)
            together += snr
    row[3], row[4] = width, z / np.sqrt(ons)
    row[6 + 2 * panels], row[7 + 2 * panels], row[8 + 2 * panels] = near, together / np.sqrt(max(panels - ons, 1)), LINK
