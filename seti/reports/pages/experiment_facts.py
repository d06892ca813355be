"""Facts of one experiment on a page: scores, settings, versions and figures."""

import functools
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from seti.config.compose import compose
from seti.config.schema import plain
from seti.errors import SetiError
from seti.evaluation.recall import OperatingPoint, recall_at
from seti.experiments.experiment import Experiment
from seti.experiments.run_identity import flatten
from seti.reports import cross_validation
from seti.reports.pages import images, plots
from seti.reports.pages.image_files import Illustration
from seti.utils import files

log = logging.getLogger(__name__)

CURVES = ["epoch", "train_loss", "val_loss", "val_auc"]  # of metrics.csv
ABOUT_FOLDERS = ("fold", "exp_name", "output_dir", "force")  # settings that say where a result lies, not what it is


class Setting(NamedTuple):
    """One setting that is not the default."""

    key: str
    default: str
    own: str


@dataclass(frozen=True)
class Facts:
    """Facts of one experiment.

    Attributes:
        experiment: the folder.
        summary: content of `cv.json`.
        point: recall and threshold at 1 % false alarms, of all out-of-fold rows together.
        settings: that differ from the defaults.
        versions: of the libraries, by name.
        command: that trains the finished folds.
        remaining: the command that trains the folds that are not finished; None: all are.
    """

    experiment: Experiment
    summary: dict[str, Any]
    point: OperatingPoint
    settings: list[Setting]
    versions: dict[str, str]
    command: str
    remaining: str | None

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.experiment.name

    @property
    def missing(self) -> list[int]:
        """Folds that are not finished."""
        return self.experiment.missing_folds()


def collect(experiment: Experiment) -> Facts:
    """Collect what a page shows about an experiment with at least one finished fold.

    Raises:
        SetiError: a table is missing or damaged.
    """
    oof = experiment.read_oof()
    point = recall_at(oof["target"].to_numpy(), oof["prob"].to_numpy())
    result, missing = experiment.first_result, experiment.missing_folds()
    return Facts(
        experiment,
        cross_validation.summarise(experiment, oof),
        point,
        changed_settings(result.config),
        result.versions,
        experiment.train_command(experiment.finished_folds()),
        experiment.train_command(missing) if missing else None,
    )


def changed_settings(config: dict[str, Any]) -> list[Setting]:
    """List the settings of a run that are not the defaults of `train`."""
    defaults = default_settings("train")
    own = dict(flatten(config))
    return [
        Setting(key, shortened(defaults.get(key, "not set")), shortened(own[key]))
        for key in sorted(own)
        if key not in ABOUT_FOLDERS and own[key] != defaults.get(key, "not set")
    ]


@functools.cache
def default_settings(command: str, *given: str) -> dict[str, Any]:
    """Defaults of a command's settings by dotted key.

    Args:
        command: its name.
        given: a value for each setting that has no default.
    """
    return dict(flatten(plain(compose(command, *given))))


def show(value: Any) -> str:
    """Write a setting's value as it is typed."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shortened(value: Any) -> str:
    """Write a setting's value for a table: numbers with six digits."""
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else show(value)


def draw(facts: Facts) -> list[Illustration]:
    """Draw the figures of an experiment."""
    experiment = facts.experiment
    oof = experiment.read_oof()
    folds = {f"fold {fold}": (rows["target"], rows["prob"]) for fold, rows in oof.groupby("fold")}
    pooled = {"all folds": (oof["target"], oof["prob"])}
    curves = dict(list(folds.items())[: plots.MOST_CURVES - 1]) | pooled
    classes = {
        "without a needle": oof["prob"][oof["target"] == 0],
        "with a needle": oof["prob"][oof["target"] == 1],
    }
    history = _history(experiment)
    drawn: dict[str, Figure] = {}
    if history:
        drawn = {"Loss": plots.draw_losses(history), "Validation AUC": plots.draw_aucs(history)}
    drawn["ROC"] = plots.draw_roc(curves, "all folds")
    drawn["Recall at few false alarms"] = plots.draw_recall(curves, "all folds")
    drawn["Calibration"] = plots.draw_reliability(pooled)
    drawn["Scores, out-of-fold"] = plots.draw_distribution(classes, facts.point.threshold)
    found = [Illustration(title, images.figure_uri(figure)) for title, figure in drawn.items()]
    for path in sorted(experiment.path.glob("fold_*/lr_range.png")):
        title = f"Learning-rate range, {path.parent.name.replace('_', ' ')}"
        try:
            found.append(Illustration(title, images.file_uri(path)))
        except OSError as error:
            log.warning("the page leaves out a figure: %s", error)
    return found


def _history(experiment: Experiment) -> dict[int, pd.DataFrame]:
    """Curves of the finished folds; a fold whose table is damaged has none."""
    found = {}
    for fold in experiment.finished_folds():
        path = experiment.fold(fold).metrics
        if not path.exists():
            continue
        try:
            table = files.read_csv(path, CURVES)
        except SetiError as error:
            log.warning("the page leaves out the curves of fold %s: %s", fold, error)
        else:
            found[fold] = table[CURVES].apply(pd.to_numeric, errors="coerce")
    return found
