"""Verification of many links, block by block on all cores."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seti.backgrounds import parts
from seti.backgrounds.cadences import ALL, Cadences, DataSet
from seti.backgrounds.verification import CHECKED, fit, judge, sample_overlap
from seti.errors import SetiError, brief
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, parallel_map

BLOCK = 2048  # links of a part
BATCH = 32  # links that are fitted at once
KEPT = 80  # cadences that a process keeps, as its next links are between the same
ALONE = 1024  # links that one process checks before others would have started
ARRAYS = ("verdict", "gain", "offset", "residual")  # of `Checked`
UNREADABLE, IDENTICAL, REFUSED = 3, 4, 5  # further verdicts, in addition to those of seti.backgrounds.verification


@dataclass(frozen=True)
class Checked:
    """Links after the look at all their panels.

    Attributes:
        verdict: `(L,)`, `CHECKED` or `IDENTICAL` (the same cadence twice) if the link holds.
        gain, offset, residual: `(L, 6)` float32, as `seti.backgrounds.verification.fit` gives them.
        problems: reasons why cadences cannot be read, by number.
    """

    verdict: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    residual: np.ndarray
    problems: dict[int, str]

    def take(self, places: np.ndarray) -> "Checked":
        """Select some links."""
        return Checked(*(getattr(self, name)[places] for name in ARRAYS), self.problems)

    def without(self, places: np.ndarray) -> "Checked":
        """Refuse some links, `(L,)` bool, for a reason that is counted elsewhere."""
        return replace(self, verdict=np.where(places, REFUSED, self.verdict))

    @property
    def holds(self) -> np.ndarray:
        """`(L,)` bool: the two cadences share their noise."""
        return (self.verdict == CHECKED) | (self.verdict == IDENTICAL)


class LinkChecker:
    """Verifies links of a data set; one that was verified before is not looked at again.

    Args:
        data: the data set.
        workers: processes; None: one a core.
    """

    def __init__(self, data: DataSet, workers: int | None) -> None:
        self._data, self._workers, self._rounds = data, workers, 0
        self._links = np.zeros((0, 3), np.int64)
        self._known = _nothing()

    @property
    def known(self) -> Checked:
        """All links that were verified."""
        return self._known

    @property
    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of the two cadences, and shifts, of these links."""
        return tuple(self._links.T)

    def check(self, one: np.ndarray, two: np.ndarray, shift: np.ndarray) -> Checked:
        """Verify links.

        Args:
            one, two: `(L,)` int64, numbers of the cadences; neighbouring links should share them, as each is read once.
            shift: `(L,)` int64, in bins.
        """
        links = np.stack([one, two, shift], axis=1)
        _, first, same = np.unique(np.concatenate([self._links, links]), axis=0, return_index=True, return_inverse=True)
        place = first[same.reshape(-1)][len(self._links) :]
        new = np.unique(place[place >= len(self._links)]) - len(self._links)
        self._rounds += 1
        found = _check(self._data, tuple(links[new].T), f"links_{self._rounds}", self._workers)
        number = np.empty(len(self._links) + len(links), np.int64)
        number[: len(self._links)] = np.arange(len(self._links))
        number[len(self._links) + new] = len(self._links) + np.arange(len(new))
        self._links = np.concatenate([self._links, links[new]])
        self._known = _together([self._known, found])
        return self._known.take(number[place])


def _nothing() -> Checked:
    empty = np.zeros((0, len(ALL)), np.float32)
    return Checked(np.zeros(0, np.int64), empty, empty, empty, {})


def _together(several: list[Checked]) -> Checked:
    columns = [np.concatenate([getattr(one, name) for one in several]) for name in ARRAYS]
    return Checked(*columns, {number: text for one in several for number, text in one.problems.items()})


def _check(data: DataSet, links: tuple[np.ndarray, ...], name: str, workers: int | None) -> Checked:
    """Verify links, and keep what was found in parts.

    Args:
        data: the data set.
        links: numbers of the two cadences and shift, `(L,)` int64 each; neighbours in the list share cadences.
        name: of the parts.
        workers: processes; None: one a core.
    """
    total = len(links[0])
    if not total:
        return _nothing()
    cadences = data.open(ALL)
    starts = range(0, total, BLOCK)
    paths = [parts.folder_of(data.root) / f"{name}-{number}.npz" for number in range(len(starts))]
    jobs = []
    with cadence_progress() as progress:
        task = progress.add_task("checking links", total=total)
        for start, path in zip(starts, paths, strict=True):
            own = [column[start : start + BLOCK] for column in links]
            numbers, pairs = np.unique(np.concatenate(own[:2]), return_inverse=True)
            sources = data.sizes[numbers], data.times[numbers], data.ids[numbers]
            made_from = parts.identity("links", data.rows, data.bins, *own, *sources)
            if parts.is_made(path, made_from):
                progress.advance(task, len(own[0]))
            else:
                one, two = pairs.reshape(2, -1)
                jobs.append((path, made_from, numbers, (one, two, own[2])))
        count = 1 if total <= ALONE else workers or available_cores()
        blocks = ((path, made, numbers, cadences.take(numbers), own) for path, made, numbers, own in jobs)
        for number in parallel_map(_check_block, blocks, workers=min(count, max(1, len(jobs)))):
            progress.advance(task, number)
    return _collect(paths)


def _collect(paths: list[Path]) -> Checked:
    found = []
    for path in paths:
        *columns, damaged, problems = parts.read(path, *ARRAYS, "damaged", "problems")
        found.append(Checked(*columns, dict(zip(damaged.tolist(), problems.tolist(), strict=True))))
    return _together(found)


def _check_block(job: tuple[Path, str, np.ndarray, Cadences, tuple[np.ndarray, ...]]) -> int:
    """Check the links of a part; cadences are numbered within the block."""
    path, made_from, numbers, cadences, (one, two, shift) = job
    problems: dict[int, str] = {}
    kept: OrderedDict[int, np.ndarray | None] = OrderedDict()

    def read(number: int) -> np.ndarray | None:
        if number in kept:
            kept.move_to_end(number)
            return kept[number]
        try:
            panels = cadences.read(number)
        except SetiError as error:
            panels = None
            problems[int(numbers[number])] = brief(error, 300)
        kept[number] = panels
        if len(kept) > KEPT:
            kept.popitem(last=False)
        return panels

    verdict = np.full(len(one), UNREADABLE)
    results = np.full((3, len(one), len(ALL)), np.nan, np.float32)
    for batch in _batches(len(one)):
        places, pixels = [], []
        for place in batch:
            left, right = read(int(one[place])), read(int(two[place]))
            if left is None or right is None:
                continue
            pixels.append(sample_overlap(left, right, int(shift[place])))
            places.append(place)
            if shift[place] == 0 and np.array_equal(left, right):
                verdict[place] = IDENTICAL
        if not places:
            continue
        gain, offset, residual, _ = fit(*(np.stack(side) for side in zip(*pixels, strict=True)))
        results[:, places] = gain, offset, residual
        judged = judge(gain, residual)
        same = verdict[places] == IDENTICAL
        verdict[places] = np.where(same & (judged == CHECKED), IDENTICAL, judged)
    texts = np.array(list(problems.values()), dtype=np.str_)
    parts.write(
        path,
        made_from,
        verdict=verdict,
        gain=results[0],
        offset=results[1],
        residual=results[2],
        damaged=np.array(list(problems), np.int64),
        problems=texts,
    )
    return len(one)


def _batches(count: int) -> Iterator[range]:
    return (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH))
