"""Matching: pairs of cadences that share keys, and their shift, by sorting and voting.

Rounding turns over a bit of a key where a sum is near zero. Two keys are compared where they share one half, which puts
them next to each other in a sorted list, and match where at most two bits of the other half differ. Unrelated panels
share a key now and then (broad emission has the same shape in several bins); hardly ever two at the same shift.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seti.backgrounds.fingerprints import REPEATED
from seti.errors import SetiError

WRONG_BITS = 2  # of the other half
FEW_ROWS, WRONG_BITS_OF_FEW = 32, 1  # keys of fewer rows have less to differ in
FEWEST_VOTES = 2  # of a pair and shift; an overlap of four bins has nine in three panels
MOST_SHIFTS = 2  # of a pair, those with most votes: mirrored noise would match at hundreds
NEIGHBOURS = 3  # in a run of equal halves, each key is compared with so many of the following ones
BLOCK = 2**22  # keys that are compared at once
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True)
class Candidates:
    """Pairs of cadences that share keys, each with a shift; `one` is below `two`.

    Attributes:
        one, two: `(C,)` int64, numbers of the cadences.
        shift: `(C,)` int64: bin b of `one` is bin b - shift of `two`.
        votes: `(C,)` int64, keys that match.
    """

    one: np.ndarray
    two: np.ndarray
    shift: np.ndarray
    votes: np.ndarray

    def __len__(self) -> int:
        return len(self.one)

    def take(self, places: np.ndarray) -> "Candidates":
        """Select some pairs."""
        return Candidates(self.one[places], self.two[places], self.shift[places], self.votes[places])


class Ballot:
    """Count of the matching keys of every pair and shift, panel by panel.

    Args:
        cadences: number of cadences.
        keys: number of keys of each panel.
        rows: of each panel.

    Raises:
        SetiError: the keys are too many to be numbered.
    """

    def __init__(self, cadences: int, keys: int, rows: int) -> None:
        self._keys = keys
        self._wrong_bits = WRONG_BITS if rows >= FEW_ROWS else WRONG_BITS_OF_FEW
        self._shifts = 2 * keys + 1
        if cadences * keys >= 2**32 or cadences**2 * self._shifts >= 2**63:
            msg = f"{cadences} cadences of {keys + 1} bins are too many to be matched at once: split the data set"
            raise SetiError(msg)
        self._cadences = cadences
        self._codes = np.zeros(0, np.int64)
        self._votes = np.zeros(0, np.int64)

    def add(self, keys: np.ndarray) -> None:
        """Count the matches of one panel: `(cadences, keys)` uint64."""
        flat = np.ascontiguousarray(keys).reshape(-1)
        for high in (False, True):
            found = [self._codes.repeat(0)]
            for one, two in _neighbours(flat, high, self._wrong_bits):
                found.append(self._encode(one, two))
            codes, votes = np.unique(np.concatenate(found), return_counts=True)
            self._merge(codes, votes)

    def result(self) -> Candidates:
        """Pairs with `FEWEST_VOTES` or more, those with most first.

        A pair comes with `MOST_SHIFTS` shifts at most.
        """
        enough = self._votes >= FEWEST_VOTES
        codes, votes = self._codes[enough], self._votes[enough]
        order = np.lexsort((codes, -votes))
        codes, votes = codes[order], votes[order]
        likely = _rank_within(codes // self._shifts) < MOST_SHIFTS
        codes, votes = codes[likely], votes[likely]
        pairs, shift = np.divmod(codes, self._shifts)
        one, two = np.divmod(pairs, self._cadences)
        return Candidates(one, two, shift - self._keys, votes)

    def _encode(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """One number for pair and shift, without keys that match within a cadence."""
        first, bin_one = np.divmod(one, self._keys)
        second, bin_two = np.divmod(two, self._keys)
        code = (first * self._cadences + second) * self._shifts + (bin_one - bin_two + self._keys)
        return code[first != second]

    def _merge(self, codes: np.ndarray, votes: np.ndarray) -> None:
        merged, places = np.unique(np.concatenate([self._codes, codes]), return_inverse=True)
        self._votes = np.bincount(places, np.concatenate([self._votes, votes]), len(merged)).astype(np.int64)
        self._codes = merged


def _rank_within(groups: np.ndarray) -> np.ndarray:
    """Number the members of each group, `(N,)`, from 0 on in their order."""
    order = np.argsort(groups, kind="stable")
    own = groups[order]
    first = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])) if len(own) else np.zeros(0, np.int64)
    rank = np.empty(len(own), np.int64)
    rank[order] = np.arange(len(own)) - np.repeat(first, np.diff(np.append(first, len(own))))
    return rank


def _neighbours(keys: np.ndarray, high: bool, wrong_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of keys that match and share one half, the smaller place first."""
    places = np.flatnonzero(keys > REPEATED).astype(np.uint64)
    codes = keys[places]
    if high:
        codes &= ~_LOW
    else:
        codes <<= _HALF
    codes |= places
    del places
    codes.sort()  # by the half, then by place
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK + NEIGHBOURS]
        half = (block >> _HALF).astype(np.uint32)
        for gap in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(half[gap:] == half[:-gap])
            same = same[same < BLOCK]
            one, two = block[same] & _LOW, block[same + gap] & _LOW
            other = keys[one] ^ keys[two]
            fit = np.bitwise_count(other) <= wrong_bits
            if high:
                fit &= (other & _LOW) != 0  # else the lower half has found it
            yield one[fit].astype(np.int64), two[fit].astype(np.int64)
