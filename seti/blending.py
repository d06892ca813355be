"""Blend experiments: what `python stack.py` reads, writes and prints."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
from rich.table import Table
from rich.text import Text
from sklearn.metrics import roc_auc_score

from seti import catalog, files, lock, plots, sidecar
from seti.console import console
from seti.errors import SetiError
from seti.experiment import Experiment, find_experiments
from seti.stacking import OutOfFold, grid_search, join_oof, join_predictions, nested_probabilities, rank_mean

STACK_FOLDER = "stack"


@dataclass
class StackConfig:
    """Everything `stack.py` reads."""

    output_dir: str = MISSING
    experiments: list[str] | None = None
    seed: int = MISSING
    n_jobs: int | None = None


ConfigStore.instance().store(name="stack_schema", node=StackConfig)


def stack(cfg: StackConfig) -> float:
    """Blend experiments; write `outputs/stack/` and print every score.

    Args:
        cfg: `conf/stack.yaml`.

    Returns:
        AUC of the nested cross-validation.

    Raises:
        SetiError: no finished experiment, an unknown or unfinished one, tables that do not fit together, or another
            run that stacks.
    """
    if not 0 <= cfg.seed < 2**32:
        msg = f"seed={cfg.seed} must be between 0 and {2**32 - 1}"
        raise SetiError(msg)
    if cfg.n_jobs == 0:
        msg = "n_jobs=0 leaves nobody to do the work: use a number of threads, or null for one a core"
        raise SetiError(msg)
    n_jobs = -1 if cfg.n_jobs is None else cfg.n_jobs
    experiments = choose_experiments(Path(cfg.output_dir), cfg.experiments)
    if len(experiments) == 1:
        print(f"note: {experiments[0].name} stands alone: a stack of one ranks as it does by itself")
    oof = join_oof({experiment.name: experiment.read_oof() for experiment in experiments})
    tables, lacking = _read_predictions(experiments)
    test_ids, test = None, None
    if not lacking:
        joined = join_predictions(tables)
        test_ids, test = joined.index, joined.dropna()
        if test.empty:
            msg = "no test cadence has a score by every experiment: mend the test set and predict it again"
            raise SetiError(msg)

    folder = Path(cfg.output_dir) / STACK_FOLDER
    folder.mkdir(exist_ok=True)
    with lock.hold(folder, "stacking"):
        files.remove_parts(folder)
        return _blend(cfg.seed, n_jobs, folder, experiments, oof, test_ids, test, lacking)


def _blend(
    seed: int,
    n_jobs: int,
    folder: Path,
    experiments: Sequence[Experiment],
    oof: OutOfFold,
    test_ids: pd.Index | None,
    test: pd.DataFrame | None,
    lacking: Sequence[Experiment],
) -> float:
    features = np.ascontiguousarray(oof.probs.to_numpy())
    search = grid_search(features, oof.targets, seed, n_jobs)
    nested, nested_c = nested_probabilities(features, oof.targets, oof.folds, seed, n_jobs)
    blends = {"mean": oof.probs.mean(axis=1), "rank_mean": rank_mean(oof.probs), "stack": nested}
    test_blends = {}
    if test is not None:
        stack_probs = search.model.predict_proba(test[oof.probs.columns].to_numpy())[:, 1]
        test_blends = {"mean": test.mean(axis=1), "rank_mean": rank_mean(test), "stack": stack_probs}
    test_targets = None if test is None else _test_targets(experiments, test.index)

    report = {
        "experiments": {
            name: {
                "weight": float(weight),
                **_scores(oof, oof.probs[name], None if test is None else test[name], test_targets),
            }
            for name, weight in zip(oof.probs.columns, search.model.coef_[0], strict=True)
        },
        **{name: _scores(oof, probs, test_blends.get(name), test_targets) for name, probs in blends.items()},
        "grid_search": {"c": search.c, "intercept": float(search.model.intercept_[0]), "auc": search.score},
        "nested_c": nested_c,
        "cadences": len(oof.ids),
        "positives": int(oof.targets.sum()),
        "seed": int(seed),
        "test_cadences_without_score": 0 if test is None else len(test_ids) - len(test),
        "without_predictions": [experiment.name for experiment in lacking],
    }
    submission = None
    if test is not None:
        prior = float(oof.targets.mean())  # for what could not be read, as predict.py does
        stacked = pd.Series(test_blends["stack"], index=test.index).reindex(test_ids).fillna(prior)
        submission = pd.DataFrame({"id": test_ids, "target": stacked.to_numpy()})
    _write(folder, report, oof, nested, submission)
    _print_scores(report, test_targets is not None)
    for experiment in lacking:
        command = f"python predict.py ckpt_dir={shlex.quote(str(experiment.path))}"
        print(f"no submission yet: {experiment.name} lacks predictions by all of its folds: {command}")
    if test is None or submission is None:
        print(f"wrote {folder}: stack.json, oof.csv and figures; then run stack.py again for submission.csv")
    else:
        if len(test) < len(submission):
            print(f"note: {len(submission) - len(test)} test cadences have no score: they get {prior:.4f}, the prior")
        print(f"wrote {folder}: hand in {folder / 'submission.csv'} ({len(submission)} cadences)")
    return report["stack"]["oof_auc"]


def choose_experiments(output_dir: Path, names: Sequence[str] | None) -> list[Experiment]:
    """Find the experiments to blend.

    Args:
        output_dir: the folder of experiments.
        names: which; None for all whose folds are all finished. The others are told on the terminal.

    Returns:
        At least one experiment, sorted by name.

    Raises:
        SetiError: there is none, or a named one is unknown or unfinished.
    """
    found = {experiment.name: experiment for experiment in find_experiments(output_dir)}
    if names is not None:
        chosen = [_named(name, found, output_dir) for name in sorted(set(names))]
        if not chosen:
            msg = "experiments=[] names none: name some, or leave the key out to blend every finished one"
            raise SetiError(msg)
        return chosen
    finished = [experiment for experiment in found.values() if experiment.is_finished()]
    unfinished = [experiment for experiment in found.values() if not experiment.is_finished()]
    if not finished:
        command = "python train.py -m fold=0,1,2,3,4"
        msg = f"{output_dir} has no finished experiment: train one with {command}"
        if unfinished:
            msg = f"{output_dir} has no finished experiment; {_unfinished(unfinished[0])}"
        raise SetiError(msg)
    for experiment in unfinished:
        print(f"note: left out {_unfinished(experiment)}")
    return finished


def _named(name: str, found: Mapping[str, Experiment], output_dir: Path) -> Experiment:
    if name in found:
        if not found[name].is_finished():
            raise SetiError(_unfinished(found[name]))
        return found[name]
    if (output_dir / name).is_dir() and any((output_dir / name).glob("fold_*")):
        msg = f"{name} has no finished fold (fold_<k>/result.json): let its training end, or leave it out"
        raise SetiError(msg)
    near = get_close_matches(name, found, n=3, cutoff=0.3) or list(found)[:3]
    known = f"nearest: {', '.join(near)}" if near else "none has a finished fold"
    msg = f"{output_dir} has no experiment {name!r}: {known}"
    raise SetiError(msg)


def _unfinished(experiment: Experiment) -> str:
    missing = ", ".join(map(str, experiment.missing_folds()))
    command = experiment.train_command(experiment.missing_folds())
    return f"{experiment.name}: fold {missing} not finished; train with {command}"


def _read_predictions(experiments: Sequence[Experiment]) -> tuple[dict[str, pd.DataFrame], list[Experiment]]:
    """Read the predictions, and list the experiments that lack any of their folds'."""
    tables, lacking = {}, []
    for experiment in experiments:
        table = sidecar.read_predictions(experiment)
        if table is None:
            lacking.append(experiment)
        else:
            tables[experiment.name] = table
    return tables, lacking


def _test_targets(experiments: Sequence[Experiment], ids: pd.Index) -> np.ndarray | None:
    """Look for the test set's labels, which simulated data has, under the experiments' data roots."""
    for root in dict.fromkeys(str(next(iter(e.results.values()))["data"]["root"]) for e in experiments):
        labels = catalog.read_test_labels(Path(root))
        if labels is None:
            continue
        targets = labels.set_index("id")["target"].reindex(ids)
        if targets.notna().all() and targets.nunique() == 2:
            return targets.to_numpy(np.int64)
        print(f"note: no test AUC: {Path(root, catalog.TEST_LABELS)} does not label every test id, or one class")
    return None


def _scores(
    oof: OutOfFold,
    probs: Sequence[float],
    test_probs: Sequence[float] | None,
    test_targets: np.ndarray | None,
) -> dict[str, Any]:
    probs = np.asarray(probs)
    scores: dict[str, Any] = {"oof_auc": float(roc_auc_score(oof.targets, probs)), "fold_auc": {}}
    for fold in np.unique(oof.folds):
        rows = oof.folds == fold
        both = len(np.unique(oof.targets[rows])) == 2
        scores["fold_auc"][str(fold)] = float(roc_auc_score(oof.targets[rows], probs[rows])) if both else None
    scores["mean_auc"] = float(np.mean([auc for auc in scores["fold_auc"].values() if auc is not None] or [np.nan]))
    if test_targets is not None and test_probs is not None:
        scores["test_auc"] = float(roc_auc_score(test_targets, np.asarray(test_probs)))
    return scores


def _write(
    folder: Path,
    report: dict[str, Any],
    oof: OutOfFold,
    nested: np.ndarray,
    submission: pd.DataFrame | None,
) -> None:
    """Write every file beside its name first: where one cannot be written, an earlier stack stays as it was."""
    table = pd.DataFrame({"id": oof.ids, "fold": oof.folds, "target": oof.targets, "prob": nested})
    curves = {name: (oof.targets, oof.probs[name].to_numpy()) for name in oof.probs}
    several = len(oof.probs.columns) > 1
    with ExitStack() as staged:

        def beside(name: str) -> Path:
            return staged.enter_context(files.whole_file(folder / name))

        # Renamed in reverse: the report comes last, as the sign that the others are whole.
        report_path = beside("stack.json")
        plots.save_figure(plots.draw_roc({"stack (nested)": (oof.targets, nested), **curves}), beside("roc.png"))
        if several:
            plots.save_figure(plots.draw_correlation(oof.probs), beside("correlation.png"))
        files.write_csv(beside("oof.csv"), table)
        if submission is not None:
            files.write_csv(beside("submission.csv"), submission)
        files.write_json(report_path, report)
    # What an earlier stack of other experiments left must not be taken for this one's.
    for name, written in (("submission.csv", submission is not None), ("correlation.png", several)):
        if not written:
            (folder / name).unlink(missing_ok=True)


def _print_scores(report: Mapping[str, Any], with_test: bool) -> None:
    rows = {
        **{name: (scores, "") for name, scores in report["experiments"].items()},
        "mean": (report["mean"], "nothing fitted"),
        "rank mean": (report["rank_mean"], "nothing fitted"),
        "stack, grid search": ({"mean_auc": report["grid_search"]["auc"]}, "optimistic"),
        "stack, nested": (report["stack"], "honest"),
    }
    columns = ["mean_auc", "oof_auc", *(["test_auc"] if with_test else [])]
    # The grid search's score does not compete: it is no estimate for new cadences.
    honest = [scores for _, (scores, remark) in rows.items() if remark != "optimistic"]
    best = {column: max(scores[column] for scores in honest) for column in columns}
    search = report["grid_search"]
    table = Table(
        title=f"{report['cadences']} held-out cadences, {report['positives']} with a needle",
        caption="optimistic: C was chosen by this very score, the mean over the inner folds. honest: weights "
        "and C were chosen without the fold that is scored; each fold's blend has a scale of its own, so compare it "
        "by the mean of folds. * best of all but the optimistic one.\n"
        f"stack = logistic({search['intercept']:.3f} + sum of weight x probability), C = {search['c']:.3g}",
        caption_justify="left",
    )
    table.add_column("experiment", overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("mean of folds", justify="right", no_wrap=True)
    table.add_column("pooled AUC", justify="right", no_wrap=True)
    if with_test:
        table.add_column("test AUC", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for number, (name, (scores, remark)) in enumerate(rows.items()):
        if number == len(report["experiments"]):
            table.add_section()
        cells = [Text(name), Text(f"{scores['weight']:+.3f}" if "weight" in scores else "")]
        for column in columns:
            value = scores.get(column)
            if value is None:
                cells.append(Text(""))
            elif value == best[column] and remark != "optimistic":
                cells.append(Text(f"{value:.4f} *", style="bold green"))
            else:
                cells.append(Text(f"{value:.4f}  "))
        table.add_row(*cells, Text(remark))
    console().print(table)
