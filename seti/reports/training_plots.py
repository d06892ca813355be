"""Figures of training: loss and AUC over the epochs, and learning-rate range tests."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
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
    for number, (fold, table) in enumerate(metrics.items()):
        colour = PALETTE[number % len(PALETTE)]
        losses.plot(table["epoch"] + 1, table["train_loss"], "--", color=colour, linewidth=1.2)
        # With markers, so that a run of one epoch is visible.
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
        tidy(axis)
    return figure


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
