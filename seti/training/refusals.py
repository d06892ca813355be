"""Refusals of a training run: folds that would disagree, settings of Lightning."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from seti.config import arguments
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SettingsError
from seti.experiments.experiment import Experiment
from seti.experiments.run_identity import REPLACE, RunIdentity
from seti.experiments.swept_folds import swept_folds
from seti.utils import hints


def check_batches(trainer: DictConfig, datamodule: CadenceDataModule) -> None:
    """Refuse a share of an epoch's batches that is less than one batch.

    Raises:
        SettingsError: naming the setting.
    """
    for name, batches in zip(("limit_train_batches", "limit_val_batches"), datamodule.batches, strict=True):
        share = trainer.get(name)
        if isinstance(share, float) and share * batches < 1:
            msg = (
                f"trainer.{name}={share:g} of {batches} batches is less than one: set it to a number of batches such "
                f"as 1, or to a share of at least {math.ceil(1000 / batches) / 1000:g}"
            )
            raise SettingsError(msg)


def check_other_folds(
    experiment: Experiment, fold: int, identity: RunIdentity, overrides: list[str] | None = None
) -> None:
    """Refuse to replace one fold so that it disagrees with its experiment.

    A sweep may replace all of them. Folds that disagree already are let through, or they could not be repaired.

    Args:
        experiment: with finished folds.
        fold: that is to be replaced.
        identity: of the run that wants to.
        overrides: of its command line, for the message.

    Raises:
        SettingsError: naming the folds and the settings.
    """
    others = experiment.finished_elsewhere(fold)
    swept = swept_folds()
    if not others or swept is None or set(others) <= swept:
        return
    left = {number: other.identity for number, other in others.items() if number not in swept}
    first = next(iter(left))
    if any(other.differences(left[first]) for other in left.values()):
        return
    different = left[first].differences(identity)
    if different:
        msg = (
            f"{experiment.fold_path(first)} was trained with other settings ({'; '.join(different)}), and force=true "
            f"would replace fold {fold} alone, which then disagrees: give another exp_name, or "
            f"{_replacing_all(experiment, {fold, *others}, overrides)}"
        )
        raise SettingsError(msg)


def how_to_replace(experiment: Experiment, fold: int, identity: RunIdentity, overrides: list[str] | None = None) -> str:
    """Advice to a run with other settings than those of the folds that are there.

    Args:
        experiment, fold, identity, overrides: as of `check_other_folds`, which refuses some runs with `force`.
    """
    try:
        check_other_folds(experiment, fold, identity, overrides)
    except SettingsError:
        # With the other folds of a sweep, whose jobs then say the same.
        folds = {fold, *experiment.finished_elsewhere(fold), *(swept_folds() or ())}
        return _replacing_all(experiment, folds, overrides)
    return REPLACE


def _replacing_all(experiment: Experiment, folds: set[int], overrides: list[str] | None) -> str:
    words = arguments.retyped("train", overrides) if overrides else [hints.setting("exp_name", experiment.name)]
    kept = [word for word in words if word.lstrip("+").split("=")[0] not in ("fold", "force")]
    every = ",".join(map(str, sorted(folds)))
    return f"replace every fold with {hints.command('train', '-m', f'fold={every}', *kept, 'force=true')}"


def check_accelerator(trainer: Mapping[str, Any]) -> None:
    """Refuse an accelerator that this machine does not have.

    Raises:
        SettingsError: naming the setting, and those that work here.
    """
    wanted = str(trainer.get("accelerator") or "auto")
    there = {"mps": MPSAccelerator.is_available, "gpu": _has_gpu, "cuda": CUDAAccelerator.is_available}
    if wanted in there and not there[wanted]():
        has = next((name for name in ("cuda", "mps") if there[name]()), None)
        or_that = f", {has}" if has else ""
        msg = f"trainer.accelerator={wanted}: this machine has none: set it to auto, cpu{or_that}, or leave it out"
        raise SettingsError(msg)


def _has_gpu() -> bool:
    return CUDAAccelerator.is_available() or MPSAccelerator.is_available()


@contextmanager
def lightning_refusals() -> Iterator[None]:
    """Turn Lightning's errors about the trainer settings into one line.

    Raises:
        SettingsError: with what Lightning says.
    """
    try:
        yield
    except (TypeError, ValueError, ModuleNotFoundError, MisconfigurationException) as error:
        msg = (
            f"Lightning refuses the trainer settings ({' '.join(str(error).split())}): change trainer.*, "
            "or take trainer=auto, which runs on any machine"
        )
        raise SettingsError(msg) from error


@contextmanager
def fitting_errors() -> Iterator[None]:
    """Turn errors of training that a setting of the Trainer asks for into one line.

    Raises:
        SettingsError: naming the setting.
    """
    try:
        yield
    except MisconfigurationException as error:
        msg = f"Lightning refuses the trainer settings ({' '.join(str(error).split())}): change trainer.*"
        raise SettingsError(msg) from error
    except RuntimeError as error:
        said = " ".join(str(error).split())
        if "does not have a deterministic implementation" in said:
            operation = said.split(" does not have")[0]
            msg = (
                f"trainer.deterministic=true: {operation} has no deterministic form on this device: set "
                "trainer.deterministic=warn, which lets it run, or trainer.accelerator=cpu"
            )
        elif "returned nan values" in said:
            fix = "lower optimizer.lr, or set trainer.precision=32"
            msg = f"trainer.detect_anomaly=true: {said}: training diverged; {fix}"
        else:
            raise
        raise SettingsError(msg) from error
