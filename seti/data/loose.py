"""Cadence files anywhere under a folder that has no table: `.npy` files, or packs."""

import copy
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from seti.data.cadence import PANEL_CHOICES, read_cadence, read_format
from seti.data.pack_reader import PackFiles, open_packed
from seti.data.sources import CadenceSource
from seti.errors import SetiError
from seti.utils import hints

SPLITS = ("train", "test")
OBSERVATIONS = (".h5", ".fil", ".hdf5")
_SAMPLE = 9  # cadences whose size is looked at


class LooseCadences:
    """Cadences in files of any name: a `CadenceSource`.

    Args:
        folder: they lie in, for messages.
        paths: `(N,)` of the files, by id.
        panels: which of the six are read.
        size: `(rows, bins)` of every panel; files of another size are refused.
    """

    def __init__(self, folder: Path, paths: dict[str, Path], panels: tuple[int, ...], size: tuple[int, int]) -> None:
        self.ids = np.asarray(list(paths), dtype=np.str_)
        self._paths = np.asarray([str(path) for path in paths.values()], dtype=np.str_)
        self.panels = panels
        self.rows, self.bins = self._size = size
        self._folder = folder

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Folder of the files."""
        return f"the files under {self._folder}"

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)
        taken.ids, taken._paths = self.ids[indices], self._paths[indices]
        return taken

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence: `(len(panels), rows, bins)` in the file's own precision; or `out`.

        Raises:
            SetiError: the file is damaged or its panels have another size than the others'.
        """
        return read_cadence(str(self._paths[index]), self.panels, out, self._size, for_networks=True)


class JoinedCadences:
    """Several sources of the same size and panels, one after the other: a `CadenceSource`."""

    def __init__(self, sources: Sequence[CadenceSource]) -> None:
        self._sources = list(sources)
        self._starts = np.cumsum([0, *(len(source) for source in sources[:-1])])
        self.ids = np.concatenate([source.ids for source in sources])
        first = self._sources[0]
        self.panels, self.rows, self.bins = first.panels, first.rows, first.bins
        self._places = np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Those of the sources."""
        return " and ".join(source.description for source in self._sources)

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)
        taken.ids, taken._places = self.ids[indices], self._places[indices]
        return taken

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence, as its own source does."""
        place = int(self._places[index])
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._sources[number].read(place - int(self._starts[number]), out)


def find_cadences(folder: Path) -> dict[str, Path]:
    """Find the `.npy` files in a folder and below it, without packs and what is hidden.

    The suffix may be written in any case. Links are followed, each folder once.

    Returns:
        Path by id, sorted by id. An id is the file's name without `.npy`; where two files share one, every id is the
        path below the folder instead, such as `night_1/a`.

    Raises:
        SetiError: a folder cannot be listed, or two files differ in the case of their suffix alone.
    """

    def refuse(error: OSError) -> None:
        msg = f"cannot list {error.filename}: {error.strerror or error}; fix that, or give another data.root"
        raise SetiError(msg) from error

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for name, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        status = os.stat(name)  # noqa: PTH116 - os.walk gives text
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [each for each in folders if not each.startswith(".")]
        packs = {pack.data.name for pack in _packs_in(Path(name))}
        found += [Path(name, each) for each in names if _is_cadence(each) and each not in packs]
    by_name = {path.name[:-4]: path for path in found}
    if len(by_name) < len(found):
        by_name = {path.relative_to(folder).as_posix()[:-4]: path for path in found}
    if len(by_name) < len(found):
        twice = next(path for path in sorted(found) if path not in by_name.values())
        msg = f"{twice} and {by_name[twice.relative_to(folder).as_posix()[:-4]].name} are one name: rename one of them"
        raise SetiError(msg)
    return dict(sorted(by_name.items()))


def _is_cadence(name: str) -> bool:
    """Check a file's name; hidden files are those of editors, archives and unfinished copies."""
    return name.lower().endswith(".npy") and not name.startswith(".")


def open_loose(folder: Path, paths: dict[str, Path], panels: tuple[int, ...]) -> LooseCadences:
    """Open cadence files, of the size that most of the first readable ones have.

    Args:
        folder: they lie in.
        paths: from `find_cadences`.
        panels: which of the six are read.

    Raises:
        SetiError: none of the files can be read.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    first: SetiError | None = None
    for path in paths.values():
        try:
            sizes[read_format(path)[0]] += 1
        except SetiError as error:
            first = first or error
            continue
        if sizes.total() == _SAMPLE:
            break
    if not sizes:
        assert first is not None
        raise first
    return LooseCadences(folder, paths, panels, sizes.most_common(1)[0][0])


def open_packs(folder: Path, panels: tuple[int, ...], pack_dir: str | Path | None) -> CadenceSource | None:
    """Open the packs of a folder, whose cadence files are no longer there.

    Args:
        folder: holds the packs, or a folder `packed` that does.
        panels: which of the six are read.
        pack_dir: folder of the packs, if it is another one.

    Returns:
        The cadences of all splits; None where there is no pack.

    Raises:
        SetiError: a pack cannot be used, or two packs have panels of different sizes.
    """
    sources: list[CadenceSource] = []
    for place in dict.fromkeys([Path(pack_dir)] if pack_dir is not None else [folder, folder / "packed"]):
        for pack in {pack.split: pack for pack in _packs_in(place)}.values():
            ids = np.asarray(pack.read_table()["id"], dtype=np.str_)
            source, reason = open_packed(folder, pack.split, ids, panels, place)
            if source is None:
                instead = "; data.packed=false reads the files instead" if find_cadences(folder) else ""
                msg = f"{reason}{instead}"
                raise SetiError(msg)
            sources.append(source)
    if len({(source.rows, source.bins) for source in sources}) > 1:
        sizes = ", ".join(f"{source.description} {source.rows} x {source.bins}" for source in sources)
        msg = f"the packs in {folder} have panels of different sizes ({sizes}): move one of them elsewhere"
        raise SetiError(msg)
    return JoinedCadences(sources) if len(sources) > 1 else sources[0] if sources else None


def no_cadences(folder: Path) -> str:
    """Message that a folder holds no cadence."""
    msg = f"data.root={folder} holds no cadence: give a folder of .npy files of shape (6, rows, bins), at any depth"
    if any(path.suffix == ".npz" for path in folder.rglob("*.npz")):
        msg += "; .npz files are not read: save each cadence as a .npy file of its own"
    if any(path.suffix in OBSERVATIONS for path in folder.iterdir()):
        search = hints.command("scan", hints.setting("cadence", folder))
        msg += f"; observations are searched by {search}"
    return msg


def _packs_in(folder: Path) -> list[PackFiles]:
    packs = [PackFiles(folder, split, name) for split in SPLITS for name in PANEL_CHOICES]
    return [pack for pack in packs if pack.manifest.exists()]
