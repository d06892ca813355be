"""Common style of all figures, and writing them to files.

The modules of this package build figures without pyplot, so no figure outlives its caller and no display is needed.
"""

import warnings
from pathlib import Path
from typing import IO, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seti.utils.files import atomic_write

# Okabe and Ito's palette, distinguishable with all common kinds of colour blindness (https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")
FAINT = "#B8BEC4"


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write a figure atomically, in the format given by the suffix, and return the path."""
    with atomic_write(path) as temporary:
        save_quietly(figure, temporary, dpi=dpi)
    return path


def save_quietly(figure: Figure, target: Path | IO[bytes], **options: Any) -> None:
    """Write a figure; characters that no font has become boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        figure.savefig(target, **options)


def line_style(number: int) -> dict[str, str]:
    """Choose colour and line style of the curve with a number."""
    # The line style changes after all colours are used, so that up to 28 lines differ.
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": LINE_STYLES[number // len(PALETTE) % len(LINE_STYLES)],
    }


def tidy(axis: Axes) -> None:
    """Add a light grid and remove the top and right spines."""
    axis.grid(color="#E6E8EA", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
