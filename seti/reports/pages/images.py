"""Images of a page: figures as data URIs, and cadences as JPEG files of two sizes."""

import base64
import functools
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from seti.data.cadence import PANEL_LETTERS
from seti.reports.figures import save_quietly
from seti.reports.waterfalls import OFF_COLOUR, ON_COLOUR, PANEL_COLOURS, panel_limits

LARGEST_SVG = 80_000  # bytes; a curve of more points is drawn as pixels
SMALL, LARGE = (
    (150, 34),
    (320, 110),
)  # columns and rows of a panel: of a thumbnail, and in full size, where the page writes the axes
BAR, GAP = 5, 3  # pixels: the bar that marks ON and OFF at a panel's left, and the space between panels
QUALITY = 80  # of JPEG


def figure_uri(figure: Figure) -> str:
    """Encode a figure: as SVG, or as PNG where that would be large.

    In an image no script runs, whatever the names in the figure hold.
    """
    out = io.BytesIO()
    # Without date and with a fixed salt the same figure gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "seti"}):
        save_quietly(figure, out, format="svg", transparent=True, metadata={"Date": None})
    if out.tell() <= LARGEST_SVG:
        return data_uri("svg+xml", out.getvalue())
    out = io.BytesIO()
    save_quietly(figure, out, format="png", dpi=110, transparent=True)
    return data_uri("png", out.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Write an image into a URI, for a page that holds it itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def file_uri(path: Path) -> str:
    """Write a PNG file into a URI.

    Raises:
        OSError: it is damaged.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except SyntaxError as error:  # of a damaged PNG
        msg = f"cannot read {path}: {error}"
        raise OSError(msg) from error
    return data_uri("png", path.read_bytes())


def draw_cadence(
    panels: Sequence[np.ndarray] | np.ndarray,
    size: tuple[int, int],
    on: Sequence[bool] | None = None,
) -> bytes:
    """Draw all panels of a cadence below one another, each on its own colour scale.

    Args:
        panels: `(panels, rows, bins)`.
        size: columns and rows of a panel in the image.
        on: of each panel, whether it is of the target; None: the panels A of A B A C A D.

    Returns:
        A JPEG.
    """
    width, height = size
    if on is None:
        on = [letter == "A" for letter in PANEL_LETTERS] if len(panels) == len(PANEL_LETTERS) else [False] * len(panels)
    image = np.full((len(panels) * (height + GAP) - GAP, BAR + width, 3), 255, np.uint8)
    for number, panel in enumerate(panels):
        resized = Image.fromarray(np.ascontiguousarray(panel, np.float32)).resize(size, Image.Resampling.BOX)
        values = np.asarray(resized)
        low, high = panel_limits(values)
        top = number * (height + GAP)
        colours = _colours()[(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)]
        image[top : top + height, BAR:] = colours
        image[top : top + height, :BAR] = _bar(on[number])
    drawn = Image.fromarray(image)
    out = io.BytesIO()
    drawn.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _bar(on: bool) -> np.ndarray:
    return np.round(np.array(to_rgb(ON_COLOUR if on else OFF_COLOUR)) * 255).astype(np.uint8)


@functools.cache
def _colours() -> np.ndarray:
    return np.round(mpl.colormaps[PANEL_COLOURS](np.arange(256))[:, :3] * 255).astype(np.uint8)


def shrink(path: Path, size: tuple[int, int]) -> bytes:
    """Encode an image file as a JPEG of another size.

    Raises:
        OSError: it is damaged.
    """
    with Image.open(path) as image:
        small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
