"""Record of a prediction, `predictions.json`: checkpoints and test set. Stacking needs it."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from seti.data import competition
from seti.errors import SetiError, brief
from seti.experiments import provenance
from seti.experiments.experiment import Experiment
from seti.utils import files, hints

VERSIONS = ("seti", "torch", "timm", "numpy")


def describe_predictions(
    experiment: Experiment, root: Path, ids: Iterable[str], precision: str, average: str = "mean"
) -> dict[str, Any]:
    """Describe how an experiment's present `predictions.csv` and `submission.csv` were made.

    Args:
        experiment: predicted by all of its finished folds.
        root: the test set's folder.
        ids: of the test set, in the tables' order.
        precision: in which the networks ran.
        average: of the folds' probabilities, `mean` or `rank`.

    Returns:
        The content of `predictions.json`.
    """
    return describe(experiment, checkpoints(experiment), root, ids, precision, average)


def describe(
    target: Experiment, checkpoints: dict[str, str], root: Path, ids: Iterable[str], precision: str, average: str
) -> dict[str, Any]:
    """Describe predictions of any networks, in any folder.

    Args:
        target: folder of the tables.
        checkpoints: SHA-256 of each network's weights, by fold.
        root, ids, precision, average: as for `describe_predictions`.
    """
    ids = list(ids)
    return {
        **provenance.record(target.path, target.predictions_path, target.submission_path),
        "checkpoints": checkpoints,
        "data": {"root": str(root.resolve()), "test_ids": _fingerprint(ids), "cadences": len(ids)},
        "precision": precision,
        "average": average,
        "versions": {package: version(package) for package in VERSIONS},
    }


def read_predictions(experiment: Experiment) -> pd.DataFrame | None:
    """Read the predictions of all of an experiment's finished folds.

    Returns:
        Columns id, one a fold, and prob; None if there are no predictions yet, or if they lack a fold that was
        finished since.

    Raises:
        SetiError: they are damaged, or were made by other checkpoints, for another test set than they list, or by
            another version of this program; the message has the command that makes them again.
    """
    path = experiment.predictions_path
    if not path.exists():
        return None
    fix = f"predict again: {hints.command('predict', hints.setting('ckpt_dir', experiment.path))}"
    if not experiment.predictions_record.exists():
        msg = f"{path} has no {experiment.predictions_record.name} next to it to say what it was made with: {fix}"
        raise SetiError(msg)
    record = _read_record(experiment.predictions_record, fix)
    own, used = checkpoints(experiment), record["checkpoints"]
    changed = [fold for fold in used if own.get(fold) != used[fold]]
    if changed:
        folds = brief(", ".join(changed))
        msg = f"{path} was made by other checkpoints than the experiment has now (fold {folds}): {fix}"
        raise SetiError(msg)
    if used.keys() != own.keys():
        return None
    provenance.check_file(path, record["files"].get(path.name), experiment.predictions_record, fix)
    table = files.read_csv(path, ["id", *(f"fold_{fold}" for fold in own), "prob"])
    competition.check_ids(path, table["id"])
    columns = [*(f"fold_{fold}" for fold in own), "prob"]
    probs = table[columns].apply(pd.to_numeric, errors="coerce")
    # A cadence with an empty score could not be read and was skipped.
    if not ((probs >= 0) & (probs <= 1) | table[columns].isna()).all(axis=None):
        msg = f"{path} holds values that are not probabilities: {fix}"
        raise SetiError(msg)
    if _fingerprint(table["id"]) != record["data"]["test_ids"]:
        msg = f"{path} lists other test ids than it was made for: {fix}"
        raise SetiError(msg)
    return table.assign(**probs)


def read_probabilities(experiment: Experiment) -> pd.DataFrame | None:
    """Read predictions as `read_predictions`, with prob the mean of the folds' probabilities.

    A meta-model is fitted to out-of-fold probabilities, so it needs the same scale here, not ranks.
    """
    table = read_predictions(experiment)
    if table is None or files.read_json(experiment.predictions_record).get("average", "mean") == "mean":
        return table
    columns = [column for column in table if column.startswith("fold_")]
    return table.assign(prob=table[columns].mean(axis=1))


def checkpoints(experiment: Experiment) -> dict[str, str]:
    """SHA-256 of every finished fold's best checkpoint, by fold number."""
    return {str(fold): result.files[result.checkpoint] for fold, result in experiment.results.items()}


def _read_record(path: Path, fix: str) -> dict[str, Any]:
    record = files.read_json(path)
    provenance.check_origin(path, record, fix)
    for key in ("files", "checkpoints", "data"):
        if not isinstance(record.get(key), dict):
            msg = f"{path} lacks {key}: {fix}"
            raise SetiError(msg)
    if not isinstance(record["data"].get("test_ids"), str):
        msg = f"{path} lacks data.test_ids: {fix}"
        raise SetiError(msg)
    return record


def _fingerprint(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
