"""Facts of a search for settings: its trials, its course, the importance of each setting."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.reports import tuning
from seti.reports.pages import images, plots
from seti.reports.pages.image_files import Illustration
from seti.utils import files

COLUMNS = ["trial", "state", "folds", "auc"]  # of trials.csv; the settings come after them
STATES = {"complete": "all folds", "pruned": "ended early", "running": "not finished", "fail": "failed"}


class StudyFacts(NamedTuple):
    """Facts of a search.

    Attributes:
        folder: of the study.
        headings, rows: table of the trials, best first: names of the columns, and for each trial its texts.
        own: name of the trial that the page is about; empty for a page about all.
        illustrations: the figures.
        remark: one line about the importance, if it is not known.
    """

    folder: Path
    headings: list[str]
    rows: list[list[str]]
    own: str
    illustrations: list[Illustration]
    remark: str


def is_study(path: Path) -> bool:
    """True for the folder of a search that `seti tune` has begun."""
    return (path / tuning.TABLE).is_file() and (path / tuning.STUDY).is_file()


def trials(folder: Path) -> list[Experiment]:
    """Experiments of the trials that have all folds; if there are none, of those with any.

    Raises:
        SetiError: the table of trials is damaged, or no trial has a finished fold.
    """
    table = _read(folder)
    for chosen in (table[table["state"] == "complete"], table):
        found = [Experiment(folder / name) for name in chosen["trial"]]
        found = [one for one in found if one.path.is_dir() and one.results]
        if found:
            return found
    msg = f"ckpt_dir={folder} is a search without a finished fold: the same command of seti tune goes on with it"
    raise SetiError(msg)


def collect(folder: Path, own: str = "") -> StudyFacts:
    """Collect what a page shows about a search.

    Args:
        folder: of the study.
        own: the trial that the page is about, if it is about one.

    Raises:
        SetiError: the table of trials is damaged.
    """
    table = _read(folder)
    importance = _importance(folder)
    order = table.assign(whole=table["state"] == "complete").sort_values(
        ["whole", "auc"], ascending=False, kind="stable", na_position="last"
    )
    settings = list(table.columns[len(COLUMNS) :])
    rows = [
        [
            *(row["trial"], "" if pd.isna(row["auc"]) else f"{row['auc']:.4f}", f"{row['folds']:g}"),
            *(STATES.get(row["state"], row["state"]), *(_text(row[key]) for key in settings)),
        ]
        for row in order.to_dict("records")
    ]
    drawn = {"Trials of the search, in their order": plots.draw_trials(table, own)}
    if importance:
        drawn["Importance of the settings: share of the differences"] = plots.draw_importance(importance)
    figures = [Illustration(title, images.figure_uri(figure)) for title, figure in drawn.items()]
    remark = "" if importance else "The importance of the settings is not known: too few trials have all folds."
    return StudyFacts(folder, ["trial", "mean AUC", "folds", "state", *settings], rows, own, figures, remark)


def study_of(experiment: Experiment) -> StudyFacts | None:
    """Search of which an experiment is a trial; None for others."""
    folder = experiment.path.resolve().parent
    if not is_study(folder):
        return None
    try:
        table = _read(folder)
    except SetiError:
        return None
    folder = experiment.path.parent
    return collect(folder, experiment.name) if experiment.name in set(table["trial"]) else None


def _read(folder: Path) -> pd.DataFrame:
    table = files.read_csv(folder / tuning.TABLE, COLUMNS)
    table["trial"], table["state"] = table["trial"].astype(str), table["state"].astype(str)
    table["auc"] = pd.to_numeric(table["auc"], errors="coerce")
    table["folds"] = pd.to_numeric(table["folds"], errors="coerce").fillna(0)
    return table


def _importance(folder: Path) -> dict[str, float]:
    """Importance by setting, of the record; empty where it is not known."""
    try:
        known = files.read_json(folder / tuning.RECORD).get("importance")
    except SetiError:
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: float(share) for key, share in known.items() if isinstance(share, int | float) and np.isfinite(share)}


def _text(value: object) -> str:
    if pd.isna(value):
        return "null"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
