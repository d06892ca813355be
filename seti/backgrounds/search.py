"""Search of a data set for cadences that share a background, from files to table."""

from pathlib import Path

import numpy as np

from seti.backgrounds import parts, table
from seti.backgrounds.cadences import DataSet, open_data_set
from seti.backgrounds.conclusions import Found, conclude, sources_of
from seti.backgrounds.fingerprinting import Fingerprints, fingerprint_all
from seti.backgrounds.grouping import join_matches
from seti.backgrounds.matching import Ballot, Candidates
from seti.data import competition
from seti.data.cleaned_set import check_not_cleaned
from seti.utils import files, locks
from seti.utils.processes import check_workers

LOCK = ".twins.lock"


def find_twins(root: Path, pack_dir: Path | None = None, workers: int | None = None) -> Found:
    """Find all twins of a data set and write `twins.csv` with what belongs to it.

    Raises:
        SetiError: the data set cannot be searched, or another process is searching it.
    """
    check_workers(workers)
    if not root.is_dir():
        competition.read_labels(root)  # raises that it is not a folder
    check_not_cleaned(root)
    for name in (table.TABLE, table.LINKS, table.SOURCES, table.RECORD):
        files.try_output(root / name)
    with locks.hold(root, "finding twins", name=LOCK):
        data = open_data_set(root, pack_dir)
        prints = fingerprint_all(data, workers)
        links, refused = join_matches(data, _match(data, prints), _identical_files(prints), workers)
        found = conclude(data, prints, links, refused)
        table.write_twins(root, found.twins, found.links, sources_of(data, prints), found.counts)
        parts.remove(root)
    return found


def _match(data: DataSet, prints: Fingerprints) -> Candidates:
    """Pairs whose OFF panels share keys."""
    ballot = Ballot(len(data.ids), data.bins - 1, data.rows)
    for keys in prints.panels():
        ballot.add(keys)
    return ballot.result()


def _identical_files(prints: Fingerprints) -> Candidates:
    """Pairs with the same OFF panels, at shift 0; those of periodic panels have no keys."""
    usable = np.flatnonzero((prints.problems == "") & ~prints.constant)
    order = usable[np.argsort(prints.checksums[usable], kind="stable")]
    same = np.flatnonzero(prints.checksums[order][1:] == prints.checksums[order][:-1])
    none = np.zeros(len(same), np.int64)
    return Candidates(order[same], order[same + 1], none, none)
