"""Cadence files by id: in the competition's layout, or under a folder without a table.

Cadences without a table have no labels, so they are the test set.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seti.data import competition
from seti.data.loose import find_cadences
from seti.data.pack_reader import PackedCadences, open_packed
from seti.errors import SetiError

SPLIT = "test"  # of all cadences without a table


@dataclass(frozen=True)
class Listing:
    """Paths of the cadence files of a folder.

    Attributes:
        root: the folder.
        paths: of files under a folder without a table, by id; None in the competition's layout.
    """

    root: Path
    paths: dict[str, Path] | None

    def path(self, split: str, cadence_id: str) -> Path:
        """Path of a cadence's file; of one that only a pack holds, where it would be."""
        if self.paths is None:
            return competition.cadence_path(self.root, split, cadence_id)
        return self.paths.get(cadence_id, self.root / f"{cadence_id}.npy")

    def files(self, split: str) -> dict[str, tuple[int, int]]:
        """List size (bytes) and modification time (ns) of a split's files, by id."""
        if self.paths is None:
            return competition.list_files(self.root, split)
        found = {}
        for name, path in self.paths.items() if split == SPLIT else ():
            try:
                status = path.stat()
            except OSError:  # a dangling link, or a file that was just removed
                continue
            found[name] = status.st_size, status.st_mtime_ns
        return found


def is_loose(root: Path) -> bool:
    """Check for a folder that has neither a label table nor a table of test ids."""
    return root.is_dir() and not any((root / name).is_file() for name in (competition.LABELS, competition.SUBMISSION))


def list_cadences(root: Path) -> Listing:
    """List the cadence files of a folder.

    Raises:
        SetiError: see `seti.data.loose.find_cadences`.
    """
    return Listing(root, find_cadences(root) if is_loose(root) else None)


def open_pack(
    listing: Listing, split: str, ids: np.ndarray, panels: tuple[int, ...], pack_dir: str | Path | None
) -> tuple[PackedCadences | None, str]:
    """Open the pack of a split by `open_packed`, of files without a table, too."""
    pack, reason = open_packed(listing.root, split, ids, panels, pack_dir)
    if pack is None or not listing.paths:
        return pack, reason
    changed = changed_files(listing, pack)
    if not changed:
        return pack, ""
    return None, f"{pack.pack.data}: {len(changed)} of its {len(pack)} sources have changed or gone, first {changed[0]}"


def changed_files(listing: Listing, pack: PackedCadences) -> list[str]:
    """List the ids of a pack whose files under a folder without a table have changed since."""
    present = listing.files(pack.pack.split)
    table = pack.pack.read_table()
    packed = dict(zip(table["id"], zip(table["size"].tolist(), table["mtime_ns"].tolist(), strict=True), strict=True))
    return [name for name in pack.ids.tolist() if present.get(name) != packed[name]]


def check_names(listing: Listing, blanks: bool = True) -> None:
    """Refuse file names that cannot be ids in the tables of this program.

    Those are lines of UTF-8.

    Args:
        listing: of a folder; ids of the competition's layout are checked where its tables are read.
        blanks: allow blanks.

    Raises:
        SetiError: number of such files, and the first.
    """
    names = list(listing.paths or ())
    bad = [name for name in names if not name.isprintable() or (not blanks and " " in name)]
    if bad:
        what = "unprintable characters" if blanks else "blanks or unprintable characters"
        msg = (
            f"{len(bad)} of {len(names)} cadence files under {listing.root} have {what} in their names, which become "
            f"ids, first {bad[0]!r}: rename them"
        )
        raise SetiError(msg)
