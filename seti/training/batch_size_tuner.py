"""Measurement of the batch size that fits on the device, for `data.batch_size=auto`."""

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.tuner import Tuner
from pytorch_lightning.utilities.seed import isolate_rng
from torch.utils.data import DataLoader

from seti.config.schema import plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.training.build import build_classifier, build_trainer
from seti.utils.device import autocast, memory_errors

SMALLEST = 2  # mixup blends two, and batch normalisation needs two in the smallest images
LARGEST = 1024  # a GPU trains no faster on more, and the host holds several batches at once
LARGEST_ON_CPU = 32  # a CPU trains no faster on more
CPU_BYTES = 4 * 2**30  # of activations
SHARE = 0.9  # of the GPU's memory: the rest is for fragmentation and for occasional needs of a step
STEPS = 3  # a trial: the first one creates the optimiser's state
# Errors of a full GPU that have no type of their own and that Lightning does not recognise.
FULL = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "unable to find an engine")


def tune(cfg: DictConfig, probe: bool = False) -> tuple[int, str]:
    """Find the largest power of two that fits on the device, and in the training cadences.

    On a GPU, Lightning's tuner doubles the batch until a few steps of training run out of memory. A CPU would start
    to swap instead: there a batch's activations must fit into `CPU_BYTES`, and it is at most `LARGEST_ON_CPU`. The
    random state does not change, and nothing stays on the disk.

    Args:
        cfg: the whole configuration.
        probe: use the tuner on a CPU, too.

    Returns:
        The number of cadences in a batch, and how it was found.

    Raises:
        SetiError: not even `SMALLEST` cadences fit.
    """
    config = plain(cfg)
    data = config["data"] | {"batch_size": SMALLEST}
    # An interrupted tuner leaves its snapshot; here it is removed with the folder.
    with (
        isolate_rng(),
        tempfile.TemporaryDirectory(prefix="seti-batch-size-") as scratch,
        memory_errors("data.image_size, or take a smaller model"),
    ):
        trainer = build_trainer(
            cfg,
            Path(scratch),
            [],
            logger=False,
            max_epochs=-1,
            max_steps=1000,  # a trial ends sooner, but the schedule spans all trials
            accumulate_grad_batches=1,  # needs no more memory
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        datamodule = _Trials(data, config["augment"], cfg.fold, cfg.seed)
        classifier = build_classifier(config, datamodule, fetch_weights=False)
        device, count = trainer.strategy.root_device, len(datamodule.train_set)
        if device.type == "cuda" or probe:
            found = _probe(trainer, classifier, datamodule, _power_of_two(min(count, LARGEST)))
            source = f"the largest power of two that fits on {device}, of {count} cadences to train on"
        else:
            fitting = CPU_BYTES // max(activation_bytes(classifier, trainer.precision), 1)
            found = _power_of_two(max(min(fitting, count, LARGEST_ON_CPU), SMALLEST))
            source = f"on a CPU: at most {LARGEST_ON_CPU}, and {CPU_BYTES / 2**30:g} GiB of activations"
    return found, source


def activation_bytes(classifier: CadenceClassifier, precision: str) -> int:
    """Bytes a cadence that a forward pass on the CPU keeps for the backward pass.

    Args:
        classifier: in training mode; its batch statistics change.
        precision: one of `seti.utils.device.AUTOCAST`.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in classifier.parameters()}
    kept: dict[int, int] = {}

    def record(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()  # by address: two layers may keep the same tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor),
        autocast(precision, torch.device("cpu")),
    ):
        logits = classifier(torch.zeros(2, classifier.image_maker.channels, *classifier.spec.image_shape))
    del logits  # not sooner: it holds the saved tensors, and freed addresses would be used again
    return sum(size for address, size in kept.items() if address not in weights) // 2


class _Trials(CadenceDataModule):
    """Training batches alone, of the size that the tuner sets."""

    def train_dataloader(self) -> DataLoader:
        if self.batch_size < SMALLEST:  # the tuner would continue to empty batches
            size = self.spec.image_shape
            msg = (
                f"data.batch_size=auto: not even {SMALLEST} cadences of {size[0]} x {size[1]} fit on the device: "
                "lower data.image_size, or take a smaller model"
            )
            raise SetiError(msg)
        return super().train_dataloader()

    def val_dataloader(self) -> list[DataLoader]:
        return []


def _probe(trainer: pl.Trainer, classifier: CadenceClassifier, datamodule: _Trials, largest: int) -> int:
    """Let Lightning's tuner try sizes up to `largest`; return the largest that trained."""
    passed: list[int] = []

    # The tuner's result is not enough: it never tries the largest size, and if a batch of all cadences does not fit,
    # it returns that size.
    def on_train_batch_end(outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == trainer.fit_loop.epoch_loop.max_steps:  # of this trial
            passed.append(datamodule.batch_size)

    classifier.on_train_batch_end = on_train_batch_end  # the tuner removes the callbacks, but not this
    try:
        datamodule.trainer = trainer  # its device decides whether cadences are kept there
        with _limited_memory(trainer.strategy.root_device, datamodule.kept_bytes):
            Tuner(trainer).scale_batch_size(
                classifier,
                datamodule=datamodule,
                mode="power",
                steps_per_trial=STEPS,
                init_val=SMALLEST,
                max_val=2 * largest,
            )
    except RuntimeError as error:
        if not (passed and any(text in str(error) for text in FULL)):
            raise
    if not passed:
        msg = f"data.batch_size=auto: no batch of {SMALLEST} or more could be tried: set data.batch_size to a number"
        raise SetiError(msg)
    return max(passed)


@contextmanager
def _limited_memory(device: torch.device, reserved: int) -> Iterator[None]:
    """Limit this process to a share of a GPU's memory, and free all of it at the end.

    Args:
        device: of the network.
        reserved: bytes that training will need for cadences.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_per_process_memory_fraction(device)
    taken = reserved / torch.cuda.mem_get_info(device)[1]
    torch.cuda.set_per_process_memory_fraction(max(SHARE * before - taken, 0.0), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, device)
        gc.collect()  # a Trainer and its parts form reference cycles
        torch.cuda.empty_cache()


def _power_of_two(number: int) -> int:
    """The largest one that is at most a number."""
    return 1 << (number.bit_length() - 1)
