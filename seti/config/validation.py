"""Which settings cannot work: refused before anything is read or written, each in one line.

Values alone are looked at here. What the data or the network have to say, their rooms say.
"""

import math
import sys
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seti.config.schema import (
    AUTO,
    AugmentConfig,
    DataConfig,
    LossConfig,
    MixupConfig,
    PredictDataConfig,
    TrainConfig,
    check_exp_name,
    unknown,
)
from seti.data.cadence import PANEL_CHOICES
from seti.errors import SetiError
from seti.simulation.signals import SHAPES
from seti.transforms.layouts import LAYOUTS

# What rooms call by these names; most of those take seconds to import.
INTERPOLATIONS = ("linear", "area")
AUGMENT_ON = ("auto", "device", "host")
MIX_LABELS = ("interpolate", "union")
NORMALISATIONS = ("none", "panel", "robust", "flatten", "whiten")
PACKED = ("auto", "true", "false")
ON_ERROR = ("raise", "skip")
AVERAGE = ("mean", "rank")


BEST = {"val_auc": "max", "val_loss": "min"}  # what makes an epoch the best one
# Far beyond any signal that stays in a snippet; the transform's memory and time grow with their product.
FASTEST, LONGEST_GAP = 1000, 1000  # bins a panel, rows
ROWS_BETWEEN = f", rows between two panels, from 0 to {LONGEST_GAP}"


def check_settings(cfg: TrainConfig) -> None:
    """Refuse settings that cannot work, before anything is read or written.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    _check_known(cfg)
    data = cfg.data
    _check_choice("data.panels", data.panels, tuple(PANEL_CHOICES))
    _check_choice("data.layout", data.layout, tuple(LAYOUTS))
    _check_choice("data.interpolation", data.interpolation, INTERPOLATIONS)
    check_reading(data)
    _check_choice("data.augment_on", data.augment_on, AUGMENT_ON)
    _check_choice("checkpoint.mode", cfg.checkpoint.mode, ("min", "max"))
    _check_choice("checkpoint.monitor", cfg.checkpoint.monitor, tuple(BEST))
    best = BEST[cfg.checkpoint.monitor]
    if cfg.checkpoint.mode != best:
        msg = (
            f"checkpoint.mode={cfg.checkpoint.mode} keeps the worst epoch by "
            f"checkpoint.monitor={cfg.checkpoint.monitor}: set checkpoint.mode={best}, or another monitor"
        )
        raise SetiError(msg)
    check_exp_name(cfg.exp_name)
    _check_range("seed", cfg.seed, 0, 2**32 - 1)
    _check_range("data.fold_seed", data.fold_seed, 0, 2**32 - 1)
    _check_range("data.n_folds", data.n_folds, 2, None)
    if not 0 <= cfg.fold < data.n_folds:
        msg = f"fold={cfg.fold} is none of the {data.n_folds} folds: use 0..{data.n_folds - 1}, or raise data.n_folds"
        raise SetiError(msg)
    if data.image_size is not None and (len(data.image_size) != 2 or min(data.image_size) < 1):
        msg = f"data.image_size={list(data.image_size)} is not [height, width] in pixels, nor null for native size"
        raise SetiError(msg)
    check_batch_size(data.batch_size)
    _check_range("data.num_workers", data.num_workers, 0, None)
    for name in ("flip_frequency", "flip_time", "affine"):
        _check_range(f"augment.{name}", cfg.augment[name], 0, 1)
    _check_range("augment.shift", cfg.augment.shift, 0, 1)
    _check_range("augment.scale", cfg.augment.scale, 0, 0.99)
    _check_range("augment.rotate", cfg.augment.rotate, 0, 180)
    _check_crop_and_cutout(cfg.augment)
    _check_input(data)
    _check_recomposition(cfg.augment, data)
    _check_model(cfg)
    _check_optimisation(cfg)
    _check_loss(cfg.loss)
    if cfg.ema.decay is not None:
        _check_range("ema.decay", cfg.ema.decay, 1e-6, 1 - 1e-6, "; null switches it off")
    if cfg.threads is not None:
        _check_range("threads", cfg.threads, 1, None, "; null leaves the choice to torch")
    _check_mixing(cfg.mixup, data.batch_size)
    if cfg.early_stopping.patience is not None:
        _check_range("early_stopping.patience", cfg.early_stopping.patience, 1, None, "; null switches it off")
    _check_range("retries", cfg.retries, 0, None)
    if cfg.watch.after is not None:
        _check_range("watch.after", cfg.watch.after, 0, 1, "; null lets every fold run")
    _check_range("watch.auc_margin", cfg.watch.auc_margin, 0, 0.5)
    if cfg.lr_range_test:
        _check_range("lr_range.steps", cfg.lr_range.steps, 5, None)
        _check_range("lr_range.max_lr", cfg.lr_range.max_lr, 1e-12, None)
        _check_range("lr_range.min_lr", cfg.lr_range.min_lr, 1e-12, cfg.lr_range.max_lr)


def _check_known(cfg: TrainConfig, prefix: str = "") -> None:
    """Refuse settings that nothing reads: Hydra lets `+data.x=1` add any."""
    known = [field.name for field in fields(OmegaConf.get_type(cfg))]
    for name in cfg:
        if name not in known:
            raise SetiError(unknown(f"{prefix}{name}", OmegaConf.get_type(cfg)))
        section = cfg._get_node(name)
        if isinstance(section, DictConfig) and is_dataclass(OmegaConf.get_type(section)):
            _check_known(section, f"{prefix}{name}.")


def _check_input(data: DataConfig) -> None:
    _check_choice("data.normalise", data.normalise, NORMALISATIONS)
    if data.clip is not None:
        _check_limits("data.clip", data.clip, "; null clips nothing")
        if data.clip[0] == data.clip[1]:
            msg = f"data.clip={list(data.clip)} leaves one value: give [lowest, highest], or null to clip nothing"
            raise SetiError(msg)
    fan = data.dedoppler
    _check_range("data.dedoppler.max_drift", fan.max_drift, 1e-3, FASTEST, ", bins a panel")
    _check_range("data.dedoppler.drifts", fan.drifts, 2, None)
    _check_limits("data.dedoppler.gap", fan.gap, ROWS_BETWEEN, 0, LONGEST_GAP)
    if LAYOUTS[data.layout].integrates and data.normalise in ("none", "panel"):
        msg = (
            f"data.layout={data.layout} sums rows in deviations of the noise, and data.normalise={data.normalise} "
            "scales by whatever is brightest: set data.normalise=whiten, flatten or robust"
        )
        raise SetiError(msg)


def _check_recomposition(augment: AugmentConfig, data: DataConfig) -> None:
    for name in ("swap_off", "shuffle_on", "shuffle_off", "inject", "inject_decoys"):
        _check_range(f"augment.{name}", augment[name], 0, 1)
    _check_range("augment.roll", augment.roll, 0, 0.5)
    _check_range("augment.inject_drift", augment.inject_drift, 0, FASTEST, ", bins a panel")
    _check_limits("augment.inject_snr", augment.inject_snr, ", both above 0", low=1e-6)
    _check_limits("augment.inject_gap", augment.inject_gap, ROWS_BETWEEN, 0, LONGEST_GAP)
    if not augment.inject_shapes:
        msg = f"augment.inject_shapes=[] leaves nothing to add: name some of {', '.join(SHAPES)}"
        raise SetiError(msg)
    for shape in augment.inject_shapes:
        _check_choice("augment.inject_shapes", shape, SHAPES)
    if augment.inject + augment.inject_decoys > 1:
        msg = (
            f"augment.inject={augment.inject:g} and augment.inject_decoys={augment.inject_decoys:g} add up to more "
            "than 1: a negative gets one of them or none; lower either"
        )
        raise SetiError(msg)
    for name in ("inject_decoys", "shuffle_off"):
        if augment[name] > 0 and data.panels == "A":
            msg = (
                f"augment.{name}={augment[name]:g} is about OFF panels, which data.panels=A does not look at: "
                f"set data.panels=all or augment.{name}=0"
            )
            raise SetiError(msg)
    if LAYOUTS[data.layout].integrates:
        for name in ("affine", "crop"):
            if augment[name] > 0:
                msg = (
                    f"augment.{name}={augment[name]:g} would bend the tracks that data.layout={data.layout} sums "
                    f"along: set augment.{name}=0 (augment.roll shifts along frequency), or data.layout=channel"
                )
                raise SetiError(msg)


def _check_crop_and_cutout(augment: AugmentConfig) -> None:
    for name in ("crop", "cutout"):
        _check_range(f"augment.{name}", augment[name], 0, 1)
    scale, size = (list(augment[name]) for name in ("crop_scale", "cutout_size"))
    if len(scale) != 2 or not 0.01 <= scale[0] <= scale[1] <= 1:
        msg = f"augment.crop_scale={scale} is not [low, high], the share of each side that is kept, in 0.01..1"
        raise SetiError(msg)
    if augment.crop > 0 and scale == [1, 1]:
        msg = f"augment.crop={augment.crop} crops nothing: lower augment.crop_scale={scale}, or set augment.crop=0"
        raise SetiError(msg)
    if len(size) != 2 or not all(0 < share <= 1 for share in size):
        msg = f"augment.cutout_size={size} is not [height, width], shares of the image's sides above 0 and up to 1"
        raise SetiError(msg)
    _check_range("augment.cutout_holes", augment.cutout_holes, 1, None, "; augment.cutout=0 switches cutout off")


def _check_mixing(mixup: MixupConfig, batch_size: Any) -> None:
    _check_choice("mixup.label", mixup.label, MIX_LABELS)
    _check_range("mixup.off_last", mixup.off_last, 0, 1)
    on = {f"mixup.{name}": mixup[name] for name in ("alpha", "cutmix") if mixup[name] is not None}
    for name, value in on.items():
        _check_range(name, value, 1e-6, None, f"; null switches {name.removesuffix('.alpha').rsplit('.')[-1]} off")
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


def _check_model(cfg: TrainConfig) -> None:
    model, epochs = cfg.model, cfg.trainer.get("max_epochs")
    if model.pool is not None:
        _check_choice("model.pool", model.pool, ("gem",), "; null keeps the network's own")
    for name in ("drop_rate", "drop_path"):
        if model[name] is not None:
            _check_range(f"model.{name}", model[name], 0, 0.99, "; null leaves it to timm")
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
    _check_range("model.head_epochs", model.head_epochs, 0, None)
    if model.head_epochs and model.freeze_backbone:
        msg = (
            f"model.head_epochs={model.head_epochs} trains everything afterwards, and model.freeze_backbone=true never "
            "does: set model.head_epochs=0, or model.freeze_backbone=false"
        )
        raise SetiError(msg)
    if model.head_epochs and isinstance(epochs, int) and model.head_epochs >= epochs:
        msg = (
            f"model.head_epochs={model.head_epochs} leaves nothing of trainer.max_epochs={epochs} for the backbone: "
            "lower it, raise trainer.max_epochs, or set model.freeze_backbone=true to train the head alone"
        )
        raise SetiError(msg)


def _check_optimisation(cfg: TrainConfig) -> None:
    optimizer, schedule, epochs = cfg.optimizer, cfg.schedule, cfg.trainer.get("max_epochs")
    if optimizer.name != "adamw":
        from seti.models.optimiser import check_optimizer  # takes seconds to import, and most commands train nothing

        check_optimizer(optimizer.name)
    _check_range("optimizer.lr", optimizer.lr, 1e-12, None)
    _check_range("optimizer.weight_decay", optimizer.weight_decay, 0, None)
    if optimizer.layer_decay is not None:
        _check_range("optimizer.layer_decay", optimizer.layer_decay, 1e-3, 0.999, "; null gives all layers one rate")
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
    _check_choice("schedule.name", schedule.name, ("onecycle", "cosine"))
    _check_range("schedule.pct_start", schedule.pct_start, 0, 0.99)
    _check_range("schedule.div_factor", schedule.div_factor, 1, None)
    _check_range("schedule.warmup_epochs", schedule.warmup_epochs, 0, None)
    _check_range("schedule.final_factor", schedule.final_factor, 0, 1)
    for name in ("warmup_epochs", "final_factor"):
        if schedule[name] and schedule.name != "cosine":
            msg = (
                f"schedule.{name}={schedule[name]:g} is of schedule.name=cosine, and schedule.name={schedule.name}: "
                f"set schedule.{name}=0, or schedule.name=cosine"
            )
            raise SetiError(msg)
    if schedule.warmup_epochs and isinstance(epochs, int) and schedule.warmup_epochs >= epochs:
        msg = (
            f"schedule.warmup_epochs={schedule.warmup_epochs:g} takes all of trainer.max_epochs={epochs}: lower it, or "
            "raise trainer.max_epochs"
        )
        raise SetiError(msg)


def _check_loss(loss: LossConfig) -> None:
    _check_choice("loss.name", loss.name, ("bce", "focal"))
    if loss.gamma is not None:
        _check_range("loss.gamma", loss.gamma, 0, None)
        if loss.name != "focal":
            msg = f"loss.gamma={loss.gamma:g} is of loss.name=focal, and loss.name={loss.name}: set it to null"
            raise SetiError(msg)
    _check_range("loss.smoothing", loss.smoothing, 0, 0.99)
    if loss.pos_weight is not None:
        _check_range("loss.pos_weight", loss.pos_weight, 1e-6, None, "; null weighs both classes the same")


def check_reading(data: DataConfig | PredictDataConfig) -> None:
    """Refuse settings of how cadences are read that do not exist.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    data.packed = data.packed.lower()  # true and false reach a text setting as True and False
    _check_choice("data.packed", data.packed, PACKED)
    _check_choice("data.on_error", data.on_error, ON_ERROR)


def check_average(average: str) -> None:
    """Refuse a way of averaging folds that does not exist.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    _check_choice("average", average, AVERAGE)


def check_batch_size(size: Any) -> None:
    """Refuse a `data.batch_size` that is neither a number of cadences nor `auto`.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    if size != AUTO and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        msg = f"data.batch_size={size} must be at least 1, or auto"
        raise SetiError(msg)


def _check_choice(name: str, value: str, choices: tuple[str, ...], hint: str = "") -> None:
    if value not in choices:
        if name == "data.panels" and value.lower() in ("true", "on"):
            hint = " (YAML reads a bare `on` as true)"
        msg = f"{name}={value} is none of {', '.join(choices)}{hint}"
        raise SetiError(msg)


def _check_range(name: str, value: float, low: float, high: float | None, hint: str = "") -> None:
    if not (low <= value < math.inf and (high is None or value <= high)):  # also catches NaN
        wanted = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        if value == math.inf:
            wanted += " and finite"
        msg = f"{name}={value} must be {wanted}{hint}"
        raise SetiError(msg)


def _check_limits(
    name: str, values: list[float], what: str = "", low: float = -math.inf, high: float = sys.float_info.max
) -> None:
    given = list(values)
    if len(given) != 2 or not low <= given[0] <= given[1] <= high:  # also catches NaN
        msg = f"{name}={given} is not [lowest, highest]{what}"
        raise SetiError(msg)
