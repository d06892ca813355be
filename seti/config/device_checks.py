"""Checks of the devices that train a fold together, on one machine or on several."""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig

from seti.errors import SettingsError, brief
from seti.utils import hints
from seti.utils.launchers import Launch, find_launch
from seti.utils.processes import available_cores

EVERY = ("auto", "-1")  # words of `trainer.devices` for every device of the machine
TRY_ON_CPU = 2  # processes on a CPU, whatever its cores
FORMS = "is not a device: set it to a number of devices such as 1 or 2, or to their numbers such as [0] or [0,1]"


def device_numbers(value: Any) -> list[int]:
    """Numbers of the devices that are listed: `[0,1]`, or `0,1`."""
    parts = value if isinstance(value, list | ListConfig) else [part for part in str(value).split(",") if part.strip()]
    return [int(part) for part in parts]


def count_devices(trainer: Mapping[str, Any]) -> int:
    """Count the devices of this machine that train a fold, by the `trainer` settings.

    Raises:
        SettingsError: they are not a number of devices.
    """
    value = trainer.get("devices")
    count = 1 if value is None else _count(value, str(trainer.get("accelerator") or "auto"))
    if count is None or count < 1:
        _refuse("devices", value, FORMS)
    return count


def count_processes(trainer: Mapping[str, Any]) -> int:
    """Count the processes that train a fold, one a device, on all machines.

    Raises:
        SettingsError: `trainer.devices` is not a number of devices.
    """
    launch = find_launch()
    return count_devices(trainer) if launch is None else launch.count


def check_devices(trainer: Mapping[str, Any]) -> None:
    """Refuse devices that this machine does not have, or that its processes do not have.

    Args:
        trainer: the `trainer` settings as plain values.

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    value, accelerator, launch = trainer.get("devices"), str(trainer.get("accelerator") or "auto"), find_launch()
    count = count_devices(trainer)
    if launch is not None:
        _check_launched(launch, value, count, accelerator)
        return
    if count == 1:
        return
    gpus = _gpus() if accelerator in ("auto", "gpu", "cuda") else 0
    listed = isinstance(value, list) or "," in str(value)
    if accelerator == "mps":
        _refuse("devices", value, "is more than trainer.accelerator=mps has: set it to 1")
    if listed and len(set(device_numbers(value))) < count:
        _refuse("devices", value, "names a device twice: name each one once")
    if not gpus:
        if listed:
            _refuse("devices", value, f"names GPUs, and none is used: set it to {count} for as many processes of a CPU")
        most = max(available_cores(), TRY_ON_CPU)
        if count > most and accelerator in ("auto", "cpu"):  # a GPU that is not there is refused as such
            cores = available_cores()
            has = f"this process may use {cores} core{'s' * (cores > 1)} of a CPU"
            _refuse("devices", value, f"is more than there are: {has}: set it to {most} or fewer")
        return
    missing = [number for number in (device_numbers(value) if listed else range(count)) if not 0 <= number < gpus]
    if missing:
        where = f", numbered from 0 to {gpus - 1}" if listed else f": set it to {gpus} or fewer"
        _refuse("devices", value, f"is more than there are: this machine has {gpus} GPU{'s' * (gpus > 1)}{where}")


def check_strategy(trainer: Mapping[str, Any]) -> None:
    """Refuse another strategy than DDP for several devices, and any for one.

    Raises:
        SettingsError: naming the setting, and what to set.
    """
    value = trainer["strategy"]
    if value == "auto" or (value == "ddp" and count_processes(trainer) > 1):
        return
    if value == "ddp":
        _refuse("strategy", value, "needs several devices: set trainer.devices=2 or more, or leave it at auto")
    _refuse("strategy", value, "is not how several devices train here: leave it at auto, which takes ddp for them")


def check_nodes(trainer: Mapping[str, Any]) -> None:
    """Refuse a number of machines, unless torchrun or srun has started the processes on them.

    Raises:
        SettingsError: naming the setting, and the command that starts them.
    """
    value, launch = trainer["num_nodes"], find_launch()
    if value == 1 or (launch is not None and value == launch.count // launch.local_count):
        return
    start = f"torchrun --nnodes {brief(value)} --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint <first machine>"
    words = "leave it out, and start the command on each machine"
    _refuse("num_nodes", value, f"is the launcher's to say: {words}, as `{start} -m seti train fold=0` or by srun")


def check_together(cfg: DictConfig) -> None:
    """Refuse settings that several processes cannot share.

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    count, size = count_processes(cfg.trainer), cfg.data.batch_size
    if count == 1:
        return
    if cfg.lr_range_test:
        msg = f"lr_range_test=true runs on one device, and {count} are given: {_alone(cfg)} for the test"
        raise SettingsError(msg)
    if size == "auto":
        msg = (
            f"data.batch_size=auto is found on one device, and {count} are given: set it to a number, or {_alone(cfg)}"
        )
        raise SettingsError(msg)
    if size % count or size < 2 * count:
        nearest = max(round(size / count), 2) * count
        msg = (
            f"data.batch_size={size} is divided among {count} devices, at least 2 cadences for each: set it to a "
            f"multiple of {count} such as {nearest}"
        )
        raise SettingsError(msg)


def _alone(cfg: DictConfig) -> str:
    launch = find_launch()
    return "set trainer.devices=1" if launch is None else f"start `{hints.command('train')}` without {launch.name}"


def _check_launched(launch: Launch, value: Any, count: int, accelerator: str) -> None:
    started = f"{launch.name} has started {launch.local_count} processes on this machine"
    if str(value) not in (*EVERY, "1", "None") and count != launch.local_count:
        _refuse("devices", value, f"is not what there is: {started}, each with a device; leave it out")
    gpus = _gpus() if accelerator in ("auto", "gpu", "cuda") else 0
    if gpus and gpus < launch.local_count:
        sees = f"each of them sees {gpus} GPU{'s' * (gpus > 1)}"
        fix = (
            "start as many as there are GPUs" if launch.name == "torchrun" else "give all of a machine's to every task"
        )
        msg = f"{started}, and {sees}: {fix}"
        raise SettingsError(msg)


def _count(value: Any, accelerator: str) -> int | None:
    """Count the devices that Lightning would use; None for what it does not understand."""
    if isinstance(value, list | ListConfig):
        return len(value) if all(type(one) is int for one in value) else None
    text = str(value).strip()
    if isinstance(value, bool | float) or not re.fullmatch(r"auto|-1|\d+|(\d+,)+(\d+)?", text):
        return None
    if text in EVERY:
        return max(_gpus(), 1) if accelerator in ("auto", "gpu", "cuda") else 1
    return len(device_numbers(text)) if "," in text else int(text)


def _gpus() -> int:
    """Count the GPUs of this machine that this process may use."""
    import torch  # takes seconds, and most settings need no such count

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _refuse(name: str, value: Any, reason: str) -> None:
    said = str(value).lower() if isinstance(value, bool) else brief(value)
    msg = f"trainer.{name}={said} {reason}"
    raise SettingsError(msg)
