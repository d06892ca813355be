"""What a cadence is: six panels of a spectrogram, read from a `.npy`, picked and laid out.

A panel is `(rows, bins)`: time downwards, frequency to the right. Green Bank points ON a star (A), away (B),
ON (A), away (C), ON (A), away (D): a needle stands in ON panels and in no OFF panel.
"""

from pathlib import Path

import numpy as np

from seti.errors import SetiError

PANEL_LETTERS = "ABACAD"
ON_PANELS = (0, 2, 4)
OFF_PANELS = (1, 3, 5)
PANEL_CHOICES = {"A": ON_PANELS, "all": tuple(range(6))}


def read_cadence(path: Path, panels: tuple[int, ...] = PANEL_CHOICES["all"]) -> np.ndarray:
    """Read some panels of a cadence file.

    Args:
        path: a `.npy` of shape `(6, rows, bins)`, floating point, little or big endian.
        panels: which of the six to read; the others are not touched.

    Returns:
        `(len(panels), rows, bins)`, in the file's own precision.

    Raises:
        SetiError: the file is missing, truncated, no `.npy`, of another shape or type, or not finite.
    """
    try:
        # A memory map reads the wanted panels alone; allow_pickle=False: a cadence file never runs code.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        msg = f"cannot read cadence {path}: {reason}"
        raise SetiError(msg) from error
    if not isinstance(stored, np.ndarray) or stored.ndim != 3 or stored.shape[0] != len(PANEL_LETTERS):
        shape = getattr(stored, "shape", "an archive")
        msg = f"cadence {path} has shape {shape}, not (6, rows, bins): remove or replace the file"
        raise SetiError(msg)
    if 0 in stored.shape or stored.dtype.kind != "f":
        msg = f"cadence {path} holds {stored.dtype} {stored.shape}, not floating-point panels: replace the file"
        raise SetiError(msg)
    cadence = np.array(stored[list(panels)])
    check_finite(path, cadence, panels)
    return cadence


def check_finite(path: Path, cadence: np.ndarray, panels: tuple[int, ...]) -> None:
    """Refuse NaN and infinity.

    Raises:
        SetiError: naming the file, the first panel concerned and how many values are not finite.
    """
    # One float32 sum is NaN or infinite if any value is: several times cheaper than a mask of the whole array.
    if np.isfinite(cadence.sum(dtype=np.float32)):
        return
    bad = ~np.isfinite(cadence)
    if not bad.any():
        return
    panel = panels[int(np.argmax(bad.any(axis=(1, 2))))]
    msg = (
        f"cadence {path} has {int(bad.sum())} values that are NaN or infinite, "
        f"first in panel {panel} ({PANEL_LETTERS[panel]}): remove or replace the file"
    )
    raise SetiError(msg)
