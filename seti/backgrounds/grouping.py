"""Grouping: from matches of keys to fields whose links were all verified."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from seti.backgrounds.cadences import DataSet
from seti.backgrounds.fields import Fields, join_links, overlapping_pairs
from seti.backgrounds.linking import Checked, LinkChecker
from seti.backgrounds.matching import Candidates
from seti.backgrounds.verification import CONSTANT, DIFFERENT

STRONG = 6  # votes from which a pair is believed until its links are checked


@dataclass(frozen=True)
class CheckedLinks:
    """All links that were looked at, and the fields that result.

    Attributes:
        one, two, shift: `(L,)` int64.
        checked: verdicts and fits.
        field, offset: `(N,)`, as `Fields.places` gives them.
    """

    one: np.ndarray
    two: np.ndarray
    shift: np.ndarray
    checked: Checked
    field: np.ndarray
    offset: np.ndarray


def join_matches(
    data: DataSet, matched: Candidates, identical: Candidates, workers: int | None
) -> tuple[CheckedLinks, Counter]:
    """Join matches into fields, and verify all pairs of each field that overlap.

    Pairs with many votes are joined first, and all links that follow are verified. Those with few votes, and those that
    contradicted others, are verified one by one before they join two fields: a wrong one would spoil both.

    Args:
        data: the data set.
        matched: pairs that share keys.
        identical: pairs with the same OFF panels.
        workers: processes; None: one a core.

    Returns:
        The links, and the number of refused ones, by reason.
    """
    checker = LinkChecker(data, workers)
    believed = Fields(len(data.ids))
    strong = matched.votes >= STRONG
    spare = ~strong
    spare[strong] = join_links(believed, matched.take(strong))
    fields = _verified(checker, believed, data)

    rest = _in_order(_apart(fields, _merged(matched.take(spare), identical)))
    good = rest.take(checker.check(rest.one, rest.two, rest.shift).holds)
    join_links(fields, good.take(np.argsort(-good.votes, kind="stable")))
    fields = _verified(checker, fields, data)

    one, two, shift = checker.links
    field, offset = fields.places()
    checked = checker.known
    # A link that holds by itself, but not at the offsets of its field.
    outside = checked.holds & _contradicts(field, offset, one, two, shift)
    checked = checked.without(outside)
    sure = matched.take(strong)
    refused = Counter(
        contradiction=int(_contradicts(field, offset, sure.one, sure.two, sure.shift).sum() + outside.sum()),
        constant_panel=int((checked.verdict == CONSTANT).sum()),
        other_noise=int((checked.verdict == DIFFERENT).sum()),
    )
    return CheckedLinks(one, two, shift, checked, field, offset), refused


def _verified(checker: LinkChecker, believed: Fields, data: DataSet) -> Fields:
    """Verify every pair of a field that overlaps, and join those that hold."""
    one, two, shift = overlapping_pairs(*believed.places(), data.bins)
    holds = checker.check(one, two, shift).holds
    fields = Fields(len(data.ids))
    join_links(fields, Candidates(one, two, shift, shift).take(holds))
    return fields


def _contradicts(
    field: np.ndarray, offset: np.ndarray, one: np.ndarray, two: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Check for links at another shift than that of their field."""
    return (field[one] == field[two]) & (field[one] >= 0) & (offset[two] - offset[one] != shift)


def _apart(fields: Fields, links: Candidates) -> Candidates:
    """Links between different fields."""
    pairs = zip(links.one.tolist(), links.two.tolist(), strict=True)
    return links.take(np.array([not fields.together(*pair) for pair in pairs], dtype=bool))


def _in_order(links: Candidates) -> Candidates:
    """Links by cadence, so that neighbours share one."""
    return links.take(np.lexsort((links.two, links.one)))


def _merged(*several: Candidates) -> Candidates:
    names = ("one", "two", "shift", "votes")
    return Candidates(*(np.concatenate([getattr(one, name) for one in several]) for name in names))
