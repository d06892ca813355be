"""Builders of a training run: the network, its callbacks, Lightning's Trainer, quiet logs."""

import copy
import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from omegaconf import DictConfig, ListConfig
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy

from seti.config.device_checks import EVERY, device_numbers
from seti.config.schema import plain
from seti.config.trainer_checks import FIXED, SAME_PRECISION, time_limit
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SettingsError
from seti.experiments.experiment import FoldFolder
from seti.experiments.run_identity import RunIdentity
from seti.models.classifier import CadenceClassifier
from seti.models.optimiser import layer_groups
from seti.models.release_names import find_release_for, written_as
from seti.models.released import start_from
from seti.training.callbacks.dead_fold import DeadFoldStopping
from seti.training.callbacks.freeze_backbone import FreezeBackbone
from seti.training.callbacks.history import History, ResumableEarlyStopping, StepSeed
from seti.training.callbacks.save_on_signal import SaveOnSignal, TimeLimit
from seti.training.callbacks.step_limit import StepLimit
from seti.training.callbacks.weight_averaging import MovingAverage
from seti.training.earlier_round import load_start
from seti.training.refusals import check_accelerator, lightning_refusals
from seti.utils import ranks
from seti.utils.device import choose_precision, configure_gpu
from seti.utils.processes import available_cores

log = logging.getLogger(__name__)

# Settings that this program obeys itself: StepLimit and SaveOnSignal end a run where it can go on.
OWN = ("max_steps", "max_time", "strategy", "num_nodes")
PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def build_classifier(
    config: dict[str, Any],
    datamodule: CadenceDataModule,
    fetch_weights: bool,
    start: tuple[Path, bool] | None = None,
) -> CadenceClassifier:
    """Build the network for a data set.

    Args:
        config: the whole configuration as plain values.
        datamodule: has the input spec of the images.
        fetch_weights: False if a checkpoint will bring the weights anyway.
        start: checkpoint of an earlier round to start from, see `earlier_round.find_earlier_checkpoint`.

    Raises:
        SetiError: the backbone cannot take the images, or the settings of its layers.
    """
    model = {key: value for key, value in config["model"].items() if key != "compile"}
    release = None if model["weights"] is None else find_release_for(model["weights"], model["backbone"])
    if not fetch_weights or release is not None or start is not None:
        model |= {"pretrained": False, "weights": None}
        if fetch_weights and start is not None:
            log.info("starting from %s", start[0])
    elif model["weights"] is not None:
        log.info("starting from %s", model["weights"])
    elif model["pretrained"]:
        log.info(
            "loading the pretrained weights of %s from the hub, or from its cache on this machine",
            model["backbone"],
        )
    else:
        log.info(
            "starting from random weights: model.pretrained=true or model.weights=<file> start from pretrained ones"
        )
    classifier = CadenceClassifier(
        spec=datamodule.spec.plain(),
        model=model,
        optimizer=config["optimizer"],
        schedule=config["schedule"],
        mixup=config["mixup"],
        cutout={
            "probability": config["augment"]["cutout"],
            "size": config["augment"]["cutout_size"],
            "holes": config["augment"]["cutout_holes"],
        },
        loss=config["loss"],
    )
    if fetch_weights and release is not None:
        member, of = start_from(release, config["fold"], classifier.backbone.network)
        if of == 1:
            log.info("starting from the network of %s: all folds start from the same one", written_as(release))
        else:
            log.info("starting from network %d of %s", member, written_as(release))
    elif fetch_weights and start is not None:
        load_start(classifier, start[0])
    classifier.backbone.check_image_size()
    if datamodule.share.size == 1 and not config["model"]["freeze_backbone"]:
        _check_single(classifier)
    # Checked now, not when the optimiser is made: a forced run has removed the old fold by then.
    if config["optimizer"]["layer_decay"] is not None:
        layer_groups(classifier.backbone.network, config["optimizer"]["lr"], config["optimizer"]["layer_decay"])
    if config["model"]["head_epochs"]:
        _ = classifier.backbone.head
    if str(config["trainer"].get("precision")) == "64":
        # Not Lightning's plugin, which would make panels and random draws of 64 bits as well.
        classifier.backbone.double()
    # Lightning keeps the modes that it finds: without this, a frozen backbone's batch statistics would drift.
    return classifier.train()


def build_trainer(cfg: DictConfig, folder: Path, callbacks: list[Callback], **options: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the `trainer` settings.

    Args:
        cfg: the whole configuration.
        folder: the Trainer writes there.
        callbacks: in addition to the progress bar.
        options: override the settings.

    Raises:
        SetiError: Lightning refuses a setting, such as a GPU that the machine lacks.
    """
    given = {key: value for key, value in plain(cfg.trainer).items() if value is not None}  # null: Lightning's default
    settings = {key: value for key, value in given.items() if key not in (*FIXED, *OWN)} | options
    use_threads(cfg)
    configure_gpu()
    named = str(settings.get("precision", "32"))
    named = SAME_PRECISION.get(named, named)
    named = "32" if named == "64" else named  # `build_classifier` has made the weights of 64 bits
    settings["precision"] = choose_precision(named, torch.device("cuda" if runs_on_gpu(settings) else "cpu"))
    if ranks.is_joined():
        settings |= _several_devices(cfg)
    elif str(settings.get("devices")) in EVERY:
        settings["devices"] = 1  # the only one
    # A log file gets a line an epoch from History instead of a bar.
    settings["enable_progress_bar"] = settings.get("enable_progress_bar", True) and sys.stdout.isatty()
    if settings["enable_progress_bar"]:
        # Lightning's default of 100 updates a second takes a tenth of a core.
        callbacks = [*callbacks, RichProgressBar(refresh_rate=5)]
    # TensorBoard only: History writes metrics.csv, and continues it in a resumed run.
    if settings.get("logger", True) is True:
        settings["logger"] = TensorBoardLogger(folder, name="tensorboard", version="")
    if "profiler" in settings:  # into a file: Lightning would send it to a log that is quiet
        own = PROFILERS[settings["profiler"]](folder / "profile", settings["profiler"]) if ranks.leads() else None
        settings["profiler"] = own
    # The processes that this program has joined, or one: Lightning would ask Slurm, torchrun and MPI for others.
    environment = TorchElasticEnvironment() if ranks.is_joined() else LightningEnvironment()
    settings["plugins"] = [*options.get("plugins", []), environment]
    check_accelerator(settings)
    with lightning_refusals():
        trainer = pl.Trainer(
            **({"num_sanity_val_steps": 0} | settings),
            callbacks=callbacks,
            default_root_dir=folder,
        )
    if ranks.is_joined():
        # SaveOnSignal shares signals. Lightning would make every step of a GPU wait for that, and its handler hangs
        # where one process alone has a signal.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        trainer._signal_connector.register_signal_handlers = lambda: None
    return trainer


def use_threads(cfg: DictConfig) -> None:
    """Set the number of torch's threads, by the `threads` setting.

    Without one, processes that train together divide the cores of their machine.
    """
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    elif ranks.is_joined():
        cores = available_cores() // int(os.environ["LOCAL_WORLD_SIZE"])
        torch.set_num_threads(max(min(torch.get_num_threads(), cores), 1))


def runs_on_gpu(trainer: Mapping[str, Any]) -> bool:
    """True if the `trainer` settings take a GPU that this machine has."""
    return torch.cuda.is_available() and trainer.get("accelerator") in ("auto", "gpu", "cuda")


def _several_devices(cfg: DictConfig) -> dict[str, Any]:
    """Arguments of the Trainer in one of several processes, each with a device of its own."""
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    chosen = cfg.trainer.get("devices")
    numbered = isinstance(chosen, ListConfig) or "," in str(chosen)
    return {
        "devices": list(device_numbers(chosen)) if numbered else local,
        "num_nodes": ranks.count() // local,
        # Weights that are trained later than others have no gradient until then.
        "strategy": DDPStrategy(find_unused_parameters=cfg.model.head_epochs > 0),
        "use_distributed_sampler": False,  # the loaders divide every batch
    }


def build_callbacks(
    cfg: DictConfig, folder: FoldFolder, identity: RunIdentity, label: str, started: float | None = None
) -> list[Callback]:
    """Build the callbacks of a fold's training, in the order in which they must run.

    Args:
        cfg: the whole configuration.
        folder: the fold's.
        identity: of the run, with its seed.
        label: of the fold, for messages.
        started: the `time.monotonic()` from which `trainer.max_time` counts; None is now.
    """
    # After the last step of an epoch: a run that is resumed from there starts the next epoch at its beginning.
    every_epoch = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    history = History(folder.metrics, identity)
    again = f"for {label} the same command{' without force=true' * cfg.force}"
    steps, seconds = cfg.trainer.get("max_steps"), time_limit(plain(cfg.trainer))
    spans = {"model.head_epochs": cfg.model.head_epochs, "schedule.warmup_epochs": cfg.schedule.warmup_epochs}
    limit = None
    if seconds is not None:
        begun = time.monotonic() if started is None else started
        limit = TimeLimit(begun + seconds, f"trainer.max_time={cfg.trainer.max_time}")
    callbacks: list[Callback] = [
        *([StepLimit(steps, spans)] if steps not in (None, -1) else []),  # the others ask how long an epoch is
        *([FreezeBackbone(cfg.model.head_epochs)] if cfg.model.head_epochs else []),
        *([MovingAverage(cfg.ema.decay)] if cfg.ema.decay is not None else []),  # before those that save
        StepSeed((identity.seed, cfg.fold)),
        history,
        DeadFoldStopping(label, history, cfg.watch.after, cfg.watch.auc_margin),
        SaveOnSignal(folder.last_checkpoint, history, f"{again} goes on from there", limit),
        *([LearningRateMonitor("step")] if cfg.trainer.get("logger") is not False else []),
        ModelCheckpoint(
            dirpath=folder.best_checkpoint.parent,
            filename=folder.best_checkpoint.stem,
            monitor=cfg.checkpoint.monitor,
            mode=cfg.checkpoint.mode,
            **every_epoch,
        ),
        # After the best one, whose state it keeps. Not `save_last`: that skips epochs that are not the best.
        ModelCheckpoint(folder.last_checkpoint.parent, folder.last_checkpoint.stem, **every_epoch),
    ]
    if cfg.early_stopping.patience is not None:
        callbacks.append(
            ResumableEarlyStopping(
                "val_loss", patience=cfg.early_stopping.patience, min_delta=cfg.early_stopping.min_delta
            )
        )
    return callbacks


def configure_logs() -> None:
    """Send Lightning's messages to the root logger, without those about deliberate choices."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    # It warns about every file that it tries again; the error that follows is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",  # data.num_workers is the user's to set
        ".*but have no `val_dataloader`.*",  # the range test needs none
        "Total length of `list` across ranks is zero.*",  # nor do trials of batch sizes
        ".*is smaller than the logging interval.*",
        "Checkpoint directory .* exists and is not empty.*",  # a resumed fold
        ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
        "You're resuming from a checkpoint that ended before the epoch ended.*",
        "You have overridden `on_after_batch_transfer` in `LightningModule`.*",  # which a range test needs too
        ".*LeafSpec.*is deprecated.*",  # inside Lightning
        ".*isinstance\\(treespec, LeafSpec\\).*",
        "The `srun` command is available.*",  # it looks for Slurm's checkpoints, too
    ):
        warnings.filterwarnings("ignore", message=message)


def _check_single(classifier: CadenceClassifier) -> None:
    """Run a copy in training mode on one image: batch normalisation needs two values a channel."""
    height, width = classifier.spec.image_shape
    try:
        with torch.no_grad():
            copy.deepcopy(classifier).train()(torch.zeros(1, classifier.image_maker.channels, height, width))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        msg = (
            f"data.batch_size=1 leaves batch normalisation one value a channel in images of {height} x {width}: set "
            "data.batch_size=2 or more, or a larger data.image_size"
        )
        raise SettingsError(msg) from error
