"""Learning-rate range test: raise the rate every batch, watch the loss.

Smith 2017, arXiv:1506.01186."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.tuner import Tuner

from seti.config.process_checks import check_one_process, only_run
from seti.config.schema import plain
from seti.config.trainer_checks import settle_trainer
from seti.config.validation import check_settings
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.models.classifier import CadenceClassifier
from seti.reports import figures, training_plots
from seti.training import batch_size, precision
from seti.training.build import build_classifier, build_trainer, configure_logs
from seti.training.callbacks.history import StepSeed
from seti.training.compiling import choose_compilation
from seti.training.earlier_round import find_earlier_checkpoint
from seti.training.pseudo_labels import read_pseudo_labels
from seti.training.refusals import check_batches
from seti.utils import files, locks

log = logging.getLogger(__name__)

COLUMNS = ["curve", "step", "lr", "loss", "smoothed"]
SMOOTHING = 0.9  # of the running mean; 100 steps are too few for the tuner's 0.98
COLLECTING = 60  # s to wait for another test's curves to be drawn
SKIP = 10  # the running mean of the first steps is a mean of few


def run(cfg: DictConfig, folder: Path) -> float:
    """Run the test for one configuration and write its curve.

    Args:
        cfg: `conf/train.yaml`.
        folder: of the job, `.../fold_<k>/lr_range/<curve>`.

    Returns:
        The suggested maximum rate, or NaN without one.

    Raises:
        SetiError: settings, data or machine do not allow it.
    """
    check_one_process()
    with only_run(f"testing learning rates of fold {cfg.fold}"):
        return _run(cfg, folder)


def _run(cfg: DictConfig, folder: Path) -> float:
    cfg = settle_trainer(cfg)
    check_settings(cfg)
    configure_logs()
    experiment = Experiment(Path(cfg.output_dir) / cfg.exp_name)
    cfg = batch_size.resolve(cfg, experiment, folder)
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], cfg.fold, cfg.seed)
    datamodule.pseudo = read_pseudo_labels(config["data"], datamodule)
    start = find_earlier_checkpoint(config["model"]["weights"], datamodule)
    check_batches(cfg.trainer, datamodule)
    pl.seed_everything(cfg.seed, verbose=False)
    steps = cfg.lr_range.steps
    chosen = precision.settle(cfg, experiment, datamodule, fresh=False)  # of the training before, if there was one
    # An interrupted tuner leaves its snapshot; here it is removed with the folder.
    with tempfile.TemporaryDirectory(prefix="seti-lr-range-") as scratch:
        trainer = build_trainer(
            cfg,
            Path(scratch),
            [StepSeed((cfg.seed, cfg.fold))],
            logger=False,
            max_epochs=-1,
            max_steps=steps,
            enable_checkpointing=False,
            enable_model_summary=False,
            **({} if chosen is None else {"precision": chosen}),
        )
        datamodule.trainer = trainer  # its device decides where images are made
        classifier = build_classifier(config, datamodule, fetch_weights=True, start=start)
        choose_compilation(classifier, config, trainer, datamodule)
        recorder = _RawLosses.watch(classifier)
        # Without the validation loader: the tuner would run it after every epoch.
        finder = Tuner(trainer).lr_find(
            classifier,
            train_dataloaders=datamodule.train_dataloader(),
            min_lr=cfg.lr_range.min_lr,
            max_lr=cfg.lr_range.max_lr,
            num_training=steps,
            update_attr=False,  # the rate is the user's to choose
        )
    rates = finder.results["lr"][: len(recorder.losses)]
    if not rates:
        msg = "the range test made no step: is there a batch to train on?"
        raise SetiError(msg)
    curve = pd.DataFrame(
        {"curve": folder.name, "step": range(len(rates)), "lr": rates, "loss": recorder.losses[: len(rates)]}
    )
    curve["smoothed"] = smooth(curve["loss"].to_numpy())
    files.write_csv(folder / "lr_range.csv", curve)
    rate = suggestion(curve)
    stopped = "" if len(rates) >= steps else f"; stopped after {len(rates)} of {steps} steps, the loss diverged"
    hint = "no suggestion, the loss never fell" if rate is None else f"suggested optimizer.lr={rate:.1e}"
    log.info("%s: %s%s", folder.name, hint, stopped)
    return float("nan") if rate is None else rate


class _RawLosses:
    """Recorder of the raw losses: the tuner keeps only smoothed ones, which start too low."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    @classmethod
    def watch(cls, classifier: CadenceClassifier) -> "_RawLosses":
        recorder = cls()

        # The tuner replaces the Trainer's callbacks, but not the module's own hooks.
        def on_train_batch_end(outputs: Any, batch: Any, batch_idx: int) -> None:
            recorder.losses.append(float(outputs["loss"]))

        classifier.on_train_batch_end = on_train_batch_end
        return recorder


def smooth(losses: np.ndarray, beta: float = SMOOTHING) -> np.ndarray:
    """Running mean, unbiased: `m_k = beta m_(k-1) + (1 - beta) loss_k; m_k / (1 - beta^k)`."""
    return pd.Series(losses).ewm(alpha=1 - beta, adjust=True).mean().to_numpy()


def suggestion(curve: pd.DataFrame) -> float | None:
    """Suggest the rate at which the smoothed loss falls most steeply over the rate's logarithm.

    A hint for the maximum rate, not a rule. Only steps before the lowest loss count. The tuner's own suggestion uses
    the slope over the rate itself, which is steepest at tiny rates.

    Args:
        curve: columns `lr` and `smoothed`, one row a step.

    Returns:
        A rate, or None if the loss never falls or the curve is too short.
    """
    inner = curve[np.isfinite(curve["smoothed"])].iloc[SKIP:]
    # Once the rate is too large the loss jumps and falls back: falls after the lowest point mean nothing.
    inner = inner.iloc[: int(inner["smoothed"].to_numpy().argmin()) + 1] if len(inner) else inner
    if len(inner) < 3:
        return None
    slope = np.gradient(inner["smoothed"].to_numpy(), np.log(inner["lr"].to_numpy()))
    return float(inner["lr"].iloc[int(slope.argmin())]) if slope.min() < 0 else None


def short_names(curves: list[str]) -> dict[str, str]:
    """Name curves after the overrides in which they differ, for a legend."""
    parts = {curve: curve.split("__") for curve in curves}
    shared = set.intersection(*map(set, parts.values()))
    return {curve: ", ".join(p for p in parts[curve] if p not in shared) or "loss" for curve in curves}


def collect(fold_path: Path) -> None:
    """Join a fold's curves in `lr_range.csv`, draw them, and remove the job folders.

    Curves of earlier tests stay, unless the same overrides were tested again. Folders of failed jobs stay as well.
    """
    # Two tests that end together would each write a table without the other's curve.
    with locks.hold(fold_path, "collecting range tests", name=".lr_range.lock", patience=COLLECTING):
        _collect(fold_path)


def _collect(fold_path: Path) -> None:
    jobs = sorted(fold_path.glob("lr_range/*/lr_range.csv"))
    files.remove_stale_parts(fold_path)
    table = fold_path / "lr_range.csv"
    curves = pd.concat([files.read_csv(path, COLUMNS) for path in jobs], ignore_index=True) if jobs else None
    if curves is None:
        return
    if table.exists():
        earlier = files.read_csv(table, COLUMNS)
        curves = pd.concat([earlier[~earlier["curve"].isin(curves["curve"])], curves], ignore_index=True)
    files.write_csv(table, curves)
    names = short_names([str(name) for name in curves["curve"].unique()])
    by_name = {names[str(name)]: curve for name, curve in curves.groupby("curve", sort=False)}
    hints = {name: suggestion(curve) for name, curve in by_name.items()}
    figure = fold_path / "lr_range.png"
    figures.save_figure(training_plots.draw_lr_range(by_name, hints), figure)
    for path in jobs:
        shutil.rmtree(path.parent)
    if not any((fold_path / "lr_range").iterdir()):
        (fold_path / "lr_range").rmdir()
    for name, rate in hints.items():
        print(f"{name}: " + ("no suggestion" if rate is None else f"suggested optimizer.lr={rate:.1e}"))
    print(f"wrote {table} and {figure}")
