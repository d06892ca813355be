"""Scores of a stack: the content of `stack.json` and the printed table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text
from sklearn.metrics import roc_auc_score

from seti.evaluation import calibration
from seti.stacking.meta_models.base import Fitted
from seti.stacking.out_of_fold import NestedPredictions, OutOfFold
from seti.utils.console import console

OPTIMISTIC = "optimistic"
FED_BACK = "not honest"


@dataclass(frozen=True)
class TestProbs:
    """Test-set probabilities by name, `(M,)` each; empty without test predictions.

    Attributes:
        experiments: of each experiment.
        models: of each meta-model, before calibration.
        blends: of each other blend.
        targets: `(M,)`, None if unknown.
    """

    __test__ = False  # not a test class for pytest to collect

    experiments: Mapping[str, np.ndarray] = field(default_factory=dict)
    models: Mapping[str, np.ndarray] = field(default_factory=dict)
    blends: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: np.ndarray | None = None


def stack_report(
    oof: OutOfFold,
    meta: str,
    fitted: Mapping[str, Fitted],
    nested: Mapping[str, NestedPredictions],
    blends: Mapping[str, np.ndarray],
    test: TestProbs,
) -> dict[str, Any]:
    """Score experiments, blends and meta-models.

    Args:
        oof: the experiments' out-of-fold probabilities.
        meta: name of the chosen meta-model, which makes the submission.
        fitted: every meta-model, fitted to all rows.
        nested: every meta-model's predictions by nested cross-validation.
        blends: `(N,)` probabilities of other blends; `stack` is the chosen meta-model, calibrated.
        test: the same for the test set.

    Returns:
        Under `experiments`, `meta_models` and each blend's name: `oof_auc`, over all rows at once, `fold_auc`,
        `mean_auc` and, if the labels are known, `test_auc`. For meta-models (before calibration) and the stack also
        `calibration_error` and `brier`, and for the stack the curve `reliability`; see `seti.evaluation.calibration`.
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
    """Print the scores of `stack.json`, with the best one of each column marked."""
    stack, chosen = report["stack"], report["meta_models"][report["meta"]]
    fed_back = report.get("not_honest", [])
    honest = "not honest" if fed_back else "honest"
    rows = [
        *((name, scores, FED_BACK if name in fed_back else "") for name, scores in report["experiments"].items()),
        ("mean", report["mean"], "nothing fitted"),
        ("rank mean", report["rank_mean"], "nothing fitted"),
        ("stack, search", {"mean_auc": chosen["search_auc"]}, OPTIMISTIC),
        ("stack, nested", stack, f"{honest}, {report['meta']}"),
        *(
            (f"{name}, nested", scores, f"{honest}, meta={name}")
            for name, scores in report["meta_models"].items()
            if name != report["meta"]
        ),
    ]
    columns = {"mean_auc": "mean of folds", "oof_auc": "pooled AUC"}
    if "test_auc" in stack:
        columns["test_auc"] = "test AUC"
    # The score of the search is not compared, because it does not estimate the score on new cadences.
    compared = [scores for _, scores, remark in rows if remark != OPTIMISTIC]
    best = {column: max(scores[column] for scores in compared) for column in columns}
    table = Table(
        title=f"{report['cadences']} held-out cadences, {report['positives']} with a needle",
        caption="optimistic: settings were chosen by this same score. honest: weights and settings were found without "
        "the fold that is scored; each fold's blend has its own scale, so compare by the mean of folds. "
        f"* best, the optimistic one excluded.\n{_formula(report)}",
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
    if fed_back:
        print(
            f"not honest: {', '.join(fed_back)} learned from pseudo-labels by networks that saw the held-out cadences: "
            "out-of-fold scores of these experiments, and of any blend with them, are too high"
        )
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
    formula = {
        "logistic": "logistic({intercept:.3f} + sum of weight x probability), C = {c:.3g}",
        "hill_climbing": "sum of weight x probability, an experiment's weight being its share of {picks} picks",
        "boosted_trees": "{trees} boosted trees of {leaves} leaves each",
    }[report["meta"]].format(**choices)
    then = "" if report["calibrate"] == "none" else f", then calibrated ({report['calibrate']})"
    return f"stack = {formula}{then}"


def _calibration(scores: Mapping[str, Any]) -> str:
    return (
        f"calibration error {scores['calibration_error']:.4f}, Brier score {scores['brier']:.4f}, "
        f"AUC {scores['mean_auc']:.4f} (mean of folds), {scores['oof_auc']:.4f} (pooled)"
    )
