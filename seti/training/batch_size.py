"""`data.batch_size=auto`: how many cadences a batch holds, settled once for all folds of an experiment."""

import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.tuner import Tuner
from pytorch_lightning.utilities.seed import isolate_rng
from torch.utils.data import DataLoader

from seti.config.schema import AUTO, plain
from seti.data import competition
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.experiments.experiment import Experiment, FoldFolder, differences
from seti.models.classifier import CadenceClassifier
from seti.training import retries
from seti.training.build import build_classifier, build_trainer
from seti.training.callbacks.history import History
from seti.utils import files, locks
from seti.utils.device import autocast, memory_errors
from seti.utils.safe_load import read_checkpoint

log = logging.getLogger(__name__)

NAME = "batch_size.json"  # in the fold's folder while it is not finished, for folds that begin meanwhile
SMALLEST = 2  # mixup blends two, and batch normalisation needs them in the smallest images
LARGEST = 1024  # a GPU trains no faster on more, and the host holds several batches at once
LARGEST_ON_CPU = 32  # a processor trains no faster on more
CPU_BYTES = 4 * 2**30  # of activations
SHARE = 0.9  # of the GPU's memory: the rest is for fragments and for what a step needs now and then
STEPS = 3  # a trial: the first one makes the optimiser's state
PATIENCE = 900  # s to wait for another fold that tunes
# A full GPU's errors that have no type of their own and that Lightning does not know.
FULL = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "unable to find an engine")


def settle(cfg: DictConfig, experiment: Experiment) -> DictConfig:
    """Turn `data.batch_size=auto` into a number; anything else is given back as it is.

    A fold that is finished or begun keeps its number, whatever the device is now, unless `force` begins it again. A
    new one takes that of the experiment's other folds, or is tuned; folds that begin at the same time wait for the
    one that tunes. The range test takes the number that training would, and keeps nothing.

    Args:
        cfg: `conf/train.yaml`; left as it is.
        experiment: that the fold belongs to.

    Returns:
        The configuration with the number, which `.hydra/config.yaml` then holds as well.

    Raises:
        SetiError: not even the smallest batch fits, or records and data do not allow it.
    """
    if cfg.data.batch_size != AUTO:
        return cfg
    config, folder = plain(cfg), experiment.fold(cfg.fold)
    # A range test begins nothing again, and may be forced together with the training that it prepares.
    found = None if cfg.force and not cfg.lr_range_test else _of_this_fold(folder, config)
    if found is None and cfg.lr_range_test:
        found = _of_other_folds(experiment, cfg, config) or tune(cfg)
    elif found is None:
        found = _choose(cfg, experiment, config)
    size, source = found
    log.info("data.batch_size=auto: %d cadences a batch (%s)", size, source)
    settled = cfg.copy()
    settled.data.batch_size = size
    if HydraConfig.initialized():
        _write_config(Path(HydraConfig.get().runtime.output_dir) / ".hydra" / "config.yaml", settled)
    return settled


def forget(folder: FoldFolder) -> None:
    """Take away what an unfinished fold had settled."""
    if (folder.path / NAME).exists():
        (folder.path / NAME).unlink()


def tune(cfg: DictConfig, probe: bool = False) -> tuple[int, str]:
    """Find the largest power of two that fits on the device, and in the training cadences.

    On a GPU, Lightning's tuner doubles the batch until a few steps of training run out of memory. A processor would
    begin to swap instead: there it is what keeps a batch's activations within `CPU_BYTES`, at most
    `LARGEST_ON_CPU`. The random state is left as it was, and nothing is left on the disk.

    Args:
        cfg: the whole configuration.
        probe: use the tuner on a processor, too.

    Returns:
        The number, and how it was found.

    Raises:
        SetiError: not even `SMALLEST` cadences fit, or there are several devices.
    """
    config = plain(cfg)
    config["model"]["compile"] = False  # minutes a trial; a compiled network needs less memory
    data = config["data"] | {"batch_size": SMALLEST}
    # The tuner leaves its snapshot behind when it is interrupted; here it goes with the folder.
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
            max_steps=1000,  # the tuner ends a trial sooner, but the learning rate is planned over all trials
            accumulate_grad_batches=1,  # needs no other memory
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        if trainer.world_size > 1:
            msg = (
                f"data.batch_size=auto is found on one device, and trainer.devices={cfg.trainer.devices} are "
                f"{trainer.world_size}: set data.batch_size to a number (of cadences a device), or trainer.devices=1"
            )
            raise SetiError(msg)
        datamodule = _Trials(data, config["augment"], cfg.fold, cfg.seed)
        classifier = build_classifier(config, datamodule, fetch_weights=False)
        device, count = trainer.strategy.root_device, len(datamodule.train_set)
        if device.type == "cuda" or probe:
            found = _probe(trainer, classifier, datamodule, _power_of_two(min(count, LARGEST)))
            source = f"the largest power of two that fits on {device}, of {count} cadences to train on"
        else:
            fitting = CPU_BYTES // max(activation_bytes(classifier, trainer.precision), 1)
            found = _power_of_two(max(min(fitting, count, LARGEST_ON_CPU), SMALLEST))
            source = f"a processor: at most {LARGEST_ON_CPU}, and {CPU_BYTES / 2**30:g} GiB of activations"
    return found, source


def activation_bytes(classifier: CadenceClassifier, precision: str) -> int:
    """Bytes that a forward pass on the processor keeps for the backward pass, a cadence.

    Args:
        classifier: in training mode; its batch statistics change.
        precision: one of `seti.utils.device.AUTOCAST`.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in classifier.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()  # by the place: many a tensor is kept by two layers
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        autocast(precision, torch.device("cpu")),
    ):
        logits = classifier(torch.zeros(2, classifier.image_maker.channels, *classifier.spec.image_shape))
    del logits  # not sooner: it holds what is kept, and freed places would be taken again
    return sum(size for place, size in kept.items() if place not in weights) // 2


class _Trials(CadenceDataModule):
    """Training batches alone, of whatever size the tuner sets."""

    def train_dataloader(self) -> DataLoader:
        if self.batch_size < SMALLEST:  # the tuner would go on to batches of none
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
    """Let Lightning's tuner try sizes up to `largest`; gives the largest that was trained on without an error."""
    passed: list[int] = []

    # What the tuner says is not enough: it never tries the largest size that it is given, and where a batch of as
    # many cadences as there are does not fit, it gives that size as the result.
    def on_train_batch_end(outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == trainer.fit_loop.epoch_loop.max_steps:  # of this trial
            passed.append(datamodule.batch_size)

    classifier.on_train_batch_end = on_train_batch_end  # the tuner takes the callbacks away, but not this
    try:
        with _spared(trainer.strategy.root_device):
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
def _spared(device: torch.device) -> Iterator[None]:
    """Let a GPU hand out a share of its memory alone, and take all of it back in the end."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_per_process_memory_fraction(device)
    torch.cuda.set_per_process_memory_fraction(SHARE * before, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, device)
        gc.collect()  # a Trainer and its parts refer to one another
        torch.cuda.empty_cache()


def _power_of_two(number: int) -> int:
    """The largest one that is not above a number."""
    return 1 << (number.bit_length() - 1)


def _choose(cfg: DictConfig, experiment: Experiment, config: dict[str, Any]) -> tuple[int, str]:
    """The number of a fold that begins, kept where folds that begin at the same time find it."""
    folder = experiment.fold(cfg.fold)
    found = _of_other_folds(experiment, cfg, config)
    if found is None:
        competition.read_labels(Path(cfg.data.root))  # is refused before a folder is made
    folder.path.mkdir(parents=True, exist_ok=True)
    doing = f"choosing data.batch_size for fold {cfg.fold} of {cfg.exp_name}"
    with (
        locks.hold(folder.path, doing),  # a run of this fold that is under way keeps its number
        locks.hold(experiment.path, doing, name=".batch_size.lock", patience=PATIENCE),
    ):
        size, source = found or _of_other_folds(experiment, cfg, config) or tune(cfg)
        files.write_json(folder.path / NAME, {"origin": {"config": _with_size(config, size)}})
    return size, source


def _of_this_fold(folder: FoldFolder, config: dict[str, Any]) -> tuple[int, str] | None:
    """What the fold's result, checkpoint or notes say; other settings beside it are refused later, and by name."""
    for name, kept in _kept(folder, "force=true trains this fold from the start"):
        size = _size(kept)
        if size is not None and (name in (folder.result.name, folder.last_checkpoint.name) or _same(kept, config)):
            return size, f"as {name} says"
    return None


def _of_other_folds(experiment: Experiment, cfg: DictConfig, config: dict[str, Any]) -> tuple[int, str] | None:
    """What other folds say: the finished ones, of whatever settings, for those are compared later; or those begun."""
    others = [fold for fold in range(cfg.data.n_folds) if fold != cfg.fold and experiment.fold_path(fold).is_dir()]
    others.sort(key=lambda fold: not experiment.fold(fold).result.exists())
    for fold in others:
        try:
            for name, kept in _kept(experiment.fold(fold), ""):
                size = _size(kept)
                if size is not None and (name == "result.json" or _same(kept, config)):
                    return size, f"as fold {fold}"
        except SetiError as error:  # whoever trains or predicts with that fold has to fix it
            log.debug("fold %d tells no batch size: %s", fold, error)
    return None


def _kept(folder: FoldFolder, fix: str) -> Iterator[tuple[str, Any]]:
    """The configurations in a fold's folder, each by the name of its file, the one that counts most first."""
    result = folder.read_result()
    if result is not None:
        yield folder.result.name, result["config"]
    if folder.last_checkpoint.exists():
        origin = History.read_origin(read_checkpoint(folder.last_checkpoint, fix))
        if origin is not None:
            yield folder.last_checkpoint.name, origin["config"]
    for name in (retries.NAME, NAME):
        if (folder.path / name).exists():
            origin = files.read_json(folder.path / name).get("origin")
            yield name, origin.get("config") if isinstance(origin, dict) else None


def _size(config: Any) -> int | None:
    data = config.get("data") if isinstance(config, dict) else None
    size = data.get("batch_size") if isinstance(data, dict) else None
    return size if type(size) is int and size > 0 else None


def _same(kept: dict[str, Any], config: dict[str, Any]) -> bool:
    """Whether two configurations differ in nothing but the size."""
    return not differences(kept, _with_size(config, kept["data"]["batch_size"]))


def _with_size(config: dict[str, Any], size: int) -> dict[str, Any]:
    return config | {"data": config["data"] | {"batch_size": size}}


def _write_config(path: Path, cfg: DictConfig) -> None:
    if path.exists():
        with files.atomic_write(path) as temporary:
            temporary.write_text(OmegaConf.to_yaml(cfg), encoding="utf-8")
