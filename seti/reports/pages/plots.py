"""Figures of a page, small and of one size: they stand side by side, and fit a telephone."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_auc_score, roc_curve

from seti.evaluation.recall import FALSE_ALARMS, recall_at
from seti.reports import recovery_figures, score_plots, training_plots, tuning
from seti.reports.figures import FAINT, line_style, tidy

SIZE = (5.6, 4.4)  # inches
MOST_CURVES = 10  # that differ visibly in one figure
LONGEST_NAME = 44  # characters of a name in a legend
STEPS = 500  # of an axis, finer than a page's pixels: points of a curve within one step are drawn as one

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]  # targets of 0 and 1, and scores, by name


def draw_roc(curves: Curves, emphasised: str = "") -> Figure:
    """Draw ROC curves, with the areas under them in the legend.

    Args:
        curves: at most `MOST_CURVES` are drawn, the first ones.
        emphasised: name of the curve that is drawn thick and black.
    """
    figure, axis = _figure()
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for name, (targets, scores), style in _styled(curves, emphasised):
        false_alarms, found, _ = roc_curve(targets, scores)
        kept = thinned(false_alarms, found)
        axis.plot(
            false_alarms[kept], found[kept], label=f"AUC {roc_auc_score(targets, scores):.4f}  {_plain(name)}", **style
        )
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="share of false alarms", ylabel="recall (share of needles found)")
    return _finished(figure, axis)


def draw_recall(curves: Curves, emphasised: str = "") -> Figure:
    """Draw recall against few false alarms, on a logarithmic axis.

    The legend has the recall at 1 % false alarms.

    Args:
        curves, emphasised: as for `draw_roc`.
    """
    figure, axis = _figure()
    least = 0.1
    for name, (targets, scores), style in _styled(curves, emphasised):
        false_alarms, found, _ = roc_curve(targets, scores, drop_intermediate=False)
        one = 1 / np.sum(targets == 0)  # share of a single false alarm
        least = min(least, one / 2)
        shown = np.maximum(false_alarms, one / 2)
        kept = thinned(np.log10(shown) / -np.log10(one / 2), found)
        point = recall_at(np.asarray(targets), np.asarray(scores))
        label = f"recall {point.recall:.4f}  {_plain(name)}"
        axis.plot(shown[kept], found[kept], drawstyle="steps-post", label=label, **style)
    axis.axvline(FALSE_ALARMS, color="#444444", linewidth=1, linestyle=":")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axis.set(xlim=(least, 1), ylim=(0, 1), xlabel="share of false alarms (dotted: 1 %)")
    axis.set_ylabel("recall (share of needles found)")
    return _finished(figure, axis)


def draw_losses(history: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw the losses of every fold; arguments as for `training_plots.draw_history`."""
    figure, axis = _figure()
    training_plots.draw_losses(axis, history)
    for colour, fold, _ in training_plots.coloured(history):
        axis.plot([], [], color=colour, label=f"fold {fold}")
    return _finished(figure, axis)


def draw_aucs(history: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw the validation AUC of folds; arguments as for `training_plots.draw_history`."""
    figure, axis = _figure()
    training_plots.draw_aucs(axis, history)
    return _finished(figure, axis)


def draw_reliability(curves: Curves) -> Figure:
    """Draw reliability curves; arguments as for `score_plots.draw_reliability`."""
    return _resized(score_plots.draw_reliability(curves))


def draw_distribution(scores: Mapping[str, np.ndarray], threshold: float | None = None) -> Figure:
    """Draw histograms of scores; arguments as for `score_plots.draw_distribution`."""
    return _resized(score_plots.draw_distribution(scores, threshold))


def draw_recovery(curves: pd.DataFrame) -> Figure:
    """Draw recovery curves of one kind; arguments as for `recovery_figures.draw_recovery`."""
    return _resized(recovery_figures.draw_recovery(curves, ""))


def draw_trials(trials: pd.DataFrame, own: str = "") -> Figure:
    """Draw the trials of a search in their order, the one with the name `own` framed."""
    figure, axis = _figure()
    tuning.draw_trials(axis, trials)
    framed = trials[trials["trial"] == own]
    if len(framed):
        style = {"s": 130, "facecolor": "none", "edgecolor": "#000000", "linewidth": 1.6}
        axis.scatter(framed.index, framed["auc"], label=own, **style)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _finished(figure, axis)


def draw_importance(importance: Mapping[str, float]) -> Figure:
    """Draw the importance of the settings of a search."""
    figure, axis = _figure()
    tuning.draw_importance(axis, importance)
    axis.set(xlim=(0, 1), xlabel="share of the differences that a setting explains")
    return _finished(figure, axis)


def thinned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of the points of a monotone curve within 0..1 that differ on a page."""
    steps = np.stack([np.round(x * STEPS), np.round(y * STEPS)])
    kept = np.ones(len(x), bool)
    kept[1:-1] = (np.diff(steps[:, :-1]) != 0).any(axis=0) | (np.diff(steps[:, 1:]) != 0).any(axis=0)
    return np.flatnonzero(kept)


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """Leave out the middle of a long name, for names of experiments differ at both ends."""
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _plain(name: str) -> str:
    """Shorten a name; matplotlib reads what stands between two dollar signs as a formula."""
    return short(name).replace("$", r"\$")


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.subplots()


def _styled(curves: Curves, emphasised: str) -> list[tuple[str, tuple[np.ndarray, np.ndarray], dict]]:
    found = []
    for number, (name, curve) in enumerate(list(curves.items())[:MOST_CURVES]):
        style = {"linewidth": 1.3, **line_style(number)}
        if name == emphasised:
            style = {"linewidth": 2.2, "color": "#000000", "zorder": 3}
        found.append((name, curve, style))
    return found


def _finished(figure: Figure, axis: Axes) -> Figure:
    """Put the legend below the axes, which stay large for any length of names."""
    tidy(axis)
    axis.set_title("")  # the page has it above the figure
    handles, texts = axis.get_legend_handles_labels()
    if axis.get_legend() is not None:
        axis.get_legend().remove()
    if handles:
        columns = 2 if max(map(len, texts)) <= 30 and len(texts) > 2 else 1
        width, height = SIZE
        figure.set_size_inches(width, height + 0.17 * max(0, -(-len(texts) // columns) - 3))
        figure.legend(handles, texts, loc="outside lower left", ncols=columns, frameon=False, fontsize=9)
    return figure


def _resized(figure: Figure) -> Figure:
    figure.set_size_inches(*SIZE)
    return _finished(figure, figure.axes[0])


def first_of(title: str, drawn: int, curves: Sequence) -> str:
    """Title of a figure that shows the first ones of many."""
    return title if len(curves) <= drawn else f"{title}, the first {drawn} of {len(curves)}"
