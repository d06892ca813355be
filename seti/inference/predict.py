"""Test-set prediction of whole experiments, with every fold's best checkpoint."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from seti.config.schema import AUTO
from seti.data import competition
from seti.data.cadence import PANEL_CHOICES
from seti.data.cleaned_set import check_networks
from seti.data.splits import open_split
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.errors import SetiError, SettingsError
from seti.experiments import predictions
from seti.experiments.experiment import RELEASED, Experiment, open_experiment
from seti.inference import shards, tables
from seti.inference.ensemble import auto_batch_size, predict_probabilities, worth_compiling
from seti.inference.folder_scores import out_folder, predict_folder
from seti.inference.pool import Place, predictor_of
from seti.inference.predict_checks import check_predict, ensembles
from seti.inference.scoring import load_folds
from seti.models.classifier import CadenceClassifier
from seti.reports import cross_validation
from seti.reports.pages.report import page_path
from seti.reports.pages.report import write as write_page
from seti.utils import files, locks, ray_pool
from seti.utils.device import choose_precision, memory_errors
from seti.utils.shards import parse_shard

log = logging.getLogger(__name__)

MERGE_PATIENCE = 600  # s to wait for another shard that writes the same tables
INSTANT = 1  # s to wait for a training run, which locks the experiment briefly while it deletes an old fold
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
    """Predict the test set with experiments' finished folds, or any folder with a release.

    Writes `predictions.csv` and `submission.csv` to each experiment's folder. Experiments that take the same images
    share one pass over the cadences. With `shard`, that share of the batches is predicted, and the tables are written
    once all are.

    Args:
        cfg: the configuration, `conf/predict.yaml`.

    Returns:
        Test AUC, averaged over the experiments, if the test labels are known (simulated data); otherwise NaN,
        and for a shard that is not the last one to end.

    Raises:
        SetiError: there is no experiment, or it is in use by another run, a checkpoint is damaged, or test cadences are
            missing or damaged.
    """
    check_predict(cfg)
    places = {name: out_folder(name, cfg.out) for name in ensembles(cfg.ckpt_dir)}
    elsewhere = {name: out for name, out in places.items() if out is not None}
    if len(set(elsewhere.values())) < len(elsewhere):
        msg = f"out={cfg.out} is one folder for the predictions of {len(elsewhere)} ensembles: give one ckpt_dir"
        raise SettingsError(msg)
    if cfg.report and elsewhere:
        first = next(iter(elsewhere))
        msg = f"report=true is of an experiment with its own predictions, and ckpt_dir={first} is predicted elsewhere"
        raise SettingsError(f"{msg}: set report=false")
    experiments = [open_experiment(Path(name), RELEASED) for name in places if name not in elsewhere]
    if cfg.report:
        files.try_output(page_path([one.path for one in experiments]))
    with cores(cfg.threads), ray_pool.cluster(cfg.launcher, cfg.ray) as cluster:
        place = Place.choose(cfg.device, cluster)
        choose_precision(cfg.precision, place.device)
        scores = _predict_experiments(experiments, cfg, place) if experiments else []
        scores += [predict_folder(name, out, cfg, place) for name, out in elsewhere.items()]
    if cfg.report:
        write_page(experiments, page_path([one.path for one in experiments]))
    return float(np.mean(scores))


@contextmanager
def cores(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads in this block; None leaves their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _predict_experiments(experiments: list[Experiment], cfg: Any, place: Place) -> list[float]:
    """Lock the experiments' folders and predict; the test AUC of each."""
    shard = parse_shard(cfg.shard)
    with ExitStack() as locked:
        for experiment in experiments:
            if shard is None:
                locked.enter_context(_locked(experiment, INSTANT))
            else:
                locked.enter_context(shards.only_shard(experiment.path, shard))
            for path in (experiment.predictions_path, experiment.submission_path, experiment.predictions_record):
                files.try_output(path)
        return _predict(
            [open_experiment(experiment.path) for experiment in experiments], cfg, place
        )  # reread under the lock


@contextmanager
def _locked(experiment: Experiment, patience: float) -> Iterator[None]:
    with locks.hold(experiment.path, f"predicting with {experiment.name}", patience=patience):
        files.remove_stale_parts(experiment.path)
        yield


def _predict(experiments: list[Experiment], cfg: Any, place: Place) -> list[float]:
    roots = [_root(cfg, experiment) for experiment in experiments]
    ids = {root: competition.read_test_ids(root) for root in roots}
    labels = {root: competition.find_test_labels(root, ids[root]) for root in ids}
    members = [
        Member(experiment, root, load_folds(experiment)) for experiment, root in zip(experiments, roots, strict=True)
    ]
    for member in members:
        _name_missing(member.experiment)
        check_networks(
            member.root,
            member.experiment.name,
            member.classifiers[0].spec.normalise,
            member.experiment.first_result.data.fingerprint,
        )
    scores: list[float] = []
    failures: list[SetiError] = []
    for group in _groups(members):
        try:
            found = _predict_group(cfg, group, ids[group[0].root], place)
        except SetiError as error:  # those of other data sets and other inputs go on
            if len(group) == len(members):
                raise
            failures.append(error)
            log.error("no predictions of %s: %s", ", ".join(member.experiment.name for member in group), error)
            continue
        if found is None:  # other shards are not done
            scores += [float("nan")] * len(group)
            continue
        usable, columns = found
        for member, probs in zip(group, columns, strict=True):
            with nullcontext() if cfg.shard is None else _locked(member.experiment, MERGE_PATIENCE):
                if cfg.shard is not None:
                    _check_unchanged(member.experiment)
                table = _write(cfg, member, ids[member.root], usable, probs, place.device)
                if cfg.shard is None:
                    shards.remove(member.experiment.path)
            known = labels[member.root]
            scores.append(tables.report_auc(member.experiment.name, str(member.root), table, known, cfg.average))
    if failures:
        msg = f"{len(members) - len(scores)} of {len(members)} experiments were not predicted: {failures[0]}"
        raise SetiError(msg)
    return scores


def _write(
    cfg: Any, member: Member, ids: pd.Series, usable: np.ndarray, probs: np.ndarray, device: torch.device
) -> pd.DataFrame:
    """Write an experiment's tables, their record and the gallery; return the predictions."""
    experiment = member.experiment
    prior = experiment.first_result.positive_share
    table = tables.write(experiment, ids, usable, experiment.finished_folds(), probs, cfg.average, prior)
    made = f"{cfg.precision} on {device.type}"
    record = predictions.describe_predictions(experiment, member.root, table["id"], made, cfg.average)
    files.write_json(experiment.predictions_record, record)
    if cfg.data.root is None and experiment.is_finished():
        # The gallery shows the highest scores of the test set once it is predicted.
        cross_validation.draw_gallery(experiment)
    return table


def _check_unchanged(experiment: Experiment) -> None:
    """Refuse to join shards of networks that were trained again meanwhile."""
    now = open_experiment(experiment.path)
    if predictions.checkpoints(now) != predictions.checkpoints(experiment):
        msg = f"{experiment.path}: its folds have changed while it was predicted: give the commands of all shards again"
        raise SetiError(msg)


def _root(cfg: Any, experiment: Experiment) -> Path:
    if cfg.data.root is not None:
        return Path(cfg.data.root)
    return Path(experiment.first_result.data.root)


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
    cfg: Any, group: Sequence[Member], ids: pd.Series, place: Place
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """Predict with all networks of a group of experiments in one pass.

    Returns:
        The ids of the undamaged cadences, `(N,)`, and each experiment's probabilities, `(N, folds)`. None while other
        shards are not done.
    """
    device = place.device
    classifiers = [classifier for member in group for classifier in member.classifiers]
    root, spec = group[0].root, classifiers[0].spec
    choices = {name: cfg.data[name] for name in ("packed", "pack_dir", "on_error")}
    size = spec.rows, spec.bins
    source = open_split(root, "test", ids.to_numpy(), PANEL_CHOICES[spec.panels], size=size, **choices).source
    dataset = CadenceDataset(source, None, spec, on_device=device.type == "cuda")
    auto = cfg.data.batch_size == AUTO
    size = auto_batch_size(dataset, device) if auto else cfg.data.batch_size
    whose = group[0].experiment.name if len(group) == 1 else f"{len(group)} experiments"
    label = f"{whose}: {len(classifiers)} folds"
    compiled = worth_compiling(cfg.compile, device, len(dataset), len(classifiers), cfg.flips)

    def run(part: CadenceDataset, **options: Any) -> np.ndarray:
        with memory_errors(f"data.batch_size={size}"):
            return predict_probabilities(
                classifiers,
                make_loader(part, size, cfg.data.num_workers),
                device,
                cfg.precision,
                label,
                flips=cfg.flips,
                halve=auto,
                compiled=compiled,
                **options,
            )

    ensembles = [
        (member.experiment.path, len(member.classifiers), predictions.checkpoints(member.experiment))
        for member in group
    ]
    predictor = predictor_of(cfg, place, classifiers, dataset, size, compiled)
    probs = shards.predict_shard(cfg, place, root, dataset, size, ensembles, run, predictor, label)
    for classifier in classifiers:
        classifier.cpu()  # frees device memory for the next group
    if probs is None:
        return None
    return source.ids, np.split(probs, np.cumsum([len(member.classifiers) for member in group])[:-1], axis=1)


def _list(folds: Sequence[int]) -> str:
    return ",".join(map(str, folds))
