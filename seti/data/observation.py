"""Observations: filterbank files of one pointing, read one coarse channel at a time.

Arrays are always in ascending frequency, whatever the sign of `foff` in the file; `Header.frequency_mhz` and
`Header.file_index` lead from a bin of such an array back to the file. The formats are in `hdf5_filterbank` and
`sigproc`, the width of a coarse channel in `coarse_channels`.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from seti.data import hdf5_filterbank, sigproc
from seti.data.coarse_channels import coarse_width as find_width
from seti.errors import SetiError, brief

SUFFIXES = (".h5", ".hdf5", ".fil")
FINEST_NEEDED = 1000.0  # Hz; a needle is a few Hz wide
SHORTEST_NEEDED = 0.05  # s; rows of the high-time-resolution product have 0.35 ms
# The Stokes parameters and the products of the two feeds carry the same nifs.
FEEDS = {
    1: ("total power",),
    2: ("XX", "YY"),
    4: ("I or XX", "Q or YY", "U or Re XY", "V or Im XY"),
}


@dataclass(frozen=True)
class Header:
    """Header of an observation.

    Attributes:
        path: the file.
        source: name of the target, without spaces around it.
        ra_deg: right ascension in degrees.
        dec_deg: declination in degrees.
        fch1_mhz: frequency of the middle of the file's first channel, in MHz.
        foff_mhz: distance of its channels in MHz, negative if they are in descending order.
        tsamp_s: length of a row in s.
        tstart_mjd: begin of the first row, in days (MJD).
        channels: number of fine channels.
        feeds: number of polarisation products.
        bits: bits of a sample.
        rows: number of rows.
        telescope_id: 6 for Green Bank, 4 for Parkes.
        coarse_width: number of fine channels in a coarse channel.
        attributes: the whole header as it is in the file, with right ascension in hours.
    """

    path: Path
    source: str
    ra_deg: float
    dec_deg: float
    fch1_mhz: float
    foff_mhz: float
    tsamp_s: float
    tstart_mjd: float
    channels: int
    feeds: int
    bits: int
    rows: int
    telescope_id: int
    coarse_width: int
    attributes: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def coarse_channels(self) -> int:
        """Number of coarse channels."""
        return self.channels // self.coarse_width

    @property
    def resolution_hz(self) -> float:
        """Width of a fine channel in Hz, positive."""
        return abs(self.foff_mhz) * 1e6

    @property
    def ascending(self) -> bool:
        """True if frequencies rise in the file."""
        return self.foff_mhz > 0

    @property
    def lowest_mhz(self) -> float:
        """Frequency of the middle of the lowest channel, in MHz."""
        return min(self.fch1_mhz, self.fch1_mhz + (self.channels - 1) * self.foff_mhz)

    @property
    def highest_mhz(self) -> float:
        """Frequency of the middle of the highest channel, in MHz."""
        return max(self.fch1_mhz, self.fch1_mhz + (self.channels - 1) * self.foff_mhz)

    @property
    def length_s(self) -> float:
        """Length of the observation in s."""
        return self.rows * self.tsamp_s

    @property
    def raw_file(self) -> str:
        """Name of the recording that the file was made from; empty if the header lacks it."""
        return str(self.attributes.get("rawdatafile", ""))

    @property
    def feed_names(self) -> tuple[str, ...]:
        """Names of the polarisation products, in the file's order."""
        return FEEDS.get(self.feeds) or tuple(f"feed {number}" for number in range(self.feeds))

    def file_index(self, coarse: int, bin: float) -> float:
        """Find the file's own channel number of a bin, whole for a whole bin.

        Args:
            coarse: coarse channel, counted in file order.
            bin: bin in the ascending array of that coarse channel.
        """
        within = bin if self.ascending else self.coarse_width - 1 - bin
        return coarse * self.coarse_width + within

    def frequency_mhz(self, coarse: int, bin: float) -> float:
        """Frequency in MHz of a bin; arguments as for `file_index`."""
        return self.fch1_mhz + self.file_index(coarse, bin) * self.foff_mhz

    def coarse_channel_of(self, frequency_mhz: float) -> tuple[int, float]:
        """Find the coarse channel of a frequency, and its bin in that channel's ascending array."""
        index = (frequency_mhz - self.fch1_mhz) / self.foff_mhz
        coarse = min(max(math.floor((index + 0.5) / self.coarse_width), 0), self.coarse_channels - 1)
        within = index - coarse * self.coarse_width
        return coarse, within if self.ascending else self.coarse_width - 1 - within


class Observation:
    """Open observation; a context manager that closes the file.

    Attributes:
        header: its header.
    """

    def __init__(self, header: Header, file: "hdf5_filterbank.Hdf5File | sigproc.SigprocFile") -> None:
        self.header = header
        self.dtype = file.dtype
        self._file = file

    def coarse_channel(self, k: int, feed: int = 0) -> np.ndarray:
        """Read a coarse channel.

        Args:
            k: its number, counted in file order from 0.
            feed: polarisation product, see `Header.feed_names`.

        Returns:
            `(rows, coarse_width)` float32 in ascending frequency.

        Raises:
            SetiError: there is no such channel, or the file cannot be read there.
        """
        if not 0 <= k < self.header.coarse_channels:
            msg = f"{self.header.path} has no coarse channel {k}: it has 0 to {self.header.coarse_channels - 1}"
            raise SetiError(msg)
        width = self.header.coarse_width
        return self.read(k * width, (k + 1) * width, feed)

    def read(self, start: int, stop: int, feed: int = 0) -> np.ndarray:
        """Read the channels `start` to `stop`, counted in file order.

        Returns:
            `(rows, stop - start)` float32 in ascending frequency.

        Raises:
            SetiError: there are no such channels, or the file cannot be read there.
        """
        header = self.header
        if not 0 <= start < stop <= header.channels:
            msg = f"{header.path} has no channels {start} to {stop - 1}: it has 0 to {header.channels - 1}"
            raise SetiError(msg)
        if not 0 <= feed < header.feeds:
            msg = f"{header.path} has no feed {feed}: it has 0 to {header.feeds - 1} ({', '.join(header.feed_names)})"
            raise SetiError(msg)
        out = np.empty((header.rows, stop - start), np.float32)
        for row, values in self._file.rows(start, stop, feed):
            out[row] = values if header.ascending else values[::-1]
        return out

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_observation(path: str | Path, coarse_width: int | None = None) -> Observation:
    """Open a filterbank file, `.h5` or `.fil`; the content decides which, not the name.

    Args:
        path: the file.
        coarse_width: number of fine channels in a coarse channel; None to find it in the header.

    Raises:
        SetiError: the file is missing, truncated, no filterbank file or not the fine product, it has no rows, its
            header lacks something, or a package of the extra `scan` is missing.
    """
    path = Path(path)
    file = _open(path)
    try:
        return Observation(_header(path, file.attributes, file.shape, file.dtype, coarse_width), file)
    except BaseException:
        file.close()
        raise


def read_header(path: str | Path, coarse_width: int | None = None) -> Header:
    """Read an observation's header; arguments and errors as for `open_observation`."""
    with open_observation(path, coarse_width) as observation:
        return observation.header


def _open(path: Path) -> "hdf5_filterbank.Hdf5File | sigproc.SigprocFile":
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else "does not exist"
        msg = f"observation {path} {state}: give a .h5 or .fil file"
        raise SetiError(msg)
    with path.open("rb") as stream:
        start = stream.read(len(sigproc.MAGIC))
    if start.startswith(hdf5_filterbank.MAGIC):
        return hdf5_filterbank.Hdf5File(path)
    if start == sigproc.MAGIC:
        return sigproc.SigprocFile(path)
    if not start:
        msg = f"{path} is empty: copy the file again"
        raise SetiError(msg)
    msg = f"{path} is not a filterbank file, neither HDF5 nor SIGPROC: give a .h5 or .fil observation"
    raise SetiError(msg)


def _header(
    path: Path, attributes: dict[str, Any], shape: tuple[int, int, int], dtype: np.dtype, given: int | None
) -> Header:
    rows, feeds, channels = shape
    if not rows or not feeds or not channels:
        what = "rows" if not rows else "channels"
        msg = f"{path} has no {what} (its data have shape {shape}): copy or make the file again"
        raise SetiError(msg)
    values = {name: _number(path, attributes, name) for name in ("fch1", "foff", "tsamp", "tstart")}
    for name in ("foff", "tsamp"):
        if values[name] == 0 or (name == "tsamp" and values[name] < 0):
            msg = f"{path} has {name}={values[name]:g} in its header: it cannot be right; replace the file"
            raise SetiError(msg)
    _refuse_other_products(path, abs(values["foff"]) * 1e6, values["tsamp"])
    return Header(
        path=path,
        source=brief(attributes.get("source_name", "")).strip(),
        ra_deg=15 * _number(path, attributes, "src_raj", 0.0),
        dec_deg=_number(path, attributes, "src_dej", 0.0),
        fch1_mhz=values["fch1"],
        foff_mhz=values["foff"],
        tsamp_s=values["tsamp"],
        tstart_mjd=values["tstart"],
        channels=channels,
        feeds=feeds,
        bits=8 * dtype.itemsize,
        rows=rows,
        telescope_id=int(_number(path, attributes, "telescope_id", 0)),
        coarse_width=find_width(path, attributes, channels, given),
        attributes=attributes,
    )


def _number(path: Path, attributes: dict[str, Any], name: str, default: float | None = None) -> float:
    value = attributes.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        lacks = "lacks it" if value is None else f"has {brief(value)}"
        msg = f"{path} needs a number for {name} in its header, and {lacks}: replace the file"
        raise SetiError(msg)
    return number


def _refuse_other_products(path: Path, resolution_hz: float, tsamp_s: float) -> None:
    """Refuse Breakthrough Listen's products of low frequency resolution."""
    if resolution_hz <= FINEST_NEEDED and tsamp_s >= SHORTEST_NEEDED:
        return
    fast = tsamp_s < SHORTEST_NEEDED
    product = "high-time-resolution product (rawspec.0001)" if fast else "medium-resolution product (rawspec.0002)"
    msg = (
        f"{path} has channels of {resolution_hz:.6g} Hz and rows of {tsamp_s:.3g} s: this is the {product}, in which a "
        "needle of a few Hz is lost; give the fine product (...rawspec.0000.h5)"
    )
    raise SetiError(msg)
