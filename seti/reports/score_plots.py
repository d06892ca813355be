"""Figures of scores: ROC curves, reliability curves and rank correlations."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from seti.evaluation.calibration import calibration_error, reliability
from seti.reports.figures import FAINT, line_style, tidy


def draw_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw ROC curves, with the areas under them in the legend.

    Args:
        curves: by name, targets `(N,)` of 0 and 1 and scores `(N,)`, higher for a needle.
    """
    # The curves leave no space for the legend, so it is next to the axes, wide enough for the longest name.
    width, height, side = 8.4 + 0.075 * max(map(len, curves), default=0), 6.5, 5.4
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0.75 / width, 0.65 / height, side / width, side / height))
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="AUC 0.5000  chance")
    for number, (name, (targets, scores)) in enumerate(curves.items()):
        false_alarms, found, _ = roc_curve(targets, scores)
        # The area comes first, because matplotlib omits labels that begin with an underscore from the legend.
        label = f"AUC {roc_auc_score(targets, scores):.4f}  {name}"
        axis.plot(false_alarms, found, linewidth=1.6, label=label, **line_style(number))
    axis.set(xlim=(0, 1), ylim=(0, 1), title="Receiver operating characteristic")
    axis.set(
        xlabel="false-positive rate (negatives taken for needles)",
        ylabel="true-positive rate (needles found)",
    )
    tidy(axis)
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9)
    return figure


def draw_reliability(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw reliability curves, with the expected calibration errors in the legend.

    Args:
        curves: by name, targets `(N,)` of 0 and 1 and probabilities `(N,)`; the first one is drawn in front. Each dot
            is a bin of `calibration.reliability`.
    """
    figure = Figure(figsize=(6.5, 6.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="perfect calibration")
    for number, (name, (targets, probs)) in enumerate(curves.items()):
        table = reliability(targets, probs)
        label = f"error {calibration_error(targets, probs):.4f}  {name}"
        style = {"marker": "o", "markersize": 4, "linewidth": 1.6, "zorder": 3 - number / 10, **line_style(number)}
        axis.plot(table["prob"], table["share"], label=label, **style)
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="Reliability")
    axis.set(xlabel="probability", ylabel="share of needles at this probability")
    tidy(axis)
    axis.legend(loc="upper left", frameon=False, fontsize=9)
    return figure


def draw_distribution(scores: Mapping[str, np.ndarray], threshold: float | None = None) -> Figure:
    """Draw histograms of scores, on a logarithmic scale: needles are rare.

    Args:
        scores: by name, probabilities `(N,)`.
        threshold: marked by a line.
    """
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axis = figure.subplots()
    edges = np.linspace(0, 1, 41)
    for number, (name, values) in enumerate(scores.items()):
        counts, _ = np.histogram(values, edges)
        axis.stairs(counts, edges, label=f"{name}, {len(values):,}", linewidth=1.6, **line_style(number))
    if threshold is not None:
        axis.axvline(threshold, color="#444444", linewidth=1, linestyle=":", label=f"threshold {threshold:.3f}")
    axis.set_yscale("symlog", linthresh=1)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set(xlim=(0, 1), xlabel="probability", ylabel="cadences", title="Scores")
    axis.set_ylim(bottom=0)
    tidy(axis)
    axis.legend(frameon=False, fontsize=9)
    return figure


def rank_correlation(columns: pd.DataFrame) -> pd.DataFrame:
    """Compute Spearman's rank correlation between all columns."""
    return columns.rank().corr()


def draw_correlation(columns: pd.DataFrame) -> Figure:
    """Draw the rank correlation matrix of several models' scores.

    Args:
        columns: one column of probabilities per model, one row per cadence.
    """
    correlation = rank_correlation(columns)
    size = max(4.5, 1.8 + 0.62 * len(correlation))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axis = figure.subplots()
    values = correlation.to_numpy()
    # Models for one task are highly correlated, so the colour scale spans only the range of the values.
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
