"""One fold, from configuration to result."""

import logging
import shutil
import signal
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from sklearn.metrics import log_loss, roc_auc_score

from seti import files
from seti.classifier import CadenceClassifier, load_classifier
from seti.config import check_settings, plain
from seti.datamodule import CadenceDataModule, loader
from seti.device import choose_precision
from seti.entry import FAILURE_FILE
from seti.errors import SetiError
from seti.experiment import Experiment, FoldFolder, differences
from seti.history import EpochSeed, History
from seti.prediction import predict_probabilities

log = logging.getLogger(__name__)

VERSIONS = ("seti", "torch", "pytorch-lightning", "timm", "albumentations", "numpy", "scikit-learn")


def train(cfg: DictConfig) -> float:
    """Train one fold and write its result; a finished fold is left alone.

    Args:
        cfg: `conf/train.yaml`, see `seti.config.TrainConfig`.

    Returns:
        AUC of the held-out fold, by the best checkpoint.

    Raises:
        SetiError: settings, data or machine do not allow it.
    """
    check_settings(cfg)
    _check_length(cfg.trainer)
    settle_logs()
    experiment = Experiment(Path(cfg.output_dir) / cfg.exp_name)
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

    resume = None if cfg.force else _find_checkpoint(folder, origin)
    if resume is None and not cfg.force:
        for fold, other in experiment.results.items():
            _check_same(experiment.fold(fold), _origin(other), origin)
    started = time.monotonic()
    trainer = build_trainer(cfg, folder.path, _callbacks(cfg, folder, origin))
    log.info(
        "fold %d of %s: %d cadences to train on, %d held out (%d and %d with a needle)",
        cfg.fold,
        cfg.exp_name,
        *(len(part) for part in (datamodule.train_set, datamodule.val_set)),
        *(int(part.targets.sum()) for part in (datamodule.train_set, datamodule.val_set)),
    )
    pl.seed_everything(cfg.seed, verbose=False)
    classifier = build_classifier(config, datamodule, fetch_weights=resume is None)
    if cfg.force:
        _clear(folder)  # not before everything that can be refused has been accepted
    _fit(trainer, classifier, datamodule, resume)

    oof = _predict_held_out(folder, datamodule, trainer, classifier)
    files.write_csv(folder.oof, oof)
    result = _result(cfg, config, datamodule, oof, folder, time.monotonic() - started)
    files.write_json(folder.result, result)
    (folder.path / FAILURE_FILE).unlink(missing_ok=True)  # of a sweep before this run
    log.info(
        "fold %d of %s is finished: AUC %.4f (epoch %d)",
        cfg.fold,
        cfg.exp_name,
        result["scores"]["auc"],
        result["best_epoch"] + 1,
    )
    return result["scores"]["auc"]


def build_classifier(config: dict[str, Any], datamodule: CadenceDataModule, fetch_weights: bool) -> CadenceClassifier:
    """Build the network for a data set.

    Args:
        config: the whole configuration as plain values.
        datamodule: says what the pictures are.
        fetch_weights: False where a checkpoint will bring the weights anyway.
    """
    model = dict(config["model"])
    if not fetch_weights:
        model |= {"pretrained": False, "weights": None}
    elif model["weights"] is None and model["pretrained"]:
        log.info(
            "loading the pretrained weights of %s from the hub, or from its cache on this machine",
            model["backbone"],
        )
    elif model["weights"] is None:
        log.info(
            "starting from random weights: model.pretrained=true or model.weights=<file> start from pretrained ones"
        )
    classifier = CadenceClassifier(
        spec=datamodule.spec.plain(),
        model=model,
        optimizer=config["optimizer"],
        schedule=config["schedule"],
        mixup_alpha=config["mixup"]["alpha"],
    )
    _check_size(classifier)
    # Lightning trains in the modes that it finds: without this, a frozen backbone's batch statistics would drift.
    return classifier.train()


def _check_size(classifier: CadenceClassifier) -> None:
    """Look at one empty picture: a network that shrinks it to nothing fails now, in one line, not in an epoch."""
    height, width = classifier.spec.picture_size
    try:
        with torch.inference_mode():
            classifier.eval()(torch.zeros(1, classifier.spec.picture().channels, height, width))
    except (RuntimeError, ValueError, AssertionError) as error:
        name = classifier.hparams["model"]["backbone"]
        msg = (
            f"model.backbone={name} cannot take pictures of {height} x {width} ({' '.join(str(error).split())[:150]}): "
            "set a larger data.image_size"
        )
        raise SetiError(msg) from error


def build_trainer(cfg: DictConfig, folder: Path, callbacks: list[Callback], **options: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the `trainer` settings.

    Args:
        cfg: the whole configuration.
        folder: where the Trainer may write.
        callbacks: added to the progress bar.
        options: override the settings.

    Raises:
        SetiError: Lightning refuses a setting, for instance a GPU that is not there.
    """
    settings = plain(cfg.trainer) | options
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    has_gpu = torch.cuda.is_available() and settings.get("accelerator") in ("auto", "gpu", "cuda")
    settings["precision"] = choose_precision(settings["precision"], torch.device("cuda" if has_gpu else "cpu"))
    # A file is no terminal: it gets a line an epoch from History instead of a bar.
    settings["enable_progress_bar"] = settings.get("enable_progress_bar", True) and sys.stdout.isatty()
    if settings["enable_progress_bar"]:
        # Lightning's default of 100 pictures of the bar a second takes a tenth of a core.
        callbacks = [*callbacks, RichProgressBar(refresh_rate=5)]
    # TensorBoard only: metrics.csv is written by History, which outlives a resume.
    options.setdefault("logger", TensorBoardLogger(folder, name="tensorboard", version=""))
    try:
        return pl.Trainer(
            **({"logger": options["logger"], "num_sanity_val_steps": 0} | settings),
            callbacks=callbacks,
            default_root_dir=folder,
        )
    except (TypeError, ValueError, ModuleNotFoundError, MisconfigurationException) as error:
        msg = f"Lightning refuses the trainer settings ({' '.join(str(error).split())}): change trainer.*"
        raise SetiError(msg) from error


def settle_logs() -> None:
    """Send Lightning's messages where Hydra's go, and leave out those that ask for what is settled here."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    # Prints a warning for every file it retries; the error that follows says it once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",  # data.num_workers is the user's to set
        ".*but have no `val_dataloader`.*",  # the range test needs none
        ".*is smaller than the logging interval.*",
        "Checkpoint directory .* exists and is not empty.*",  # a resumed fold
        ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
        "You're resuming from a checkpoint that ended before the epoch ended.*",
        ".*LeafSpec.*is deprecated.*",  # inside Lightning
        ".*isinstance\\(treespec, LeafSpec\\).*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _check_length(settings: DictConfig) -> None:
    """Refuse what leaves OneCycle without a number of steps to plan for."""
    epochs, batches = settings.get("max_epochs"), settings.get("limit_train_batches", 1.0)
    if not isinstance(epochs, int) or epochs < 1:
        msg = f"trainer.max_epochs={epochs} must be at least 1: the learning rate is planned over all epochs"
        raise SetiError(msg)
    if batches is not None and not batches > 0:
        msg = f"trainer.limit_train_batches={batches} leaves nothing to train on: use a share such as 0.5, or a number"
        raise SetiError(msg)


class _ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a run which was stopped early, then cut short before its result, does not forget."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning brings back the count of epochs, but not the decision."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def _fit(
    trainer: pl.Trainer, classifier: CadenceClassifier, datamodule: CadenceDataModule, resume: Path | None
) -> None:
    """Train; when a person or the system stops it, stop the whole program, a sweep's other folds included."""
    try:
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    except (SIGTERMException, RuntimeError) as error:
        # The loader's workers may die of the same signal first, which then reads as their failure.
        if not isinstance(error, SIGTERMException) and not trainer.received_sigterm:
            raise
        log.warning("terminated: the same command goes on from the last finished epoch")
        sys.exit(128 + signal.SIGTERM)
    except SystemExit:
        # Lightning turns Ctrl-C into a plain exit.
        log.warning("interrupted: the same command goes on from the last finished epoch")
        sys.exit(128 + signal.SIGINT)


def _callbacks(cfg: DictConfig, folder: FoldFolder, origin: dict[str, Any]) -> list[Callback]:
    # After the epoch's last step: a run that goes on from here starts the next epoch from its beginning.
    every_epoch = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    callbacks: list[Callback] = [
        EpochSeed((cfg.seed, cfg.fold)),
        History(folder.metrics, origin),
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
            _ResumableEarlyStopping(
                "val_loss", patience=cfg.early_stopping.patience, min_delta=cfg.early_stopping.min_delta
            )
        )
    return callbacks


def _find_checkpoint(folder: FoldFolder, origin: dict[str, Any]) -> Path | None:
    """The checkpoint of an interrupted run of the same configuration, or None for a fresh start."""
    path = folder.last_checkpoint
    if not path.exists():
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        written_by = History.read_origin(checkpoint)
    except Exception as error:  # a damaged file can fail anywhere in torch's reader
        msg = f"{path} cannot be read ({type(error).__name__}): force=true trains this fold from the start"
        raise SetiError(msg) from error
    if written_by is None:
        msg = f"{path} was not written by this program: give another exp_name, or force=true to start over"
        raise SetiError(msg)
    _check_same(folder, written_by, origin)
    log.info("going on from %s (%d epochs done)", path, checkpoint["epoch"] + 1)
    return path


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


def _clear(folder: FoldFolder) -> None:
    """Take away an earlier run of the fold, the mark of being finished first; its log and configuration stay."""
    folder.result.unlink(missing_ok=True)
    folder.oof.unlink(missing_ok=True)
    folder.metrics.unlink(missing_ok=True)
    for part in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder.path / part, ignore_errors=True)


def _predict_held_out(
    folder: FoldFolder, datamodule: CadenceDataModule, trainer: pl.Trainer, trained: CadenceClassifier
) -> pd.DataFrame:
    """Out-of-fold rows by the best checkpoint: the network that `predict.py` will use."""
    trained.cpu()  # makes room on the device for the best epoch's weights
    held_out = datamodule.val_set
    batches = loader(held_out, datamodule.data["batch_size"], datamodule.data["num_workers"])
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
) -> dict[str, Any]:
    best = torch.load(folder.best_checkpoint, map_location="cpu", weights_only=True)
    return {
        "fold": cfg.fold,
        "n_folds": cfg.data.n_folds,
        "exp_name": cfg.exp_name,
        "scores": {
            "auc": float(roc_auc_score(oof["target"], oof["prob"])),
            "loss": float(log_loss(oof["target"], oof["prob"], labels=[0, 1])),
        },
        "best_epoch": int(best["epoch"]),
        "epochs": len(pd.read_csv(folder.metrics)),
        "checkpoint": str(folder.best_checkpoint.relative_to(folder.path)),
        "data": {
            "root": str(datamodule.root.resolve()),
            "fingerprint": datamodule.fingerprint,
            "cadences": len(datamodule.table),
            "positives": int(datamodule.table["target"].sum()),
        },
        "config": config,
        # Kept here because a later command that is refused writes its own into .hydra.
        "overrides": list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else None,
        "versions": {package: version(package) for package in VERSIONS} | {"python": sys.version.split()[0]},
        "seconds": round(seconds, 1),
    }
