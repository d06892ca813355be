"""Cross-validation report of an experiment: scores, figures and the next command."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from sklearn.metrics import roc_auc_score

from seti.errors import SetiError
from seti.evaluation import calibration
from seti.experiments import trackers
from seti.experiments.experiment import Experiment
from seti.reports import figures, gallery, score_plots, training_plots
from seti.utils import encoding, files, hints
from seti.utils.console import console, print_next

log = logging.getLogger(__name__)


def summarise(experiment: Experiment, oof: pd.DataFrame | None = None) -> dict[str, Any]:
    """Score an experiment over its finished folds.

    Args:
        experiment: the experiment.
        oof: its out-of-fold table; None: read it.

    Returns:
        The content of `cv.json`: AUC and loss of each fold; mean and sample standard deviation of the folds' AUC (0 for
        one fold); `pooled_auc`, the AUC of all out-of-fold rows together, which is lower if the folds' probabilities
        are on different scales; `calibration_error` and `brier` of the same rows, see `seti.evaluation.calibration`.
    """
    oof = experiment.read_oof() if oof is None else oof
    folds = [
        {
            "fold": fold,
            "auc": result.scores.auc,
            "loss": result.scores.loss,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
        }
        for fold, result in experiment.results.items()
    ]
    aucs = np.array([fold["auc"] for fold in folds])
    return {
        "exp_name": experiment.name,
        "n_folds": experiment.n_folds(),
        "finished_folds": experiment.finished_folds(),
        "folds": folds,
        "mean_auc": float(aucs.mean()),
        "deviation_auc": float(aucs.std(ddof=1)) if len(aucs) > 1 else 0.0,
        "pooled_auc": float(roc_auc_score(oof["target"], oof["prob"])),
        **calibration.scores(oof["target"], oof["prob"]),
        "cadences": len(oof),
        "positives": int(oof["target"].sum()),
        "seconds": float(sum(fold["seconds"] for fold in folds)),
        "honest": experiment.is_honest,
        "pseudo": None if experiment.first_result.pseudo is None else experiment.first_result.pseudo["path"],
    }


def report(
    path: Path, typed: list[str] | None = None, refused: Sequence[list[str]] = (), engine: Sequence[str] = ()
) -> None:
    """Print the table of folds, write `cv.json` and the figures, and print the next command.

    A folder without a finished fold is left unchanged.

    Args:
        path: the experiment's folder.
        typed: overrides of the run that was just accepted, which the next command repeats; None: those on record.
        refused: overrides of runs that were just refused; a next command that repeats them is not printed.
        engine: settings of Hydra that the sweep was given, which the next command repeats.
    """
    experiment = Experiment(path)
    if not experiment.results:
        return
    summary = summarise(experiment)
    files.remove_stale_parts(path)
    files.write_json(experiment.cv_path, summary)
    _draw(experiment)
    settings = experiment.first_result.config
    run = trackers.Run(experiment.path.parent, "sweep", experiment.name)
    scores = ("mean_auc", "deviation_auc", "pooled_auc", "calibration_error", "brier", "seconds")
    trackers.record(settings.get("logger"), run, settings, {key: summary[key] for key in scores})
    _print_table(summary)
    missing = experiment.missing_folds()
    if missing:
        command = experiment.train_command(missing, typed, engine)
        failed = [experiment.train_command(missing, words, engine) for words in refused]
        if not any(_settings(command) == _settings(one) for one in failed):
            print_next(command, "the missing folds")
    else:
        print(f"wrote {experiment.cv_path}, roc.png, curves.png and gallery.png")
        print_next(hints.command("predict", hints.setting("ckpt_dir", experiment.path)))


def _settings(command: str) -> dict[str, str]:
    """Words of a command by setting; the last of two counts, and sweeps record that alone."""
    return {word.partition("=")[0]: word for word in command.split()}


def _draw(experiment: Experiment) -> None:
    oof = experiment.read_oof()
    curves = {f"fold {fold}": (rows["target"], rows["prob"]) for fold, rows in oof.groupby("fold")}
    curves["all folds"] = (oof["target"], oof["prob"])
    figures.save_figure(score_plots.draw_roc(curves), experiment.path / "roc.png")
    history = {fold: pd.read_csv(experiment.fold(fold).metrics) for fold in experiment.finished_folds()}
    figures.save_figure(training_plots.draw_history(history), experiment.path / "curves.png")
    draw_gallery(experiment)


def draw_gallery(experiment: Experiment) -> None:
    """Draw the gallery; only warn if the data set is gone, because no result depends on it."""
    try:
        gallery.draw_experiment_gallery(experiment, gallery.data_root(experiment))
    except SetiError as error:
        log.warning("no gallery: %s", error)


def _print_table(summary: dict[str, Any]) -> None:
    table = Table("fold", "AUC", "loss", "best epoch", "seconds", title=f"{summary['exp_name']}: held-out folds")
    for column in table.columns:
        column.justify = "right"
    for fold in summary["folds"]:
        epoch = str(fold["best_epoch"] + 1)
        table.add_row(str(fold["fold"]), f"{fold['auc']:.4f}", f"{fold['loss']:.4f}", epoch, f"{fold['seconds']:.0f}")
    table.add_section()
    spread = ""  # one fold has none
    if len(summary["folds"]) > 1:
        spread = f" {encoding.plus_minus()} {summary['deviation_auc']:.4f}"
    table.add_row(
        "mean",
        f"{summary['mean_auc']:.4f}{spread}",
        "",
        "",
        f"{summary['seconds'] / len(summary['folds']):.0f}",
    )
    table.add_row("pooled", f"{summary['pooled_auc']:.4f}", "", "", "")
    console().print(table)
    if not summary["honest"]:
        source = summary["pseudo"] or "the weights of such an experiment"
        print(
            f"not honest: {summary['exp_name']} learned from {source}, by networks that saw the held-out cadences: "
            "these scores are too high"
        )
    print(f"calibration error {summary['calibration_error']:.4f}, Brier score {summary['brier']:.4f}, pooled")
