"""Input of the judge: numbers from a candidate's straightened stamp and its measurements.

A stamp is summed over time along a fan of small extra drifts, as a de-Doppler transform does: what lies along the track
stands out in the middle of the plane, what crosses it or runs next to it elsewhere. All numbers are in units of the
noise and pass through an inverse hyperbolic sine, so that strong signals stay near weak ones.
"""

import numpy as np
import pandas as pd

from seti.search.compiled import compiled
from seti.search.fits import FLAGS

DRIFTS = (-10.0, -5.0, -2.5, -1.0, 0.0, 1.0, 2.5, 5.0, 10.0)  # pixels across a panel, in addition to the track's
REACH = 20  # pixels on either side of the track
GROUPS = 8  # of rows, along the track
PANEL_COLUMNS = len(DRIFTS) * (2 * REACH + 1) + GROUPS + 3  # numbers of a panel
WHOLE = ("z", "snr", "width", "drift", "near", "together", "curved", "free", "weakest", "off", "strength")
LEAST_Z, LEAST_ON, MOST_OFF = 6.0, 1.0, 7.0  # of the candidates that are worth judging


def plausible(candidates: pd.DataFrame, on: np.ndarray) -> np.ndarray:
    """Mark candidates that are not far below any limit, nor evident in OFF panels, `(n,)`.

    Tracks that consist of a piece a panel are not marked: a straightened stamp does not follow them.
    """
    snrs = panel_snrs(candidates, on)
    off = snrs[:, ~on]
    return (
        ~candidates["linked"].to_numpy(bool)
        & (candidates["z"].to_numpy() > LEAST_Z)
        & (snrs[:, on].min(1) > LEAST_ON)
        & (off.max(1, initial=-9) < MOST_OFF)
        & (off.sum(1) / np.sqrt(max(1, off.shape[1])) < 0.7 * candidates["z"].to_numpy())
    )


def panel_snrs(candidates: pd.DataFrame, on: np.ndarray) -> np.ndarray:
    """SNR of each panel before strong values are expanded, `(n, panels)`."""
    return candidates[[f"z_{p + 1}" for p in range(len(on))]].to_numpy(float)


def features(stamps: np.ndarray, candidates: pd.DataFrame, on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input of the judge's network.

    Args:
        stamps: `(n, panels, rows, bins)` of `straightened_stamps`.
        candidates: their measurements, and stage one's score.
        on: for each panel, True if it points at the target.

    Returns:
        `(n, panels, PANEL_COLUMNS)`, ON panels first, and `(n, len(WHOLE))`, float32.
    """
    order = np.r_[np.flatnonzero(on), np.flatnonzero(~on)]
    count, panels = stamps.shape[:2]
    width = candidates["width"].to_numpy(float)
    planes = np.zeros((count, panels, len(DRIFTS), 2 * REACH + 1), np.float32)
    curve = np.zeros((count, panels, GROUPS), np.float32)
    _sum(stamps, order, np.asarray(DRIFTS, np.float32), np.minimum(width, 4.0), planes, curve)
    snrs = panel_snrs(candidates, on)
    z = candidates["z"].to_numpy(float)
    own = np.stack([snrs[:, order], *np.broadcast_arrays(z[:, None], 4 * np.log(width)[:, None], snrs)[:2]], axis=2)
    of_panels = np.concatenate([planes.reshape(count, panels, -1), curve, own], axis=2, dtype=np.float32)
    whole = {
        "z": z,
        "snr": candidates["snr"],
        "width": 4 * np.log(width),
        "drift": candidates["drift_hz_s"].abs(),
        "near": candidates["near"],
        "together": candidates["together"],
        "curved": candidates["curved"],
        "free": 4 * candidates["free"],
        "weakest": snrs[:, on].min(1),
        "off": snrs[:, ~on].sum(1) / np.sqrt(max(1, (~on).sum())),
        "strength": logit(candidates["score"].to_numpy(float)),
    }
    of_whole = np.stack([np.asarray(whole[name], float) for name in WHOLE], axis=1).astype(np.float32)
    return np.arcsinh(of_panels), np.arcsinh(of_whole)


def logit(score: np.ndarray) -> np.ndarray:
    """Log-odds of a score, at most 12 either way."""
    score = np.clip(score, 6e-6, 1 - 6e-6)
    return np.log(score / (1 - score))


@compiled(fastmath=FLAGS)
def _sum(stamps, order, drifts, widths, planes, curve):
    count, panels, rows, bins = stamps.shape
    columns, groups = planes.shape[3], curve.shape[2]
    scale = np.float32(1 / np.sqrt(rows))
    for n in range(count):
        half = widths[n] / 2
        for place in range(panels):
            stamp = stamps[n, order[place]]
            for d in range(len(drifts)):
                out = planes[n, place, d]
                for r in range(rows):
                    x = drifts[d] * (np.float32(r) / max(rows - 1, 1) - np.float32(0.5)) + bins // 2 - columns // 2
                    low = int(np.floor(x))
                    part = np.float32(x - low)
                    row = stamp[r]
                    for c in range(columns):
                        b = low + c
                        first = row[b] if 0 <= b < bins else np.float32(0)
                        second = row[b + 1] if 0 <= b + 1 < bins else np.float32(0)
                        out[c] += scale * ((1 - part) * first + part * second)
            for g in range(groups):
                first, last = g * rows // groups, max((g + 1) * rows // groups, g * rows // groups + 1)
                total = np.float32(0)
                for r in range(first, min(last, rows)):
                    for b in range(bins // 2 - 3, bins // 2 + 4):
                        cover = min(b - bins // 2 + 0.5, half) - max(b - bins // 2 - 0.5, -half)
                        if cover > 0:
                            total += cover * stamp[r, b]
                curve[n, place, g] = total / np.sqrt(2 * half * (last - first))
