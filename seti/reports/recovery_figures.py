"""Recovery curves: the share of known signals that a search finds, by SNR and by drift rate."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seti.reports.figures import FAINT, line_style, tidy

LABELS = {"snr": "SNR of the signal", "effective_snr": "effective SNR", "drift": "|drift rate| (Hz/s)"}


def draw_recovery(curves: pd.DataFrame, title: str) -> Figure:
    """Draw recovery curves.

    Args:
        curves: columns `by` (a key of `LABELS`), `low`, `high` (limits of a bin), `false_alarms` (allowed a coarse
            channel), `signals`, `recall`, `recall_low`, `recall_high`; rows without signals are left out.
        title: above the axes.

    Returns:
        A figure with an axes for each of `by`, and a line for each number of false alarms.
    """
    kinds = [kind for kind in LABELS if (curves["by"] == kind).any()]
    figure = Figure(figsize=(4.6 * len(kinds), 4.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    for axis, kind in zip(axes, kinds, strict=True):
        ours = curves[(curves["by"] == kind) & (curves["signals"] > 0)]
        for number, (alarms, curve) in enumerate(ours.groupby("false_alarms", sort=True)):
            middle = np.sqrt(curve["low"] * curve["high"]) if kind != "drift" else (curve["low"] + curve["high"]) / 2
            error = [curve["recall"] - curve["recall_low"], curve["recall_high"] - curve["recall"]]
            wider = max(0, 2 - number)  # so that curves that coincide are all seen
            style = {"marker": "o", "markersize": 4 + 2.5 * wider, "capsize": 2 + 2 * wider, **line_style(number)}
            style["linewidth"] = 1.6 + 1.8 * wider
            axis.errorbar(middle, curve["recall"], yerr=np.maximum(error, 0), label=f"at most {alarms:g}", **style)
        if kind != "drift":
            axis.set_xscale("log")
            ticks = [tick for tick in (5, 8, 10, 15, 20, 30, 50, 100, 200) if _reaches(ours, tick)]
            axis.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
            axis.minorticks_off()
        axis.axhline(1, color=FAINT, linewidth=1)
        axis.set(ylim=(-0.03, 1.05), xlabel=LABELS[kind])
        tidy(axis)
    axes[0].set_ylabel("share of the signals found (68 % intervals)")
    axes[-1].legend(title="false alarms a coarse channel", loc="lower right", frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12, parse_math=False)
    return figure


def _reaches(curve: pd.DataFrame, tick: float) -> bool:
    return bool(len(curve)) and curve["low"].min() <= tick <= curve["high"].max()
