"""What a stack scores: the numbers of `stack.json`, and the table that is printed of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text
from sklearn.metrics import roc_auc_score

from seti.evaluation import calibration
from seti.stacking.meta_models.base import Fitted
from seti.stacking.out_of_fold import Nested, OutOfFold
from seti.utils.console import console

OPTIMISTIC = "optimistic"


@dataclass(frozen=True)
class TestProbs:
    """Probabilities of the test set, `(M,)` each, by name; nothing where there are none.

    Attributes:
        experiments: of every experiment.
        models: of every meta-model, not calibrated.
        blends: of what else is scored.
        targets: `(M,)`, None where nobody knows them.
    """

    __test__ = False  # pytest would take it for tests

    experiments: Mapping[str, np.ndarray] = field(default_factory=dict)
    models: Mapping[str, np.ndarray] = field(default_factory=dict)
    blends: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: np.ndarray | None = None


def stack_report(
    oof: OutOfFold,
    meta: str,
    fitted: Mapping[str, Fitted],
    nested: Mapping[str, Nested],
    blends: Mapping[str, np.ndarray],
    test: TestProbs,
) -> dict[str, Any]:
    """Score experiments, blends and meta-models.

    Args:
        oof: the experiments' out-of-fold probabilities.
        meta: the meta-model that is handed in.
        fitted: every meta-model, fitted to all rows.
        nested: their out-of-fold probabilities.
        blends: `(N,)` probabilities of what else is scored; `stack` is the chosen meta-model, calibrated.
        test: the same for the test set.

    Returns:
        Under `experiments`, `meta_models` and every blend's name: `oof_auc`, of all rows at once, `fold_auc`,
        `mean_auc`, and `test_auc` where it is known. Of meta-models, which are not calibrated here, and of the stack
        also `calibration_error` and `brier`; of the stack the curve `reliability`, too; see
        `seti.evaluation.calibration`.
    """

    def scores(probs: np.ndarray, test_probs: np.ndarray | None) -> dict[str, Any]:
        found = _aucs(oof, np.asarray(probs))
        if test.targets is not None:
            found["test_auc"] = float(roc_auc_score(test.targets, np.asarray(test_probs)))
        return found

    weights = fitted[meta].weights
    experiments = {name: scores(oof.probs[name], test.experiments.get(name)) for name in oof.probs.columns}
    if weights is not None:
        for (name, values), weight in zip(experiments.items(), weights, strict=True):
            experiments[name] = {"weight": float(weight), **values}
    models = {
        name: {
            **scores(nested[name].probs, test.models.get(name)),
            **calibration.scores(oof.targets, nested[name].probs),
            "search_auc": model.auc,
            "choices": model.choices,
            "nested_choices": nested[name].choices,
        }
        for name, model in fitted.items()
    }
    blended = {name: scores(probs, test.blends.get(name)) for name, probs in blends.items()}
    stack = np.asarray(blends["stack"])
    curve = calibration.reliability(oof.targets, stack).to_dict("list")
    blended["stack"] |= {**calibration.scores(oof.targets, stack), "reliability": curve}
    return {"experiments": experiments, **blended, "meta": meta, "meta_models": models}


def print_report(report: Mapping[str, Any]) -> None:
    """Print the scores of `stack.json`, the best one of every column marked."""
    stack, chosen = report["stack"], report["meta_models"][report["meta"]]
    rows = [
        *((name, scores, "") for name, scores in report["experiments"].items()),
        ("mean", report["mean"], "nothing fitted"),
        ("rank mean", report["rank_mean"], "nothing fitted"),
        ("stack, search", {"mean_auc": chosen["search_auc"]}, OPTIMISTIC),
        ("stack, nested", stack, f"honest, {report['meta']}"),
        *(
            (f"{name}, nested", scores, f"honest, meta={name}")
            for name, scores in report["meta_models"].items()
            if name != report["meta"]
        ),
    ]
    columns = {"mean_auc": "mean of folds", "oof_auc": "pooled AUC"}
    if "test_auc" in stack:
        columns["test_auc"] = "test AUC"
    # The search's score does not compete: it is no estimate for new cadences.
    honest = [scores for _, scores, remark in rows if remark != OPTIMISTIC]
    best = {column: max(scores[column] for scores in honest) for column in columns}
    table = Table(
        title=f"{report['cadences']} held-out cadences, {report['positives']} with a needle",
        caption="optimistic: settings were chosen by this very score. honest: weights and settings came about without "
        "the fold that is scored; each fold's blend has a scale of its own, so compare it by the mean of folds. "
        f"* best of all but the optimistic one.\n{_formula(report)}",
        caption_justify="left",
    )
    table.add_column("experiment", overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for number, (name, scores, remark) in enumerate(rows):
        if number == len(report["experiments"]):
            table.add_section()
        cells = [Text(name), Text(f"{scores['weight']:+.3f}" if "weight" in scores else "")]
        for column in columns:
            value = scores.get(column)
            if value is None:
                cells.append(Text(""))
            elif value == best[column] and remark != OPTIMISTIC:
                cells.append(Text(f"{value:.4f} *", style="bold green"))
            else:
                cells.append(Text(f"{value:.4f}  "))
        table.add_row(*cells, Text(remark))
    console().print(table)
    print(f"the stack's probabilities: {_calibration(stack)}")
    if report["calibrate"] != "none":
        print(f"before calibrate={report['calibrate']}: {_calibration(chosen)}")


def _aucs(oof: OutOfFold, probs: np.ndarray) -> dict[str, Any]:
    scores: dict[str, Any] = {"oof_auc": float(roc_auc_score(oof.targets, probs)), "fold_auc": {}}
    for fold in np.unique(oof.folds):
        rows = oof.folds == fold
        both = len(np.unique(oof.targets[rows])) == 2
        scores["fold_auc"][str(fold)] = float(roc_auc_score(oof.targets[rows], probs[rows])) if both else None
    scores["mean_auc"] = float(np.mean([auc for auc in scores["fold_auc"].values() if auc is not None] or [np.nan]))
    return scores


def _formula(report: Mapping[str, Any]) -> str:
    choices = report["meta_models"][report["meta"]]["choices"]
    said = {
        "logistic": "logistic({intercept:.3f} + sum of weight x probability), C = {c:.3g}",
        "hill_climbing": "sum of weight x probability, an experiment's weight being its share of {picks} picks",
        "boosted_trees": "{trees} boosted trees of {leaves} leaves each",
    }[report["meta"]].format(**choices)
    then = "" if report["calibrate"] == "none" else f", then calibrated ({report['calibrate']})"
    return f"stack = {said}{then}"


def _calibration(scores: Mapping[str, Any]) -> str:
    return (
        f"calibration error {scores['calibration_error']:.4f}, Brier score {scores['brier']:.4f}, "
        f"AUC {scores['mean_auc']:.4f} (mean of folds), {scores['oof_auc']:.4f} (pooled)"
    )
