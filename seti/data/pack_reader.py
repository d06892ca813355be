"""Reading packs: all cadences of a split in one file, which is mapped into memory.

A pack is three files in one folder, `<root>/packed` by default: `train-A.npy`, a plain `.npy` of shape
`(cadences, panels, rows, bins)`; `train-A.csv`, a table of ids with size and time of each cadence file and a checksum
of each row; and `train-A.json`, the manifest, which is written last: a pack without it is unfinished.
"""

import copy
import hashlib
import io
import math
import mmap
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.cadence import ON_PANELS, PANEL_CHOICES, all_finite, fit_networks
from seti.errors import SetiError
from seti.utils import files, hints

FORMAT = 1  # increased when the files of a pack change their meaning
TABLE_COLUMNS = ["id", "size", "mtime_ns", "checksum"]
NUMBERS = ("rows", "bins", "cadences", "bytes")
MANIFEST_KEYS = ("format", "split", "panels", "dtype", "ids", "sources", "checksum", *NUMBERS)

DTYPES = tuple(f"{order}f{size}" for order in "<>" for size in (2, 4, 8))

_POPULATE_READ = 22  # MADV_POPULATE_READ of Linux 5.14, which Python 3.11 has no name for
_WINDOW = 2**30  # bytes read before the file is mapped again, so that resident memory does not grow with the pack


@dataclass(frozen=True)
class PackFiles:
    """Paths of the files of one pack, which need not exist."""

    folder: Path
    split: str
    panels: str

    @property
    def data(self) -> Path:
        """Path of the cadences, a `.npy`."""
        return self.folder / f"{self.split}-{self.panels}.npy"

    @property
    def table(self) -> Path:
        """Path of the table of ids."""
        return self.data.with_suffix(".csv")

    @property
    def manifest(self) -> Path:
        """Path of the manifest, which marks a pack as complete."""
        return self.data.with_suffix(".json")

    @property
    def partial(self) -> Path:
        """Path of the cadences while they are being packed."""
        return self.data.with_suffix(".npy.part")

    def read_manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            SetiError: it is missing, damaged, or of another version of the format.
        """
        manifest = files.read_json(self.manifest)
        missing = [key for key in MANIFEST_KEYS if key not in manifest]
        if missing or manifest["format"] != FORMAT or not all(type(manifest[key]) is int for key in NUMBERS):
            msg = f"{self.manifest} is not of format {FORMAT}: pack again with force=true"
            raise SetiError(msg)
        shape = manifest["cadences"], len(PANEL_CHOICES[self.panels]), manifest["rows"], manifest["bins"]
        if (
            manifest["dtype"] not in DTYPES
            or min(shape) < 1
            or manifest["bytes"] != len(npy_header(manifest["dtype"], shape)) + _array_bytes(manifest["dtype"], shape)
        ):
            msg = f"{self.manifest} is damaged, its numbers do not add up: pack again with force=true"
            raise SetiError(msg)
        return manifest

    def read_table(self) -> pd.DataFrame:
        """Read the id table.

        Raises:
            SetiError: it is missing or damaged.
        """
        return files.read_csv(self.table, TABLE_COLUMNS)


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Header of the `.npy` file of an array of that type and shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _array_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Size in bytes of an array of that type and shape, without a header."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def pack_folder(root: Path, pack_dir: str | Path | None) -> Path:
    """Folder of a data set's packs: `pack_dir`, or `<root>/packed`."""
    return root / "packed" if pack_dir is None else Path(pack_dir)


def pack_command(root: Path, panels: tuple[int, ...], pack_dir: str | Path | None) -> str:
    """Command that packs those panels into that folder."""
    folder = [] if pack_dir is None else [hints.setting("pack_dir", pack_dir)]
    name = "A" if set(panels) <= set(ON_PANELS) else "all"
    return hints.command("pack", hints.setting("data.root", root), f"panels={name}", *folder)


def digest(values: pd.Series) -> str:
    """Digest of a column: 16 hex digits of SHA-256."""
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def table_digests(table: pd.DataFrame) -> dict[str, str]:
    """Digests of the id table's ids, sources and checksums, as the manifest records them."""
    sources = table["id"] + " " + table["size"].astype(str) + " " + table["mtime_ns"].astype(str)
    return {"ids": digest(table["id"]), "sources": digest(sources), "checksum": digest(table["checksum"])}


def changed_sources(root: Path, split: str, table: pd.DataFrame) -> list[str]:
    """List ids whose file has changed since it was packed; none where no files are left.

    Compares size and time only, which takes a second for 200,000 files.
    """
    present = competition.list_files(root, split)
    if not present:
        return []
    packed = zip(table["size"].tolist(), table["mtime_ns"].tolist(), strict=True)
    return [i for i, seen in zip(table["id"], packed, strict=True) if present.get(i) != seen]


class PackedCadences:
    """Cadences of one split, read from a pack: a `seti.data.sources.CadenceSource`.

    Args:
        pack: a complete pack.
        root: the data set's folder.
        ids: `(N,)` text, all of which the pack must hold.
        panels: which of the six are read.
        sources: refuse a pack whose cadence files have changed since.

    Raises:
        SetiError: the pack is damaged or out of date, or lacks some of the ids.
    """

    def __init__(
        self, pack: PackFiles, root: Path, ids: np.ndarray, panels: tuple[int, ...], sources: bool = True
    ) -> None:
        self.ids = np.asarray(ids, dtype=np.str_)
        self.panels = panels
        self.pack = pack
        manifest = pack.read_manifest()
        table = self._check(root, manifest, sources)
        self.rows, self.bins, self.dtype = manifest["rows"], manifest["bins"], np.dtype(manifest["dtype"])
        self._identity = (manifest["checksum"], manifest["bytes"])
        self._places = pd.Index(table["id"]).get_indexer(self.ids)
        if (self._places < 0).any():
            absent = self.ids[self._places < 0]
            msg = f"it lacks {len(absent)} of {len(self.ids)} {pack.split} ids, first {absent[0]}"
            raise SetiError(msg)
        held = PANEL_CHOICES[pack.panels]
        self._picked = None if held == panels else [held.index(panel) for panel in panels]
        self._held = len(held)
        self._row_bytes = self._held * self.rows * self.bins * self.dtype.itemsize
        self._offset = manifest["bytes"] - manifest["cadences"] * self._row_bytes
        self._map: mmap.mmap | None = None
        self._open()

    def _check(self, root: Path, manifest: dict[str, Any], sources: bool) -> pd.DataFrame:
        if not self.pack.data.is_file():
            msg = f"{self.pack.data.name} is missing"
            raise SetiError(msg)
        size = self.pack.data.stat().st_size
        if size != manifest["bytes"]:
            msg = f"{self.pack.data.name} has {size} bytes, not the {manifest['bytes']} that were packed"
            raise SetiError(msg)
        shape = manifest["cadences"], len(PANEL_CHOICES[self.pack.panels]), manifest["rows"], manifest["bins"]
        header = npy_header(manifest["dtype"], shape)
        with self.pack.data.open("rb") as stream:
            if stream.read(len(header)) != header:  # manifest and data do not belong together
                msg = f"{self.pack.data.name} is not of the shape and type that its manifest states"
                raise SetiError(msg)
        table = self.pack.read_table()
        recorded = {key: manifest[key] for key in ("ids", "sources", "checksum")}
        if len(table) != manifest["cadences"] or table_digests(table) != recorded:
            msg = f"{self.pack.table.name} is not the table that was packed"
            raise SetiError(msg)
        wanted = table[table["id"].isin(self.ids)]
        changed = changed_sources(root, self.pack.split, wanted) if sources else []
        if changed:
            msg = f"{len(changed)} of its {len(wanted)} sources have changed or gone, first {changed[0]}"
            raise SetiError(msg)
        return table

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory map out: another process opens its own."""
        return self.__dict__ | {"_map": None, "_rows": None, "_seen": None}

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences without checking the pack again: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)  # through __getstate__: it opens a map of its own
        taken.ids, taken._places = self.ids[indices], self._places[indices]
        return taken

    @property
    def description(self) -> str:
        """Path of the pack's data file."""
        return f"the pack {self.pack.data}"

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence.

        Args:
            index: place in `ids`.
            out: `(len(panels), rows, bins)`: copied into.

        Returns:
            `(len(panels), rows, bins)` in the pack's own precision, read-only where it is the memory map; or `out`.

        Raises:
            SetiError: the pack was replaced, cut short or damaged since it was opened.
        """
        if self._map is None or self._touched >= _WINDOW:
            self._open()
        place = int(self._places[index])
        if not self._seen[place]:
            self._load_pages(place)
        cadence = self._rows[place]
        if self._picked is not None:
            cadence = cadence[self._picked]
        if not fit_networks(cadence):
            wrong = "beyond 32-bit floats" if all_finite(cadence) else "that are NaN or infinite"
            raise SetiError(self._failure(f"{self.ids[index]} has values {wrong}"))
        if out is None:
            return cadence
        np.copyto(out, cadence, casting="safe")
        return out

    def _open(self) -> None:
        # Cadences that were read from the old map keep it alive.
        try:
            manifest = self.pack.read_manifest()
            with self.pack.data.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if (manifest["checksum"], manifest["bytes"]) != self._identity or size != manifest["bytes"]:
                    raise SetiError(self._failure("it was replaced or cut short in the meantime"))
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise SetiError(self._failure(error.strerror or str(error))) from error
        # torch warns of arrays that are read-only; nothing here writes into a cadence.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        shape = (manifest["cadences"], self._held, self.rows, self.bins)
        self._rows = np.frombuffer(self._map, self.dtype, offset=self._offset).reshape(shape)
        self._seen = bytearray(manifest["cadences"])
        self._touched = 0

    def _load_pages(self, place: int) -> None:
        """Load one cadence's pages, so that a truncated file raises instead of killing the process."""
        start = self._offset + place * self._row_bytes
        first = start - start % mmap.PAGESIZE
        try:
            self._map.madvise(_POPULATE_READ, first, start + self._row_bytes - first)
        except (OSError, AttributeError) as error:
            if getattr(error, "errno", None) not in (None, 22):  # 22: the kernel is older than this advice
                raise SetiError(self._failure(error.strerror or str(error))) from error
        self._seen[place] = 1
        self._touched += self._row_bytes

    def _failure(self, reason: str) -> str:
        return f"cannot read the pack {self.pack.data}: {reason}; pack again with force=true, or set data.packed=false"


def open_packed(
    root: Path, split: str, ids: np.ndarray, panels: tuple[int, ...], pack_dir: str | Path | None
) -> tuple[PackedCadences | None, str]:
    """Open the pack that holds some ids and panels, if there is one.

    Returns:
        The cadences, or None; and the reason why no existing pack is used, empty where there is none.
    """
    reasons = []
    for name, held in PANEL_CHOICES.items():
        pack = PackFiles(pack_folder(root, pack_dir), split, name)
        if not set(panels) <= set(held):
            if pack.manifest.exists():
                reasons.append(f"{pack.data} holds the {name} panels alone, and {_all_panels(root, panels, pack_dir)}")
            continue
        if not pack.manifest.exists():
            if pack.partial.exists():
                reasons.append(f"{pack.data} is not finished: the same {hints.command('pack')} command goes on")
            continue
        try:
            return PackedCadences(pack, root, ids, panels), ""
        except SetiError as error:
            reasons.append(f"{pack.data}: {error}")
    return None, "; ".join(reasons)


def _all_panels(root: Path, panels: tuple[int, ...], pack_dir: str | Path | None) -> str:
    """Advice to pack all panels: from the cadence files, which may be elsewhere."""
    if any(competition.list_files(root, split) for split in ("train", "test")):
        return f"all are needed: {pack_command(root, panels, pack_dir)}"
    command = f"{hints.command('pack')} data.root=<folder of these files> panels=all"
    return f"all are needed, which only the cadence files have: {command} makes the pack to give in its place"
