"""One fold, from configuration to result."""

import gc
import logging
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from sklearn.metrics import log_loss, roc_auc_score

from seti.config.schema import plain
from seti.config.validation import check_settings
from seti.data.screening import write_skipped
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.loader import make_loader
from seti.errors import SetiError
from seti.experiments import provenance
from seti.experiments.experiment import Experiment, FoldFolder, differences
from seti.experiments.failure import FAILURE_FILE
from seti.inference.ensemble import predict_probabilities
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.training import batch_size
from seti.training.build import build_classifier, build_trainer, settle_logs
from seti.training.callbacks.dead_fold import DyingFoldError, Watch
from seti.training.callbacks.head_warmup import HeadWarmup
from seti.training.callbacks.history import History, ResumableEarlyStopping, StepSeed
from seti.training.callbacks.weight_averaging import MovingAverage
from seti.training.checkpoints import Position, SaveWhenAsked, WholeCheckpoints
from seti.training.retries import Attempts
from seti.utils import files, locks, shutdown
from seti.utils.device import memory_errors
from seti.utils.safe_load import read_checkpoint

log = logging.getLogger(__name__)

CLEARING = 5  # s to wait for others that clear
VERSIONS = ("seti", "torch", "pytorch-lightning", "timm", "albumentations", "numpy", "scikit-learn")


def train(cfg: DictConfig) -> float:
    """Train one fold and write its result; a finished fold is left alone.

    Args:
        cfg: `conf/train.yaml`, see `seti.config.schema.TrainConfig`.

    Returns:
        AUC of the held-out fold, by the best checkpoint.

    Raises:
        SetiError: settings, data or machine do not allow it.
    """
    gc.collect()  # the fold before this one, in the same sweep: Lightning's objects hold one another, and its network
    check_settings(cfg)
    _check_length(cfg.trainer)
    settle_logs()
    experiment = Experiment(Path(cfg.output_dir) / cfg.exp_name)
    given, cfg = cfg, batch_size.settle(cfg, experiment)
    folder = experiment.fold(cfg.fold)
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], cfg.fold, cfg.seed)
    origin = {"config": config, "fingerprint": datamodule.fingerprint}
    result = None if cfg.force else folder.read_result()
    if result is not None:
        _check_same(folder, _origin(result), origin)
        auc = result["scores"]["auc"]
        log.info(
            "fold %d of %s is finished (AUC %.4f): not trained again; force=true does",
            cfg.fold,
            cfg.exp_name,
            auc,
        )
        return auc

    folder.path.mkdir(parents=True, exist_ok=True)
    doing, fix = f"training fold {cfg.fold} of {cfg.exp_name}", "another exp_name can run beside it"
    with locks.hold(folder.path, doing, fix=fix), files.naming(folder.path):
        for path in (folder.path, folder.last_checkpoint.parent):
            files.remove_parts(path)
        if cfg is given:  # a number: what an earlier run with auto had settled is no longer true
            batch_size.forget(folder)
        return _train_attempts(cfg, experiment, datamodule, origin)


def _train_attempts(
    cfg: DictConfig, experiment: Experiment, datamodule: CadenceDataModule, origin: dict[str, Any]
) -> float:
    """Train a fold; where it dies, begin again with another seed, as often as `retries` allows."""
    folder = experiment.fold(cfg.fold)
    attempts = Attempts(folder, cfg.seed, origin, forget=cfg.force)
    if len(attempts.dead) > cfg.retries:  # the same settings would die the same death
        msg = (
            f"{attempts.dead[-1]['reason']} (tried with seed {', '.join(map(str, attempts.dead_seeds))}, by an "
            f"earlier run): retries={len(attempts.dead)} tries another seed, force=true begins again"
        )
        raise SetiError(msg)
    started = time.monotonic()
    while True:
        try:
            return _train_once(cfg, experiment, datamodule, origin, attempts, started)
        except DyingFoldError as error:
            attempts.bury(error)
            if len(attempts.dead) > cfg.retries:
                raise
            log.warning("%s; beginning again with seed %d", error.reason, attempts.seed)


def _train_once(
    cfg: DictConfig,
    experiment: Experiment,
    datamodule: CadenceDataModule,
    origin: dict[str, Any],
    attempts: Attempts,
    started: float,
) -> float:
    folder, config, seed = experiment.fold(cfg.fold), origin["config"], attempts.seed
    origin = origin | {"seed": seed}
    resume, position = None, Position(0, 0)
    if not cfg.force or attempts.dead:
        resume, position = _find_checkpoint(folder, origin, attempts)
    if resume is None and not cfg.force:
        for fold, other in experiment.results.items():
            _check_same(experiment.fold(fold), _origin(other), origin)
    datamodule.seed, datamodule.first_epoch, datamodule.first_batch = seed, position.epoch, position.batch
    callbacks = _callbacks(cfg, folder, origin)
    trainer = build_trainer(cfg, folder.path, callbacks, plugins=[WholeCheckpoints()])
    log.info(
        "fold %d of %s: %d cadences to train on, %d held out (%d and %d with a needle)",
        cfg.fold,
        cfg.exp_name,
        *(len(part) for part in (datamodule.train_set, datamodule.val_set)),
        *(int(part.targets.sum()) for part in (datamodule.train_set, datamodule.val_set)),
    )
    pl.seed_everything(seed, verbose=False)
    classifier = build_classifier(config, datamodule, fetch_weights=resume is None)
    if cfg.force and not attempts.dead:
        # Not while the experiment is predicted, whose tables would be of a network that is gone; the other folds of a
        # sweep hold this lock for an instant each.
        with locks.hold(experiment.path, f"clearing fold {cfg.fold} of {cfg.exp_name}", patience=CLEARING):
            _clear(experiment, folder)  # not before everything that can be refused has been accepted
    write_skipped(folder.path / "skipped.csv", datamodule.skipped)
    with memory_errors(f"data.batch_size={cfg.data.batch_size} or data.image_size"):
        _fit(trainer, classifier, datamodule, resume)
        oof = _predict_held_out(folder, datamodule, trainer, classifier)
    files.write_csv(folder.oof, oof)
    result = _result(cfg, config, datamodule, oof, folder, time.monotonic() - started, attempts)
    files.write_json(folder.result, result)
    attempts.finish()
    batch_size.forget(folder)
    (folder.path / FAILURE_FILE).unlink(missing_ok=True)  # of a sweep before this run
    log.info(
        "fold %d of %s is finished: AUC %.4f (epoch %d)",
        cfg.fold,
        cfg.exp_name,
        result["scores"]["auc"],
        result["best_epoch"] + 1,
    )
    return result["scores"]["auc"]


def _check_length(settings: DictConfig) -> None:
    """Refuse what leaves OneCycle without a number of steps to plan for."""
    epochs, batches = settings.get("max_epochs"), settings.get("limit_train_batches", 1.0)
    if not isinstance(epochs, int) or epochs < 1:
        msg = f"trainer.max_epochs={epochs} must be at least 1: the learning rate is planned over all epochs"
        raise SetiError(msg)
    once_an_epoch = {"check_val_every_n_epoch": 1, "val_check_interval": 1.0}
    for name in ("limit_val_batches", *once_an_epoch):
        value = settings.get(name)
        if value is not None and (value == 0 or value != once_an_epoch.get(name, value)):
            msg = f"trainer.{name}={value}: every epoch is judged by its validation AUC; leave that setting out"
            raise SetiError(msg)
    for name in ("accumulate_grad_batches", "gradient_clip_val"):
        value = settings.get(name)
        if value is not None and (not isinstance(value, int | float) or value <= 0):
            msg = f"trainer.{name}={value} must be above 0"
            raise SetiError(msg)
    if batches is not None and not (isinstance(batches, int | float) and batches > 0):
        msg = f"trainer.limit_train_batches={batches} leaves nothing to train on: use a share such as 0.5, or a number"
        raise SetiError(msg)


def _fit(
    trainer: pl.Trainer, classifier: CadenceClassifier, datamodule: CadenceDataModule, resume: Path | None
) -> None:
    with shutdown.putting_off():
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=resume, weights_only=True)


def _callbacks(cfg: DictConfig, folder: FoldFolder, origin: dict[str, Any]) -> list[Callback]:
    # After the epoch's last step: a run that goes on from here starts the next epoch from its beginning.
    every_epoch = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    history = History(folder.metrics, origin)
    again = "the same command without force=true" if cfg.force else "the same command"
    label = f"fold {cfg.fold} of {cfg.exp_name}"
    callbacks: list[Callback] = [
        *([HeadWarmup(cfg.model.head_epochs)] if cfg.model.head_epochs else []),
        *([MovingAverage(cfg.ema.decay)] if cfg.ema.decay is not None else []),  # before those that save
        StepSeed((origin["seed"], cfg.fold)),
        history,
        Watch(label, history, cfg.watch.after, cfg.watch.auc_margin),
        SaveWhenAsked(folder.last_checkpoint, history, f"{again} goes on from there"),
        LearningRateMonitor("step"),
        ModelCheckpoint(
            dirpath=folder.best_checkpoint.parent,
            filename=folder.best_checkpoint.stem,
            monitor=cfg.checkpoint.monitor,
            mode=cfg.checkpoint.mode,
            **every_epoch,
        ),
        # Behind the best one, whose state it keeps. Not `save_last`: that leaves out epochs that are not the best.
        ModelCheckpoint(folder.last_checkpoint.parent, folder.last_checkpoint.stem, **every_epoch),
    ]
    if cfg.early_stopping.patience is not None:
        callbacks.append(
            ResumableEarlyStopping(
                "val_loss", patience=cfg.early_stopping.patience, min_delta=cfg.early_stopping.min_delta
            )
        )
    return callbacks


def _find_checkpoint(folder: FoldFolder, origin: dict[str, Any], attempts: Attempts) -> tuple[Path | None, Position]:
    """The checkpoint of an interrupted run of the same configuration, and where to go on; or None and the start."""
    path, start = folder.last_checkpoint, Position(0, 0)
    if not path.exists():
        return None, start
    fix = "force=true trains this fold from the start"
    checkpoint = read_checkpoint(path, fix)
    written_by, position = History.read_origin(checkpoint), Position.of(checkpoint)
    if written_by is None or "seed" not in written_by or position is None:
        msg = f"{path} was not written by this program, or by an older version of it: give another exp_name; or {fix}"
        raise SetiError(msg)
    _check_same(folder, written_by, origin)
    if written_by["seed"] in attempts.dead_seeds:  # the run was killed before it had cleared that attempt away
        attempts.clear_away(written_by["seed"])
        return None, start
    log.info("going on from %s (%s)", path, position)
    return path, position


def _origin(result: dict[str, Any]) -> dict[str, Any]:
    return {"config": result["config"], "fingerprint": result["data"]["fingerprint"]}


def _check_same(folder: FoldFolder, old: dict[str, Any], new: dict[str, Any]) -> None:
    different = differences(old["config"], new["config"])
    if old["fingerprint"] != new["fingerprint"]:
        different.append(f"label table: {old['fingerprint']} -> {new['fingerprint']}")
    if different:
        msg = (
            f"{folder.path} was trained with other settings ({'; '.join(different)}): give another exp_name, "
            "or force=true to replace that fold"
        )
        raise SetiError(msg)


def _clear(experiment: Experiment, folder: FoldFolder) -> None:
    """Take away an earlier run of the fold, the mark of being finished first; its log and configuration stay."""
    folder.result.unlink(missing_ok=True)
    folder.oof.unlink(missing_ok=True)
    folder.metrics.unlink(missing_ok=True)
    for trace in Attempts.traces(folder.path):
        shutil.rmtree(trace) if trace.is_dir() else trace.unlink(missing_ok=True)
    for stale in (
        experiment.predictions_record,
        experiment.predictions_path,
        experiment.submission_path,
    ):  # this fold's old network had its say there
        stale.unlink(missing_ok=True)
    for part in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder.path / part, ignore_errors=True)


def _predict_held_out(
    folder: FoldFolder, datamodule: CadenceDataModule, trainer: pl.Trainer, trained: CadenceClassifier
) -> pd.DataFrame:
    """Out-of-fold rows by the best checkpoint: the network that `predict.py` will use."""
    trained.cpu()  # makes room on the device for the best epoch's weights
    held_out = datamodule.val_set
    batches = make_loader(held_out, datamodule.data["batch_size"], datamodule.data["num_workers"])
    probs = predict_probabilities(
        [load_classifier(folder.best_checkpoint)],
        batches,
        trainer.strategy.root_device,
        trainer.precision if trainer.precision != "32-true" else "32",
        f"held-out fold {datamodule.fold}",
    )
    return pd.DataFrame(
        {
            "id": held_out.ids,
            "fold": datamodule.fold,
            "target": held_out.targets.astype(int),
            "prob": probs[:, 0],
        }
    )


def _result(
    cfg: DictConfig,
    config: dict[str, Any],
    datamodule: CadenceDataModule,
    oof: pd.DataFrame,
    folder: FoldFolder,
    seconds: float,
    attempts: Attempts,
) -> dict[str, Any]:
    best = torch.load(folder.best_checkpoint, map_location="cpu", weights_only=True)
    auc = float(roc_auc_score(oof["target"], oof["prob"]))
    return {
        "fold": cfg.fold,
        "n_folds": cfg.data.n_folds,
        "exp_name": cfg.exp_name,
        "scores": {
            "auc": auc,
            "loss": float(log_loss(oof["target"], oof["prob"], labels=[0, 1])),
        },
        "best_epoch": int(best["epoch"]),
        "epochs": len(pd.read_csv(folder.metrics)),
        "checkpoint": folder.best_checkpoint.relative_to(folder.path).as_posix(),
        **provenance.record(folder.path, folder.best_checkpoint, folder.oof),
        "data": {
            "root": str(datamodule.root.resolve()),
            "fingerprint": datamodule.fingerprint,
            "cadences": len(datamodule.table),
            "positives": int(datamodule.table["target"].sum()),
            "skipped": len(datamodule.skipped),
        },
        "seed": attempts.seed,  # config has the first attempt's
        "attempts": [
            *attempts.dead,
            {"seed": attempts.seed, "epoch": int(best["epoch"]), "auc": auc, "reason": None},
        ],
        "config": config,
        # Kept here because a later command that is refused writes its own into .hydra.
        "overrides": list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else None,
        "versions": {package: version(package) for package in VERSIONS} | {"python": sys.version.split()[0]},
        "seconds": round(seconds, 1),
    }
