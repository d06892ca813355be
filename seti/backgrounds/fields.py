"""Fields: cadences cut from the same wider spectrum, by union-find with offsets."""

import numpy as np

from seti.backgrounds.matching import Candidates

LEAST_OVERLAP = 4  # bins that two cadences share at least to be linked
MOST_LINKS = 64  # of a cadence, to those that follow it in its field: copies of one file would have millions


class Fields:
    """Cadences that are joined one link at a time, each with its distance from others.

    Args:
        count: number of cadences.
    """

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._place = [0] * count  # bins from the parent
        self._size = [1] * count

    def find(self, cadence: int) -> tuple[int, int]:
        """Return the root of a cadence's field, and the cadence's place relative to it, in bins."""
        parent, place = self._parent, self._place
        path = []
        while parent[cadence] != cadence:
            path.append(cadence)
            cadence = parent[cadence]
        total = 0
        for one in reversed(path):  # from the root on; each is then a child of the root
            total += place[one]
            parent[one], place[one] = cadence, total
        return cadence, total

    def join(self, one: int, two: int, shift: int) -> bool:
        """Put `two` a shift of bins after `one`.

        Returns:
            False where both are in one field already, at another distance.
        """
        root_one, place_one = self.find(one)
        root_two, place_two = self.find(two)
        if root_one == root_two:
            return place_two - place_one == shift
        if self._size[root_one] < self._size[root_two]:
            root_one, root_two, place_one, place_two, shift = root_two, root_one, place_two, place_one, -shift
        self._parent[root_two] = root_one
        self._place[root_two] = place_one + shift - place_two
        self._size[root_one] += self._size[root_two]
        return True

    def together(self, one: int, two: int) -> bool:
        """Check that two cadences are in one field."""
        return self.find(one)[0] == self.find(two)[0]

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Number the fields by their first cadences.

        Returns:
            `(cadences,)` int64 numbers of the fields, -1 for a cadence alone; and `(cadences,)` int64 offsets, the
            lowest of each field 0.
        """
        found = [self.find(cadence) for cadence in range(len(self._parent))]
        roots, offsets = np.array(found, np.int64).reshape(-1, 2).T
        _, first, fields, sizes = np.unique(roots, return_index=True, return_inverse=True, return_counts=True)
        several = np.flatnonzero(sizes > 1)
        numbers = np.full(len(sizes), -1)
        numbers[several[np.argsort(first[several])]] = np.arange(len(several))
        lowest = np.full(len(sizes), np.iinfo(np.int64).max)
        np.minimum.at(lowest, fields, offsets)
        return numbers[fields], offsets - lowest[fields]


def join_links(fields: Fields, links: Candidates) -> np.ndarray:
    """Join cadences link by link, and return which links contradict earlier ones: `(C,)` bool."""
    columns = links.one.tolist(), links.two.tolist(), links.shift.tolist()
    return ~np.array([fields.join(*link) for link in zip(*columns, strict=True)], dtype=bool)


def overlapping_pairs(field: np.ndarray, offset: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List all pairs of a field that overlap by `LEAST_OVERLAP` bins, field after field.

    Args:
        field, offset: as `Fields.places` gives them.
        bins: of a cadence.

    Returns:
        The smaller number, the larger number, and the shift from the first to the second, `(P,)` int64 each.
    """
    members = np.flatnonzero(field >= 0)
    order = members[np.lexsort((offset[members], field[members]))]
    found = []
    for gap in range(1, min(MOST_LINKS, len(order) - 1) + 1):
        left, right = order[:-gap], order[gap:]
        distance = offset[right] - offset[left]
        near = np.flatnonzero((field[left] == field[right]) & (distance <= bins - LEAST_OVERLAP))
        if not len(near):
            break
        found.append(np.stack([near, left[near], right[near]]))
    if not found:
        return (np.zeros(0, np.int64),) * 3
    place, left, right = np.concatenate(found, axis=1)
    left, right = left[np.argsort(place, kind="stable")], right[np.argsort(place, kind="stable")]
    one, two = np.minimum(left, right), np.maximum(left, right)
    return one, two, offset[two] - offset[one]


def covered_share(one: np.ndarray, two: np.ndarray, shift: np.ndarray, count: int, bins: int) -> np.ndarray:
    """Share of the bins of each of `count` cadences that one of its partners covers."""
    edges = np.zeros((count, bins + 1), np.int32)
    for cadence, by in ((one, shift), (two, -shift)):
        np.add.at(edges, (cadence, np.maximum(by, 0)), 1)
        np.add.at(edges, (cadence, bins + np.minimum(by, 0)), -1)
    return (np.cumsum(edges, axis=1, dtype=np.int32)[:, :bins] > 0).mean(axis=1)
