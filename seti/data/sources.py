"""Where a split's cadences are read from: a file each, or a pack of them all."""

import copy
from pathlib import Path
from typing import Self

import numpy as np

from seti.data import competition
from seti.data.cadence import read_cadence, read_format
from seti.data.pack_reader import PackedCadences, open_packed, pack_command, pack_folder
from seti.errors import SetiError


class CadenceFiles:
    """Cadences of one split in the competition's layout, a file each.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        panels: which of the six are read.
        rows, bins: of every panel; other files are refused. None: those of the first cadence.
        reason: why a pack that exists is not used, for a log.

    Raises:
        SetiError: the size is not given, and the first cadence is missing or damaged.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        ids: np.ndarray,
        panels: tuple[int, ...],
        rows: int | None = None,
        bins: int | None = None,
        reason: str = "",
    ) -> None:
        self.root = root
        self.split = split
        self.ids = np.asarray(ids, dtype=np.str_)  # one block of memory: a list would be copied into every worker
        self.panels = panels
        if rows is None or bins is None:
            (rows, bins), _ = read_format(competition.cadence_path(root, split, str(self.ids[0])))
        self.rows = rows
        self.bins = bins
        self._folder = str(root / split)
        self._size = (rows, bins)
        self._reason = reason

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: np.ndarray) -> Self:
        """Some of these cadences.

        Args:
            indices: `(M,)`, of the ids.
        """
        taken = copy.copy(self)
        taken.ids = self.ids[indices]
        return taken

    @property
    def source(self) -> str:
        """For a log: where these cadences come from."""
        return f"the files in {self._folder}" + (f" ({self._reason})" if self._reason else "")

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence.

        Args:
            index: of its id.
            out: `(len(panels), rows, bins)`: read into.

        Returns:
            `(len(panels), rows, bins)` in the file's own precision; or `out`.

        Raises:
            SetiError: the file is damaged or of another shape than the data set's.
        """
        name = str(self.ids[index])
        # As competition.cadence_path, but without pathlib, which takes 5 us.
        return read_cadence(f"{self._folder}/{name[0]}/{name}.npy", self.panels, out, self._size)


Store = CadenceFiles | PackedCadences


def open_store(
    root: Path,
    split: str,
    ids: np.ndarray,
    panels: tuple[int, ...],
    rows: int | None = None,
    bins: int | None = None,
    packed: str = "auto",
    pack_dir: str | Path | None = None,
) -> Store:
    """Open a split's cadences: the pack where there is a whole one that matches, otherwise the files.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        panels: which of the six are read.
        rows, bins: of every panel. None: those of the pack, or of the first cadence.
        packed: `auto`, `true` or `false`: `true` accepts nothing but a pack, `false` looks for none.
        pack_dir: where packs are; None: `<root>/packed`.

    Raises:
        SetiError: `packed` is `true` and there is no pack that can serve; or the panels have another size.
    """
    pack, reason = (None, "") if packed == "false" else open_packed(root, split, ids, panels, pack_dir)
    if pack is None and packed == "true":
        folder = pack_folder(root, pack_dir)
        command = pack_command(root, panels, pack_dir)
        reason = reason or f"{folder} has no pack of {split} with these panels: {command}"
        msg = f"data.packed=true, but {reason} (data.packed=auto reads the files instead)"
        raise SetiError(msg)
    if pack is None:
        return CadenceFiles(root, split, ids, panels, rows, bins, reason)
    if rows is not None and (pack.rows, pack.bins) != (rows, bins):
        msg = f"the pack {pack.pack.data} has panels of {pack.rows} x {pack.bins}, not of {rows} x {bins}"
        raise SetiError(msg)
    return pack
