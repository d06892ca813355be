"""Subtraction of the background that a cadence shares with its twins.

In every bin that a twin covers, a panel is replaced by its difference from the twin, in units of its thermal noise:
only what the cadence has alone is left. A signal that the twin has alone would be a dark shadow; differences are
clipped at 0, so it leaves none. Of several twins the largest difference counts: where a twin's signal crosses the
cadence's own, another twin shows it.
"""

from dataclasses import dataclass

import numpy as np

from seti.backgrounds import verification
from seti.backgrounds.fingerprints import as_float32
from seti.backgrounds.table import Links
from seti.errors import SetiError

MOST_PARTNERS = 4
AGAIN = 1e-3  # worth of a bin that one twin covers already, relative to a bin without; of the next one, less again
MAD = 1.4826  # deviation over median absolute deviation
HIGHEST = 60_000.0  # within float16


@dataclass(frozen=True)
class Partner:
    """A twin that is subtracted.

    Attributes:
        row: its place in `twins.csv`.
        shift: bin b of the cadence is bin b - shift of the twin.
        gain, offset: `(6,)` of the panels: gain x twin + offset is the cadence's background.
    """

    row: int
    shift: int
    gain: np.ndarray
    offset: np.ndarray

    def bins(self, bins: int) -> slice:
        """The bins of the cadence that the twin covers."""
        return slice(max(self.shift, 0), bins + min(self.shift, 0))


def partners_of(links: Links, contents: np.ndarray) -> list[list[Partner]]:
    """List the twins of every cadence; not its copies, which have its signals too.

    Args:
        links: verified pairs.
        contents: `(N,)`, checksums of the cadences in the table.
    """
    found: list[list[Partner]] = [[] for _ in contents]
    for number in range(len(links)):
        one, two, shift = int(links.one[number]), int(links.two[number]), int(links.shift[number])
        if contents[one] == contents[two]:
            continue
        gain, offset = links.gain[number], links.offset[number]
        found[one].append(Partner(two, shift, gain, offset))
        found[two].append(Partner(one, -shift, 1 / gain, -offset / gain))
    return found


def choose(partners: list[Partner], bins: int, most: int = MOST_PARTNERS) -> list[Partner]:
    """Choose twins one by one, each the one that adds most coverage.

    Bins without a twin come first, then those with one, which a second twin protects from the first one's signals.
    """
    left, chosen = list(partners), []
    times = np.zeros(bins)
    while left and len(chosen) < most:
        worth = [(AGAIN ** times[one.bins(bins)]).sum() for one in left]
        best = left.pop(int(np.argmax(worth)))
        chosen.append(best)
        times[best.bins(bins)] += 1
    return chosen


def covered(partners: list[Partner], bins: int) -> np.ndarray:
    """Mark the bins that a twin covers, `(bins,)` bool."""
    marked = np.zeros(bins, bool)
    for one in partners:
        marked[one.bins(bins)] = True
    return marked


def subtract(cadence: np.ndarray, twins: list[np.ndarray], partners: list[Partner]) -> np.ndarray:
    """Subtract the background that twins share with a cadence.

    Args:
        cadence: `(6, rows, bins)`.
        twins: those of the partners, of the same shape.
        partners: at least one.

    Returns:
        float16 of the same shape, in units of each panel's thermal noise: the largest difference from a twin, at least
        0, where one covers the bin; the flattened panel elsewhere.

    Raises:
        SetiError: a twin does not have the noise that it was found by.
    """
    own = as_float32(cadence)
    bins = own.shape[2]
    most = np.full(own.shape, -np.inf, np.float32)
    for twin, partner in zip(twins, partners, strict=True):
        if not is_twin(cadence, twin, partner.shift):
            msg = "the noise of the two differs now"
            raise SetiError(msg)
        here = partner.bins(bins)
        there = slice(here.start - partner.shift, here.stop - partner.shift)
        shared = partner.gain[:, None, None] * as_float32(twin[:, :, there]) + partner.offset[:, None, None]
        np.maximum(most[:, :, here], own[:, :, here] - shared, out=most[:, :, here])
    noise = thermal_noise(own)[:, None, None]
    filled = covered(partners, bins)
    cleaned = np.where(filled, np.maximum(most, 0) / noise, flatten(own) / noise)
    return np.clip(cleaned, -HIGHEST, HIGHEST).astype(np.float16)


def is_twin(cadence: np.ndarray, twin: np.ndarray, shift: int) -> bool:
    """Check that two cadences still share their noise, by the measure that found them."""
    one, two = verification.sample_overlap(cadence, twin, shift)
    gain, _, residual, _ = verification.fit(one[None], two[None])
    return bool(verification.judge(gain, residual)[0] == verification.CHECKED)


def flatten(panels: np.ndarray) -> np.ndarray:
    """Subtract each row's median, then each bin's in its panel: `(6, rows, bins)` float32."""
    level = panels - np.median(panels, axis=2, keepdims=True)
    return level - np.median(level, axis=1, keepdims=True)


def thermal_noise(panels: np.ndarray) -> np.ndarray:
    """Deviation of each panel's thermal noise, `(6,)`, by differences between rows.

    Steady signals cancel there. Panels of one row have differences between bins only; a panel without noise has 1.
    """
    axis = 1 if panels.shape[1] > 1 else 2
    away = np.abs(np.diff(panels, axis=axis)).reshape(len(panels), -1)
    noise = MAD / np.sqrt(2) * np.median(away, axis=1)
    return np.where(noise > 0, noise, 1).astype(np.float32)
