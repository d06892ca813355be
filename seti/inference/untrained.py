"""Residual energy as an experiment without a network, that `stack.py` blends like others.

The statistic is the same for every fold. What a fold fits, on the cadences of the other folds, is the logistic curve
that turns it into a probability; its two numbers are the fold's checkpoint.
"""

import functools
import logging
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from seti.backgrounds.cadences import ALL, Cadences, open_data_set
from seti.data import competition
from seti.data.cleaned_set import COVERAGE, MARK, is_cleaned
from seti.data.folds import COLUMN, divide, fingerprint
from seti.dataloading.groups import choose_groups
from seti.errors import SetiError
from seti.evaluation.residual_energy import residual_energy
from seti.experiments import predictions, provenance
from seti.experiments.experiment import OOF_COLUMNS, Experiment, FoldFolder
from seti.experiments.fold_result import FoldResult, LabelledData, Scores
from seti.reports.cross_validation import summarise
from seti.utils import files, hints, locks
from seti.utils.console import cadence_progress, console
from seti.utils.processes import available_cores, check_workers, parallel_map

log = logging.getLogger(__name__)

SCORE = "residual"
BLOCK = 64  # cadences that are sent to a process at once
VERSIONS = ("seti", "numpy", "scikit-learn")
WELL_COVERED = 0.9


def score(data: dict[str, Any], path: Path, workers: int | None = None) -> float:
    """Score all cadences of a data set and write an experiment's folder.

    Args:
        data: root, n_folds, fold_seed, folds and groups, as the `data` settings of training.
        path: of the experiment; an earlier one of this kind is replaced.
        workers: number of processes; None: one per core.

    Returns:
        Test AUC, or the mean held-out AUC where the test labels are not known.

    Raises:
        SetiError: the data set is missing or damaged, or the folder is another experiment's.
    """
    check_workers(workers)
    started, root = time.monotonic(), Path(data["root"])
    listed = competition.read_labels_and_folds(root)
    is_cleaned(root)  # refuses a data set that is not finished
    groups = choose_groups(data["groups"], root, listed["id"], data["folds"])
    labels = divide(listed, root, data["folds"], data["n_folds"], data["fold_seed"], groups)
    test = competition.read_test_ids(root)
    own = data["folds"] == COLUMN or groups is not None
    identity = fingerprint(labels, own) + MARK * is_cleaned(root)
    _check_folder(path, root, identity)
    statistics = _measure(root, workers)
    experiment = Experiment(path)
    path.mkdir(parents=True, exist_ok=True)
    with locks.hold(path, f"scoring {experiment.name}"):
        files.remove_stale_parts(path)
        for stale in (experiment.predictions_record, experiment.cv_path):
            stale.unlink(missing_ok=True)
        described = LabelledData(
            root=str(root.resolve()),
            fingerprint=identity,
            cadences=len(labels),
            positives=int(labels["target"].sum()),
            skipped=0,
        )
        columns = {}
        for fold in range(data["n_folds"]):
            columns[f"fold_{fold}"] = _write_fold(experiment, fold, labels, statistics, test, data, described, started)
        table = pd.DataFrame({"id": test, **columns})
        table["prob"] = table[list(columns)].mean(axis=1)
        files.write_csv(experiment.predictions_path, table)
        files.write_csv(experiment.submission_path, table[["id", "prob"]].rename(columns={"prob": "target"}))
        experiment = Experiment(path)  # with the results that are there now
        record = predictions.describe_predictions(experiment, root, test, "64")
        files.write_json(experiment.predictions_record, record)
        summary = summarise(experiment)
        files.write_json(experiment.cv_path, summary)
    return _report(experiment, root, table, summary["mean_auc"])


def _check_folder(path: Path, root: Path, identity: str) -> None:
    """Refuse to replace an experiment of another kind, or of another data set."""
    for result in Experiment(path).results.values():
        if result.config.get("score") != SCORE:
            msg = f"{path} is the experiment of a network: give another folder, out=<folder>"
            raise SetiError(msg)
        if result.data.fingerprint != identity and Path(result.data.root) != root.resolve():
            other = path.with_name(f"{SCORE}_{root.resolve().name}")
            msg = (
                f"{path} holds the scores of another data set, {result.data.root}: give this one a folder of its own, "
                f"{hints.shell(hints.setting('out', other))}"
            )
            raise SetiError(msg)
    for name in ("predictions.csv", "submission.csv", "predictions.json", "cv.json"):
        files.try_output(path / name)


def _measure(root: Path, workers: int | None) -> pd.Series:
    """Compute the statistic of every cadence, by id."""
    for split, name in (("train", competition.LABELS), ("test", competition.SUBMISSION)):
        ids = competition.read_labels(root)["id"] if name == competition.LABELS else competition.read_test_ids(root)
        if (root / split).is_dir():
            competition.check_files(root, split, ids)
    opened = open_data_set(root)
    cadences, found = opened.open(ALL), []
    blocks = [np.arange(at, min(at + BLOCK, len(cadences))) for at in range(0, len(cadences), BLOCK)]
    jobs = (cadences.take(block) for block in blocks)
    processes = max(1, min(workers or available_cores(), len(blocks)))
    with cadence_progress() as progress:
        task = progress.add_task("residual energy", total=len(cadences))
        for values in parallel_map(_measure_block, jobs, workers=processes):
            found += values
            progress.advance(task, len(values))
    return pd.Series(found, index=opened.ids)


def _measure_block(cadences: Cadences) -> list[float]:
    return [residual_energy(cadences.read(number)) for number in range(len(cadences))]


def _write_fold(
    experiment: Experiment,
    fold: int,
    labels: pd.DataFrame,
    statistics: pd.Series,
    test: Sequence[str] | pd.Series,
    data: dict[str, Any],
    described: LabelledData,
    started: float,
) -> np.ndarray:
    """Fit a fold's curve, write its files, and return its probabilities of the test cadences."""
    folder: FoldFolder = experiment.fold(fold)
    held_out = labels["fold"] == fold
    features = statistics[labels["id"]].to_numpy()[:, None]
    model = LogisticRegression().fit(features[~held_out], labels["target"][~held_out])
    probs = functools.partial(_probabilities, model)
    oof = labels[held_out].assign(prob=probs(features[held_out]))[OOF_COLUMNS]
    checkpoint = folder.best_checkpoint.with_suffix(".json")
    folder.result.unlink(missing_ok=True)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    curve = {"score": SCORE, "slope": float(model.coef_[0, 0]), "intercept": float(model.intercept_[0])}
    files.write_json(checkpoint, curve)
    files.write_csv(folder.oof, oof)
    scores = Scores(
        float(roc_auc_score(oof["target"], oof["prob"])),
        float(log_loss(oof["target"], oof["prob"], labels=[0, 1])),
    )
    FoldResult(
        fold=fold,
        n_folds=data["n_folds"],
        exp_name=experiment.name,
        scores=scores,
        best_epoch=0,
        epochs=0,
        seed=data["fold_seed"],
        attempts=[],
        checkpoint=checkpoint.relative_to(folder.path).as_posix(),
        **provenance.record(folder.path, checkpoint, folder.oof),
        data=described,
        config={"score": SCORE, "data": {key: value for key, value in data.items() if key != "root"}},
        overrides=None,
        versions={package: version(package) for package in VERSIONS} | {"python": sys.version.split()[0]},
        seconds=round(time.monotonic() - started, 1),
    ).write(folder.result)
    return probs(statistics[test].to_numpy()[:, None])


def _probabilities(model: LogisticRegression, features: np.ndarray) -> np.ndarray:
    return model.predict_proba(features)[:, 1]


def _report(experiment: Experiment, root: Path, table: pd.DataFrame, held_out: float) -> float:
    shown = Table("cadences", "AUC", title=f"{experiment.name}: energy of ON over OFF panels, no network")
    shown.add_row("held out, mean of folds", f"{held_out:.4f}")
    labels = competition.find_test_labels(root, table["id"])
    auc = held_out
    if labels is not None:
        joined = table.merge(labels, on="id", validate="one_to_one")
        auc = float(roc_auc_score(joined["target"], joined["prob"]))
        shown.add_row("test", f"{auc:.4f}")
        for name, ids in _by_coverage(root):
            part = joined[joined["id"].isin(ids)]
            if part["target"].nunique() == 2:
                shown.add_row(f"test, {name} ({len(part)})", f"{roc_auc_score(part['target'], part['prob']):.4f}")
    console().print(shown)
    print(f"wrote {experiment.path}: stack.py blends it with other experiments")
    return auc


def _by_coverage(root: Path) -> list[tuple[str, set[str]]]:
    """Ids of cadences that twins cover, well covered ones, and the others."""
    if not is_cleaned(root):
        return []
    table = files.read_csv(root / COVERAGE, ["id", "covered"])
    share = table["covered"]
    parts = (("covered", share > 0), (f"covered by {WELL_COVERED}", share >= WELL_COVERED), ("not covered", share == 0))
    return [(name, set(table["id"][part])) for name, part in parts]
