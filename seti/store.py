"""Where a split's cadences are read from."""

from pathlib import Path

import numpy as np

from seti import catalog
from seti.cadence import read_cadence
from seti.errors import SetiError


class CadenceFiles:
    """Cadences of one split in the competition's layout, a file each.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        panels: which of the six are read.
        rows, bins: of every panel; other files are refused.
    """

    def __init__(self, root: Path, split: str, ids: np.ndarray, panels: tuple[int, ...], rows: int, bins: int) -> None:
        self.root = root
        self.split = split
        self.ids = np.asarray(ids, dtype=np.str_)  # one block of memory: a list would be copied into every worker
        self.panels = panels
        self.rows = rows
        self.bins = bins

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> np.ndarray:
        """Read one cadence.

        Returns:
            `(len(panels), rows, bins)` in the file's own precision.

        Raises:
            SetiError: the file is damaged or of another shape than the data set's.
        """
        path = catalog.cadence_path(self.root, self.split, str(self.ids[index]))
        cadence = read_cadence(path, self.panels)
        if cadence.shape[1:] != (self.rows, self.bins):
            msg = (
                f"cadence {path} has panels of {cadence.shape[1]} x {cadence.shape[2]}, the others have "
                f"{self.rows} x {self.bins}: remove or replace the file"
            )
            raise SetiError(msg)
        return cadence
