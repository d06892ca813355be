"""Report of a search for settings: the best trials, and the importance of each setting."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.reports.figures import FAINT, PALETTE, save_figure, tidy
from seti.utils import hints
from seti.utils.console import console, near, print_next

SHOWN = 5  # trials in the terminal
FIGURE = "tune.png"
STUDY, TABLE, RECORD = "study.journal", "trials.csv", "tune.json"


def report(folder: Path, trials: pd.DataFrame, importance: dict[str, float]) -> float:
    """Print the best trials, draw `tune.png`, and print the command that goes on with the best.

    Args:
        folder: of the study.
        trials: a row a trial: `trial`, `state`, `folds`, `auc` (mean over its folds) and the settings.
        importance: share of the differences that each setting explains; empty if it is not known.

    Returns:
        Mean AUC of the best trial.

    Raises:
        SetiError: no trial has all of its folds.
    """
    done = trials[trials["state"] == "complete"].sort_values("auc", ascending=False, kind="stable")
    if done.empty:
        msg = f"{near(folder)}: none of {len(trials)} trials has finished all folds: raise trials, or see its log"
        raise SetiError(msg)
    keys = list(trials.columns[4:])
    shown = Table("trial", "mean AUC", *keys, title=f"{folder.name}: the best of {len(trials)} trials")
    for _, row in done.head(SHOWN).iterrows():
        shown.add_row(row["trial"], f"{row['auc']:.4f}", *(_number(row[key]) for key in keys))
    console().print(shown)
    first = trials.iloc[0]
    if first["state"] == "complete":
        print(f"the default settings, {first['trial']}: mean AUC {first['auc']:.4f}")
    ended = int((trials["state"] == "pruned").sum())
    print(
        f"{len(done)} trials have all folds, {ended} ended early, {len(trials) - len(done) - ended} failed or stopped"
    )
    if importance:
        print("importance: " + ", ".join(f"{key} {share:.2f}" for key, share in importance.items()))
    path = save_figure(draw(trials, importance), folder / FIGURE)
    print(f"wrote {near(folder / TABLE)}, {RECORD} and {path.name}")
    print(f"all trials in a browser: {hints.command('report', hints.setting('ckpt_dir', folder))}")
    best = Experiment(folder / str(done.iloc[0]["trial"]))
    if best.results and best.missing_folds():
        print_next(best.train_command(best.missing_folds()), "the missing folds of the best")
    return float(done.iloc[0]["auc"])


def draw(trials: pd.DataFrame, importance: dict[str, float]) -> Figure:
    """Draw the mean AUC of every trial with the best so far, and the importance of the settings."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    draw_trials(left, trials)
    left.legend(frameon=False)
    draw_importance(right, importance)
    right.set(xlabel="importance" if importance else "importance: too few trials")
    for axis in (left, right):
        tidy(axis)
    return figure


def draw_trials(axis: Axes, trials: pd.DataFrame) -> None:
    """Draw the mean AUC of every trial, and the best so far; arguments as for `report`."""
    for state, colour in (("complete", PALETTE[0]), ("pruned", FAINT)):
        own = trials[trials["state"] == state]
        label = {"complete": "all folds", "pruned": "ended early"}[state]
        axis.scatter(own.index, own["auc"], color=colour, label=label)
    best = trials["auc"].where(trials["state"] == "complete").cummax()
    axis.step(trials.index, best, where="post", color=PALETTE[1], label="best so far")
    axis.set(xlabel="trial", ylabel="mean AUC of its folds")


def draw_importance(axis: Axes, importance: Mapping[str, float]) -> None:
    """Draw the importance of the settings as bars, the most important one on top."""
    axis.barh(list(importance)[::-1], list(importance.values())[::-1], color=PALETTE[0])


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
