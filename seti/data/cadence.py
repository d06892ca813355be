"""Cadence files: reading panels of a `.npy` that holds the six panels of a spectrogram.

A panel is `(rows, bins)`: time downwards, frequency to the right. The telescope points at a star (A), away (B), back
(A), away (C), back (A), away (D): a needle shows in ON panels (A) and in no OFF panel (B, C, D).
"""

import errno
import functools
import io
import os
import stat
from pathlib import Path

import numpy as np

from seti.errors import SetiError, brief

PANEL_LETTERS = "ABACAD"
ON_PANELS = (0, 2, 4)
OFF_PANELS = (1, 3, 5)
PANEL_CHOICES = {"A": ON_PANELS, "all": tuple(range(6))}

HEADER_BYTES = 128  # length that numpy pads the header of an array of few dimensions to
LONGEST_HEADER = 10_000  # numpy refuses longer ones, but allocates memory for them first

# O_NONBLOCK: opening a pipe would wait for a writer; regular files ignore the flag.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

# Unsigned and signed integers of a float's width, and the bits of negative and positive infinity in them.
_BITS = {
    2: (np.uint16, np.int16, 0xFC00, 0x7C00),
    4: (np.uint32, np.int32, 0xFF80_0000, 0x7F80_0000),
    8: (np.uint64, np.int64, 0xFFF0_0000_0000_0000, 0x7FF0_0000_0000_0000),
}


# Networks compute in 32-bit floats, whose largest is 3.4e38: sums over rows and differences must stay below it. Where
# all values are below the smallest normal one, they would lose their digits, or become 0.
LARGEST = 1e36
SMALLEST = float(np.finfo(np.float32).tiny)


def read_cadence(
    path: str | Path,
    panels: tuple[int, ...] = PANEL_CHOICES["all"],
    out: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
    for_networks: bool = False,
) -> np.ndarray:
    """Read some panels of a cadence file, and none of the others.

    Args:
        path: a `.npy` of shape `(6, rows, bins)`, floating point, of either byte order.
        panels: which of the six to read.
        out: `(len(panels), rows, bins)`, C order, to be read into, such as a place in a batch. Its type must hold the
            file's values without loss.
        size: `(rows, bins)` that the file must have; None for any.
        for_networks: also refuse values that networks cannot compute with, see `fit_networks`.

    Returns:
        `(len(panels), rows, bins)`, in the file's own precision; or `out`.

    Raises:
        SetiError: the file is missing, truncated, no `.npy`, of another shape or type, or not finite.
    """
    if out is not None:
        size = out.shape[1:]
    try:
        cadence = _read_plain(path, panels, out, size)
        if cadence is None:
            stored = _open(path)
            if size is not None and stored.shape[1:] != size:
                raise SetiError(_other_size(path, stored.shape[1:], size))
            cadence = np.array(stored[list(panels)], order="C")
    except SetiError:
        raise
    except Exception as error:  # a damaged header can fail anywhere in numpy's reader
        msg = f"cannot read cadence {path}: {_reason(Path(path), error)}; remove or replace the file"
        raise SetiError(msg) from error
    check_values(path, cadence, panels, for_networks)
    if out is None or cadence is out:
        return cadence
    if not np.can_cast(cadence.dtype, out.dtype, "safe"):
        msg = f"cadence {path} holds {cadence.dtype}, the others {out.dtype}: remove or replace the file"
        raise SetiError(msg)
    np.copyto(out, cadence)
    return out


def read_format(path: str | Path) -> tuple[tuple[int, int], np.dtype]:
    """Read size and type of a cadence's panels, without its values.

    Returns:
        `(rows, bins)` and the floating-point type.

    Raises:
        SetiError: as `read_cadence`, except for values that are not finite.
    """
    try:
        stored = _open(path)
    except SetiError:
        raise
    except Exception as error:  # as in read_cadence
        msg = f"cannot read cadence {path}: {_reason(Path(path), error)}; remove or replace the file"
        raise SetiError(msg) from error
    return stored.shape[1:], stored.dtype


def all_finite(values: np.ndarray) -> bool:
    """Check that no value is NaN or infinite.

    Read as unsigned integers, the bits of a negative float that is not finite are at least those of negative infinity.
    Read as signed integers, those of a positive one are at least those of positive infinity, and every negative float
    is below zero. So two maxima suffice; they need no memory and are 40 times faster than numpy's float16 isfinite.
    """
    if not values.dtype.isnative or values.dtype.itemsize not in _BITS:
        return bool(np.isfinite(values).all())
    unsigned, signed, minus, plus = _BITS[values.dtype.itemsize]
    # The ufunc itself: `ndarray.max` goes through Python first.
    highest = np.maximum.reduce
    return bool(highest(values.view(unsigned), axis=None) < minus and highest(values.view(signed), axis=None) < plus)


def fit_networks(values: np.ndarray) -> bool:
    """Check that no value is NaN, infinite or too large for networks, nor all of them too small.

    Costs as much as `all_finite`, by the same two maxima; all numbers of 2-byte floats fit.
    """
    if values.dtype.itemsize not in _RANGE:
        return all_finite(values)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    unsigned, signed, _, _ = _BITS[values.dtype.itemsize]
    below, above, least_below, least_above, minus_zero = _RANGE[values.dtype.itemsize]
    highest = np.maximum.reduce
    lowest, largest = highest(values.view(unsigned), axis=None), highest(values.view(signed), axis=None)
    if lowest > below or largest > above:
        return False
    zeros = lowest <= minus_zero and largest <= 0
    return bool(lowest >= least_below or largest >= least_above or zeros)


def _range_bits(dtype: type) -> tuple[int, ...]:
    """Bits of the limits of `fit_networks`, as `all_finite` reads them, and of -0.0."""
    limits = np.array([-LARGEST, LARGEST, -SMALLEST, SMALLEST, -0.0], dtype)
    return tuple(map(int, limits.view(f"u{limits.itemsize}")))


_RANGE = {4: _range_bits(np.float32), 8: _range_bits(np.float64)}


def check_values(path: str | Path, cadence: np.ndarray, panels: tuple[int, ...], for_networks: bool = False) -> None:
    """Refuse values in a file that are not finite or, for networks, out of their range.

    Raises:
        SetiError: naming the file, the first panel concerned and how many values it is about.
    """
    if not (fit_networks(cadence) if for_networks else all_finite(cadence)):
        found, scale = describe_values(cadence, panels)
        msg = f"cadence {path} has {found}: {'scale, ' * scale}remove or replace the file"
        raise SetiError(msg)


def describe_values(cadence: np.ndarray, panels: tuple[int, ...]) -> tuple[str, bool]:
    """Describe values of a cadence that `all_finite` or `fit_networks` refuses.

    Args:
        cadence: `(len(panels), rows, bins)`.
        panels: number of the panel in each place.

    Returns:
        How many there are, and the first panel with one; and True where another scale makes them usable.
    """
    bad = ~np.isfinite(cadence)
    scale = not bad.any()
    if scale:
        sizes = np.abs(cadence)
        bad, most = sizes > LARGEST, f"{float(sizes.max()):.2g}"
        if not bad.any():
            return f"only values too small for 32-bit floats, {most} at most", True
    count = int(bad.sum())
    values = "1 value" if count == 1 else f"{count} values"
    wrong = f"beyond 32-bit floats, up to {most}" if scale else f"that {'is' if count == 1 else 'are'} NaN or infinite"
    panel = panels[int(np.argmax(bad.any(axis=(1, 2))))]
    return f"{values} {wrong}, first in panel {panel} ({PANEL_LETTERS[panel]})", scale


def is_float(dtype: np.dtype) -> bool:
    """Check for a type that cadences have: floats of 2, 4 or 8 bytes."""
    return dtype.kind == "f" and dtype.itemsize <= 8  # torch has no longer ones


def _as_floats(dtype: np.dtype) -> str:
    """Advice for a file of another type."""
    if dtype.kind == "c":
        return "save real numbers, such as the squares of its absolute values"
    return "save the array again with .astype('float32')" if dtype.kind in "iuf" else "remove or replace the file"


def _open(path: str | Path) -> np.ndarray:
    """Map a cadence file into memory, so that no header makes it read values or take memory."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        msg = f"cadence {path} is {'a directory' if stat.S_ISDIR(mode) else 'not a regular file'}: remove it"
        raise SetiError(msg)
    _check_header_length(path)
    # allow_pickle=False: a cadence file never runs code.
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    shape = getattr(stored, "shape", "of an archive")
    if isinstance(stored, np.ndarray) and 0 in shape:
        msg = f"cadence {path} is empty, it has shape {shape}: remove or replace the file"
        raise SetiError(msg)
    if not isinstance(stored, np.ndarray) or len(shape) != 3 or shape[0] != len(PANEL_LETTERS):
        msg = f"cadence {path} has shape {shape}, not (6, rows, bins): remove or replace the file"
        raise SetiError(msg)
    if not is_float(stored.dtype):
        msg = f"cadence {path} holds {stored.dtype}, not floats of 2, 4 or 8 bytes: {_as_floats(stored.dtype)}"
        raise SetiError(msg)
    surplus = Path(path).stat().st_size - stored.offset - stored.nbytes
    if surplus:  # numpy ignores it, but it is the trace of two writers or a bad copy
        msg = f"cadence {path} is {surplus} bytes longer than its header says: remove or replace the file"
        raise SetiError(msg)
    return stored


def _check_header_length(path: str | Path) -> None:
    with Path(path).open("rb") as stream:
        start = stream.read(12)
    if start[:6] != b"\x93NUMPY" or len(start) < 12:
        return  # numpy names the error
    length = int.from_bytes(start[8:10] if start[6] == 1 else start[8:12], "little")
    if length > LONGEST_HEADER:
        msg = f"cadence {path} claims a header of {length} bytes: remove or replace the file"
        raise SetiError(msg)


def _other_size(path: str | Path, found: tuple[int, int], wanted: tuple[int, int]) -> str:
    return (
        f"cadence {path} has panels of {found[0]} x {found[1]}, the others have {wanted[0]} x {wanted[1]}: "
        "remove or replace the file"
    )


def _reason(path: Path, error: Exception) -> str:
    """Reason why a file cannot be read; numpy's own messages advise to load pickles unsafely."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return "it is not a regular file" if error.errno == errno.ESPIPE else error.strerror or str(error)
    with path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            return "it is not a .npy file"
    if "Python objects" in str(error):
        return "it holds Python objects, not numbers"
    if "greater than file size" in str(error):
        return "it is truncated, shorter than its header says"
    return brief(error, 200)


def _read_plain(
    path: str | Path, panels: tuple[int, ...], out: np.ndarray | None, size: tuple[int, int] | None
) -> np.ndarray | None:
    """Read panels of a file of the usual layout straight into the array.

    Returns:
        None for any other layout (Fortran order, another shape or type, a longer header), for a file that is not as
        long as its header says, and where `out` has another type: these are left to numpy.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        layout = _plain_layout(os.pread(descriptor, HEADER_BYTES, 0)) if hasattr(os, "preadv") else None
        if layout is None:
            return None
        shape, dtype, length = layout
        # Not fstat, for which Python builds an object of 20 fields.
        if os.lseek(descriptor, 0, os.SEEK_END) != HEADER_BYTES + len(PANEL_LETTERS) * length:
            return None
        if size is not None and shape != size:
            raise SetiError(_other_size(path, shape, size))
        if out is None:
            out = np.empty((len(panels), *shape), dtype)
        elif out.dtype != dtype:
            return None
        place = memoryview(out).cast("B")
        for row, panel in enumerate(panels):
            part = place[row * length : (row + 1) * length]
            if os.preadv(descriptor, [part], HEADER_BYTES + panel * length) != length:
                return None
        return out
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=64)  # the files of a data set have the same header
def _plain_layout(header: bytes) -> tuple[tuple[int, int], np.dtype, int] | None:
    """Parse the header of a usual file: C order `(6, rows, bins)`, native floats, 128 bytes.

    Returns:
        `(rows, bins)`, type and bytes of a panel; None for any other file.
    """
    stream = io.BytesIO(header)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        return None
    plain = len(shape) == 3 and shape[0] == len(PANEL_LETTERS) and min(shape) > 0 and not fortran
    if not plain or not is_float(dtype) or not dtype.isnative or stream.tell() != HEADER_BYTES:
        return None
    return shape[1:], dtype, shape[1] * shape[2] * dtype.itemsize
