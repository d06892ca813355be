"""Several experiments side by side: differing settings, ROC and rank correlation."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from seti.experiments.run_identity import flatten
from seti.reports import score_plots
from seti.reports.pages import images
from seti.reports.pages.experiment_facts import ABOUT_FOLDERS, Facts, Illustration, show


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
        {key: show(value) for key, value in flatten(one.experiment.first_result.config) if key not in ABOUT_FOLDERS}
        for one in facts
    ]
    keys = sorted({key for config in configs for key in config})
    differing = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    return Differences(differing, [[config.get(key, "not set") for key in differing] for config in configs])


def illustrations(facts: Sequence[Facts]) -> list[Illustration]:
    """Draw the experiments' ROC curves, and their rank correlation over common cadences."""
    tables = {one.name: one.oof for one in facts}
    # matplotlib reads what stands between two dollar signs as a formula
    curves = {name.replace("$", r"\$"): (table["target"], table["prob"]) for name, table in tables.items()}
    found = [Illustration("ROC, all folds", images.figure_uri(score_plots.draw_roc(curves)))]
    columns = pd.DataFrame(
        {name.replace("$", r"\$"): table.set_index("id")["prob"] for name, table in tables.items()}
    ).dropna()
    if len(columns) > 1:
        title = f"Rank correlation over {len(columns):,} cadences"
        found.append(Illustration(title, images.figure_uri(score_plots.draw_correlation(columns))))
    return found
