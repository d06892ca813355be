"""Verification of a link: the same noise in all six panels, but for gain and offset.

The same noise was scaled and rounded apart: one panel is gain x the other + offset, but for rounding and for signals
that one of the two has alone. Signals may fill most of a narrow overlap, so every step relies on the quarter of the
pixels that agree best, as in least trimmed squares (Rousseeuw 1984).
"""

import functools

import numpy as np

from seti.backgrounds.fingerprints import as_float32

BLOCKS = 192  # blocks of 2 x 2 pixels that are looked at in a panel's overlap
AGREE = 4  # one pixel in so many is at least without signals
QUARTER = 0.3186  # in deviations: a quarter of normally distributed values is nearer to the mean
MAD = 1.4826  # deviation over median absolute deviation
# Residuals in units of the thermal noise; unrelated noise leaves 0.95 or more in at least one of six panels. A signal
# that fills a narrow overlap leaves much in the panels that hold it; half of the panels prove the link without them.
SURE, MOST = 0.25, 0.7
REFITS = 2
REACH = 4.0  # deviations within which pixels take part in a refit

CHECKED, CONSTANT, DIFFERENT = 0, 1, 2  # verdicts on a link


def sample_overlap(one: np.ndarray, two: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Pick the pixels of a link that are compared, at the same places of the field.

    Args:
        one, two: `(6, rows, bins)`, the cadences.
        shift: bin b of `one` is bin b - shift of `two`.

    Returns:
        Two arrays `(6, 4, BLOCKS)` float32: each block's two pixels in the first bin, then two in the next one.
    """
    _, rows, bins = one.shape
    overlap = bins - abs(shift)
    row, column = _places(rows, overlap)
    places = row * bins + column
    first = one.reshape(len(one), -1).take(places + max(shift, 0), axis=1)
    second = two.reshape(len(two), -1).take(places + max(-shift, 0), axis=1)
    return as_float32(first), as_float32(second)


def fit(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit one = gain x two + offset, panel by panel, by the pixels that agree.

    Args:
        one, two: `(links, panels, 4, blocks)` as `sample_overlap` picks them.

    Returns:
        gain, offset, residual (deviation of the difference in units of the thermal noise, by the quarter of the pixels
        that agree best) and thermal noise of `one`, all `(links, panels)` float32. The residual is infinite where a
        panel has no noise.
    """
    thermal = noise(one)
    flat = (*one.shape[:2], -1)
    x, y = one.reshape(flat), two.reshape(flat)
    # Both pixels of a slope are in one bin: a signal along the bin spoils its own slopes only.
    gain = _mode(_slopes(one, two).reshape(flat))
    offset = _mode(x - gain[..., None] * y)
    for _ in range(REFITS):
        away = np.abs(x - gain[..., None] * y - offset[..., None])
        inside = away <= (REACH / QUARTER) * _quarter(away)[..., None]
        gain, offset = _line(x, y, inside, gain, offset)
    away = np.abs(x - gain[..., None] * y - offset[..., None])
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = _quarter(away) / QUARTER / thermal
    residual[~((thermal > 0) & (noise(two) > 0))] = np.inf
    return gain, offset, residual.astype(np.float32), thermal


def judge(gain: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Decide on links by all their panels.

    Args:
        gain, residual: `(links, panels)`.

    Returns:
        `(links,)`: `CHECKED`; `CONSTANT` where a panel has no noise; `DIFFERENT` where the noise differs.
    """
    positive = gain > 0
    alike = (residual <= MOST) & positive
    sure = ((residual <= SURE) & positive).sum(axis=1) * 2 >= residual.shape[1]
    constant = np.isinf(residual)
    verdict = np.where(alike.all(axis=1) & sure, CHECKED, DIFFERENT)
    return np.where(constant.any(axis=1) & (alike | constant).all(axis=1), CONSTANT, verdict)


def noise(pixels: np.ndarray) -> np.ndarray:
    """Estimate the thermal noise by differences between neighbouring bins and rows.

    Args:
        pixels: `(..., 4, blocks)` as `sample_overlap` picks them.
    """
    double = pixels[..., 0, :] - pixels[..., 1, :] - pixels[..., 2, :] + pixels[..., 3, :]
    away = np.abs(double)
    middle = away.shape[-1] // 2
    away.partition(middle, axis=-1)
    return MAD / 2 * away[..., middle]


def _slopes(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    rise = one[..., 0::2, :] - one[..., 1::2, :]
    run = two[..., 0::2, :] - two[..., 1::2, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = rise / run
    slopes[~np.isfinite(slopes)] = 0
    return slopes


def _mode(values: np.ndarray) -> np.ndarray:
    """Middle of the shortest interval that holds a quarter of the values (last axis)."""
    values = np.sort(values, axis=-1)
    inside = max(2, values.shape[-1] // AGREE)
    width = values[..., inside - 1 :] - values[..., : values.shape[-1] - inside + 1]
    start = width.argmin(axis=-1)[..., None]
    ends = np.take_along_axis(values, start, -1), np.take_along_axis(values, start + inside - 1, -1)
    return 0.5 * (ends[0] + ends[1])[..., 0]


def _quarter(away: np.ndarray) -> np.ndarray:
    place = away.shape[-1] // AGREE
    return np.partition(away, place, axis=-1)[..., place]


def _line(
    x: np.ndarray, y: np.ndarray, inside: np.ndarray, gain: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a line through chosen pixels by least squares; keep the old one without spread."""
    weight = inside.astype(np.float32)
    count = weight.sum(axis=-1)
    mean_x, mean_y = (np.vecdot(weight, values) / count for values in (x, y))
    off_y = (y - mean_y[..., None]) * weight
    spread = np.vecdot(off_y, off_y)
    flat = spread <= 0
    spread[flat] = 1
    slope = np.where(flat, gain, np.vecdot(off_y, x - mean_x[..., None]) / spread)
    return slope, np.where(flat, offset, mean_x - slope * mean_y)


@functools.lru_cache(maxsize=1024)
def _places(rows: int, overlap: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and bins of the pixels, `(4, BLOCKS)` each, spread at random over the overlap."""
    rng = np.random.default_rng([rows, overlap])
    row, column = rng.integers(0, rows - 1, BLOCKS), rng.integers(0, overlap - 1, BLOCKS)
    return np.stack([row, row + 1, row, row + 1]), np.stack([column, column, column + 1, column + 1])
