"""Search of a data set for cadences that share a background, from files to table."""

from pathlib import Path

import numpy as np

from seti.backgrounds import parts, table
from seti.backgrounds.cadences import DataSet, open_data_set
from seti.backgrounds.conclusions import Found, conclude, sources_of
from seti.backgrounds.fingerprinting import Fingerprints, fingerprint_all, fingerprint_shard
from seti.backgrounds.grouping import join_matches
from seti.backgrounds.matching import Ballot, Candidates
from seti.data import competition
from seti.data.cleaned_set import check_not_cleaned
from seti.errors import SetiError
from seti.utils import files, locks
from seti.utils.console import near
from seti.utils.processes import check_workers
from seti.utils.shards import Shard

LOCK = ".twins.lock"
PATIENCE = 10.0  # s to wait for a run of the same shard that is being stopped
AGAIN = "without shard, the command makes it again"
MERGE_PATIENCE = 3600.0  # s to wait for another shard that finds the twins of all


def find_twins(root: Path, pack_dir: Path | None = None, workers: int | None = None) -> Found:
    """Find all twins of a data set and write `twins.csv` with what belongs to it.

    Raises:
        SetiError: the data set cannot be searched, or another process is searching it.
    """
    _check(root, workers)
    with locks.hold(root, "finding twins", name=LOCK):
        return _find(open_data_set(root, pack_dir), workers)


def find_in_shards(root: Path, pack_dir: Path | None, workers: int | None, shard: Shard) -> Found | None:
    """Fingerprint a shard of a data set; the one that ends last finds the twins of all.

    Returns:
        The twins; None where other shards are not done, or `twins.csv` is there already.

    Raises:
        SetiError: the data set cannot be searched, or another process is at the same shard.
    """
    _check(root, workers)
    number, count = shard
    said = f"{near(root)}: shard {number}/{count} is done"
    lock = {"name": f".twins_shard_{number}_of_{count}.lock", "patience": PATIENCE}
    with locks.hold(root, f"finding twins, shard={number}/{count}", **lock):
        if _is_current(root, pack_dir):
            print(f"{said}: {near(root / table.TABLE)} is there, and of these cadences; {AGAIN}")
            return None
        data = open_data_set(root, pack_dir)
        done, left = fingerprint_shard(data, workers, shard)
        said += f", {done} of {len(data.ids)} cadences are."
        if done < len(data.ids):
            print(f"{said} The shard that ends last finds the twins; {left}")
            return None
        print(f"{said} All shards are: finding the twins", flush=True)
        with locks.hold(root, "finding twins", name=LOCK, patience=MERGE_PATIENCE):
            if _is_current(root, pack_dir):
                print(f"{near(root / table.TABLE)} was made by another shard meanwhile")
                return None
            return _find(data, workers)


def _check(root: Path, workers: int | None) -> None:
    """Refuse what cannot work before the data set is locked."""
    check_workers(workers)
    if not root.is_dir():
        competition.read_labels(root)  # raises that it is not a folder
    check_not_cleaned(root)
    for name in (table.TABLE, table.LINKS, table.SOURCES, table.RECORD):
        files.try_output(root / name)


def _is_current(root: Path, pack_dir: Path | None) -> bool:
    """Check for a table of twins that is of the cadences as they are."""
    try:
        table.read_twins(root, pack_dir)
    except SetiError:
        return False
    return True


def _find(data: DataSet, workers: int | None) -> Found:
    prints = fingerprint_all(data, workers)
    links, refused = join_matches(data, _match(data, prints), _identical_files(prints), workers)
    found = conclude(data, prints, links, refused)
    table.write_twins(data.root, found.twins, found.links, sources_of(data, prints), found.counts)
    parts.remove(data.root)
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
