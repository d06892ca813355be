"""Figures of training: loss and AUC over the epochs, and learning-rate range tests."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seti.reports.figures import FAINT, PALETTE, line_style, tidy


def draw_history(metrics: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw loss and validation AUC of every fold against the epoch.

    Args:
        metrics: by fold number, a table with the columns epoch, train_loss, val_loss, val_auc.

    Returns:
        A figure with two axes: losses (training dashed), and AUC with each fold's best epoch marked.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    losses, aucs = figure.subplots(1, 2)
    draw_losses(losses, metrics)
    draw_aucs(aucs, metrics)
    for axis in (losses, aucs):
        axis.legend(frameon=False, fontsize=9)
        tidy(axis)
    return figure


def draw_losses(axis: Axes, metrics: Mapping[int, pd.DataFrame]) -> None:
    """Draw the losses of every fold, training dashed; arguments as for `draw_history`."""
    for colour, _, table in coloured(metrics):
        axis.plot(table["epoch"] + 1, table["train_loss"], "--", color=colour, linewidth=1.2)
        # With markers, so that a run of one epoch is visible.
        axis.plot(table["epoch"] + 1, table["val_loss"], "-", color=colour, marker=".", linewidth=1.6)
    axis.plot([], [], "--", color="#444444", label="training")
    axis.plot([], [], "-", color="#444444", label="validation")
    axis.set(xlabel="epoch", ylabel="loss", title="Loss")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_aucs(axis: Axes, metrics: Mapping[int, pd.DataFrame]) -> None:
    """Draw the validation AUC of folds, best epochs marked; arguments as for `draw_history`."""
    for colour, fold, table in coloured(metrics):
        label = f"fold {fold}"
        if table["val_auc"].notna().any():
            best = table.loc[table["val_auc"].idxmax()]
            label += f"  best {best['val_auc']:.4f}"
            axis.plot(best["epoch"] + 1, best["val_auc"], "o", color=colour, markersize=8, markerfacecolor="none")
        axis.plot(table["epoch"] + 1, table["val_auc"], "-", color=colour, marker=".", linewidth=1.6, label=label)
    axis.axhline(0.5, color=FAINT, linewidth=1, zorder=0)
    axis.set(xlabel="epoch", ylabel="AUC", title="Validation AUC")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def coloured(metrics: Mapping[int, pd.DataFrame]) -> list[tuple[str, int, pd.DataFrame]]:
    """List colour, number and table of each fold."""
    return [(PALETTE[n % len(PALETTE)], fold, table) for n, (fold, table) in enumerate(metrics.items())]


def draw_lr_range(curves: Mapping[str, pd.DataFrame], suggestions: Mapping[str, float | None]) -> Figure:
    """Draw learning-rate range tests: loss against a rising learning rate.

    Args:
        curves: by setting, a table with the columns lr, loss and smoothed, one row per step.
        suggestions: by setting, the suggested maximum rate to mark on its curve, or None.
    """
    figure = Figure(figsize=(9.5, 5.2), layout="constrained")
    axis = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        style = line_style(number)
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
        # The loss diverges at the end; the informative range is between its start and its minimum.
        low, start = min(v.min() for v in smoothed), max(v.iloc[0] for v in smoothed)
        margin = 0.5 * (start - low) or 0.1
        axis.set_ylim(low - margin, start + margin)
    tidy(axis)
    axis.legend(frameon=False, fontsize=9)
    return figure
