"""Training of one fold, from its configuration to its result."""

import gc
import logging
import shutil
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from seti.config.process_checks import check_one_process, only_run
from seti.config.schema import plain
from seti.config.trainer_checks import settle_trainer
from seti.config.validation import check_settings
from seti.data.screening import write_skipped
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.experiments import provenance
from seti.experiments.experiment import Experiment, FoldFolder
from seti.experiments.failure import FAILURE_FILE
from seti.experiments.fold_result import Attempt, FoldResult, LabelledData
from seti.experiments.run_identity import RunIdentity
from seti.training import batch_size
from seti.training.build import build_callbacks, build_classifier, build_trainer, configure_logs
from seti.training.callbacks.dead_fold import DeadFoldError
from seti.training.checkpoints import AtomicCheckpointIO, Position, find_checkpoint
from seti.training.earlier_round import find_earlier_checkpoint
from seti.training.held_out import predict_held_out, score
from seti.training.pseudo_labels import read_pseudo_labels
from seti.training.refusals import check_accelerator, check_batches, fitting_errors
from seti.training.retries import Attempts
from seti.utils import files, locks, shutdown
from seti.utils.device import memory_errors

log = logging.getLogger(__name__)

CLEARING = 5  # s to wait for other folds that clear
VERSIONS = ("seti", "torch", "pytorch-lightning", "timm", "albumentations", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A fold to train, and everything that its attempts share."""

    cfg: DictConfig
    experiment: Experiment
    datamodule: CadenceDataModule
    identity: RunIdentity
    overrides: list[str] | None
    start: tuple[Path, bool] | None = None  # checkpoint of an earlier round, and whether its scores are honest

    @property
    def honest(self) -> bool:
        """True unless what the fold learns from has seen its held-out cadences."""
        pseudo = self.datamodule.pseudo
        return (pseudo is None or pseudo.honest) and (self.start is None or self.start[1])

    @property
    def folder(self) -> FoldFolder:
        """The fold's files."""
        return self.experiment.fold(self.cfg.fold)

    @property
    def label(self) -> str:
        """Name of the fold, for messages."""
        return f"fold {self.cfg.fold} of {self.cfg.exp_name}"


def train(cfg: DictConfig, overrides: list[str] | None = None, job_folder: Path | None = None) -> float:
    """Train one fold and write its result; a finished fold is left alone.

    Args:
        cfg: `conf/train.yaml`, see `seti.config.schema.TrainConfig`.
        overrides: of the command line that `cfg` was composed from, for the record.
        job_folder: in which Hydra keeps the command's `.hydra/`, if it does.

    Returns:
        AUC of the held-out fold, by the best checkpoint.

    Raises:
        SetiError: settings, data or machine do not allow it.
    """
    check_one_process()
    with only_run(f"training fold {cfg.fold} of {cfg.exp_name}"):
        return _train(cfg, overrides, job_folder)


def _train(cfg: DictConfig, overrides: list[str] | None, job_folder: Path | None) -> float:
    gc.collect()  # an earlier fold in this process: Lightning's objects, and its network, are held by reference cycles
    cfg = settle_trainer(cfg)
    check_settings(cfg)
    check_accelerator(cfg.trainer)
    configure_logs()
    experiment = Experiment(Path(cfg.output_dir) / cfg.exp_name)
    cfg = batch_size.resolve(cfg, experiment, job_folder)
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], cfg.fold, cfg.seed, experiment.folds_path)
    datamodule.pseudo = read_pseudo_labels(config["data"], datamodule)
    start = find_earlier_checkpoint(config["model"]["weights"], datamodule)
    check_batches(cfg.trainer, datamodule)
    identity = RunIdentity(config, datamodule.fingerprint, ungrouped=datamodule.ungrouped)
    run = Run(cfg, experiment, datamodule, identity, overrides, start)

    finished = None if cfg.force else run.folder.read_result()
    if finished is not None:
        finished.identity.check_same(run.identity, run.folder.path)
        log.info("%s is finished (AUC %.4f): not trained again; force=true does", run.label, finished.scores.auc)
        return finished.scores.auc

    run.folder.path.mkdir(parents=True, exist_ok=True)
    doing, fix = f"training {run.label}", "another exp_name can run at the same time"
    with locks.hold(run.folder.path, doing, fix=fix), files.name_in_errors(run.folder.path):
        for path in (run.folder.path, run.folder.last_checkpoint.parent):
            files.remove_stale_parts(path)
        batch_size.forget_other(experiment, cfg.data.batch_size)
        return _train_with_retries(run).scores.auc


def _train_with_retries(run: Run) -> FoldResult:
    """Train a fold; if it does not learn, start over with another seed, up to `retries` times."""
    cfg = run.cfg
    attempts = Attempts(run.folder, cfg.seed, run.identity, forget=cfg.force)
    if len(attempts.failed) > cfg.retries:  # the same settings would fail in the same way
        msg = (
            f"{attempts.failed[-1].reason} (tried with seed {', '.join(map(str, attempts.failed_seeds))}, by an "
            f"earlier run): retries={len(attempts.failed)} tries another seed, force=true starts over"
        )
        raise SetiError(msg)
    started = time.monotonic()
    while True:
        try:
            return _train_once(run, attempts, started)
        except DeadFoldError as error:
            attempts.record_failure(error)
            if len(attempts.failed) > cfg.retries:
                raise
            log.warning("%s; starting over with seed %d", error.reason, attempts.seed)


def _train_once(run: Run, attempts: Attempts, started: float) -> FoldResult:
    """Train the fold with the next attempt's seed, from an interrupted run's checkpoint if any."""
    cfg, folder, datamodule, seed = run.cfg, run.folder, run.datamodule, attempts.seed
    position = None
    if not cfg.force or attempts.failed:
        position = _find_position(run, attempts)
    if position is None and not cfg.force:
        for fold, other in run.experiment.results.items():
            other.identity.check_same(run.identity, run.experiment.fold(fold).path)
    start = position or Position(0, 0)
    datamodule.seed, datamodule.first_epoch, datamodule.first_batch = seed, start.epoch, start.batch
    callbacks = build_callbacks(cfg, folder, replace(run.identity, seed=seed), run.label, started)
    trainer = build_trainer(cfg, folder.path, callbacks, plugins=[AtomicCheckpointIO()])
    log.info(
        "%s: %d cadences to train on, %d held out (%d and %d with a needle)",
        run.label,
        *(datamodule.train_labelled, len(datamodule.val_set)),
        int(datamodule.train_set.targets[: datamodule.train_labelled].sum()),
        int(datamodule.val_set.targets.sum()),
    )
    pl.seed_everything(seed, verbose=False)
    classifier = build_classifier(run.identity.config, datamodule, fetch_weights=position is None, start=run.start)
    if cfg.force and not attempts.failed:
        # The lock keeps out a prediction, whose tables would be of a network that is gone; the other folds of a
        # sweep hold it for an instant each.
        with locks.hold(run.experiment.path, f"clearing {run.label}", patience=CLEARING):
            _clear(run.experiment, folder)  # only now: everything that can be refused has been accepted
    datamodule.store_folds()
    write_skipped(folder.path / "skipped.csv", datamodule.skipped)
    with memory_errors(f"data.batch_size={cfg.data.batch_size} or data.image_size"):
        with shutdown.deferring(), fitting_errors():
            checkpoint = folder.last_checkpoint if position else None
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        oof = predict_held_out(folder, datamodule, trainer, classifier)
    files.write_csv(folder.oof, oof)
    result = _make_result(run, attempts, oof, time.monotonic() - started)
    result.write(folder.result)
    attempts.finish()
    (folder.path / FAILURE_FILE).unlink(missing_ok=True)  # of an earlier sweep
    log.info("%s is finished: AUC %.4f (epoch %d)", run.label, result.scores.auc, result.best_epoch + 1)
    return result


def _find_position(run: Run, attempts: Attempts) -> Position | None:
    """Find the position at which an interrupted run of the same identity continues, if any."""
    found = find_checkpoint(run.folder, run.identity)
    if found is None:
        return None
    seed, position = found
    if seed in attempts.failed_seeds:  # the run was killed before it had set that attempt aside
        attempts.set_aside(seed)
        return None
    log.info("resuming from %s (%s)", run.folder.last_checkpoint, position)
    return position


def _clear(experiment: Experiment, folder: FoldFolder) -> None:
    """Remove an earlier run of the fold, `result.json` first; keep its log and configuration."""
    folder.result.unlink(missing_ok=True)
    folder.oof.unlink(missing_ok=True)
    folder.metrics.unlink(missing_ok=True)
    for trace in Attempts.traces(folder.path):
        shutil.rmtree(trace) if trace.is_dir() else trace.unlink(missing_ok=True)
    # The fold's old network contributed to the predictions.
    for stale in (experiment.predictions_record, experiment.predictions_path, experiment.submission_path):
        stale.unlink(missing_ok=True)
    for part in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder.path / part, ignore_errors=True)


def _make_result(run: Run, attempts: Attempts, oof: pd.DataFrame, seconds: float) -> FoldResult:
    folder, datamodule = run.folder, run.datamodule
    best = torch.load(folder.best_checkpoint, map_location="cpu", weights_only=True)
    scores, best_epoch = score(oof), int(best["epoch"])
    return FoldResult(
        fold=run.cfg.fold,
        n_folds=run.cfg.data.n_folds,
        exp_name=run.cfg.exp_name,
        scores=scores,
        best_epoch=best_epoch,
        epochs=len(pd.read_csv(folder.metrics)),
        checkpoint=folder.best_checkpoint.relative_to(folder.path).as_posix(),
        **provenance.record(folder.path, folder.best_checkpoint, folder.oof),
        data=LabelledData(
            root=str(datamodule.root.resolve()),
            fingerprint=datamodule.fingerprint,
            cadences=len(datamodule.table),
            positives=int(datamodule.table["target"].sum()),
            skipped=len(datamodule.skipped),
        ),
        pseudo=None if datamodule.pseudo is None else datamodule.pseudo.plain(),
        honest=run.honest,
        seed=attempts.seed,
        attempts=[*attempts.failed, Attempt(attempts.seed, best_epoch, scores.auc, None)],
        config=run.identity.config,
        overrides=run.overrides,
        versions={package: version(package) for package in VERSIONS} | {"python": sys.version.split()[0]},
        seconds=round(seconds, 1),
    )
