"""Figures: cadences, ROC and reliability curves, training histories, correlations, learning-rate range tests.

Every function draws one figure and returns it; `save_figure` writes it. Figures are made without pyplot, so
none is kept alive behind the caller's back and no display is needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_auc_score, roc_curve

from seti.data.cadence import ON_PANELS, PANEL_LETTERS
from seti.evaluation.calibration import calibration_error, reliability
from seti.utils.files import atomic_write

# Okabe and Ito's palette, told apart with every common kind of colour blindness (https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")
ON_COLOUR = "#D55E00"
OFF_COLOUR = "#6E7781"
FAINT = "#B8BEC4"
PANEL_COLOURS = "viridis"

# Panels have a long bright tail: a spike of one bin (0.4 % of the pixels, up to 16 deviations) and bursts.
# Cutting 2 % off the top and 1 % off the bottom saturates those and leaves the colours to everything faint.
PERCENTILES = (1.0, 98.0)


class Shown(NamedTuple):
    """A cadence to draw.

    Attributes:
        panels: `(panels, rows, bins)`.
        id: the cadence's id.
        label: 1 for a needle, 0 for none, None if nobody knows.
        score: probability of a needle, None without a model.
    """

    panels: np.ndarray
    id: str
    label: int | None = None
    score: float | None = None


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write a figure, whole or not at all, in the format that the suffix names.

    Returns:
        The path.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


def panel_limits(panel: np.ndarray) -> tuple[float, float]:
    """Choose the values that the darkest and the brightest colour stand for.

    Args:
        panel: `(rows, bins)`.

    Returns:
        Two different numbers; everything outside is drawn in the end colours.
    """
    low, high = (float(limit) for limit in np.percentile(panel.astype(np.float32), PERCENTILES))
    # A panel that is constant but for a few pixels shows those.
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
) -> Figure:
    """Draw a cadence: its panels under one another, time downwards, frequency shared.

    Args:
        panels: `(n, rows, bins)`.
        id: the cadence's id.
        label: 1 for a needle, 0 for none.
        score: probability of a needle.
        letters: what the telescope pointed at in each panel, `A` being ON. Known for six panels (ABACAD) and
            three (the A panels).

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
    figure.suptitle("   ".join([id, *_verdict(label, score)]), fontsize=13, parse_math=False)
    return figure


def draw_gallery(
    cadences: Sequence[Shown] | Mapping[str, Sequence[Shown]], *, title: str | None = None, columns: int = 6
) -> Figure:
    """Draw many cadences, small, in rows.

    Args:
        cadences: a list, or lists by heading; every list begins a new row.
        title: stands over the whole figure.
        columns: cadences in a row.

    Returns:
        A figure with one axes a cadence, in the order given.
    """
    groups = cadences if isinstance(cadences, Mapping) else {"": cadences}
    rows = [
        (heading if start == 0 else "", group[start : start + columns])
        for heading, group in groups.items()
        for start in range(0, len(group), columns)
    ]
    columns = max([3, *(len(group) for _, group in rows)])  # three: room for a heading
    # Inches, from the top: all images are of one size, however many stand in a row.
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


def draw_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw ROC curves, the legend giving the areas under them.

    Args:
        curves: by name, targets `(N,)` of 0 and 1 and scores `(N,)`, higher for a needle.
    """
    # The legend stands beside the axes, with room for the longest name, for the curves leave none inside.
    width, height, side = 8.4 + 0.075 * max(map(len, curves), default=0), 6.5, 5.4
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0.75 / width, 0.65 / height, side / width, side / height))
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="AUC 0.5000  chance")
    for number, (name, (targets, scores)) in enumerate(curves.items()):
        false_alarms, found, _ = roc_curve(targets, scores)
        # The area stands first: matplotlib leaves labels that begin with an underscore out of the legend.
        label = f"AUC {roc_auc_score(targets, scores):.4f}  {name}"
        axis.plot(false_alarms, found, linewidth=1.6, label=label, **_line(number))
    axis.set(xlim=(0, 1), ylim=(0, 1), title="Receiver operating characteristic")
    axis.set(
        xlabel="negatives taken for needles (false-positive rate)",
        ylabel="needles found (true-positive rate)",
    )
    _tidy(axis)
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9)
    return figure


def draw_reliability(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw how often a probability comes true, the legend giving the expected calibration error.

    Args:
        curves: by name, targets `(N,)` of 0 and 1 and probabilities `(N,)`; the first one is drawn in front. A dot is
            a bin of `calibration.reliability`, all of about as many rows.
    """
    figure = Figure(figsize=(6.5, 6.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="as it says")
    for number, (name, (targets, probs)) in enumerate(curves.items()):
        table = reliability(targets, probs)
        label = f"error {calibration_error(targets, probs):.4f}  {name}"
        style = {"marker": "o", "markersize": 4, "linewidth": 1.6, "zorder": 3 - number / 10, **_line(number)}
        axis.plot(table["prob"], table["share"], label=label, **style)
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="Reliability")
    axis.set(xlabel="probability", ylabel="share of needles at this probability")
    _tidy(axis)
    axis.legend(loc="upper left", frameon=False, fontsize=9)
    return figure


def draw_history(metrics: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw loss and validation AUC over the epochs of every fold.

    Args:
        metrics: by fold number, a table with the columns epoch, train_loss, val_loss, val_auc.

    Returns:
        A figure with two axes: losses (training dashed), and AUC with each fold's best epoch marked.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    losses, aucs = figure.subplots(1, 2)
    for number, (fold, table) in enumerate(metrics.items()):
        colour = PALETTE[number % len(PALETTE)]
        losses.plot(table["epoch"] + 1, table["train_loss"], "--", color=colour, linewidth=1.2)
        # A run of one epoch is a dot, which a line alone would not show.
        losses.plot(table["epoch"] + 1, table["val_loss"], "-", color=colour, marker=".", linewidth=1.6)
        label = f"fold {fold}"
        if table["val_auc"].notna().any():
            best = table.loc[table["val_auc"].idxmax()]
            label += f"  best {best['val_auc']:.4f}"
            aucs.plot(best["epoch"] + 1, best["val_auc"], "o", color=colour, markersize=8, markerfacecolor="none")
        aucs.plot(table["epoch"] + 1, table["val_auc"], "-", color=colour, marker=".", linewidth=1.6, label=label)
    losses.plot([], [], "--", color="#444444", label="training")
    losses.plot([], [], "-", color="#444444", label="validation")
    aucs.axhline(0.5, color=FAINT, linewidth=1, zorder=0)
    losses.set(xlabel="epoch", ylabel="loss", title="Loss")
    aucs.set(xlabel="epoch", ylabel="AUC", title="Validation AUC")
    for axis in (losses, aucs):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False, fontsize=9)
        _tidy(axis)
    return figure


def rank_correlation(columns: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of every two columns: Pearson's, of the ranks."""
    return columns.rank().corr()


def draw_correlation(columns: pd.DataFrame) -> Figure:
    """Draw how alike models rank the same cadences.

    Args:
        columns: one column of probabilities a model, one row a cadence.
    """
    correlation = rank_correlation(columns)
    size = max(4.5, 1.8 + 0.62 * len(correlation))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axis = figure.subplots()
    values = correlation.to_numpy()
    # Models of one task are all alike: the colours span what is there, or nothing could be told apart.
    low = min(0.9, float(np.nanmin(values))) if np.isfinite(values).any() else 0.0
    image = axis.imshow(values, cmap="cividis", vmin=low, vmax=1.0)
    for row, column in np.ndindex(values.shape):
        dark = values[row, column] < (low + 1) / 2
        axis.text(
            column,
            row,
            f"{values[row, column]:.2f}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if dark else "black",
        )
    names = [str(name) for name in correlation.columns]
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_title("Spearman's rank correlation of the scores", fontsize=11)
    figure.colorbar(image, ax=axis, shrink=0.7)
    return figure


def draw_lr_range(curves: Mapping[str, pd.DataFrame], suggestions: Mapping[str, float | None]) -> Figure:
    """Draw learning-rate range tests: the loss while the rate grows.

    Args:
        curves: by setting, a table with the columns lr, loss, smoothed, one row a step.
        suggestions: by setting, the suggested maximum rate, marked on its curve; None marks nothing.
    """
    figure = Figure(figsize=(9.5, 5.2), layout="constrained")
    axis = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        style = _line(number)
        suggestion = suggestions.get(name)
        label = f"suggests {suggestion:.2g}:  {name}" if suggestion is not None else f"no suggestion:  {name}"
        axis.plot(curve["lr"], curve["loss"], color=style["color"], alpha=0.25, linewidth=0.8)
        axis.plot(curve["lr"], curve["smoothed"], linewidth=2.2, label=label, **style)
        if suggestion is not None:
            height = np.interp(np.log(suggestion), np.log(curve["lr"]), curve["smoothed"])
            axis.axvline(suggestion, color=style["color"], linewidth=0.8, linestyle=":")
            axis.plot(suggestion, height, "o", color=style["color"], markersize=9, markeredgecolor="white", zorder=4)
    axis.set_xscale("log")
    axis.set(xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
    smoothed = [curve["smoothed"][np.isfinite(curve["smoothed"])] for curve in curves.values()]
    smoothed = [values for values in smoothed if len(values)]
    if smoothed:
        # At the end the loss leaps out of all bounds; the part to read is between its start and its minimum.
        low, start = min(v.min() for v in smoothed), max(v.iloc[0] for v in smoothed)
        margin = 0.5 * (start - low) or 0.1
        axis.set_ylim(low - margin, start + margin)
    _tidy(axis)
    axis.legend(frameon=False, fontsize=9)
    return figure


def _letters(count: int, letters: str | None) -> str:
    if letters is None:
        known = {
            len(PANEL_LETTERS): PANEL_LETTERS,
            len(ON_PANELS): "".join(PANEL_LETTERS[p] for p in ON_PANELS),
        }
        letters = known.get(count, "?" * count)
    if len(letters) != count:
        msg = f"letters={letters!r} names {len(letters)} panels, and there are {count}"
        raise ValueError(msg)
    return letters


def _verdict(label: int | None, score: float | None) -> list[str]:
    words = [] if label is None else ["needle" if label else "no needle"]
    return words if score is None else [*words, f"score {score:.3f}"]


def _draw_small(axis: Axes, cadence: Shown) -> None:
    """Draw all panels as one image, each in colours of its own, a thin white gap between them."""
    count, rows, bins = cadence.panels.shape
    gap = max(1, round(0.07 * rows))
    image = np.full((count * (rows + gap) - gap, bins), np.nan, dtype=np.float32)
    for number, panel in enumerate(cadence.panels):
        low, high = panel_limits(panel)
        top = number * (rows + gap)
        image[top : top + rows] = np.clip((panel.astype(np.float32) - low) / (high - low), 0, 1)
    # Colours are mixed, not values, where the image shrinks: a value beside a gap (NaN) would be lost.
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


def _line(number: int) -> dict[str, str]:
    # The dash changes once the colours are used up, so that up to 28 lines differ.
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": LINE_STYLES[number // len(PALETTE) % len(LINE_STYLES)],
    }


def _tidy(axis: Axes) -> None:
    axis.grid(color="#E6E8EA", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
