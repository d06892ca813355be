"""Plan of a pack: sources, shape and size, fixed before the first row is written."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.cadence import PANEL_CHOICES
from seti.data.pack_reader import FORMAT, PackFiles, digest, npy_header


@dataclass(frozen=True)
class PackPlan:
    """Contents of a pack that is to be written.

    Attributes:
        pack: its files.
        root: the data set's folder.
        table: columns id, size, mtime_ns: the sources, in the pack's order.
        rows, bins, dtype: of every panel.
        paths: of the sources, in the same order.
    """

    pack: PackFiles
    root: Path
    table: pd.DataFrame
    rows: int
    bins: int
    dtype: str
    paths: tuple[str, ...]

    @property
    def panels(self) -> tuple[int, ...]:
        """Numbers of the panels that are packed."""
        return PANEL_CHOICES[self.pack.panels]

    @property
    def row_bytes(self) -> int:
        """Bytes of one cadence."""
        return len(self.panels) * self.rows * self.bins * np.dtype(self.dtype).itemsize

    @property
    def journal(self) -> Path:
        """Lists the rows that the partial file holds, with their checksums."""
        return journal_path(self.pack)

    @functools.cached_property
    def header(self) -> bytes:
        """The `.npy` header."""
        return npy_header(self.dtype, (len(self.table), len(self.panels), self.rows, self.bins))

    @property
    def size(self) -> int:
        """Bytes of the packed file."""
        return len(self.header) + len(self.table) * self.row_bytes

    def identity(self) -> str:
        """One line that identifies the contents: a partial file of anything else is of no use."""
        table = self.table
        sources = table["id"] + " " + table["size"].astype(str) + " " + table["mtime_ns"].astype(str)
        identity = {"format": FORMAT, "sources": digest(sources), "header": digest(pd.Series([self.header.hex()]))}
        return json.dumps(identity)


def journal_path(pack: PackFiles) -> Path:
    """Path of the journal of an unfinished pack."""
    return pack.table.with_suffix(".csv.part")
