"""Training cadences with the repeated background that was subtracted from them.

`data.uncleaned` is the probability with which each draw of a cadence is the one before the cleaning.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seti.backgrounds.original import Original, find_original
from seti.data.cleaned_set import is_cleaned
from seti.data.sources import CadenceSource
from seti.data.splits import open_split
from seti.errors import SetiError

STREAM = 1  # of random numbers: the choice leaves the draws of the transforms as they are


@dataclass(frozen=True)
class Uncleaned:
    """Cadences of a data set before it was cleaned, and how often they are drawn.

    Attributes:
        source: in the order of the cleaned ones.
        share: probability of each draw of a cadence.
    """

    source: CadenceSource
    share: float

    def is_drawn(self, seed: int) -> bool:
        """Draw whether a cadence is read as it was before; `seed` is that of its transforms."""
        return np.random.default_rng((seed, STREAM)).random() < self.share


def find_uncleaned(root: Path, share: float | None) -> Original | None:
    """Find the data set that a cleaned one was made from, where its cadences are to be drawn.

    Args:
        root: the data set that is trained on.
        share: `data.uncleaned`.

    Returns:
        None where none are drawn, or where nothing was cleaned.

    Raises:
        SetiError: the data set that `root` was made from is gone, or has changed since.
    """
    if not share or not is_cleaned(root):
        return None
    try:
        return find_original(root)
    except SetiError as error:
        msg = f"{error}; data.uncleaned=null trains on cleaned cadences alone"
        raise SetiError(msg) from error


def open_uncleaned(original: Original, split: str, cleaned: CadenceSource, packed: str) -> CadenceSource:
    """Open cadences as they were before.

    Args:
        original: the data set that was cleaned.
        split: `train` or `test`.
        cleaned: the same cadences, cleaned.
        packed: `data.packed`; the packs are those that the original had when it was cleaned.

    Raises:
        SetiError: see `open_split`.
    """
    size = cleaned.rows, cleaned.bins
    try:
        return open_split(
            original.root, split, cleaned.ids, cleaned.panels, packed, original.pack_dir, "raise", size
        ).source
    except SetiError as error:
        msg = f"data.uncleaned reads the cadences of {original.root} too: {error}"
        raise SetiError(msg) from error
