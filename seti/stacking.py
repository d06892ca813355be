"""The meta-model: experiments blended by a logistic regression on their out-of-fold probabilities."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from joblib import Parallel, delayed
from omegaconf import MISSING
from rich.table import Table
from rich.text import Text
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from seti import catalog, files, plots
from seti.console import console
from seti.crossval import train_command
from seti.errors import SetiError
from seti.experiment import OOF_COLUMNS, Experiment, find_experiments

STACK_FOLDER = "stack"
C_VALUES = np.logspace(2, -2, 50)
INNER_FOLDS = 5


@dataclass
class StackConfig:
    """Everything `stack.py` reads."""

    output_dir: str = MISSING
    experiments: list[str] | None = None
    seed: int = MISSING
    n_jobs: int | None = None


ConfigStore.instance().store(name="stack_schema", node=StackConfig)


@dataclass(frozen=True)
class OutOfFold:
    """Several experiments' out-of-fold tables, joined by id.

    Attributes:
        ids: `(N,)`, sorted.
        folds: `(N,)`, which fold held each cadence out, the same in every experiment.
        targets: `(N,)`, 0 or 1.
        probs: `(N, models)`, a column an experiment, named by it.
    """

    ids: np.ndarray
    folds: np.ndarray
    targets: np.ndarray
    probs: pd.DataFrame


@dataclass(frozen=True)
class GridSearch:
    """Outcome of `grid_search`.

    Attributes:
        c: the best inverse strength of regularisation.
        score: its AUC, the mean over the inner folds.
        model: fitted with it to all rows.
    """

    c: float
    score: float
    model: LogisticRegression


def stack(cfg: StackConfig) -> float:
    """Blend experiments; write `outputs/stack/` and print every score.

    Args:
        cfg: `conf/stack.yaml`.

    Returns:
        AUC of the nested cross-validation.

    Raises:
        SetiError: no finished experiment, an unknown or unfinished one, or tables that do not fit together.
    """
    if cfg.n_jobs == 0:
        msg = "n_jobs=0 leaves nobody to do the work: use a number of threads, or null for one a core"
        raise SetiError(msg)
    n_jobs = -1 if cfg.n_jobs is None else cfg.n_jobs
    experiments = choose_experiments(Path(cfg.output_dir), cfg.experiments)
    if len(experiments) == 1:
        print(f"note: {experiments[0].name} stands alone: a stack of one ranks as it does by itself")
    oof = join_oof({experiment.name: experiment.read_oof() for experiment in experiments})
    tables, lacking = _read_predictions(experiments)
    test = None if lacking else join_predictions(tables)

    features = np.ascontiguousarray(oof.probs.to_numpy())
    search = grid_search(features, oof.targets, cfg.seed, n_jobs)
    nested, nested_c = nested_probabilities(features, oof.targets, oof.folds, cfg.seed, n_jobs)
    blends = {"mean": oof.probs.mean(axis=1), "rank_mean": rank_mean(oof.probs), "stack": nested}
    test_blends = {}
    if test is not None:
        stacked = search.model.predict_proba(test[oof.probs.columns].to_numpy())[:, 1]
        test_blends = {"mean": test.mean(axis=1), "rank_mean": rank_mean(test), "stack": stacked}
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
        "seed": int(cfg.seed),
        "without_predictions": [experiment.name for experiment in lacking],
    }
    folder = Path(cfg.output_dir) / STACK_FOLDER
    _write(folder, report, oof, nested, test_blends, test)
    _print_scores(report, test_targets is not None)
    for experiment in lacking:
        command = f"python predict.py ckpt_dir={shlex.quote(str(experiment.path))}"
        print(f"no submission yet: {experiment.name} lacks predictions by all of its folds: {command}")
    if test is None:
        print(f"wrote {folder}: stack.json, oof.csv and figures; then run stack.py again for submission.csv")
    else:
        print(f"wrote {folder}: hand in {folder / 'submission.csv'} ({len(test)} cadences)")
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


def join_oof(tables: Mapping[str, pd.DataFrame]) -> OutOfFold:
    """Join out-of-fold tables by id.

    Args:
        tables: by experiment, the columns id, fold, target, prob, in any order of rows.

    Raises:
        SetiError: ids are doubled or missing, values are no probabilities, targets or folds, or the
            experiments differ in their ids, targets or folds; the message names both and the first ids.
    """
    indexed = {name: _by_id(name, table, OOF_COLUMNS, "out-of-fold table") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    first = first.sort_index()
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "out-of-fold")
        aligned = table.loc[first.index]
        for column, meaning, cure in (
            (
                "target",
                "give different targets to",
                "train one of them again on the other's train_labels.csv",
            ),
            ("fold", "hold out in different folds", "give them the same data.n_folds and data.fold_seed"),
        ):
            different = first.index[(aligned[column] != first[column]).to_numpy()]
            if len(different):
                pairs = f"{column} {first[column][different[0]]} and {aligned[column][different[0]]}"
                msg = (
                    f"experiments {first_name} and {name} {meaning} {len(different)} of {len(first)} "
                    f"cadences ({_some(different)}; the first: {pairs}): {cure}"
                )
                raise SetiError(msg)
    targets = first["target"].to_numpy(np.int64)
    folds = first["fold"].to_numpy(np.int64)
    _check_classes(targets, folds)
    probs = pd.DataFrame({name: table["prob"].loc[first.index].to_numpy(float) for name, table in indexed.items()})
    return OutOfFold(first.index.to_numpy(), folds, targets, probs)


def join_predictions(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join tables of test predictions by id.

    Args:
        tables: by experiment, the columns id and prob, in any order of rows.

    Returns:
        A column an experiment, named by it; the ids are the index, in the first table's order.

    Raises:
        SetiError: as `join_oof`.
    """
    indexed = {name: _by_id(name, table, ["id", "prob"], "predictions.csv") for name, table in tables.items()}
    first_name, first = next(iter(indexed.items()))
    for name, table in indexed.items():
        _refuse_other_ids(first_name, first.index, name, table.index, "test")
    return pd.DataFrame({name: table["prob"].loc[first.index] for name, table in indexed.items()}, dtype=float)


def rank_mean(probs: pd.DataFrame) -> pd.Series:
    """Average the ranks that every model gives a row, scaled to (0, 1]; ties share their mean rank.

    Args:
        probs: `(N, models)`.

    Returns:
        `(N,)`.
    """
    # Scaled after the mean: sums of ranks are exact, so rows that tie keep tying.
    return probs.rank().mean(axis=1) / len(probs)


def grid_search(features: np.ndarray, targets: np.ndarray, seed: int, n_jobs: int = 1) -> GridSearch:
    """Fit a logistic regression whose C has the best AUC in a stratified 5-fold cross-validation.

    The 50 values of C are spaced evenly in their logarithm from 100 to 0.01; the weaker regularisation wins a
    tie. The outcome is that of scikit-learn's `GridSearchCV` with the same tolerance. The loop is written out
    because each fit can then begin at its neighbour's solution, which takes a Newton step or two in place of
    four to six: for 60,000 rows it is 1.7 times as fast with 3 columns and 2.8 times with 20.

    Args:
        features: `(N, models)` probabilities.
        targets: `(N,)`, 0 or 1.
        seed: shuffles the rows into the folds.
        n_jobs: threads, as joblib counts them. The outcome does not depend on it.
    """
    splitter = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    # One thread a matrix product: they are narrow, and their last bit depends on how they are divided.
    with threadpool_limits(1):
        scores = Parallel(n_jobs, prefer="threads")(
            delayed(_scores_of_c)(features, targets, train, test) for train, test in splitter.split(features, targets)
        )
        means = np.mean(scores, axis=0)
        best = int(np.argmax(means))
        model = _regression().set_params(C=C_VALUES[best]).fit(features, targets)
    return GridSearch(float(C_VALUES[best]), float(means[best]), model)


def nested_probabilities(
    features: np.ndarray, targets: np.ndarray, folds: np.ndarray, seed: int, n_jobs: int = 1
) -> tuple[np.ndarray, dict[str, float]]:
    """Predict every row by a meta-model that has not seen it, neither its weights nor its choice of C.

    For every fold the whole grid search runs on the other folds' rows. The score of the grid search itself is
    optimistic, for C was chosen by it.

    The outer folds are the experiments' own. Fold k's probabilities all come from one network an experiment,
    which did not train on fold k, and each network has a scale of its own. With these folds the meta-model
    meets the networks of fold k for the first time, as it meets the networks' average on the test set; a
    random split would put rows of the same network on both sides and let the meta-model learn that scale.
    What stays optimistic is older than stacking: each network's best epoch was chosen on the rows that it is
    scored on, and the networks of the other folds trained on fold k.

    Args:
        features: `(N, models)` probabilities.
        targets: `(N,)`, 0 or 1.
        folds: `(N,)` fold numbers.
        seed: of every inner search.
        n_jobs: threads.

    Returns:
        `(N,)` probabilities, and each outer fold's choice of C by fold number.
    """
    probs = np.full(len(targets), np.nan)
    chosen = {}
    for fold in np.unique(folds):
        outside, inside = folds != fold, folds == fold
        search = grid_search(features[outside], targets[outside], seed, n_jobs)
        probs[inside] = search.model.predict_proba(features[inside])[:, 1]
        chosen[str(fold)] = search.c
    return probs, chosen


def _regression() -> LogisticRegression:
    # newton-cholesky: made for many more rows than columns; a third of lbfgs' time with 20 columns.
    return LogisticRegression(solver="newton-cholesky", tol=1e-8, warm_start=True)


def _scores_of_c(features: np.ndarray, targets: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = _regression()
    inputs, wanted = features[train], targets[train]
    scores = np.empty(len(C_VALUES))
    for number in reversed(range(len(C_VALUES))):  # from strong to weak regularisation, where a fit is near the next
        model.set_params(C=C_VALUES[number]).fit(inputs, wanted)
        scores[number] = roc_auc_score(targets[test], model.decision_function(features[test]))
    return scores


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
    command = train_command(experiment, experiment.missing_folds())
    return f"{experiment.name}: fold {missing} not finished; train with {command}"


def _by_id(name: str, table: pd.DataFrame, columns: list[str], what: str) -> pd.DataFrame:
    """Check one experiment's table and index it by id."""
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"the {what} of {name} lists {len(doubled)} ids more than once ({_some(doubled)}): make it anew"
        raise SetiError(msg)
    for column, fits, wanted in (
        ("id", table["id"].notna(), "ids"),
        (
            "prob",
            pd.to_numeric(table["prob"], errors="coerce").between(0, 1),
            "probabilities between 0 and 1",
        ),
        ("target", table["target"].isin([0, 1]) if "target" in columns else None, "targets 0 or 1"),
        ("fold", table["fold"].notna() if "fold" in columns else None, "fold numbers"),
    ):
        if fits is not None and not fits.all():
            row = table[~fits].iloc[0]
            msg = (
                f"the {what} of {name} has {int((~fits).sum())} values in column {column} that are not "
                f"{wanted}, the first {row[column]} for id {row['id']}: make it anew"
            )
            raise SetiError(msg)
    return table[columns].set_index("id")


def _refuse_other_ids(first_name: str, first: pd.Index, name: str, other: pd.Index, what: str) -> None:
    parts = [
        f"{len(ids)} only in {owner} ({_some(ids)})"
        for owner, ids in ((first_name, first.difference(other)), (name, other.difference(first)))
        if len(ids)
    ]
    if parts:
        msg = (
            f"experiments {first_name} and {name} have different {what} ids: {'; '.join(parts)}: "
            "blend experiments of one data set, naming them with experiments=[...]"
        )
        raise SetiError(msg)


def _check_classes(targets: np.ndarray, folds: np.ndarray) -> None:
    if len(np.unique(folds)) < 2:
        msg = "the experiments have one fold, and a stack needs two to be scored: train with data.n_folds=5"
        raise SetiError(msg)
    for value, name in ((0, "negatives"), (1, "positives")):
        fewest = min(int((targets[folds != fold] == value).sum()) for fold in np.unique(folds))
        if fewest < INNER_FOLDS:
            msg = (
                f"too few {name}: {fewest} stand outside one of the folds, and the search for C needs "
                f"{INNER_FOLDS}: train on more cadences"
            )
            raise SetiError(msg)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(map(str, ids[:3])) + (", ..." if len(ids) > 3 else "")


def _read_predictions(experiments: Sequence[Experiment]) -> tuple[dict[str, pd.DataFrame], list[Experiment]]:
    """Read the predictions, and list the experiments that lack any of their folds'."""
    tables, lacking = {}, []
    for experiment in experiments:
        table = None
        if experiment.predictions_path.exists():
            table = files.read_csv(experiment.predictions_path, ["id", "prob"])
        # A table made before the last folds were trained averages fewer networks than the experiment has.
        if table is None or any(f"fold_{fold}" not in table for fold in experiment.finished_folds()):
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
    if test_targets is not None and test_probs is not None:
        scores["test_auc"] = float(roc_auc_score(test_targets, np.asarray(test_probs)))
    return scores


def _write(
    folder: Path,
    report: dict[str, Any],
    oof: OutOfFold,
    nested: np.ndarray,
    test_blends: Mapping[str, Sequence[float]],
    test: pd.DataFrame | None,
) -> None:
    # What an earlier stack of other experiments left must not be taken for this one's.
    for name in ("stack.json", "submission.csv", "correlation.png"):
        (folder / name).unlink(missing_ok=True)
    table = pd.DataFrame({"id": oof.ids, "fold": oof.folds, "target": oof.targets, "prob": nested})
    files.write_csv(folder / "oof.csv", table)
    curves = {name: (oof.targets, oof.probs[name].to_numpy()) for name in oof.probs}
    plots.save_figure(plots.draw_roc({"stack (nested)": (oof.targets, nested), **curves}), folder / "roc.png")
    if len(oof.probs.columns) > 1:
        plots.save_figure(plots.draw_correlation(oof.probs), folder / "correlation.png")
    if test is not None:
        submission = pd.DataFrame({"id": test.index, "target": test_blends["stack"]})
        files.write_csv(folder / "submission.csv", submission)
    files.write_json(folder / "stack.json", report)


def _print_scores(report: Mapping[str, Any], with_test: bool) -> None:
    rows = {
        **{name: (scores, "") for name, scores in report["experiments"].items()},
        "mean": (report["mean"], "nothing fitted"),
        "rank mean": (report["rank_mean"], "nothing fitted"),
        "stack, grid search": ({"oof_auc": report["grid_search"]["auc"]}, "optimistic"),
        "stack, nested": (report["stack"], "honest"),
    }
    columns = ["oof_auc", "test_auc"] if with_test else ["oof_auc"]
    # The grid search's score does not compete: it is no estimate for new cadences.
    honest = [scores for _, (scores, remark) in rows.items() if remark != "optimistic"]
    best = {column: max(scores[column] for scores in honest) for column in columns}
    search = report["grid_search"]
    table = Table(
        title=f"{report['cadences']} held-out cadences, {report['positives']} with a needle",
        caption="optimistic: C was chosen by this very score, the mean over the inner folds. honest: weights "
        "and C were chosen without the fold that is scored. * best of all but the optimistic one.\n"
        f"stack = logistic({search['intercept']:.3f} + sum of weight x probability), C = {search['c']:.3g}",
        caption_justify="left",
    )
    table.add_column("experiment", overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("out-of-fold AUC", justify="right", no_wrap=True)
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
