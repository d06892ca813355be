"""Choice of whether the training step's network is compiled."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from seti.dataloading.datamodule import CadenceDataModule
from seti.models.classifier import CadenceClassifier

# Steps of a fold from which model.compile=auto compiles. On an H100 a step of EfficientNet-B1 at 512 x 512 takes 67 ms
# instead of 87; compiling takes 90 s in the first fold, 0.2 s in later ones of the process, 5 s in another process.
WORTHWHILE = 4500


def choose_compilation(
    classifier: CadenceClassifier, config: dict[str, Any], trainer: pl.Trainer, datamodule: CadenceDataModule
) -> None:
    """Let a classifier run its training batches compiled, by `model.compile`.

    Args:
        classifier: built for the data set.
        config: the whole configuration as plain values.
        trainer: that will train it.
        datamodule: has the number and the size of the batches.
    """
    choice = str(config["model"]["compile"]).lower()
    if choice == "auto":
        limits = {name: getattr(trainer, name) for name in ("max_epochs", "max_steps", "limit_train_batches")}
        steps = count_steps(limits, datamodule)
        single = trainer.strategy.root_device.type == "cuda" and trainer.world_size == 1
        # Generated kernels are chosen by their speed, and two runs may choose differently.
        free = not torch.are_deterministic_algorithms_enabled()
        choice = str(single and free and steps >= WORTHWHILE).lower()
    classifier.compiled_batch = datamodule.share.size if choice == "true" else None


def count_steps(trainer: Mapping[str, Any], datamodule: CadenceDataModule) -> int:
    """Number of a fold's training batches, by the `trainer` settings; 0: no limit."""
    epoch, limit = datamodule.batches[0], trainer.get("limit_train_batches")
    if limit is not None:  # a number of batches, or a share of them, as Lightning reads it
        epoch = min(epoch, limit) if isinstance(limit, int) else int(epoch * limit)
    steps = epoch * max(trainer.get("max_epochs") or 0, 0)
    most = trainer.get("max_steps") or 0
    return min(steps or most, most) if most > 0 else steps
