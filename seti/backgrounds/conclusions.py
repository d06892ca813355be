"""Conclusions of a search: group, partners and verdict of every cadence, and counts."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from seti.backgrounds import table
from seti.backgrounds.cadences import DataSet
from seti.backgrounds.fields import covered_share
from seti.backgrounds.fingerprinting import Fingerprints
from seti.backgrounds.grouping import CheckedLinks
from seti.backgrounds.linking import IDENTICAL
from seti.data import competition
from seti.data.cadence import OFF_PANELS
from seti.errors import SetiError

PERIODIC = 0.5  # share of the keys that a periodic panel has more than once


@dataclass(frozen=True)
class Found:
    """Outcome of a search.

    Attributes:
        root: the data set's folder.
        twins: as `seti.backgrounds.table.read_twins` returns it.
        links: between its rows.
        counts: numbers of cadences, links and refusals, by name.
        remarks: about single cadences, one line each.
    """

    root: Path
    twins: pd.DataFrame
    links: table.Links
    counts: dict[str, int]
    remarks: list[str] = field(default_factory=list)


def conclude(data: DataSet, prints: Fingerprints, links: CheckedLinks, refused: Counter) -> Found:
    """Describe every cadence by the links that hold.

    Args:
        data: the data set.
        prints: its fingerprints.
        links: all that were looked at, and the fields that those that hold make.
        refused: numbers of refused links, by reason.
    """
    number, offset = links.field, links.offset
    alone = number < 0
    sizes = np.bincount(number[~alone])
    order = np.lexsort((links.two, links.one))
    order = order[links.checked.holds[order]]
    one, two, shift = (column[order] for column in (links.one, links.two, links.shift))
    checked = links.checked.take(order)
    kept = table.Links(
        *(column.astype(np.int32) for column in (one, two, shift)), checked.gain, checked.offset, checked.residual
    )
    problems = {int(n): str(prints.problems[n]) for n in np.flatnonzero(prints.problems != "")} | checked.problems
    same = checked.verdict == IDENTICAL
    tried = np.concatenate([links.one, links.two])
    verdict = _verdicts(data, prints, alone, problems, np.concatenate([one[same], two[same]]), tried)
    twins = pd.DataFrame(
        {
            "id": data.ids,
            "split": data.splits,
            "group": pd.array(number, "Int64"),
            "offset": offset,
            "members": np.where(alone, 1, sizes[number] if len(sizes) else 1),
            "covered": covered_share(one, two, shift, len(data.ids), data.bins).round(6),
            "partners": _partners(data.ids, one, two),
            "verdict": verdict,
        }
    )
    twins.loc[alone, "group"] = pd.NA
    kinds = Counter(verdict.tolist())
    counts = {
        "cadences": len(data.ids),
        "twins": int((~alone).sum()),
        "groups": len(sizes),
        "largest_group": int(sizes.max(initial=0)),
        "links": len(kept),
        "repeated_keys": round(float(prints.repeated.sum()) * (data.bins - 1) * len(OFF_PANELS)),
        **{f"refused_{name}": refused[name] for name in sorted(refused)},
        **{kind.replace(" ", "_"): kinds[kind] for kind in sorted(set(kinds) - {"twins", "alone"})},
    }
    remarks = _remarks(data, problems) + _label_conflicts(data, one[same], two[same])
    return Found(data.root, twins, kept, counts, remarks)


def sources_of(data: DataSet, prints: Fingerprints) -> pd.DataFrame:
    """Table of what was read: sizes, times and checksums."""
    return pd.DataFrame(
        {
            "id": data.ids,
            "split": data.splits,
            "size": data.sizes,
            "mtime_ns": data.times,
            "checksum": prints.checksums,
        }
    )


def _verdicts(
    data: DataSet,
    prints: Fingerprints,
    alone: np.ndarray,
    problems: dict[int, str],
    identical: np.ndarray,
    tried: np.ndarray,
) -> np.ndarray:
    """Describe every cadence in one or two words; a later one counts more."""
    verdict = np.where(alone, "alone", "twins").astype(object)
    verdict[tried[alone[tried]]] = "refused"
    verdict[alone & (prints.repeated > PERIODIC)] = "periodic"
    verdict[prints.constant] = "constant"
    verdict[identical] = "identical"
    for number in problems:
        other = data.size_of(number) not in (None, (data.rows, data.bins))
        verdict[number] = "another size" if other else "unreadable"
    return verdict


def _partners(ids: np.ndarray, one: np.ndarray, two: np.ndarray) -> list[str]:
    """Ids of the partners of every cadence, separated by blanks."""
    left, right = np.concatenate([one, two]), np.concatenate([two, one])
    order = np.lexsort((right, left))
    ends = np.searchsorted(left[order], np.arange(len(ids) + 1))
    names = ids[right[order]].tolist()
    return [" ".join(names[start:end]) for start, end in itertools.pairwise(ends)]


def _remarks(data: DataSet, problems: dict[int, str]) -> list[str]:
    """One line about cadences that cannot be read."""
    if not problems:
        return []
    first = min(problems)
    return [f"{len(problems)} cadences are left out, first {data.splits[first]} {data.ids[first]}: {problems[first]}"]


def _label_conflicts(data: DataSet, one: np.ndarray, two: np.ndarray) -> list[str]:
    """One line about identical cadences with different labels."""
    try:
        labels = competition.read_labels(data.root).set_index("id")["target"]
    except SetiError:
        return []
    train = (data.splits[one] == "train") & (data.splits[two] == "train")
    left, right = data.ids[one[train]], data.ids[two[train]]
    differ = np.flatnonzero(labels.reindex(left).to_numpy() != labels.reindex(right).to_numpy())
    if not len(differ):
        return []
    first = differ[0]
    return [
        f"{len(differ)} pairs of identical cadences have different labels, first {left[first]} and {right[first]}: "
        "at least one of them is wrong"
    ]
