"""Sources of cadences: the interface of datasets to data on disk, and the cadence files.

`seti.data.pack_reader.PackedCadences` is another source; `seti.data.splits` chooses between files and pack.
"""

import copy
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from seti.data import competition
from seti.data.cadence import PANEL_LETTERS, describe_values, fit_networks, is_float, read_cadence, read_format
from seti.errors import SetiError


class CadenceSource(Protocol):
    """Cadences of one size, each read by its place in `ids`.

    To add a source (tiles of an observation, cadences with their background subtracted), write a class with these
    members and pass an instance to `seti.dataloading.dataset.CadenceDataset`: nothing else needs to know it. It need
    not derive from this class. It must be picklable, for workers that are spawned; threads call `read` at once.
    A source that changes cadences wraps another one, forwards its attributes and changes what its `read` returns:

        class Subtracted:
            def __init__(self, source: CadenceSource, background: np.ndarray) -> None:
                self.ids, self.panels, self.rows, self.bins = source.ids, source.panels, source.rows, source.bins
                self._source, self._background = source, background

            def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
                return np.subtract(self._source.read(index), self._background, out=out)

    Attributes:
        ids: `(N,)` numpy text, the names under which predictions are written.
        panels: which of the cadence's six panels (0 to 5) are read, in the order in which `read` returns them.
        rows: time steps of every panel.
        bins: frequency bins of every panel.
    """

    ids: np.ndarray
    panels: tuple[int, ...]
    rows: int
    bins: int

    def __len__(self) -> int:
        """Number of cadences, N."""
        ...

    @property
    def description(self) -> str:
        """Origin of the cadences, as in the log line "cadences are read from ..."."""
        ...

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence.

        Args:
            index: place in `ids`, 0 to N-1.
            out: `(len(panels), rows, bins)`, to be written to and returned.

        Returns:
            `(len(panels), rows, bins)`, floats of 2, 4 or 8 bytes, for which `seti.data.cadence.fit_networks` is true.
            May be read-only.

        Raises:
            SetiError: the cadence is damaged or of another size.
        """
        ...

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences without opening the source again.

        Args:
            indices: `(M,)` places in `ids`, in the order wanted.

        Returns:
            A source of M cadences.
        """
        ...


class CadenceFiles:
    """Cadences of one split in the competition's layout, a file each: a `CadenceSource`.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        panels: which of the six are read.
        size: `(rows, bins)` of every panel; files of another size are refused. None: the first cadence's.
        reason: why an existing pack is not used, for the log.

    Raises:
        SetiError: no size is given, and the first cadence is missing or damaged.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        ids: np.ndarray,
        panels: tuple[int, ...],
        size: tuple[int, int] | None = None,
        reason: str = "",
    ) -> None:
        self.ids = np.asarray(ids, dtype=np.str_)  # one block of memory: a list would be copied into every worker
        self.panels = panels
        self._size = size or read_format(competition.cadence_path(root, split, str(self.ids[0])))[0]
        self.rows, self.bins = self._size
        self._folder = str(root / split)
        self._reason = reason

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Folder of the files, and why no pack is used."""
        return f"the files in {self._folder}" + (f" ({self._reason})" if self._reason else "")

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)
        taken.ids = self.ids[indices]
        return taken

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one cadence.

        Args:
            index: place in `ids`.
            out: `(len(panels), rows, bins)`: read into.

        Returns:
            `(len(panels), rows, bins)` in the file's own precision; or `out`.

        Raises:
            SetiError: the file is damaged or its panels have another size than the data set's.
        """
        name = str(self.ids[index])
        # As competition.cadence_path, but without pathlib, which takes 5 us.
        return read_cadence(f"{self._folder}/{name[0]}/{name}.npy", self.panels, out, self._size, True)


class CadenceArray:
    """Cadences in memory: a `CadenceSource`.

    Args:
        cadences: `(N, 6, rows, bins)` floats of 2, 4 or 8 bytes, panels in the order ABACAD.
        panels: which of the six are read.

    Raises:
        SetiError: the array has another shape, is empty, or does not hold floats.
    """

    def __init__(self, cadences: np.ndarray, panels: tuple[int, ...]) -> None:
        if cadences.ndim != 4 or cadences.shape[1] != len(PANEL_LETTERS) or 0 in cadences.shape:
            msg = f"cadences have the shape (N, {len(PANEL_LETTERS)}, rows, bins), not {cadences.shape}"
            if cadences.ndim == 4 and cadences.shape[1] == len(PANEL_LETTERS) and 0 in cadences.shape[2:]:
                msg = f"the cadences are empty, they have the shape {cadences.shape}: give some with rows and bins"
            raise SetiError(msg)
        if not is_float(cadences.dtype):
            advice = "give cadences.astype('float32')" if cadences.dtype.kind in "iuf" else "give real numbers"
            msg = f"cadences hold {cadences.dtype}, not floats of 2, 4 or 8 bytes: {advice}"
            raise SetiError(msg)
        self.ids = np.arange(len(cadences)).astype(np.str_)
        self.panels = panels
        self.rows, self.bins = cadences.shape[2:]
        self._cadences = cadences

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Shape of the array."""
        return f"an array of shape {self._cadences.shape}"

    def take(self, indices: np.ndarray) -> Self:
        """Select cadences: `indices` `(M,)` are places in `ids`."""
        taken = copy.copy(self)
        taken.ids, taken._cadences = self.ids[indices], self._cadences[indices]
        return taken

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Copy the panels of one cadence: `(len(panels), rows, bins)` floats; or `out`.

        Raises:
            SetiError: a value is NaN, infinite or out of the range of networks.
        """
        panels = self._cadences[index][list(self.panels)]
        panels = np.ascontiguousarray(panels)
        if not fit_networks(panels):
            found, scale = describe_values(panels, self.panels)
            advice = "scale the cadences" if scale else "leave that cadence out, or replace these values"
            msg = f"cadences[{self.ids[index]}] has {found}: {advice}"
            raise SetiError(msg)
        if out is None:
            return panels
        np.copyto(out, panels)
        return out
