"""Reading of pseudo-labels, by networks that never saw the held-out fold."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data import competition
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.pseudo import PseudoLabels, soft_targets
from seti.errors import SetiError, brief
from seti.experiments import provenance
from seti.experiments.experiment import Experiment
from seti.experiments.predictions import read_predictions
from seti.models.release_files import read_release
from seti.models.release_names import find_release
from seti.training.earlier_round import check_never_saw
from seti.utils import files, hints
from seti.utils.notices import log_once

log = logging.getLogger(__name__)

TABLE = "predictions.csv"
SCORES = ("target", "prob")  # columns of a submission


def read_pseudo_labels(data: dict[str, Any], datamodule: CadenceDataModule) -> PseudoLabels | None:
    """Read the pseudo-labels of a fold.

    Args:
        data: the `data` settings: pseudo, pseudo_share, pseudo_weight, on_error.
        datamodule: of the fold that is trained.

    Returns:
        None where `data.pseudo` is not set.

    Raises:
        SetiError: the table is missing, damaged or of another data set; it lacks the fold, whose network died or is not
            trained yet; that network saw cadences that are held out now; or a label is missing or not a probability.
    """
    if data.get("pseudo") is None:
        return None
    path = Path(data["pseudo"])
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a file"
        given = path / TABLE if path.is_dir() else "outputs/<exp_name>/predictions.csv"
        msg = f"data.pseudo={path} is {what}: give a table, {hints.setting('data.pseudo', given)}, or null"
        if path.is_dir() and not (path / TABLE).is_file():
            predicted = hints.command("predict", hints.setting("ckpt_dir", path))
            msg = f"data.pseudo={path} is a folder without {TABLE}: {predicted} makes it, if that is an experiment"
        raise SetiError(msg)
    header = files.read_csv(path, ["id"])
    if any(name.startswith("fold_") for name in header):
        table, column, honest = _own_fold(path, datamodule)
    else:
        table, column, honest = _fed_back(path, header)
    ids, probs = _check_labels(path, column, table, datamodule, data["on_error"] == "skip")
    pseudo = PseudoLabels(
        path=str(path),
        column=column,
        ids=ids,
        targets=soft_targets(probs),
        honest=honest,
        digest=provenance.sha256(path),
        weight=1.0 if data["pseudo_weight"] is None else data["pseudo_weight"],
    ).surest(data["pseudo_share"])
    log.info(
        "%d test cadences are trained on with column %s of %s as soft labels (%.1f needles expected)",
        *(len(pseudo.ids), column, path, pseudo.targets.sum()),
    )
    return pseudo


def _own_fold(path: Path, datamodule: CadenceDataModule) -> tuple[pd.DataFrame, str, bool]:
    """Read the column of the network that never saw the held-out fold."""
    experiment, column = Experiment(path.parent), f"fold_{datamodule.fold}"
    if path.name != TABLE:
        msg = (
            f"data.pseudo={path} has columns of folds, and their records are next to {TABLE}: give the {TABLE} in its "
            "experiment's folder"
        )
        raise SetiError(msg)
    if not experiment.results and experiment.predictions_record.is_file():
        return _of_other_networks(path, experiment)
    table = read_predictions(experiment) if experiment.results else None
    again = hints.command("predict", hints.setting("ckpt_dir", experiment.path))
    if table is None:
        what = "lacks folds that were finished since" if experiment.results else "has no finished fold next to it"
        msg = f"data.pseudo={path} {what}: predict again: {again}"
        raise SetiError(msg)
    if column not in table:
        msg = (
            f"data.pseudo={path} has no column {column}: fold {datamodule.fold} of {experiment.name} died or is not "
            f"finished, and may not label; train it with {experiment.train_command([datamodule.fold])}, then {again}"
        )
        raise SetiError(msg)
    check_never_saw(experiment, datamodule.fold, datamodule.labels, f"data.pseudo={path}")
    _check_alive(path, experiment, datamodule.fold, table[column])
    honest = experiment.is_honest
    if not honest:
        line = f"{experiment.name} has learned from labels that were fed back: scores are not honest here either"
        log_once(log, logging.WARNING, line)
    return table, column, honest


def _of_other_networks(path: Path, folder: Experiment) -> tuple[pd.DataFrame, str, bool]:
    """Read predictions of networks that are not in the same folder.

    Released networks have seen no label of this data set, so their mean is honest for every fold.
    """
    record = files.read_json(folder.predictions_record)
    networks = str(record.get("networks", ""))
    if not networks or find_release(networks) is None:
        given = networks or "outputs/<exp_name>"
        own = hints.setting("data.pseudo", Path(given) / TABLE)
        again = f"{hints.command('predict')} {hints.shell(hints.setting('ckpt_dir', given))}"
        msg = (
            f"data.pseudo={path} is apart from the folds that predicted it, without which nothing shows what they saw: "
            f"predict into their own folder, {again} (without out=), and give {hints.shell(own)}"
        )
        raise SetiError(msg)
    again = f"{hints.command('predict', hints.setting('ckpt_dir', networks))} data.root=<folder> makes it again"
    release = read_release(find_release(networks))
    sums = {str(fold): release.sums[weights.name] for fold, weights in release.folds.items()}
    if record.get("checkpoints") != sums or record.get("files", {}).get(TABLE) != provenance.sha256(path):
        msg = f"data.pseudo={path} is not what {networks} predicted, or was edited since: {again}"
        raise SetiError(msg)
    if record.get("average") == "rank":
        raise SetiError(_ranks(path))
    table = files.read_csv(path, ["id", "prob"])
    return table.assign(prob=pd.to_numeric(table["prob"], errors="coerce")), "prob", True


def _ranks(path: Path) -> str:
    return f"data.pseudo={path} holds mean ranks, which are not probabilities: predict again with average=mean"


def _check_alive(path: Path, experiment: Experiment, fold: int, probs: pd.Series) -> None:
    """Refuse the labels of a network that learned nothing."""
    auc = experiment.results[fold].scores.auc
    if probs.max() - probs.min() <= np.finfo(np.float32).eps:
        msg = (
            f"data.pseudo={path}: fold {fold} of {experiment.name} died: it gives every cadence the same probability, "
            f"and may not label; train it again with another seed: {experiment.train_command([fold])} force=true"
        )
        raise SetiError(msg)
    watch = experiment.results[fold].config.get("watch") or {}
    if abs(auc - 0.5) < watch.get("auc_margin", 0.0):
        line = (
            f"fold {fold} of {experiment.name} has a held-out AUC of {auc:.4f}: its pseudo-labels are close to chance"
        )
        log_once(log, logging.WARNING, line)


def _fed_back(path: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, str, bool]:
    """Read the mean of all folds, or a blend: it knows the labels of every fold."""
    column = next((name for name in SCORES if name in table), None)
    if column is None:
        msg = f"data.pseudo={path} has neither columns fold_<k> nor target: give a predictions.csv, or a submission.csv"
        raise SetiError(msg)
    record = path.parent / "predictions.json"
    if record.is_file() and files.read_json(record).get("average") == "rank":
        raise SetiError(_ranks(path))
    line = (
        f"the pseudo-labels of {path} come from networks that saw the held-out fold: out-of-fold scores of this "
        f"experiment are not honest, and are marked; {TABLE} of an experiment gives honest ones"
    )
    log_once(log, logging.WARNING, line)
    return table.assign(**{column: pd.to_numeric(table[column], errors="coerce")}), column, False


def _check_labels(
    path: Path, column: str, table: pd.DataFrame, datamodule: CadenceDataModule, skip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Refuse labels that are not one probability for each cadence of this test set."""
    test = competition.read_test_ids(datamodule.root)
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"data.pseudo={path} lists {len(doubled)} ids twice, first {brief(doubled.iloc[0])}: make it again"
        raise SetiError(msg)
    other, lacking = table["id"][~table["id"].isin(test)], test[~test.isin(table["id"])]
    if len(other) or len(lacking):
        first = f"{len(other)} of its ids are" if len(other) else f"{len(lacking)} ids of its test set are not"
        where = f"not in the test set of {datamodule.root}" if len(other) else "in the table"
        one = (other if len(other) else lacking).iloc[0]
        msg = (
            f"data.pseudo={path} is of another data set than data.root={datamodule.root}: {first} {where}, first "
            f"{brief(one)}; predict this one"
        )
        raise SetiError(msg)
    probs = table[column].to_numpy(float)
    bad = np.isnan(probs)
    if bad.any() and not skip:
        msg = (
            f"data.pseudo={path} has no probability in column {column} for {int(bad.sum())} cadences, first "
            f"{table['id'][bad].iloc[0]}: predict again, or set data.on_error=skip, which leaves them out"
        )
        raise SetiError(msg)
    wrong = ~bad & ~((probs >= 0) & (probs <= 1))
    if wrong.any():
        msg = (
            f"data.pseudo={path} has {int(wrong.sum())} values in column {column} that are not probabilities, first "
            f"{probs[wrong][0]:g} for id {table['id'][wrong].iloc[0]}: give probabilities between 0 and 1"
        )
        raise SetiError(msg)
    if bad.all():
        msg = f"data.pseudo={path} has no probability at all in column {column}: predict again"
        raise SetiError(msg)
    return table["id"].to_numpy(dtype=np.str_)[~bad], probs[~bad]
