"""Facts of a stack on a page: scores of its blends, and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seti.errors import SetiError
from seti.evaluation.recall import OperatingPoint, recall_at
from seti.experiments.experiment import OOF_COLUMNS, Experiment
from seti.reports.pages import images, plots
from seti.reports.pages.correlation import MOST, Correlation, correlate
from seti.reports.pages.image_files import Illustration
from seti.utils import files, hints

RECORD = "stack.json"
META = {"logistic": "logistic regression", "hill_climbing": "hill climbing", "boosted_trees": "boosted trees"}
STACKED = "stack (nested)"


@dataclass(frozen=True)
class StackFacts:
    """Facts of one stack.

    Attributes:
        experiments: that are blended and still there.
        gone: names of those that are no longer there, or no longer finished.
        formula: of the blend.
        headings, rows: table of scores: names of the columns, and for each blend its name and texts.
        cadences, positives: numbers of held-out cadences.
        not_honest: names of experiments whose scores are too high.
        oof: columns id, fold, target, prob, by nested cross-validation.
        test: columns id and prob; None: no submission yet.
        illustrations: the figures.
        correlation: of the experiments; None for one.
    """

    experiments: list[Experiment]
    gone: list[str]
    formula: str
    headings: list[str]
    rows: list[tuple[str, list[str]]]
    cadences: int
    positives: int
    not_honest: list[str]
    oof: pd.DataFrame
    test: pd.DataFrame | None
    illustrations: list[Illustration]
    correlation: Correlation | None


def is_stack(path: Path) -> bool:
    """True for the folder of a stack."""
    return (path / RECORD).is_file()


def collect(path: Path) -> StackFacts:
    """Collect what a page shows about a stack.

    Args:
        path: its folder, `outputs/stack`.

    Raises:
        SetiError: a file is missing or damaged, or none of the experiments is there any more.
    """
    again = hints.command("stack", hints.setting("output_dir", path.parent))
    record = files.read_json(path / RECORD)
    oof = files.read_csv(path / "oof.csv", OOF_COLUMNS)
    try:
        formula, headings, rows = _formula(record), *_scores(record)
        names, counts = list(record["experiments"]), (int(record["cadences"]), int(record["positives"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path / RECORD} is damaged: make it again with {again}"
        raise SetiError(msg) from error
    if not oof["prob"].between(0, 1).all() or set(oof["target"]) != {0, 1}:
        msg = (
            f"{path / 'oof.csv'} is damaged (prob outside 0..1, or targets other than 0 and 1): {again} makes it again"
        )
        raise SetiError(msg)
    found = [Experiment(path.parent / name) for name in names]
    present = [one for one in found if one.path.is_dir() and one.is_finished()]
    if not present:
        msg = f"{path} blends {', '.join(names)}, and {path.parent} has none of them: blend what there is with {again}"
        raise SetiError(msg)
    tables = {one.name: one.read_oof() for one in present[:MOST]}
    test = None
    if (path / "submission.csv").exists():
        test = files.read_csv(path / "submission.csv", ["id", "target"]).rename(columns={"target": "prob"})
    return StackFacts(
        present,
        [one.name for one in found if one not in present],
        formula,
        headings,
        rows,
        *counts,
        list(record.get("not_honest", [])),
        oof,
        test,
        _illustrations(tables, len(present), oof, recall_at(oof["target"].to_numpy(), oof["prob"].to_numpy())),
        correlate(tables, len(present)),
    )


def _scores(record: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    blends = [
        *record["experiments"].items(),
        ("mean", record["mean"]),
        ("mean of ranks", record["rank_mean"]),
        *(
            (f"{META.get(name, name)}{' (the stack)' * (name == record['meta'])}", one)
            for name, one in record["meta_models"].items()
        ),
    ]
    if record["calibrate"] != "none":
        blends.append((f"the stack, calibrated ({record['calibrate']})", record["stack"]))
    columns = {"weight": "weight", "mean_auc": "AUC, mean of folds", "oof_auc": "AUC, pooled"}
    columns |= {"test_auc": "AUC, test", "calibration_error": "calibration error", "brier": "Brier score"}
    columns = {key: heading for key, heading in columns.items() if any(key in one for _, one in blends)}

    def text(key: str, value: float | None) -> str:
        return "" if value is None else f"{value:{'+.3f' if key == 'weight' else '.4f'}}"

    return list(columns.values()), [(name, [text(key, one.get(key)) for key in columns]) for name, one in blends]


def _formula(record: Mapping[str, Any]) -> str:
    choices = ", ".join(
        f"{name} {value:.4g}" for name, value in record["meta_models"][record["meta"]]["choices"].items()
    )
    then = "" if record["calibrate"] == "none" else f", then calibrated ({record['calibrate']})"
    return f"Meta-model: {META.get(record['meta'], record['meta'])} ({choices}){then}"


def _illustrations(
    tables: Mapping[str, pd.DataFrame], experiments: int, oof: pd.DataFrame, point: OperatingPoint
) -> list[Illustration]:
    stacked = {STACKED: (oof["target"], oof["prob"])}
    curves = stacked | {name: (table["target"], table["prob"]) for name, table in tables.items()}
    classes = {
        "without a needle": oof["prob"][oof["target"] == 0],
        "with a needle": oof["prob"][oof["target"] == 1],
    }
    count = range(experiments + 1)
    drawn = {
        plots.first_of("ROC", plots.MOST_CURVES, count): plots.draw_roc(curves, STACKED),
        plots.first_of("Recall at few false alarms", plots.MOST_CURVES, count): plots.draw_recall(curves, STACKED),
        "Calibration": plots.draw_reliability(stacked),
        "Scores, out-of-fold": plots.draw_distribution(classes, point.threshold),
    }
    return [Illustration(title, images.figure_uri(figure)) for title, figure in drawn.items()]
