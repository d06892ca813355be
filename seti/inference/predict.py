"""Test-set prediction of whole experiments, with every fold's best checkpoint."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import ListConfig, OmegaConf
from rich.table import Table
from sklearn.metrics import roc_auc_score

from seti.config.checks import check_choice, settle_choices
from seti.config.input_checks import check_batch_size, check_reading
from seti.config.schema import AUTO
from seti.data import competition
from seti.data.cadence import PANEL_CHOICES
from seti.data.splits import open_split
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.errors import SetiError, SettingsError
from seti.evaluation.ranks import rank_mean
from seti.experiments import predictions
from seti.experiments.experiment import Experiment, open_experiment, unset_experiment
from seti.inference.ensemble import auto_batch_size, predict_probabilities
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.reports import cross_validation
from seti.utils import files, locks
from seti.utils.console import console
from seti.utils.device import choose_device, choose_precision, memory_errors, precision_name

log = logging.getLogger(__name__)

INSTANT = 1  # s to wait for a training run, which locks the experiment briefly while it deletes an old fold
AVERAGE_NAMES = {"mean": "mean of folds", "rank": "mean of ranks in folds"}
RESIDENT_BYTES = 4 * 2**30  # limit of weights in memory at once, beyond which experiments are split into groups


@dataclass
class Member:
    """Experiment to predict with, and its loaded networks.

    Attributes:
        experiment: the experiment's folder.
        root: the data set whose test cadences are predicted.
        classifiers: one network per finished fold, in order.
    """

    experiment: Experiment
    root: Path
    classifiers: list[CadenceClassifier]

    @property
    def size(self) -> int:
        """Size of the weights in bytes."""
        return sum(weight.nbytes for classifier in self.classifiers for weight in classifier.parameters())

    def shares_images(self, other: "Member") -> bool:
        """True if both take the same images of the same cadences."""
        return (self.root, self.classifiers[0].spec) == (other.root, other.classifiers[0].spec)


def predict(cfg: Any) -> float:
    """Predict the test set with every finished fold of one or more experiments.

    Writes `predictions.csv` and `submission.csv` to each experiment's folder. Experiments that take the same images
    share one pass over the cadences.

    Args:
        cfg: the configuration, `conf/predict.yaml`.

    Returns:
        Test AUC, averaged over the experiments, if the test labels are known (simulated data); otherwise NaN.

    Raises:
        SetiError: there is no experiment, or it is in use by another run, a checkpoint is damaged, or test cadences are
            missing or damaged.
    """
    if OmegaConf.is_missing(cfg, "ckpt_dir"):
        raise SettingsError(unset_experiment())
    experiments = [open_experiment(path) for path in _paths(cfg.ckpt_dir)]
    with ExitStack() as locked:
        for experiment in experiments:
            locked.enter_context(locks.hold(experiment.path, f"predicting with {experiment.name}", patience=INSTANT))
            files.remove_stale_parts(experiment.path)
            for path in (experiment.predictions_path, experiment.submission_path, experiment.predictions_record):
                files.try_output(path)
        return _predict([open_experiment(experiment.path) for experiment in experiments], cfg)  # reread under the lock


def _predict(experiments: list[Experiment], cfg: Any) -> float:
    device = choose_device(cfg.device)
    cfg.precision = precision_name(cfg.precision)
    choose_precision(cfg.precision, device)  # refuses an unknown name before anything is read
    _check_loading(cfg.data)
    settle_choices(cfg)
    check_reading(cfg.data)
    check_choice("average", cfg.average)
    roots = [_root(cfg, experiment) for experiment in experiments]
    ids = {root: competition.read_test_ids(root) for root in roots}
    labels = {root: competition.find_test_labels(root, ids[root]) for root in ids}
    members = [
        Member(experiment, root, load_folds(experiment)) for experiment, root in zip(experiments, roots, strict=True)
    ]
    for member in members:
        _name_missing(member.experiment)
    scores: list[float] = []
    failures: list[SetiError] = []
    for group in _groups(members):
        try:
            usable, tables = _predict_group(cfg, group, ids[group[0].root], device)
        except SetiError as error:  # those of other data sets and other inputs go on
            if len(group) == len(members):
                raise
            failures.append(error)
            log.error("no predictions of %s: %s", ", ".join(member.experiment.name for member in group), error)
            continue
        for member, probs in zip(group, tables, strict=True):
            table = _write(member.experiment, ids[member.root], usable, probs, cfg.average)
            made = f"{cfg.precision} on {device.type}"
            record = predictions.describe_predictions(member.experiment, member.root, table["id"], made, cfg.average)
            files.write_json(member.experiment.predictions_record, record)
            if cfg.data.root is None and member.experiment.is_finished():
                # The gallery shows the highest scores of the test set once it is predicted.
                cross_validation.draw_gallery(member.experiment)
            scores.append(_report_test_auc(member, table, labels[member.root], cfg.average))
    if failures:
        msg = f"{len(members) - len(scores)} of {len(members)} experiments were not predicted: {failures[0]}"
        raise SetiError(msg)
    return float(np.mean(scores))


def load_folds(experiment: Experiment) -> list[CadenceClassifier]:
    """Load the best checkpoint of every finished fold, in order.

    Raises:
        SetiError: a checkpoint is missing or damaged, or the folds have different input specs.
    """
    classifiers = [load_classifier(experiment.checkpoint(fold)) for fold in experiment.results]
    for fold, classifier in zip(experiment.results, classifiers, strict=True):
        if classifier.spec != classifiers[0].spec:
            msg = (
                f"{experiment.path}: the checkpoint of fold {fold} has the input {classifier.spec}, the first one "
                f"{classifiers[0].spec}: train that fold again with force=true"
            )
            raise SetiError(msg)
    return classifiers


def _paths(given: str | ListConfig) -> list[Path]:
    """Return the experiments' folders, without duplicates; `ckpt_dir` is one of them or a list."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | ListConfig) or not names or not all(isinstance(name, str) for name in names):
        msg = f"ckpt_dir={given} is neither an experiment's folder nor a list: ckpt_dir=[outputs/<a>,outputs/<b>]"
        raise SetiError(msg)
    return list({Path(name).resolve(): Path(name) for name in names}.values())


def _root(cfg: Any, experiment: Experiment) -> Path:
    if cfg.data.root is not None:
        return Path(cfg.data.root)
    return Path(experiment.first_result.data.root)


def _check_loading(data: Any) -> None:
    check_batch_size(data)
    if data.num_workers < 0:
        msg = f"data.num_workers={data.num_workers} must be at least 0"
        raise SetiError(msg)


def _name_missing(experiment: Experiment) -> None:
    missing = experiment.missing_folds()
    if missing:
        log.warning(
            "folds %s of %s are not finished: predicting with folds %s only; train the others with: %s",
            _list(missing),
            experiment.name,
            _list(experiment.finished_folds()),
            experiment.train_command(missing),
        )


def _groups(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Group members that share images, as long as their weights stay within `RESIDENT_BYTES`."""
    left = list(members)
    while left:
        group, size = [], 0
        for member in left:
            fits = size + member.size <= RESIDENT_BYTES
            if not group or (member.shares_images(group[0]) and fits):
                group.append(member)
                size += member.size
        left = [member for member in left if member not in group]
        yield group


def _predict_group(
    cfg: Any, group: Sequence[Member], ids: pd.Series, device: torch.device
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Predict with all networks of a group of experiments in one pass.

    Returns:
        The ids of the undamaged cadences, `(N,)`, and each experiment's probabilities, `(N, folds)`.
    """
    classifiers = [classifier for member in group for classifier in member.classifiers]
    root, spec = group[0].root, classifiers[0].spec
    choices = {name: cfg.data[name] for name in ("packed", "pack_dir", "on_error")}
    size = spec.rows, spec.bins
    source = open_split(root, "test", ids.to_numpy(), PANEL_CHOICES[spec.panels], size=size, **choices).source
    dataset = CadenceDataset(source, None, spec, on_device=device.type == "cuda")
    auto = cfg.data.batch_size == AUTO
    size = auto_batch_size(dataset, device) if auto else cfg.data.batch_size
    whose = group[0].experiment.name if len(group) == 1 else f"{len(group)} experiments"
    with memory_errors(f"data.batch_size={size}"):
        probs = predict_probabilities(
            classifiers,
            make_loader(dataset, size, cfg.data.num_workers),
            device,
            cfg.precision,
            f"{whose}: {len(classifiers)} folds",
            flips=cfg.flips,
            halve=auto,
        )
    for classifier in classifiers:
        classifier.cpu()  # frees device memory for the next group
    return source.ids, np.split(probs, np.cumsum([len(member.classifiers) for member in group])[:-1], axis=1)


def average_folds(probs: np.ndarray, average: str) -> np.ndarray:
    """Average probabilities or ranks over the folds.

    Args:
        probs: `(N, folds)` probabilities.
        average: `mean`; or `rank`, the mean rank scaled to (0, 1], which weighs all folds equally however confident
            their networks are. A mean rank is not a probability.

    Returns:
        `(N,)` scores.
    """
    return probs.mean(axis=1) if average == "mean" else rank_mean(pd.DataFrame(probs)).to_numpy()


def _write(experiment: Experiment, ids: pd.Series, usable: np.ndarray, probs: np.ndarray, average: str) -> pd.DataFrame:
    """Write `predictions.csv` and `submission.csv`; return the predictions as a table.

    A damaged cadence has no score in `predictions.csv`. In `submission.csv` it gets the training prior or, with
    averaged ranks, the rank of a cadence with that probability.
    """
    prior = _prior(experiment)
    submitted = prior if average == "mean" else float((probs.mean(axis=1) <= prior).mean())
    table = pd.DataFrame({"id": usable})
    for column, fold in enumerate(experiment.finished_folds()):
        table[f"fold_{fold}"] = probs[:, column]
    table["prob"] = average_folds(probs, average)
    table = pd.DataFrame({"id": ids}).merge(table, how="left", on="id")
    files.write_csv(experiment.predictions_path, table)
    submission = pd.DataFrame({"id": ids, "target": table["prob"].fillna(submitted)})
    files.write_csv(experiment.submission_path, submission)
    if len(usable) < len(ids):
        log.warning(
            "%d of %d test cadences are damaged: empty in %s, the %s %.4g in %s",
            len(ids) - len(usable),
            len(ids),
            experiment.predictions_path,
            "training prior" if average == "mean" else f"rank of the training prior {prior:.4g},",
            submitted,
            experiment.submission_path,
        )
    log.info("%d cadences: wrote %s and %s", len(ids), experiment.predictions_path, experiment.submission_path)
    return table


def _prior(experiment: Experiment) -> float:
    """Return the share of positives among the training cadences."""
    return experiment.first_result.positive_share


def _report_test_auc(member: Member, table: pd.DataFrame, labels: pd.DataFrame | None, average: str) -> float:
    if labels is None:
        return float("nan")
    joined = table.dropna(subset="prob").merge(labels, on="id", validate="one_to_one")
    if joined["target"].nunique() < 2:  # damaged cadences have no score
        log.warning("the test cadences of %s that can be read are of one class: no test AUC", member.root)
        return float("nan")
    report = Table(member.experiment.name, "test AUC")
    columns = [column for column in table.columns if column != "id"]
    scores = {column: float(roc_auc_score(joined["target"], joined[column])) for column in columns}
    for column, score in scores.items():
        report.add_row(AVERAGE_NAMES[average] if column == "prob" else column, f"{score:.4f}")
    console().print(report)
    return scores["prob"]


def _list(folds: Sequence[int]) -> str:
    return ",".join(map(str, folds))
