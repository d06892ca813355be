"""What a cadence is: six panels of a spectrogram, read from a `.npy` and picked.

A panel is `(rows, bins)`: time downwards, frequency to the right. Green Bank points ON a star (A), away (B),
ON (A), away (C), ON (A), away (D): a needle stands in ON panels and in no OFF panel.
"""

import functools
import io
import os
from pathlib import Path

import numpy as np

from seti.errors import SetiError

PANEL_LETTERS = "ABACAD"
ON_PANELS = (0, 2, 4)
OFF_PANELS = (1, 3, 5)
PANEL_CHOICES = {"A": ON_PANELS, "all": tuple(range(6))}

HEADER_BYTES = 128  # what numpy writes for any array of few dimensions, padding included


def read_cadence(path: Path, panels: tuple[int, ...] = PANEL_CHOICES["all"]) -> np.ndarray:
    """Read some panels of a cadence file; the others are not touched.

    Args:
        path: a `.npy` of shape `(6, rows, bins)`, floating point, of either byte order.
        panels: which of the six to read.

    Returns:
        `(len(panels), rows, bins)`, in the file's own precision.

    Raises:
        SetiError: the file is missing, truncated, no `.npy`, of another shape or type, or not finite.
    """
    try:
        cadence = _read_plain(path, panels)
        if cadence is None:
            # allow_pickle=False: a cadence file never runs code. The memory map reads the wanted panels alone.
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
            shape = getattr(stored, "shape", "of an archive")
            if not isinstance(stored, np.ndarray) or len(shape) != 3 or shape[0] != len(PANEL_LETTERS) or 0 in shape:
                msg = f"cadence {path} has shape {shape}, not (6, rows, bins): remove or replace the file"
                raise SetiError(msg)
            if not _is_float(stored.dtype):
                msg = f"cadence {path} holds {stored.dtype}, not floats of 2, 4 or 8 bytes: remove or replace the file"
                raise SetiError(msg)
            cadence = np.array(stored[list(panels)], order="C")
    except SetiError:
        raise
    except Exception as error:  # a damaged header can fail anywhere in numpy's reader
        msg = f"cannot read cadence {path}: {_reason(path, error)}; remove or replace the file"
        raise SetiError(msg) from error
    check_finite(path, cadence, panels)
    return cadence


def check_finite(path: Path, cadence: np.ndarray, panels: tuple[int, ...]) -> None:
    """Refuse NaN and infinity.

    Raises:
        SetiError: naming the file, the first panel concerned and how many values are not finite.
    """
    # NaN and infinity have all bits of the exponent set: 20 times faster than numpy's float16 isfinite.
    bad = cadence.view(np.uint16) & 0x7C00 == 0x7C00 if cadence.dtype == np.float16 else ~np.isfinite(cadence)
    if not bad.any():
        return
    panel = panels[int(np.argmax(bad.any(axis=(1, 2))))]
    msg = (
        f"cadence {path} has {int(bad.sum())} values that are NaN or infinite, "
        f"first in panel {panel} ({PANEL_LETTERS[panel]}): remove or replace the file"
    )
    raise SetiError(msg)


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file, in plainer words than numpy's, which advise to load pickles unsafely."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    with path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            return "it is no .npy file"
    if "Python objects" in str(error):
        return "it holds Python objects, not numbers"
    if "greater than file size" in str(error):
        return "it is truncated, shorter than its header says"
    return " ".join(str(error).split())


def _read_plain(path: Path, panels: tuple[int, ...]) -> np.ndarray | None:
    """Read panels of the plain layout straight into the array, 6 times faster than through a memory map.

    Returns:
        None for any other layout (Fortran order, another shape or type, a longer header), and for a file that is
        not as long as its header says: numpy says what is wrong with those.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        layout = _plain_layout(os.pread(descriptor, HEADER_BYTES, 0)) if hasattr(os, "preadv") else None
        if layout is None:
            return None
        rows, bins, dtype = layout
        size = rows * bins * dtype.itemsize
        if os.fstat(descriptor).st_size != HEADER_BYTES + len(PANEL_LETTERS) * size:
            return None
        cadence = np.empty((len(panels), rows, bins), dtype)
        for row, panel in enumerate(panels):
            if os.preadv(descriptor, [cadence[row].data], HEADER_BYTES + panel * size) != size:
                return None
        return cadence
    finally:
        os.close(descriptor)


def _is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f" and dtype.itemsize <= 8  # torch knows no longer ones


@functools.lru_cache(maxsize=64)  # the files of a data set have the same header
def _plain_layout(header: bytes) -> tuple[int, int, np.dtype] | None:
    """Rows, bins and type of a C-order `(6, rows, bins)` file of native floats with a 128-byte header, else None."""
    stream = io.BytesIO(header)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        return None
    plain = len(shape) == 3 and shape[0] == len(PANEL_LETTERS) and 0 not in shape and not fortran
    if not plain or not _is_float(dtype) or not dtype.isnative or stream.tell() != HEADER_BYTES:
        return None
    return shape[1], shape[2], dtype
