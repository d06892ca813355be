"""Figures of cadences: the waterfalls of one cadence, or a gallery of many."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from seti.data.cadence import ON_PANELS, PANEL_LETTERS

ON_COLOUR = "#D55E00"
OFF_COLOUR = "#6E7781"
PANEL_COLOURS = "viridis"

# Panels have a long bright tail: a one-bin spike (0.4 % of the pixels, up to 16 deviations) and bursts. Clipping the
# top 2 % and the bottom 1 % saturates these and leaves the colour scale to faint structure.
PERCENTILES = (1.0, 98.0)


class LabelledCadence(NamedTuple):
    """Cadence with label and score, to be drawn.

    Attributes:
        panels: `(panels, rows, bins)`.
        id: id of the cadence.
        label: 1 with a needle, 0 without, None if unknown.
        score: probability of a needle, None without a model.
    """

    panels: np.ndarray
    id: str
    label: int | None = None
    score: float | None = None


def panel_limits(panel: np.ndarray) -> tuple[float, float]:
    """Choose the values drawn in the darkest and the brightest colour.

    Args:
        panel: `(rows, bins)`.

    Returns:
        Two different numbers; values outside are saturated.
    """
    low, high = (float(limit) for limit in np.percentile(panel.astype(np.float32), PERCENTILES))
    # In a panel that is constant except for a few pixels, show those.
    if low == high:
        low, high = float(panel.min()), float(panel.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def draw_cadence(
    panels: np.ndarray,
    *,
    id: str,
    label: int | None = None,
    score: float | None = None,
    letters: str | None = None,
    remark: str = "",
) -> Figure:
    """Draw the waterfalls of a cadence below one another, on a shared frequency axis.

    Args:
        panels: `(n, rows, bins)`.
        id: id of the cadence.
        label: 1 with a needle, 0 without.
        score: probability of a needle.
        letters: target of each panel, where `A` is ON; defaults to ABACAD for six panels and AAA for three.
        remark: at the end of the title.

    Returns:
        A figure with `n` axes, first panel first.
    """
    letters = _letters(len(panels), letters)
    figure = Figure(figsize=(8, 1.0 + 1.6 * len(panels)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True, sharey=True))
    rows, bins = panels.shape[1:]
    for axis, panel, letter in zip(axes, panels, letters, strict=True):
        low, high = panel_limits(panel)
        axis.imshow(panel.astype(np.float32), aspect="auto", cmap=PANEL_COLOURS, vmin=low, vmax=high)
        axis.set_yticks([0, rows - 1] if rows > 1 else [0])
        axis.tick_params(labelsize=8, colors="#444444")
        colour = ON_COLOUR if letter == "A" else OFF_COLOUR
        for spine in axis.spines.values():
            spine.set(color=colour, linewidth=2.0 if letter == "A" else 0.8)
        where = "ON" if letter == "A" else "OFF"
        style = {"transform": axis.transAxes, "ha": "left", "color": colour, "weight": "bold"}
        axis.text(1.015, 0.52, letter, fontsize=20, va="bottom", **style)
        axis.text(1.015, 0.48, where, fontsize=9, va="top", **style)
    axes[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes[-1].set_xlim(-0.5, bins - 0.5)
    axes[-1].set_xlabel("frequency bin")
    figure.supylabel("time row", fontsize=10)
    figure.suptitle("   ".join([id, *_verdict(label, score), *filter(None, [remark])]), fontsize=13, parse_math=False)
    return figure


def draw_gallery(
    cadences: Sequence[LabelledCadence] | Mapping[str, Sequence[LabelledCadence]],
    *,
    title: str | None = None,
    columns: int = 6,
) -> Figure:
    """Draw many small cadences in rows.

    Args:
        cadences: a list, or lists by heading; each list starts a new row.
        title: title of the figure.
        columns: number of cadences per row.

    Returns:
        A figure with one axes per cadence, in the given order.
    """
    groups = cadences if isinstance(cadences, Mapping) else {"": cadences}
    rows = [
        (heading if start == 0 else "", group[start : start + columns])
        for heading, group in groups.items()
        for start in range(0, len(group), columns)
    ]
    columns = max([3, *(len(group) for _, group in rows)])  # at least three, to fit a heading
    # In inches, from the top, so that all images have the same size for any number per row.
    image_width, image_height, left, above = 2.0, 3.9, 0.32, 0.45
    tops, top = [], 0.55 if title else 0.1
    for heading, _ in rows:
        top += 0.4 if heading else 0.0
        tops.append(top)
        top += above + image_height + 0.25
    width, height = columns * (left + image_width) + 0.15, top + 0.05
    figure = Figure(figsize=(width, height))
    if title:
        figure.text(0.5, 1 - 0.3 / height, title, ha="center", va="center", fontsize=15, parse_math=False)
    for (heading, group), top in zip(rows, tops, strict=True):
        figure.text(0.1 / width, 1 - top / height, heading, va="bottom", fontsize=13, weight="bold", parse_math=False)
        for number, cadence in enumerate(group):
            corner = number * (left + image_width) + left, height - top - above - image_height
            axis = figure.add_axes((corner[0] / width, corner[1] / height, image_width / width, image_height / height))
            _draw_small(axis, cadence)
    return figure


def _letters(count: int, letters: str | None) -> str:
    if letters is None:
        known = {
            len(PANEL_LETTERS): PANEL_LETTERS,
            len(ON_PANELS): "".join(PANEL_LETTERS[p] for p in ON_PANELS),
        }
        letters = known.get(count, "?" * count)
    if len(letters) != count:
        msg = f"letters={letters!r} names {len(letters)} panels, but there are {count}"
        raise ValueError(msg)
    return letters


def _verdict(label: int | None, score: float | None) -> list[str]:
    words = [] if label is None else ["needle" if label else "no needle"]
    return words if score is None else [*words, f"score {score:.3f}"]


def _draw_small(axis: Axes, cadence: LabelledCadence) -> None:
    """Draw all panels as one image with thin white gaps, each panel on its own colour scale."""
    count, rows, bins = cadence.panels.shape
    gap = max(1, round(0.07 * rows))
    image = np.full((count * (rows + gap) - gap, bins), np.nan, dtype=np.float32)
    for number, panel in enumerate(cadence.panels):
        low, high = panel_limits(panel)
        top = number * (rows + gap)
        image[top : top + rows] = np.clip((panel.astype(np.float32) - low) / (high - low), 0, 1)
    # Interpolate colours, not values: values next to a gap, which is NaN, would be lost when the image shrinks.
    axis.imshow(image, aspect="auto", cmap=PANEL_COLOURS, vmin=0, vmax=1, interpolation_stage="rgba")
    for number, letter in enumerate(_letters(count, None)):
        colour = ON_COLOUR if letter == "A" else OFF_COLOUR
        top = number * (rows + gap) - 0.5
        middle = 1 - (top + rows / 2) / len(image)
        axis.text(
            -0.03,
            middle,
            letter,
            transform=axis.transAxes,
            ha="right",
            va="center",
            color=colour,
            weight="bold",
        )
        if letter == "A":
            axis.add_patch(
                Rectangle((-0.5, top), bins, rows, fill=False, edgecolor=colour, linewidth=1.2, clip_on=False)
            )
    axis.set_axis_off()
    axis.set_title("\n".join([cadence.id, "  ".join(_verdict(cadence.label, cadence.score))]).rstrip(), fontsize=9)
