"""Lines in frequency: their forms, and the pixels of a track.

Only the pixels around a track are computed, for all rows at once.
"""

import numpy as np

FORMS = {
    "gaussian": 0.4,
    "lorentzian": 0.15,
    "sinc": 0.12,
    "box": 0.12,
    "double": 0.06,
    "skewed": 0.08,
    "one_bin": 0.07,
}
# Bins on each side of the track that get power, in widths; a Lorentzian's and a sinc's tails are cut there.
REACH = {"gaussian": 1.6, "lorentzian": 4, "sinc": 3.5, "box": 0.5, "double": 2.2, "skewed": 3, "one_bin": 0}
MOST = 90  # bins on each side at most
STEPS = 12  # most positions in a row of a track that crosses several bins in it
NARROW = 1.5  # width in bins below which a line changes much within a bin


def draw_pixels(form: str, width: np.ndarray, track: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the power of a line along frequency, in each row.

    It is 1 at the middle of a wide line that stands still.
    A pixel holds the mean over the row's duration and, of narrow lines, over its own width.

    Args:
        form: one of `FORMS`.
        width: `(N,)`, full width at half maximum in each row, in bins.
        track: `(N,)`, middle of the line at the middle of each row, in bins.
        moved: `(N,)`, bins that the track crosses in each row, with its sign.

    Returns:
        First bin of each row `(N,)`, and powers float32 `(N, K)` of the K bins from there.
    """
    crossed = float(np.abs(moved).max(initial=0.0))
    reach = min(int(np.ceil(REACH[form] * width.max() + crossed / 2)) + 1, MOST)
    first = np.rint(track).astype(np.int64) - reach
    if form == "one_bin":
        powers = np.zeros((len(track), 2 * reach + 1), np.float32)
        powers[:, reach] = 1
        return first, powers
    away = (first[:, None] + np.arange(2 * reach + 1) - track[:, None]).astype(np.float32)
    inside_row = _middles(min(max(int(np.ceil(1.5 * crossed)), 1), STEPS))
    inside_bin = _middles(3 if width.min() < NARROW else 1)
    narrowing = (1 / np.maximum(width, 0.2))[:, None].astype(np.float32)
    powers = np.zeros_like(away)
    for along in inside_row:
        moving = away - (along * moved)[:, None].astype(np.float32)
        for across in inside_bin:
            powers += _FORMS[form]((moving + np.float32(across)) * narrowing)
    powers /= len(inside_row) * len(inside_bin)
    return first, powers


def _middles(count: int) -> np.ndarray:
    """Middles of equal parts of -0.5..0.5."""
    return (np.arange(count) + 0.5) / count - 0.5


def add_pixels(panel: np.ndarray, first: np.ndarray, powers: np.ndarray) -> None:
    """Add rows of powers to a panel, in place; bins outside of it are left out.

    Args:
        panel: `(N, bins)`.
        first: `(N,)`, first bin of each row's powers.
        powers: `(N, K)`.
    """
    rows = np.flatnonzero(powers.any(axis=1))
    at = first[rows, None] + np.arange(powers.shape[1])
    inside = (at >= 0) & (at < panel.shape[1])
    panel[np.broadcast_to(rows[:, None], at.shape)[inside], at[inside]] += powers[rows][inside]


def _gaussian(x: np.ndarray) -> np.ndarray:
    return np.exp(np.float32(-4 * np.log(2)) * x * x)


def _lorentzian(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + 4 * x * x)


def _sinc(x: np.ndarray) -> np.ndarray:
    return np.sinc(0.886 * x) ** 2


def _box(x: np.ndarray) -> np.ndarray:
    return (np.abs(x) <= 0.5).astype(np.float32)


def _double(x: np.ndarray) -> np.ndarray:
    """Two peaks, a width apart."""
    return _gaussian(2 * (x - np.float32(0.5))) + np.float32(0.8) * _gaussian(2 * (x + np.float32(0.5)))


def _skewed(x: np.ndarray) -> np.ndarray:
    """A steep side and a tail."""
    return np.where(x < 0, _gaussian(2 * x), np.exp(np.float32(-1.4) * np.maximum(x, 0)))


_FORMS = {
    "gaussian": _gaussian,
    "lorentzian": _lorentzian,
    "sinc": _sinc,
    "box": _box,
    "double": _double,
    "skewed": _skewed,
}
