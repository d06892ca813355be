"""SIGPROC filterbank files (`.fil`): a header of keywords, then raw samples in time order.

The format has no types in it: a reader must know every keyword. The table below has those of SIGPROC's manual and of
the programs that write observations today.
"""

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seti.errors import SetiError, brief

INTEGERS = (
    *("telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits", "nsamples", "nchans"),
    *("nifs", "nbeams", "ibeam", "nbins", "npuls", "nfpc"),
)
DOUBLES = (
    *("az_start", "za_start", "tstart", "tsamp", "fch1", "foff", "fchannel", "refdm", "period"),
    *("src_raj", "src_dej"),
)
STRINGS = ("rawdatafile", "source_name")
# Keywords that are written: nfpc is left out, because blimpy refuses a .fil with a keyword that it does not know.
WRITTEN = {name for name in (*INTEGERS, *DOUBLES, *STRINGS) if name not in ("nbins", "npuls", "nfpc", "fchannel")}
BLIMPY_ANGLES = ("src_raj", "src_dej")
LONGEST_HEADER = 1 << 20  # bytes; a header has hundreds
LONGEST_STRING = 4096
START, END = "HEADER_START", "HEADER_END"
MAGIC = struct.pack("<i", len(START)) + START.encode()
# As blimpy reads them: whole numbers have no sign.
TYPES = {8: np.dtype("u1"), 16: np.dtype("<u2"), 32: np.dtype("<f4")}


class SigprocFile:
    """Open `.fil` file.

    The samples are read with ordinary reads, not through a memory map: mapped pages would count as this process's
    memory, and a failing disk would kill the process where a read raises an error.

    Attributes:
        attributes: header, with right ascension in hours and declination in degrees.
        shape: `(rows, feeds, channels)`.
        dtype: type of a sample.

    Raises:
        SetiError: the file is no `.fil`, is truncated, or its header cannot be right.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            self.attributes = read_header(path, stream)
            self._start = stream.tell()
        bits = self.attributes.get("nbits", 32)
        if bits not in TYPES:
            msg = f"{path} has nbits={bits}: samples of 8, 16 and 32 bits can be read; convert the file"
            raise SetiError(msg)
        self.dtype = TYPES[bits]
        feeds, channels = self.attributes.get("nifs", 1) or 1, self.attributes.get("nchans", 0)
        if feeds < 1 or channels < 1:
            msg = f"{path} has nchans={channels}, nifs={feeds} in its header: replace the file"
            raise SetiError(msg)
        self._row = feeds * channels * self.dtype.itemsize
        rows, surplus = divmod(path.stat().st_size - self._start, self._row)
        claimed = self.attributes.get("nsamples", 0)
        if surplus or rows < claimed:
            whole = f"{claimed} rows" if rows < claimed else "whole rows"
            msg = (
                f"{path} is truncated: its samples are {rows} rows and {surplus} bytes, where its header asks for "
                f"{whole} of {self._row} bytes; copy the file again"
            )
            raise SetiError(msg)
        self.shape = (rows, feeds, channels)
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._path = path

    def rows(self, start: int, stop: int, feed: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield `(row, values)` of the channels `start` to `stop`, in the file's order and type."""
        width = self.dtype.itemsize
        length = (stop - start) * width
        for row in range(self.shape[0]):
            offset = self._start + row * self._row + (feed * self.shape[2] + start) * width
            parts, missing = [], length
            while missing:
                part = os.pread(self._descriptor, missing, offset + length - missing)
                if not part:
                    msg = f"{self._path} has become shorter while it was read: copy the file again"
                    raise SetiError(msg)
                parts.append(part)
                missing -= len(part)
            yield row, np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), self.dtype)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_header(path: Path, stream: BinaryIO) -> dict[str, Any]:
    """Read a header, and leave the stream at the first sample.

    Raises:
        SetiError: the header is not SIGPROC's, ends early, or has a keyword of unknown type.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        msg = (
            f"{path} is not a filterbank file: it does not begin with SIGPROC's {START}; give a .h5 or .fil observation"
        )
        raise SetiError(msg)
    found: dict[str, Any] = {}
    while stream.tell() < LONGEST_HEADER:
        keyword = _string(path, stream)
        if keyword == END:
            break
        if keyword in INTEGERS:
            found[keyword] = struct.unpack("<i", _take(path, stream, 4))[0]
        elif keyword in DOUBLES:
            value = struct.unpack("<d", _take(path, stream, 8))[0]
            found[keyword] = from_sexagesimal(value) if keyword in BLIMPY_ANGLES else value
        elif keyword in STRINGS:
            found[keyword] = _string(path, stream)
        elif keyword == "signed":
            found[keyword] = _take(path, stream, 1)[0]
        elif keyword not in ("FREQUENCY_START", "FREQUENCY_END"):
            msg = f"{path} has the keyword {brief(keyword)!r} in its header, which SIGPROC lacks: convert it to .h5"
            raise SetiError(msg)
    else:
        msg = f"{path} has a header without {END}: replace the file"
        raise SetiError(msg)
    return found


def build_header(attributes: dict[str, Any]) -> bytes:
    """Build a header of the attributes that SIGPROC knows, which blimpy can read."""
    parts = [MAGIC]
    for name, value in attributes.items():
        if name not in WRITTEN:
            continue
        parts.append(_packed(name))
        if name in INTEGERS:
            parts.append(struct.pack("<i", int(value)))
        elif name in STRINGS:
            parts.append(_packed(str(value)))
        else:
            value = float(value)
            parts.append(struct.pack("<d", to_sexagesimal(value) if name in BLIMPY_ANGLES else value))
    return b"".join([*parts, _packed(END)])


def from_sexagesimal(value: float) -> float:
    """Convert SIGPROC's ddmmss.s (or hhmmss.s) to degrees (or hours)."""
    if not math.isfinite(value):
        return 0.0
    rest = abs(value)
    whole, rest = divmod(rest, 10000)
    minutes, seconds = divmod(rest, 100)
    return math.copysign(whole + minutes / 60 + seconds / 3600, value)


def to_sexagesimal(value: float) -> float:
    """Convert degrees (or hours) to SIGPROC's ddmmss.s (or hhmmss.s)."""
    # Rounded to a hundred millionth of a second first: 17.7875 h are 64034.99999999999 s.
    minutes, seconds = divmod(round(abs(value) * 3600, 8), 60)
    whole, minutes = divmod(minutes, 60)
    return math.copysign(whole * 10000 + minutes * 100 + seconds, value)


def _take(path: Path, stream: BinaryIO, count: int) -> bytes:
    taken = stream.read(count)
    if len(taken) != count:
        msg = f"{path} is truncated within its header: copy the file again"
        raise SetiError(msg)
    return taken


def _string(path: Path, stream: BinaryIO) -> str:
    length = struct.unpack("<i", _take(path, stream, 4))[0]
    if not 0 <= length <= LONGEST_STRING:
        msg = f"{path} has a damaged header (a text of {length} bytes): copy the file again"
        raise SetiError(msg)
    return _take(path, stream, length).decode("latin-1")


def _packed(text: str) -> bytes:
    content = text.encode("ascii", "replace")
    return struct.pack("<i", len(content)) + content
