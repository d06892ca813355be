"""Training of one fold, from its configuration to its result."""

import gc
import logging
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from seti.config.device_checks import count_devices
from seti.config.process_checks import check_launch, only_run
from seti.config.schema import plain
from seti.config.trainer_checks import settle_trainer
from seti.config.validation import check_settings
from seti.data.screening import write_skipped
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError, SettingsError
from seti.experiments import provenance
from seti.experiments.experiment import Experiment, FoldFolder
from seti.experiments.failure import FAILURE_FILE
from seti.experiments.fold_result import Attempt, FoldResult, LabelledData
from seti.experiments.run_identity import RunIdentity
from seti.experiments.trackers import check_tracker
from seti.training import batch_size, precision, several_devices, together
from seti.training.build import build_callbacks, build_classifier, build_trainer, configure_logs
from seti.training.callbacks.dead_fold import DeadFoldError
from seti.training.checkpoints import AtomicCheckpointIO, Position, find_checkpoint
from seti.training.compiling import choose_compilation
from seti.training.earlier_round import find_earlier_checkpoint
from seti.training.held_out import predict_held_out, score
from seti.training.pseudo_labels import read_pseudo_labels
from seti.training.refusals import check_accelerator, check_batches, check_other_folds, fitting_errors
from seti.training.retries import Attempts
from seti.training.tracking import Tracked, tracked
from seti.utils import files, locks, ranks, shutdown
from seti.utils.device import memory_errors
from seti.utils.launchers import find_launch

log = logging.getLogger(__name__)

CLEARING = 5  # s to wait for other folds that clear
SHARING = 60  # s until another machine sees a new folder
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


def train(
    cfg: DictConfig, overrides: list[str] | None = None, job_folder: Path | None = None, job_logging: str = "{}"
) -> float:
    """Train one fold and write its result; a finished fold is left alone.

    Args:
        cfg: `conf/train.yaml`, see `seti.config.schema.TrainConfig`.
        overrides: of the command line that `cfg` was composed from, for the record.
        job_folder: in which Hydra keeps the command's `.hydra/`, if it does.
        job_logging: settings of `logging.config` for the processes of several devices, as YAML.

    Returns:
        AUC of the held-out fold, by the best checkpoint.

    Raises:
        SetiError: settings, data or machine do not allow it.
    """
    check_launch(sweep=False)
    with only_run(f"training fold {cfg.fold} of {cfg.exp_name}"):
        cfg, launch = settle_trainer(cfg), find_launch()
        check_settings(cfg)
        check_accelerator(cfg.trainer)
        if launch is not None:
            return together.take_part(launch, train_here, together.encode(cfg, overrides, job_folder))
        if count_devices(cfg.trainer) > 1:
            return several_devices.start(cfg, overrides, job_folder, job_logging)
        return train_here(cfg, overrides, job_folder)


def follow() -> None:
    """Train with the leader of torchrun's or srun's processes, in another one of them."""
    together.take_part(find_launch(), train_here)


def train_here(cfg: DictConfig, overrides: list[str] | None, job_folder: Path | None) -> float:
    """Train a fold as `train` does, in this process alone or with those that it has joined."""
    gc.collect()  # an earlier fold in this process: Lightning's objects, and its network, are held by reference cycles
    check_settings(cfg)
    check_accelerator(cfg.trainer)
    configure_logs()
    if cfg.trainer.get("logger") is not False:
        check_tracker(cfg.logger)
    experiment = Experiment(Path(cfg.output_dir) / cfg.exp_name)
    cfg = batch_size.resolve(cfg, experiment, job_folder)
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], cfg.fold, cfg.seed, experiment.folds_path)
    datamodule.pseudo = read_pseudo_labels(config["data"], datamodule)
    start = find_earlier_checkpoint(config["model"]["weights"], datamodule)
    check_batches(cfg.trainer, datamodule)
    identity = RunIdentity(config, datamodule.fingerprint, ungrouped=datamodule.ungrouped)
    run = Run(cfg, experiment, datamodule, identity, overrides, start)

    if cfg.force:
        ranks.from_leader(lambda: check_other_folds(experiment, cfg.fold, identity, overrides))
    finished = ranks.from_leader(lambda: _finished(run))
    if finished is not None:
        log.info("%s is finished (AUC %.4f): not trained again; force=true does", run.label, finished)
        return finished

    with ranks.led(_prepared(run)), files.name_in_errors(run.folder.path):
        _check_shared(run.folder.path)
        return _train_with_retries(run)


def _finished(run: Run) -> float | None:
    """AUC of the fold if it is finished and is to be left alone."""
    finished = None if run.cfg.force else run.folder.read_result()
    if finished is None:
        return None
    finished.identity.check_same(run.identity, run.folder.path)
    return finished.scores.auc


@contextmanager
def _prepared(run: Run) -> Iterator[None]:
    """Keep other runs out of the fold's folder, and clear what killed ones have left there."""
    run.folder.path.mkdir(parents=True, exist_ok=True)
    doing, fix = f"training {run.label}", "another exp_name can run at the same time"
    with locks.hold(run.folder.path, doing, fix=fix), files.name_in_errors(run.folder.path):
        for path in (run.folder.path, run.folder.last_checkpoint.parent):
            files.remove_stale_parts(path)
        batch_size.forget_other(run.experiment, run.cfg.data.batch_size)
        yield


def _check_shared(folder: Path) -> None:
    """Refuse an output folder that the leader's machine has and this one has not.

    Raises:
        SetiError: naming the folder and this machine.
    """
    end = time.monotonic() + SHARING
    while not folder.is_dir():
        if time.monotonic() > end:
            msg = (
                f"{folder} is not on {socket.gethostname()}: the machines that train a fold together need one "
                "output_dir, on a file system that they share"
            )
            raise SetiError(msg)
        time.sleep(1)


def _train_with_retries(run: Run) -> float:
    """Train a fold and return its AUC; start over with another seed if it does not learn."""
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


def _train_once(run: Run, attempts: Attempts, started: float) -> float:
    """Train the fold with the next attempt's seed, from a checkpoint if any; return its AUC."""
    position = ranks.from_leader(lambda: _choose_position(run, attempts))
    with tracked(run.cfg, attempts.seed, resumed=position is not None) as tracking:
        return _fit(run, attempts, started, position, tracking)


def _fit(run: Run, attempts: Attempts, started: float, position: Position | None, tracking: Tracked) -> float:
    cfg, folder, datamodule, seed = run.cfg, run.folder, run.datamodule, attempts.seed
    start = position or Position(0, 0)
    datamodule.seed, datamodule.first_epoch, datamodule.first_batch = seed, start.epoch, start.batch
    callbacks = build_callbacks(cfg, folder, replace(run.identity, seed=seed), run.label, started)
    # After all checks, and once for all processes: the first fold of an experiment times both precisions.
    chosen = ranks.from_leader(lambda: precision.settle(cfg, run.experiment, datamodule, fresh=position is None))
    options = tracking.options if chosen is None else tracking.options | {"precision": chosen}
    trainer = build_trainer(cfg, folder.path, callbacks, plugins=[AtomicCheckpointIO()], **options)
    datamodule.trainer = trainer  # its device decides whether cadences are kept there
    _ = datamodule.kept_bytes
    log.info(
        "%s: %d cadences to train on, %d held out (%d and %d with a needle)",
        run.label,
        *(datamodule.train_labelled, len(datamodule.val_set)),
        int(datamodule.train_set.targets[: datamodule.train_labelled].sum()),
        int(datamodule.val_set.targets.sum()),
    )
    pl.seed_everything(seed, verbose=False)
    classifier = build_classifier(run.identity.config, datamodule, fetch_weights=position is None, start=run.start)
    choose_compilation(classifier, run.identity.config, trainer, datamodule)
    ranks.wait()  # only now, when all of them have accepted everything, files are removed
    if ranks.leads():
        if cfg.force and not attempts.failed:
            # The lock keeps out a prediction, whose tables would be of a network that is gone; the other folds of a
            # sweep hold it for an instant each.
            with locks.hold(run.experiment.path, f"clearing {run.label}", patience=CLEARING):
                _clear(run.experiment, folder)
        datamodule.store_folds()
        write_skipped(folder.path / "skipped.csv", datamodule.skipped)
    ranks.wait()
    with memory_errors(f"data.batch_size={cfg.data.batch_size} or data.image_size"):
        with shutdown.deferring(), fitting_errors():
            checkpoint = folder.last_checkpoint if position else None
            datamodule.keep()
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        datamodule.release()
        oof = predict_held_out(folder, datamodule, trainer, classifier)
    return ranks.from_leader(lambda: _finish(run, attempts, oof, time.monotonic() - started, tracking))


def _finish(run: Run, attempts: Attempts, oof: pd.DataFrame, seconds: float, tracking: Tracked) -> float:
    """Write the fold's results, give its scores to the tracker, and return its AUC."""
    result = _write_result(run, attempts, oof, seconds)
    tracking.scores = {"auc": result.scores.auc, "loss": result.scores.loss, "best_epoch": result.best_epoch}
    return result.scores.auc


def _write_result(run: Run, attempts: Attempts, oof: pd.DataFrame, seconds: float) -> FoldResult:
    """Write the fold's tables and, last, its record."""
    files.write_csv(run.folder.oof, oof)
    result = _make_result(run, attempts, oof, seconds)
    result.write(run.folder.result)
    attempts.finish()
    (run.folder.path / FAILURE_FILE).unlink(missing_ok=True)  # of an earlier sweep
    log.info("%s is finished: AUC %.4f (epoch %d)", run.label, result.scores.auc, result.best_epoch + 1)
    return result


def _choose_position(run: Run, attempts: Attempts) -> Position | None:
    """Choose the position at which the fold continues, if any; check that it may be trained."""
    position = None
    if not run.cfg.force or attempts.failed:
        position = _find_position(run, attempts)
    if position is None and not run.cfg.force:
        for fold, other in run.experiment.results.items():
            other.identity.check_same(run.identity, run.experiment.fold(fold).path)
    return position


def _find_position(run: Run, attempts: Attempts) -> Position | None:
    """Find the position at which an interrupted run of the same identity continues, if any."""
    found = find_checkpoint(run.folder, run.identity, _check_processes(run))
    if found is None:
        return None
    seed, position = found
    if seed in attempts.failed_seeds:  # the run was killed before it had set that attempt aside
        attempts.set_aside(seed)
        return None
    log.info("resuming from %s (%s)", run.folder.last_checkpoint, position)
    return position


def _check_processes(run: Run) -> Callable[[int], None]:
    """Return a check of the number of processes that a checkpoint is from."""
    share, length = run.datamodule.share, run.datamodule.epoch_length

    def check(before: int) -> None:
        other = replace(share, count=before, rank=0)
        if other.training_batches(length) != share.training_batches(length):
            msg = (
                f"{run.folder.last_checkpoint} is of training on {before} device{'s' * (before > 1)}, whose epochs have"
                f" another number of batches than those on {share.count}: go on with as many as before, or force=true"
            )
            raise SettingsError(msg)

    return check


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
