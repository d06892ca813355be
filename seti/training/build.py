"""What a fold's training and a range test are put together from: the network, Lightning's Trainer, quiet logs."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from seti.config.schema import plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.models.optimiser import layer_groups
from seti.utils.device import choose_precision, settle_gpu

log = logging.getLogger(__name__)


def build_classifier(config: dict[str, Any], datamodule: CadenceDataModule, fetch_weights: bool) -> CadenceClassifier:
    """Build the network for a data set.

    Args:
        config: the whole configuration as plain values.
        datamodule: says what the images are.
        fetch_weights: False where a checkpoint will bring the weights anyway.
    """
    model = {key: value for key, value in config["model"].items() if key != "compile"}
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
        mixup=config["mixup"],
        cutout={
            "probability": config["augment"]["cutout"],
            "size": config["augment"]["cutout_size"],
            "holes": config["augment"]["cutout_holes"],
        },
        loss=config["loss"],
    )
    _check_size(classifier)
    # Now, not when the optimiser is made: a forced run has taken an old fold away by then.
    if config["optimizer"]["layer_decay"] is not None:
        layer_groups(classifier.backbone.network, config["optimizer"]["lr"], config["optimizer"]["layer_decay"])
    if config["model"]["head_epochs"]:
        _ = classifier.backbone.head
    if config["model"]["compile"]:
        # In place, so that checkpoints keep their names. A last, smaller batch is compiled by itself.
        classifier.backbone.network.compile(dynamic=False)
    # Lightning trains in the modes that it finds: without this, a frozen backbone's batch statistics would drift.
    return classifier.train()


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
    settle_gpu()
    has_gpu = torch.cuda.is_available() and settings.get("accelerator") in ("auto", "gpu", "cuda")
    settings["precision"] = choose_precision(settings["precision"], torch.device("cuda" if has_gpu else "cpu"))
    # A file is no terminal: it gets a line an epoch from History instead of a bar.
    settings["enable_progress_bar"] = settings.get("enable_progress_bar", True) and sys.stdout.isatty()
    if settings["enable_progress_bar"]:
        # Lightning's default of 100 images of the bar a second takes a tenth of a core.
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
        msg = (
            f"Lightning refuses the trainer settings ({' '.join(str(error).split())}): change trainer.*, "
            "or take trainer=auto, which runs on any machine"
        )
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
        "Total length of `list` across ranks is zero.*",  # nor do trials of batch sizes
        ".*is smaller than the logging interval.*",
        "Checkpoint directory .* exists and is not empty.*",  # a resumed fold
        ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
        "You're resuming from a checkpoint that ended before the epoch ended.*",
        "You have overridden `on_after_batch_transfer` in `LightningModule`.*",  # which a range test needs too
        ".*LeafSpec.*is deprecated.*",  # inside Lightning
        ".*isinstance\\(treespec, LeafSpec\\).*",
        "The `srun` command is available.*",  # one machine's devices are all that is used, on a cluster's as well
    ):
        warnings.filterwarnings("ignore", message=message)


def _check_size(classifier: CadenceClassifier) -> None:
    """Look at one empty image: a network that shrinks it to nothing fails now, in one line, not in an epoch."""
    height, width = classifier.spec.image_shape
    try:
        with torch.inference_mode():
            classifier.eval()(torch.zeros(1, classifier.spec.image_maker().channels, height, width))
    except (RuntimeError, ValueError, AssertionError) as error:
        name = classifier.hparams["model"]["backbone"]
        msg = (
            f"model.backbone={name} cannot take images of {height} x {width} ({' '.join(str(error).split())[:150]}): "
            "set a larger data.image_size"
        )
        raise SetiError(msg) from error
