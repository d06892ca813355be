"""Cadences of both splits as one list, from files or packs."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seti.backgrounds.table import ID_TABLES, list_ids
from seti.data import competition
from seti.data.cadence import PANEL_CHOICES, read_format
from seti.data.listing import Listing, check_names, list_cadences, open_pack
from seti.data.loose import LooseCadences, open_loose
from seti.data.pack_reader import PackFiles, pack_folder
from seti.data.screening import usual_size
from seti.data.sources import CadenceFiles, CadenceSource
from seti.errors import SetiError

ALL = PANEL_CHOICES["all"]


@dataclass(frozen=True)
class Cadences:
    """Cadences of a data set, train before test, or some of them.

    Attributes:
        sources: a source of some panels for each split.
        split: `(N,)`, number of the split.
        place: `(N,)`, place in that split's source.
    """

    sources: tuple[CadenceSource | None, ...]
    split: np.ndarray
    place: np.ndarray

    def __len__(self) -> int:
        return len(self.split)

    def read(self, number: int) -> np.ndarray:
        """Read one cadence, `(panels, rows, bins)`.

        Raises:
            SetiError: it is damaged, or of another size than the others.
        """
        return self.sources[self.split[number]].read(int(self.place[number]))

    def take(self, numbers: np.ndarray) -> "Cadences":
        """Select cadences; the result is small enough to be sent to another process."""
        sources, place = [], np.zeros(len(numbers), np.int64)
        for split, source in enumerate(self.sources):
            own = np.flatnonzero(self.split[numbers] == split)
            sources.append(source.take(self.place[numbers[own]]) if len(own) else None)
            place[own] = np.arange(len(own))
        return Cadences(tuple(sources), self.split[numbers], place)


@dataclass(frozen=True)
class DataSet:
    """A data set that is searched for twins.

    Attributes:
        root: its folder.
        ids: `(N,)` text, train before test.
        splits: `(N,)` text.
        sizes, times: `(N,)` int64, bytes and modification times (ns) of the files, as they were packed if only the
            pack is left; -1 without a file.
        rows, bins: of the panels of most cadences.
        pack_dir: folder of the packs; None: `<root>/packed`.
        listing: of the files.
    """

    root: Path
    ids: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    times: np.ndarray
    rows: int
    bins: int
    pack_dir: Path | None
    listing: Listing

    def open(self, panels: tuple[int, ...]) -> Cadences:
        """Open some panels of all cadences, from packs where there are some that fit."""
        names = list(ID_TABLES)
        sources = []
        for split in names:
            ids = self.ids[self.splits == split]
            sources.append(_open(self.listing, split, ids, panels, self.pack_dir, (self.rows, self.bins)))
        split = np.array([names.index(one) for one in self.splits], np.int64)
        place = np.concatenate([np.arange((split == number).sum()) for number in range(len(names))])
        return Cadences(tuple(sources), split, place)

    def path(self, number: int) -> Path:
        """Path of a cadence's file, which need not be there if a pack holds it."""
        return self.listing.path(str(self.splits[number]), str(self.ids[number]))

    def size_of(self, number: int) -> tuple[int, int] | None:
        """Rows and bins of a cadence's panels; None where its file cannot be read."""
        try:
            return read_format(self.path(number))[0]
        except SetiError:
            return None


def open_data_set(root: Path, pack_dir: Path | None = None) -> DataSet:
    """Find the cadences of a data set; none is read but for the size of a few.

    Raises:
        SetiError: there is no cadence, ids are in both splits, or only packs of the A panels are there.
    """
    listing = list_cadences(root)
    ids = list_ids(root, pack_dir)
    if not root.is_dir() or (listing.paths is not None and not any(ids.values())):
        competition.read_labels(root)  # raises what is wrong with the folder
    check_names(listing, blanks=False)  # the table of twins separates partners by blanks
    competition.check_overlap(root)
    for split, name in ID_TABLES.items() if listing.paths is None else ():
        competition.check_ids(root / name, ids[split])
    known = {split: _known(listing, split, ids[split], pack_dir) for split in ID_TABLES}
    size = _usual_size(listing, ids, known, pack_dir)
    flat = [(split, i, *known[split].get(i, (-1, -1))) for split in ID_TABLES for i in ids[split]]
    if not flat:
        msg = f"{root} lists no cadence: put at least one id into {competition.LABELS}"
        raise SetiError(msg)
    splits, names, sizes, times = zip(*flat, strict=True)
    return DataSet(
        root, np.array(names), np.array(splits), np.array(sizes), np.array(times), size[0], size[1], pack_dir, listing
    )


def _known(listing: Listing, split: str, ids: list[str], pack_dir: Path | None) -> dict[str, tuple[int, int]]:
    """Size and time of every file, by id; those that were packed where the files are gone."""
    present = listing.files(split)
    pack = PackFiles(pack_folder(listing.root, pack_dir), split, "all")
    if present or not ids or not pack.manifest.exists():
        return present
    table = pack.read_table()
    return dict(zip(table["id"], zip(table["size"].tolist(), table["mtime_ns"].tolist(), strict=True), strict=True))


def _usual_size(listing: Listing, ids: dict[str, list[str]], known: dict, pack_dir: Path | None) -> tuple[int, int]:
    """Size of the panels of most cadences.

    Raises:
        SetiError: no cadence can be read.
    """
    found: Counter[tuple[int, int]] = Counter()
    reasons = []
    for split, names in ids.items():
        if not names:
            continue
        packed, reason = open_pack(listing, split, np.array(names), ALL, pack_dir)
        if packed is not None:
            size = packed.rows, packed.bins
        elif listing.paths:
            size = _loose_size(listing)
        else:
            size = usual_size(listing.root, split, names)
        if size is not None:
            found[size] += len(known[split])
        elif reason:
            reasons.append(reason)
    if reasons:
        raise SetiError(f"the background is compared in all six panels: {reasons[0]}")
    if not found:
        root = listing.root
        for split, names in ids.items():
            if names and listing.paths is None:
                competition.check_files(root, split, names)
        msg = f"{root} has no cadence that can be read: seti check data.root={root} lists what is wrong"
        raise SetiError(msg)
    return found.most_common(1)[0][0]


def _loose_size(listing: Listing) -> tuple[int, int] | None:
    try:
        source = open_loose(listing.root, listing.paths or {}, ALL)
    except SetiError:
        return None
    return source.rows, source.bins


def _open(
    listing: Listing, split: str, ids: np.ndarray, panels: tuple[int, ...], pack_dir: Path | None, size: tuple[int, int]
) -> CadenceSource | None:
    if not len(ids):
        return None
    packed, reason = open_pack(listing, split, ids, panels, pack_dir)
    if packed is not None and (packed.rows, packed.bins) == size:
        return packed
    if listing.paths:
        return LooseCadences(listing.root, listing.paths, panels, size)
    return CadenceFiles(listing.root, split, ids, panels, size, reason)
