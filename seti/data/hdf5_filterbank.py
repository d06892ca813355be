"""HDF5 filterbank files (`.h5`).

The dataset `data` has the axes time, feed and frequency; its attributes are the header.
Observations are compressed with bitshuffle and LZ4, which HDF5 finds in the package hdf5plugin. Both packages belong to
the extra `scan` and are imported when a file is opened.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from seti.errors import SetiError, brief

MAGIC = b"\x89HDF\r\n\x1a\n"
AXES = ("CLASS", "NAME", "DIMENSION_LABELS", "DIMENSION_LIST", "REFERENCE_LIST")  # HDF5's own, not the header
EXTRA = "pip install 'seti[scan]'"


class Hdf5File:
    """Open `.h5` file.

    Attributes:
        attributes: those of the dataset, as Python's own types; right ascension is in hours, declination in degrees.
        shape: `(rows, feeds, channels)`.
        dtype: type of a sample.

    Raises:
        SetiError: the file is truncated, is not a filterbank file, or needs a package that is missing.
    """

    def __init__(self, path: Path) -> None:
        h5py = import_h5py()
        self._path = path
        try:
            self._file = _open(h5py, path)
        except OSError as error:
            if error.errno is not None and not is_hdf5_failure(error):
                raise
            state = "is truncated" if "truncated" in str(error) else f"cannot be opened as HDF5 ({brief(error, 200)})"
            msg = f"{path} {state}: copy the file again"
            raise SetiError(msg) from error
        try:
            self._data = self._dataset(h5py)
            attributes = {name: plain(self._data.attrs[name]) for name in self._data.attrs if name not in AXES}
            self.attributes = attributes
        except SetiError:
            self.close()
            raise
        except Exception as error:  # damage can surface anywhere in HDF5's own structures
            self.close()
            msg = f"{path} has a damaged header ({brief(error, 200)}): copy the file again"
            raise SetiError(msg) from error
        self.shape = tuple(self._data.shape)
        self.dtype = self._data.dtype

    def rows(self, start: int, stop: int, feed: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield `(row, values)` of the channels `start` to `stop`, in the file's order and type.

        Raises:
            SetiError: the samples cannot be read or decompressed.
        """
        # No chunk is decompressed twice: as many rows at once as a chunk has, which is one in observations.
        step = self._data.chunks[0] if self._data.chunks else 1
        for first in range(0, self.shape[0], step):
            try:
                block = self._data[first : first + step, feed, start:stop]
            except OSError as error:
                msg = (
                    f"{self._path} cannot be read in row {first}, channels {start} to {stop - 1} "
                    f"({brief(error, 200)}): copy the file again"
                )
                raise SetiError(msg) from error
            for offset, values in enumerate(block):
                yield first + offset, values

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with suppress(Exception):  # nothing was written
            self._file.close()

    def _dataset(self, h5py: ModuleType) -> Any:
        path = self._path
        kind = plain(self._file.attrs.get("CLASS", ""))
        if kind != "FILTERBANK" or not isinstance(self._file.get("data"), h5py.Dataset):
            lacks = "dataset 'data'" if kind == "FILTERBANK" else "attribute CLASS=FILTERBANK"
            msg = f"{path} is not a filterbank file: it is HDF5 without {lacks}; give a .h5 or .fil observation"
            raise SetiError(msg)
        data = self._file["data"]
        if data.ndim != 3:
            msg = f"{path} holds data of shape {data.shape}, not (rows, feeds, channels): convert the file with blimpy"
            raise SetiError(msg)
        if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
            msg = f"{path} holds {brief(data.dtype)}, not numbers: replace the file"
            raise SetiError(msg)
        if data.is_virtual:
            import_plugin()  # the files that hold the samples may be compressed
        filters = data.id.get_create_plist()
        for number in range(filters.get_nfilters()):
            code, _, _, name = filters.get_filter(number)
            if not h5py.h5z.filter_avail(code) and not _load_plugin(h5py, code):
                shown = brief(plain(name) or code)
                msg = f"{path} is compressed with {shown}, for which HDF5 has no plugin here: {EXTRA}"
                raise SetiError(msg)
        return data


def _open(h5py: ModuleType, path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "lock" not in str(error):
            raise
        return h5py.File(path, "r", locking=False)  # archives are often on servers that know no locks


def import_h5py() -> ModuleType:
    """Import h5py on first use.

    Raises:
        SetiError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        msg = f".h5 observations need h5py, which is not installed ({error}): {EXTRA}"
        raise SetiError(msg) from error
    return h5py


def import_plugin() -> ModuleType | None:
    """Import hdf5plugin, which registers its compressions with HDF5; None where it is missing."""
    try:
        import hdf5plugin
    except ImportError:
        return None
    return hdf5plugin


def is_hdf5_failure(error: OSError) -> bool:
    """Check that an error is HDF5's own: h5py raises OSErrors whose text is that of HDF5."""
    return "nable to" in str(error) and "(" in str(error) and error.filename is None and "errno =" not in str(error)


def plain(value: Any) -> Any:
    """Convert an attribute to Python's own types: text, whole number, number, or a list of them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        return plain(value.item()) if value.size == 1 else [plain(one) for one in value.ravel()[:1000]]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and math.isnan(value):
        return value
    return value if isinstance(value, str | int | float | bool) else str(value)


def _load_plugin(h5py: ModuleType, code: int) -> bool:
    return import_plugin() is not None and bool(h5py.h5z.filter_avail(code))
