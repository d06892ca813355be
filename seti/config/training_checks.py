"""Checks of how a fold is trained: network, optimiser, loss, mixing."""

from typing import Any

from seti.config.checks import check_choice, check_range
from seti.config.schema import LossConfig, MixupConfig, TrainConfig
from seti.errors import SetiError


def check_model(cfg: TrainConfig) -> None:
    """Refuse settings of the network that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    model, epochs = cfg.model, cfg.trainer.get("max_epochs")
    check_choice("model.compile", model.compile)
    if model.pool is not None:
        check_choice("model.pool", model.pool, "; null keeps the network's own")
    for name in ("drop_rate", "drop_path"):
        if model[name] is not None:
            check_range(f"model.{name}", model[name], 0, 0.99, "; null leaves it to timm")
            if model[name] and model.freeze_backbone:
                msg = (
                    f"model.{name}={model[name]:g} drops nothing with model.freeze_backbone=true, which keeps the "
                    f"network in evaluation mode: set model.{name}=null, or model.freeze_backbone=false"
                )
                raise SetiError(msg)
    if model.stem_stride not in (None, 1, 2, [1, 2], [2, 1]):
        msg = (
            f"model.stem_stride={model.stem_stride} is none of 1, 2, [1,2] (time, frequency), [2,1]; null keeps the own"
        )
        raise SetiError(msg)
    check_range("model.head_epochs", model.head_epochs, 0, None)
    if model.head_epochs and model.freeze_backbone:
        msg = (
            f"model.head_epochs={model.head_epochs} trains everything afterwards, and model.freeze_backbone=true never "
            "does: set model.head_epochs=0, or model.freeze_backbone=false"
        )
        raise SetiError(msg)
    lower = "set model.head_epochs=0" if epochs == 1 else "lower it"
    ways_out = f"{lower}, raise trainer.max_epochs, or set model.freeze_backbone=true to train the head alone"
    _check_epochs_left("model.head_epochs", model.head_epochs, epochs, " for the backbone", ways_out)


def check_optimisation(cfg: TrainConfig) -> None:
    """Refuse settings of the optimiser and its schedule that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    optimizer, schedule, epochs = cfg.optimizer, cfg.schedule, cfg.trainer.get("max_epochs")
    if optimizer.name != "adamw":
        from seti.models.optimiser import check_optimizer  # takes seconds to import, and most commands train nothing

        check_optimizer(optimizer.name)
    check_range("optimizer.lr", optimizer.lr, 1e-12, None)
    check_range("optimizer.weight_decay", optimizer.weight_decay, 0, None)
    if optimizer.layer_decay is not None:
        check_range("optimizer.layer_decay", optimizer.layer_decay, 1e-3, 0.999, "; null gives all layers one rate")
        if cfg.model.freeze_backbone:
            msg = (
                f"optimizer.layer_decay={optimizer.layer_decay:g} needs layers to train, and "
                "model.freeze_backbone=true trains the head alone: set optimizer.layer_decay=null"
            )
            raise SetiError(msg)
        if cfg.lr_range_test:
            msg = (
                f"lr_range_test=true gives every layer the same rate, optimizer.layer_decay={optimizer.layer_decay:g} "
                "does not: set optimizer.layer_decay=null for the test"
            )
            raise SetiError(msg)
    check_choice("schedule.name", schedule.name)
    check_range("schedule.pct_start", schedule.pct_start, 0, 0.99)
    check_range("schedule.div_factor", schedule.div_factor, 1, None)
    check_range("schedule.warmup_epochs", schedule.warmup_epochs, 0, None)
    check_range("schedule.final_factor", schedule.final_factor, 0, 1)
    for name in ("warmup_epochs", "final_factor"):
        if schedule[name] and schedule.name != "cosine":
            msg = (
                f"schedule.{name}={schedule[name]:g} is of schedule.name=cosine, and schedule.name={schedule.name}: "
                f"set schedule.{name}=0, or schedule.name=cosine"
            )
            raise SetiError(msg)
    _check_epochs_left("schedule.warmup_epochs", schedule.warmup_epochs, epochs)


def _check_epochs_left(
    name: str, value: float, epochs: Any, whose: str = "", ways_out: str = "lower it, or raise trainer.max_epochs"
) -> None:
    """Refuse a number of epochs that leaves none of all for what comes after them."""
    if value and isinstance(epochs, int) and value >= epochs:
        msg = f"{name}={value:g} leaves nothing of trainer.max_epochs={epochs}{whose}: {ways_out}"
        raise SetiError(msg)


def check_loss(loss: LossConfig) -> None:
    """Refuse settings of the loss that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_choice("loss.name", loss.name)
    if loss.gamma is not None:
        check_range("loss.gamma", loss.gamma, 0, None)
        if loss.name != "focal":
            msg = f"loss.gamma={loss.gamma:g} is of loss.name=focal, and loss.name={loss.name}: set it to null"
            raise SetiError(msg)
    check_range("loss.smoothing", loss.smoothing, 0, 0.99)
    if loss.pos_weight is not None:
        check_range("loss.pos_weight", loss.pos_weight, 1e-6, None, "; null weighs both classes the same")


def check_mixing(mixup: MixupConfig, batch_size: Any) -> None:
    """Refuse settings of mixup and CutMix that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_choice("mixup.label", mixup.label)
    check_range("mixup.off_last", mixup.off_last, 0, 1)
    on = {f"mixup.{name}": mixup[name] for name in ("alpha", "cutmix") if mixup[name] is not None}
    for name, value in on.items():
        check_range(name, value, 1e-6, None, f"; null switches {name.removesuffix('.alpha').rsplit('.')[-1]} off")
        if batch_size == 1:
            msg = f"{name} mixes the cadences of a batch, and data.batch_size=1 holds one: raise it or set {name}=null"
            raise SetiError(msg)
    if mixup.off_last == 1 and on:
        named = " and ".join(f"{name}={value:g}" for name, value in on.items())
        off = " and ".join(f"{name}=null" for name in on)
        msg = f"mixup.off_last={mixup.off_last:g} leaves no epoch for {named}: lower it, or set {off}"
        raise SetiError(msg)
    idle = {"label": "interpolate", "restandardise": False, "off_last": 0.0}
    for name, value in idle.items():
        if mixup[name] != value and not on:
            said, back = (str(one).lower() for one in (mixup[name], value))
            msg = (
                f"mixup.{name}={said} does nothing while mixup.alpha and mixup.cutmix are null: set one of them, "
                f"or mixup.{name}={back}"
            )
            raise SetiError(msg)
