"""Fits of tracks to the six panels of a coarse channel, strongest first, masked one by one.

Tracks and planes are described in `fits`.
"""

import numpy as np

from seti.search.compiled import compiled
from seti.search.fits import FLAGS, finish, fit_panel, improve, mask, measure, width_of
from seti.search.pieces import LINKED, WEAK, as_track, keep_linked, link


@compiled(fastmath=FLAGS)
def process(planes, time, on, hits, row_u, curve, scale, limits, found):
    """Fit every hit, strongest first, and mask its track; the number of rows of `found`.

    `hits` has rows (panel or -1 for the ON panels together, position in bins at the middle of that panel or of the ON
    panels, drift in bins a row, box, snr). `row_u` is a row in units of u, and `curve` the largest curvature in bins.
    `scale` is that of `pieces.link`.
    `limits` are the least SNR of a hit in one panel, of several together, and from which a curved track is looked for.
    Rows of `found`: p0, p1, p2, width, snr over the fitted panels, source, snr of 6 panels, free share of 6 panels, the
    largest OFF SNR near the track, the largest SNR of the OFF panels together near the track, curved, level, and
    snr of 6 panels before compression, and the pieces of 6 panels, 0 but for a linked track.
    """
    panels, rows = planes.shape[:2]
    stamp = np.zeros((panels * rows, 4096), np.float32)
    when = np.zeros(panels * rows, np.float64)
    use = np.zeros(panels, np.bool_)
    snrs, free, strong = np.zeros(panels), np.zeros(panels), np.zeros(panels)
    pieces, middle = np.zeros((panels, 3)), 0.5 * (time[:, 0] + time[:, -1])
    count = 0
    for h in range(hits.shape[0]):
        if count >= found.shape[0]:
            break
        source = int(hits[h, 0])
        rate = hits[h, 2] / row_u  # bins for a unit of u
        smear = max(1.3, abs(hits[h, 2]) + 0.7)
        width = smear
        curved = 0.0
        linked, wide = False, smear
        track = np.array([hits[h, 1], rate, 0.0])
        if source >= 0:
            centre = 0.5 * (time[source, 0] + time[source, -1])
            track[0] -= rate * centre
            z, share, _ = measure(planes, time, source, track, max(width, hits[h, 3]), 0.0)
            if share < 0.6 or z < 0.6 * limits[0]:
                continue
            track, z = fit_panel(planes, time, source, track, width, stamp, when)
            if z < limits[0]:
                continue
            for p in range(panels):
                use[p] = on[p] == on[source]
            # Straight on into the other panels of its kind: the drift rate of one panel is uncertain.
            distance = 0.0
            for p in range(panels):
                if use[p]:
                    distance = max(distance, abs(0.5 * (time[p, 0] + time[p, -1]) - centre))
            half = 0.5 * abs(time[source, -1] - time[source, 0])
            spread = min(
                int(np.ceil(0.5 * distance / half * 2)), 24
            )  # half a width at the panel's ends, in half widths
            straight, joint = improve(planes, time, use, track, width, 2, spread, 0, width / 2, centre, stamp, when)
            straight, joint = finish(planes, time, use, straight, width, centre, stamp, when)
            least = 1e9
            for p in range(panels):
                if use[p]:
                    s, share, _ = measure(planes, time, p, straight, width, 0.0)
                    least = min(least, s)
            # Interference in OFF panels is none the less so for a bend: only ON panels are worth the time.
            if on[source] and least < 3.5 and z > limits[2]:
                # A strong track bends visibly within its panel, if at all: then the panel says which way to look.
                alone = np.zeros(panels, np.bool_)
                alone[source] = True
                bow = max(1, min(int(curve * half * half / (width / 2) + 1), 8))
                bent, better = improve(planes, time, alone, track, width, bow, 3, bow, width / 2, centre, stamp, when)
                if better * better < z * z + 12:
                    bent = track
                # `curve` is the bend at u = 1, and the shifts of a grid are those of the row furthest from `centre`.
                bend = int(np.ceil(curve * (distance + half) ** 2 / (width / 2)))
                bend = max(2, min(bend, int(1800 / width)))
                bent, trial = improve(planes, time, use, bent, width, 1, spread, bend, width / 2, centre, stamp, when)
                bent, trial = finish(planes, time, use, bent, width, centre, stamp, when)
                lowest = 1e9
                for p in range(panels):
                    if use[p]:
                        s, share, _ = measure(planes, time, p, bent, width, 0.0)
                        lowest = min(lowest, s)
                better = trial * trial > joint * joint + 12 or (trial > 0.9 * joint and least < 2.5 and lowest > 4.0)
                if better and lowest > least:
                    straight, joint, curved = bent, trial, 1.0
            if on[source] and z > LINKED:
                least = 1e9
                for p in range(panels):
                    if use[p]:
                        s, share, _ = measure(planes, time, p, straight, width, 0.0)
                        least = min(least, s)
                if least < WEAK * z:
                    linked, wide = link(planes, time, on, source, track, width, scale, pieces, snrs)
                    if linked:
                        trial, w = 0.0, 0
                        for p in range(panels):
                            if use[p]:
                                trial += snrs[p]
                                w += 1
                        linked = trial * trial / w > 1.1 * joint * joint + 40
            # A signal of one panel only keeps the track of that panel.
            if joint < 0.75 * z:
                straight = track
            track = straight
        else:
            for p in range(panels):
                use[p] = on[p]
            z, s, w = 0.0, 0.0, 0.0
            for p in range(panels):
                if use[p]:
                    s, share, _ = measure(planes, time, p, track, max(width, hits[h, 3]), 0.0)
                    z += s * np.sqrt(max(share, 0.0))
                    w += 1
            if z / np.sqrt(w) < 0.55 * limits[1]:
                continue
            track, z = improve(planes, time, use, track, width, 3, 4, 2, width / 3, 0.0, stamp, when)
            track, z = finish(planes, time, use, track, width, 0.0, stamp, when)
            if z < limits[1]:
                continue
        if linked:
            row = found[count]
            keep_linked(planes, time, on, pieces, wide, row)
            row[5], row[9 + 2 * panels] = source, hits[h, 4]
            count += 1
            for p in range(panels):
                if on[p] or row[6 + p] > 4.5:
                    mask(planes, time, p, as_track(pieces[p], middle[p]), wide, row[6 + p])
            continue
        width = width_of(planes, time, use, track, smear, stamp, when)
        if width > smear:
            track, z = finish(planes, time, use, track, width, 0.0, stamp, when)
        z, w = 0.0, 0.0
        for p in range(panels):
            snrs[p], free[p], strong[p] = measure(planes, time, p, track, width, 0.0)
            if use[p]:
                z += snrs[p]
                w += 1
        near, together = -9.0, -9.0
        for i in range(-4, 5):
            shift = i * max(width / 3, 0.5)
            joint, w2 = 0.0, 0
            for p in range(panels):
                if not on[p]:
                    s, share, _ = measure(planes, time, p, track, width, shift)
                    near = max(near, s)
                    joint += s
                    w2 += 1
            if w2 > 0 and abs(i) < 3:
                together = max(together, joint / np.sqrt(w2))
        row = found[count]
        row[0], row[1], row[2], row[3], row[4], row[5] = (
            track[0],
            track[1],
            track[2],
            width,
            z / np.sqrt(max(w, 1.0)),
            source,
        )
        for p in range(panels):
            row[6 + p], row[6 + panels + p], row[10 + 2 * panels + p] = snrs[p], free[p], strong[p]
        row[6 + 2 * panels], row[7 + 2 * panels], row[8 + 2 * panels] = near, together, curved
        row[9 + 2 * panels] = hits[h, 4]
        count += 1
        for p in range(panels):
            if snrs[p] > 4.0 or p == source or (source < 0 and on[p]):
                mask(planes, time, p, track, width, snrs[p])
    return count
