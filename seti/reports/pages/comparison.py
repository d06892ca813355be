"""Several experiments side by side: differing settings, ROC and rank correlation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from seti.experiments.run_identity import flatten
from seti.reports.pages import images, plots
from seti.reports.pages.correlation import MOST, Correlation, correlate
from seti.reports.pages.experiment_facts import ABOUT_FOLDERS, Facts, shortened, show
from seti.reports.pages.image_files import Illustration


class Differences(NamedTuple):
    """Settings in which experiments differ: keys, and a row of values for each experiment."""

    keys: list[str]
    rows: list[list[str]]


def ranked(facts: Sequence[Facts]) -> list[Facts]:
    """Sort experiments by the mean AUC of their folds, highest first."""
    return sorted(facts, key=lambda one: (-one.summary["mean_auc"], one.name))


def differing_settings(facts: Sequence[Facts]) -> Differences:
    """Find the settings that are not the same in all experiments."""
    configs = [
        {key: value for key, value in flatten(one.experiment.first_result.config) if key not in ABOUT_FOLDERS}
        for one in facts
    ]
    keys = sorted({key for config in configs for key in config})
    columns = {key: [config.get(key, "not set") for config in configs] for key in keys}
    differing = {key: values for key, values in columns.items() if len({show(value) for value in values}) > 1}
    texts = [_texts(values) for values in differing.values()]
    return Differences(list(differing), [list(row) for row in zip(*texts, strict=True)])


def _texts(values: Sequence[Any]) -> list[str]:
    """Write values that differ: in short, unless that hides a difference."""
    exact, short = [show(value) for value in values], [shortened(value) for value in values]
    return short if len(set(short)) == len(set(exact)) else exact


def illustrations(facts: Sequence[Facts]) -> list[Illustration]:
    """Draw the ROC curves of the first experiments."""
    tables = {one.name: one.experiment.read_oof() for one in facts[: plots.MOST_CURVES]}
    curves = {name: (table["target"], table["prob"]) for name, table in tables.items()}
    drawn = {
        plots.first_of("ROC, all folds", plots.MOST_CURVES, facts): plots.draw_roc(curves),
        plots.first_of("Recall at few false alarms", plots.MOST_CURVES, facts): plots.draw_recall(curves),
    }
    return [Illustration(title, images.figure_uri(figure)) for title, figure in drawn.items()]


def correlation(facts: Sequence[Facts]) -> Correlation | None:
    """Correlate the scores of the first experiments."""
    return correlate({one.name: one.experiment.read_oof() for one in facts[:MOST]}, len(facts))
