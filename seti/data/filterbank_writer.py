"""Writing of filterbank files, `.h5` or `.fil`, whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seti.data import hdf5_filterbank, sigproc
from seti.errors import SetiError
from seti.utils import files

CHUNK = 1 << 20  # channels of a chunk, as in observations
REQUIRED = ("fch1", "foff", "tsamp", "tstart")
Put = Callable[[int, int, np.ndarray], None]  # feed, first channel, values in file order


class FilterbankWriter:
    """File that is being written; made by `writing`.

    Attributes:
        shape: `(rows, feeds, channels)`.
        dtype: type of a sample in the file.
    """

    def __init__(self, put: Put, shape: tuple[int, int, int], dtype: np.dtype, ascending: bool) -> None:
        self.shape, self.dtype = shape, dtype
        self._put, self._ascending = put, ascending

    def write(self, start: int, values: np.ndarray, feed: int = 0) -> None:
        """Write the channels from `start` on, in file order: the inverse of `Observation.read`.

        Args:
            start: first channel.
            values: `(rows, n)` in ascending frequency; rounded and clipped where the file holds whole numbers.
            feed: polarisation product.
        """
        rows, _, channels = self.shape
        stop = start + values.shape[1]
        if values.shape[0] != rows or not 0 <= start <= stop <= channels:
            msg = f"values of shape {values.shape} do not fit at channel {start} of {self.shape}"
            raise ValueError(msg)
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        values = values if self._ascending else values[:, ::-1]
        self._put(feed, start, values.astype(self.dtype, copy=False))


@contextmanager
def writing(
    path: str | Path,
    attributes: dict[str, Any],
    shape: tuple[int, int, int],
    dtype: str | np.dtype = "<f4",
    chunk: int | None = None,
) -> Iterator[FilterbankWriter]:
    """Write a filterbank file, which appears under its name only if the block succeeds.

    Args:
        path: the file; its suffix, `.h5` or `.fil`, decides the format.
        attributes: header, named as in SIGPROC: `fch1` and `foff` in MHz, `tsamp` in s, `tstart` in MJD,
            `source_name`, `src_raj` in hours, `src_dej` in degrees, ... What follows from `shape` and `dtype` is set.
        shape: `(rows, feeds, channels)`.
        dtype: `<f4`, or a whole number of 8 or 16 bits without sign.
        chunk: channels of a chunk of an `.h5`; None for that of observations.

    Raises:
        SetiError: `.h5` is asked for and h5py is missing, or the suffix is another.
        OSError: the file cannot be written; the error names it.
    """
    path, dtype = Path(path), np.dtype(dtype)
    missing = [name for name in REQUIRED if name not in attributes]
    if missing:
        msg = f"{path} needs {', '.join(missing)} in its header"
        raise ValueError(msg)
    _, feeds, channels = shape
    header = {
        **attributes,
        **{"nchans": int(channels), "nifs": int(feeds), "nbits": 8 * dtype.itemsize},
        "data_type": attributes.get("data_type", 1),
        "machine_id": attributes.get("machine_id", 20),
        "telescope_id": attributes.get("telescope_id", 6),
        "source_name": attributes.get("source_name", ""),
        "src_raj": attributes.get("src_raj", 0.0),
        "src_dej": attributes.get("src_dej", 0.0),
    }
    make = {".h5": _hdf5, ".hdf5": _hdf5, ".fil": _sigproc}.get(path.suffix.lower())
    if make is None:
        msg = f"{path} must end in .h5 or .fil: these are the formats that can be written"
        raise SetiError(msg)
    with files.atomic_write(path) as temporary, make(temporary, header, shape, dtype, chunk) as put:
        yield FilterbankWriter(put, tuple(shape), dtype, header["foff"] > 0)


def write_filterbank(
    path: str | Path, attributes: dict[str, Any], values: np.ndarray, dtype: str | np.dtype = "<f4"
) -> None:
    """Write a whole filterbank file; arguments and errors as for `writing`.

    Args:
        path: the file.
        attributes: its header.
        values: `(rows, channels)` or `(rows, feeds, channels)`, in ascending frequency.
        dtype: type of a sample in the file.
    """
    values = values[:, None] if values.ndim == 2 else values
    with writing(path, attributes, values.shape, dtype) as writer:
        for feed in range(values.shape[1]):
            writer.write(0, values[:, feed], feed)


@contextmanager
def _hdf5(
    path: Path, header: dict[str, Any], shape: tuple[int, int, int], dtype: np.dtype, chunk: int | None
) -> Iterator[Put]:
    h5py, plugin = hdf5_filterbank.import_h5py(), hdf5_filterbank.import_plugin()
    compression = {} if plugin is None else dict(plugin.Bitshuffle(nelems=0, cname="lz4"))
    with path.open("w+b", buffering=0) as stream:
        disk = _Disk(stream)
        with h5py.File(disk, "w") as file:
            file.attrs["CLASS"] = "FILTERBANK"
            file.attrs["VERSION"] = "1.0"
            chunks = (1, 1, min(chunk or CHUNK, shape[2]))
            data = file.create_dataset("data", shape, dtype, chunks=chunks, **compression)
            for number, label in enumerate(("time", "feed_id", "frequency")):
                data.dims[number].label = label
            for name, value in header.items():
                data.attrs[name] = value

            def put(feed: int, start: int, values: np.ndarray) -> None:
                data[:, feed, start : start + values.shape[1]] = values
                disk.raise_error()

            yield put
        disk.raise_error()


class _Disk:
    """Stream that keeps the first error until it is asked for.

    HDF5 that cannot write, as on a full disk, crashes the process when it closes the file: it is left to believe that
    all went well.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._error = stream, None
        self.seek, self.tell, self.read, self.readinto = stream.seek, stream.tell, stream.read, stream.readinto

    def write(self, content: memoryview) -> int:
        """Write, or remember why not."""
        self._try(lambda: self._stream.write(content))
        return len(content)

    def truncate(self, size: int) -> int:
        """Set the length, or remember why not."""
        self._try(lambda: self._stream.truncate(size))
        return size

    def flush(self) -> None:
        """Flush, or remember why not."""
        self._try(self._stream.flush)

    def raise_error(self) -> None:
        """Raise the first error that there was."""
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror) from self._error

    def _try(self, act: Callable[[], Any]) -> None:
        if self._error is None:
            try:
                act()
            except OSError as error:
                self._error = error


@contextmanager
def _sigproc(
    path: Path, header: dict[str, Any], shape: tuple[int, int, int], dtype: np.dtype, chunk: int | None
) -> Iterator[Put]:
    rows, feeds, channels = shape
    little = dtype.newbyteorder("<")
    with path.open("wb") as stream:
        begin = stream.write(sigproc.build_header(header))
        # Channels that are never written are zeros, as in an .h5.
        stream.truncate(begin + rows * feeds * channels * dtype.itemsize)

        def put(feed: int, start: int, values: np.ndarray) -> None:
            for row, content in enumerate(np.ascontiguousarray(values, little)):
                stream.seek(begin + ((row * feeds + feed) * channels + start) * dtype.itemsize)
                stream.write(content)

        yield put
