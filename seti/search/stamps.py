"""Straightened cut-outs around fitted tracks, for a judge."""

import numpy as np
import pandas as pd

from seti.search.compiled import compiled
from seti.search.fits import FLAGS, LONGEST, boxes
from seti.search.tree import MASK

BINS = 64
PIXELS_A_TRACK = 4.0  # pixels that a wide track covers; a narrow one keeps the channel's bins


def straightened_stamps(planes: np.ndarray, candidates: pd.DataFrame, u: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Cut-outs in units of the noise, `(n, 6, rows, bins)` float32, one for each candidate.

    `planes` are `(6, rows, width)` without masked bins (see `unmask`), `candidates` has the columns p0, p1, p2 and
    width of a track, and `u` is the time of every row, `(6, rows)`. Rows are shifted so that the track lies in the
    middle, column `bins // 2`. A pixel is as wide as a bin, or a quarter of the track's width where that is more; its
    value is divided by the square root of its width, so that noise stays 1. Values over `flatten.LINEAR` stay
    compressed.
    """
    tracks = np.ascontiguousarray(candidates[["p0", "p1", "p2"]].to_numpy(float))
    pixels = np.maximum(1.0, candidates["width"].to_numpy(float) / PIXELS_A_TRACK)
    out = np.zeros((len(tracks), *planes.shape[:2], bins), np.float32)
    _cut(planes, tracks, pixels, u, out)
    return out


@compiled(fastmath=FLAGS)
def unmask(planes):
    """Give masked bins their values back, in place."""
    panels, rows, width = planes.shape
    for p in range(panels):
        for r in range(rows):
            row = planes[p, r]
            for b in range(width):
                row[b] = row[b] + np.float32(MASK) if row[b] < -500 else row[b]


@compiled(fastmath=FLAGS)
def _cut(planes, tracks, pixels, u, out):
    bins = out.shape[3]
    sums = np.zeros(LONGEST + 1, np.float32)
    for n in range(len(tracks)):
        scale = np.float32(1 / np.sqrt(pixels[n]))
        for p in range(planes.shape[0]):
            for r in range(planes.shape[1]):
                t = u[p, r]
                centre = tracks[n, 0] + t * (tracks[n, 1] + t * tracks[n, 2])
                boxes(planes[p, r], centre, pixels[n], pixels[n], bins, sums, out[n, p, r])
                for j in range(bins):
                    out[n, p, r, j] *= scale
