"""Checks of the `trainer` settings: an argument of Lightning's works or is refused with why."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seti.config import device_checks, keys
from seti.errors import SetiError, brief, settings_errors

SWITCHES = (
    "enable_progress_bar",
    "enable_model_summary",
    "benchmark",
    "inference_mode",
    "use_distributed_sampler",  # whichever: the loaders divide batches themselves
    "detect_anomaly",
    "enable_autolog_hparams",
    "logger",
)
# Lowest value of whole numbers.
COUNTS = {"max_epochs": 1, "min_epochs": 0, "max_steps": 1, "accumulate_grad_batches": 1, "log_every_n_steps": 0}
SHARES = {"limit_train_batches": "train on", "limit_val_batches": "be judged by"}
WORDS = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps"),
    "precision": ("auto", "32", "16", "bf16", "64", "16-mixed", "bf16-mixed", "32-true", "64-true"),
    "gradient_clip_algorithm": ("norm", "value"),
    "deterministic": ("True", "False", "warn"),
    "profiler": ("simple", "advanced", "pytorch"),
}
SAME_PRECISION = {"16": "16-mixed", "bf16": "bf16-mixed", "64-true": "64"}
PLANNED = ": the learning rate is planned over all epochs"
JUDGED = "every epoch is judged by its validation AUC; leave that setting out"
# Arguments with one value that can be right, and what to do instead.
FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "sync_batchnorm": ((False,), "every device normalises its own part of a batch; leave it out"),
    "callbacks": (([],), "callbacks are objects of Python: docs/extending.md says where to add one"),
    "plugins": (([],), "plugins are objects of Python, and the command line has none; leave it out"),
    "fast_dev_run": ((False, 0), "it keeps no checkpoint to judge a fold by; trainer=debug is a smoke test"),
    "barebones": ((False,), "it keeps no checkpoint to judge a fold by; leave it out"),
    "enable_checkpointing": ((True,), "a fold is judged by its best checkpoint; leave it out"),
    "min_steps": ((0,), "it could end an epoch before its validation; trainer.min_epochs counts whole ones"),
    "overfit_batches": ((0,), "a fold is judged by its held-out cadences; trainer.limit_train_batches trains on few"),
    "check_val_every_n_epoch": ((1,), JUDGED),
    "val_check_interval": ((1.0,), JUDGED),
    "num_sanity_val_steps": ((0,), "the first epoch is validated soon enough; leave it out"),
    "limit_test_batches": ((1.0,), "training has no test set; leave it out (predict scores the test set)"),
    "limit_predict_batches": ((1.0,), "training predicts all held-out cadences; leave it out"),
    "reload_dataloaders_every_n_epochs": ((0,), "every epoch shuffles its cadences anyway; leave it out"),
    "default_root_dir": ((), "output_dir and exp_name say where a fold is kept; leave it out"),
    "model_registry": ((), "a fold's checkpoints stay in its folder; leave it out"),
}
FORMS = "write days:hours:minutes:seconds, such as 00:08:30:00, or {hours: 8, minutes: 30}"


def settle_trainer(cfg: DictConfig) -> DictConfig:
    """Check the settings of the Trainer, and give each its one spelling.

    Args:
        cfg: `conf/train.yaml`; not changed.

    Returns:
        A copy with whole numbers as such (`max_epochs=10.0`), and names of precisions written out (`16`).

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    check_trainer(cfg.trainer)
    settled = cfg.copy()
    for name in (*COUNTS, *SHARES):
        value = settled.trainer.get(name)
        if isinstance(value, float) and (value > 1 or name in COUNTS):  # 1.0 is all batches, 1 is one
            settled.trainer[name] = int(value)
    precision = settled.trainer.get("precision")
    if str(precision) in SAME_PRECISION or precision == 64:
        settled.trainer.precision = SAME_PRECISION.get(str(precision), "64")
    return settled


@settings_errors()
def check_trainer(trainer: DictConfig) -> None:
    """Refuse settings of the Trainer with which a fold cannot be trained.

    The learning rate needs a number of steps to plan for, and every epoch a validation.

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    settings = OmegaConf.to_container(trainer, resolve=True)
    if settings.get("max_epochs") is None:
        _refuse(
            "max_epochs", None, "must be a whole number of at least 1: the learning rate is planned over all epochs"
        )
    for name, value in settings.items():
        if name not in ARGUMENTS:
            raise SetiError(keys.unknown("train", f"trainer.{name}"))
        if value is not None:  # null: Lightning's default
            ARGUMENTS[name](name, value, settings)


def time_limit(trainer: Mapping[str, Any]) -> float | None:
    """The limit `trainer.max_time` in seconds; None without one.

    Raises:
        SetiError: it is not a time, or no time at all.
    """
    value = trainer.get("max_time")
    if value is None:
        return None
    found: float | None = None
    if isinstance(value, timedelta):
        found = value.total_seconds()
    elif isinstance(value, Mapping):
        try:
            found = timedelta(**value).total_seconds()
        except (TypeError, OverflowError):
            found = None
    elif isinstance(value, str) and (read := re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}):(\d{1,2})", value.strip())):
        days, hours, minutes, seconds = (int(part or 0) for part in read.groups())
        found = 86400.0 * days + 3600 * hours + 60 * minutes + seconds
    if found is None:
        _refuse("max_time", value, f"is not a time: {FORMS}")
    if found <= 0:
        _refuse("max_time", value, f"leaves no time: {FORMS}; null sets no limit")
    return found


def _check_switch(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    if not isinstance(value, bool):
        _refuse(name, value, "is neither true nor false")


def _check_count(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    if name == "max_steps" and value == -1:  # Lightning's word for no limit
        return
    lowest = COUNTS[name]
    why = {
        "max_epochs": PLANNED,
        "max_steps": "; null sets no limit but trainer.max_epochs",
    }.get(name, "")
    if not _is_number(value) or value != int(value):
        _refuse(name, value, f"must be a whole number of at least {lowest}{why}")
    if value < lowest:
        _refuse(name, value, f"must be at least {lowest}{why}")
    if name == "min_epochs" and value:
        limit = settings.get("max_epochs")
        if _is_number(limit) and value > limit:
            _refuse(name, value, f"is above trainer.max_epochs={limit}: lower it, or raise trainer.max_epochs")


def _check_share(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    if not _is_number(value):
        _refuse(name, value, "must be a number: a share of the batches such as 0.5, or how many")
    if value <= 0:
        if name == "limit_val_batches" and value == 0:
            _refuse(name, value, JUDGED, ": ")
        _refuse(name, value, f"leaves nothing to {SHARES[name]}: use a share such as 0.5, or a number")
    if value > 1 and value != int(value):
        _refuse(name, value, "is neither a share of the batches (up to 1.0) nor a number of them")


def _check_word(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    if str(value) not in WORDS[name] or (name == "precision" and isinstance(value, float)):
        _refuse(name, value, f"is none of {', '.join(WORDS[name])}".replace("True, False", "true, false"))
    if name == "gradient_clip_algorithm" and not settings.get("gradient_clip_val"):
        _refuse(name, value, "does nothing without trainer.gradient_clip_val: set it, or leave this out")


def _check_clip(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    if not _is_number(value) or value <= 0:
        wanted = "above 0" if _is_number(value) else "a number above 0"
        _refuse(name, value, f"must be {wanted}; null clips nothing")


def _check_fixed(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    allowed, fix = FIXED[name]
    if not any(value == one and type(value) in (type(one), int, float) for one in allowed) or (
        name == "val_check_interval" and isinstance(value, int)  # 1 is one batch, 1.0 is all of them
    ):
        _refuse(name, value, fix, ": ")


def _check_time(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    time_limit(settings)


def _check_devices(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    device_checks.check_devices(settings)


def _check_strategy(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    device_checks.check_strategy(settings)


def _check_nodes(name: str, value: Any, settings: Mapping[str, Any]) -> None:
    device_checks.check_nodes(settings)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _refuse(name: str, value: Any, reason: str, between: str = " ") -> None:
    said = "null" if value is None else str(value).lower() if isinstance(value, bool) else brief(value)
    msg = f"trainer.{name}={said}{between}{reason}"
    raise SetiError(msg)


ARGUMENTS: dict[str, Callable[[str, Any, Mapping[str, Any]], None]] = {
    **dict.fromkeys(FIXED, _check_fixed),
    **dict.fromkeys(SWITCHES, _check_switch),
    **dict.fromkeys(COUNTS, _check_count),
    **dict.fromkeys(SHARES, _check_share),
    **dict.fromkeys(WORDS, _check_word),
    "gradient_clip_val": _check_clip,
    "devices": _check_devices,
    "strategy": _check_strategy,
    "num_nodes": _check_nodes,
    "max_time": _check_time,
}
