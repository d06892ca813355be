"""The settings, their types, and the names that Hydra composes from them.

`conf/` holds the values; the dataclasses here hold the types, so that a value of the wrong type is refused
when the configuration is composed, before anything is read or written.
"""

import hashlib
import math
import re
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from seti.cadence import PANEL_CHOICES
from seti.errors import SetiError


@dataclass
class DataConfig:
    """Where cadences are, which panels the network sees, and how they are loaded."""

    root: str = MISSING
    n_folds: int = MISSING
    fold_seed: int = MISSING
    panels: str = MISSING
    layout: str = MISSING
    image_size: list[int] | None = None
    interpolation: str = MISSING
    batch_size: int = MISSING
    balanced: bool = MISSING
    num_workers: int = MISSING
    packed: str = MISSING
    pack_dir: str | None = None
    on_error: str = MISSING
    augment_on: str = MISSING


@dataclass
class AugmentConfig:
    """Probabilities and limits of the training transforms; see `seti.augment`."""

    flip_frequency: float = MISSING
    flip_time: float = MISSING
    affine: float = MISSING
    shift: float = MISSING
    scale: float = MISSING
    rotate: float = MISSING


@dataclass
class ModelConfig:
    """A timm backbone with one logit; see `seti.backbone`."""

    backbone: str = MISSING
    pretrained: bool = MISSING
    weights: str | None = None
    freeze_backbone: bool = MISSING
    compile: bool = MISSING


@dataclass
class OptimizerConfig:
    """AdamW."""

    lr: float = MISSING
    weight_decay: float = MISSING


@dataclass
class ScheduleConfig:
    """OneCycle, stepped every batch."""

    pct_start: float = MISSING
    div_factor: float = MISSING


@dataclass
class MixupConfig:
    """Mixup; see `seti.mixup`."""

    alpha: float | None = None


@dataclass
class EarlyStoppingConfig:
    """Stop when the validation loss no longer falls. Off while `patience` is null."""

    patience: int | None = None
    min_delta: float = MISSING


@dataclass
class CheckpointConfig:
    """Which epoch is the best one."""

    monitor: str = MISSING
    mode: str = MISSING


@dataclass
class WatchConfig:
    """When a fold that learns nothing is stopped; see `seti.watch`. Off while `after` is null."""

    after: float | None = None
    auc_margin: float = MISSING


@dataclass
class LrRangeConfig:
    """The learning-rate range test; see `seti.lr_range`."""

    min_lr: float = MISSING
    max_lr: float = MISSING
    steps: int = MISSING


@dataclass
class TrainConfig:
    """Everything `train.py` reads."""

    fold: int = MISSING
    seed: int = MISSING
    exp_name: str = MISSING
    output_dir: str = MISSING
    force: bool = MISSING
    lr_range_test: bool = MISSING
    threads: int | None = None
    retries: int = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    lr_range: LrRangeConfig = field(default_factory=LrRangeConfig)
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class PredictDataConfig:
    """Which test set, and how it is loaded."""

    root: str | None = None
    batch_size: Any = MISSING  # auto, or a number
    num_workers: int = MISSING
    packed: str = MISSING
    pack_dir: str | None = None
    on_error: str = MISSING


@dataclass
class PredictConfig:
    """Everything `predict.py` reads."""

    ckpt_dir: Any = MISSING  # a folder, or a list of them
    device: str = MISSING
    precision: str = MISSING
    flips: bool = MISSING
    average: str = MISSING
    data: PredictDataConfig = field(default_factory=PredictDataConfig)


ConfigStore.instance().store(name="train_schema", node=TrainConfig)
ConfigStore.instance().store(name="predict_schema", node=PredictConfig)

INTERPOLATIONS = ("linear", "area")
AUGMENT_ON = ("auto", "device", "host")
LAYOUTS = ("spatial", "channel")
PACKED = ("auto", "true", "false")
ON_ERROR = ("raise", "skip")
AVERAGE = ("mean", "rank")


def default_exp_name(backbone: str, panels: str, layout: str, image_size: list[int] | None, alpha: float | None) -> str:
    """Name a configuration by what distinguishes it: `efficientnet_b1-A-spatial-512x512-mixup0.1`."""
    size = "x".join(map(str, image_size)) if image_size else "native"
    mixup = [f"mixup{alpha:g}"] if alpha else []
    # The pretraining tag behind timm's dot says where weights come from, not what the network is.
    return "-".join([backbone.split(".")[0], panels, layout, size, *mixup])


def job_suffix(lr_range_test: bool, override_dirname: str) -> str:
    """Give a range test a folder of its own inside the fold's, named by its overrides; a training run none.

    So a sweep of range tests over settings that `exp_name` does not carry keeps its curves apart, and a
    finished fold's log and configuration stay as they were.
    """
    if not lr_range_test:
        return ""
    name = re.sub(r"[^\w.,=+-]", "_", override_dirname)
    if len(name) > 200:  # file systems allow 255; what is cut off must still tell jobs apart
        name = f"{name[:190]}-{hashlib.sha256(override_dirname.encode()).hexdigest()[:8]}"
    return "/lr_range/" + (name or "default")


def check_exp_name(name: str) -> str:
    """Give the name back, or refuse it: Hydra makes folders by it before anything else is checked.

    Raises:
        SetiError: it would lead elsewhere than into a folder of its own under `output_dir`.
    """
    if not re.fullmatch(r"[\w.+=,-]+", name) or name.startswith(".") or name == "stack":
        msg = (
            f"exp_name={name!r} cannot name a folder of experiments: use letters, digits and . + = , _ - "
            "(and not 'stack', which is where stack.py writes)"
        )
        raise SetiError(msg)
    return name


OmegaConf.register_new_resolver("checked", check_exp_name, replace=True)
OmegaConf.register_new_resolver("default_exp_name", default_exp_name, replace=True)
OmegaConf.register_new_resolver("job_suffix", job_suffix, replace=True)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolve a configuration to plain dicts, lists and values, as checkpoints and JSON need them."""
    resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in resolved.items()}


def check_settings(cfg: TrainConfig) -> None:
    """Refuse settings that cannot work, before anything is read or written.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    data = cfg.data
    _check_choice("data.panels", data.panels, tuple(PANEL_CHOICES))
    _check_choice("data.layout", data.layout, LAYOUTS)
    _check_choice("data.interpolation", data.interpolation, INTERPOLATIONS)
    check_reading(data)
    _check_choice("data.augment_on", data.augment_on, AUGMENT_ON)
    _check_choice("checkpoint.mode", cfg.checkpoint.mode, ("min", "max"))
    _check_choice("checkpoint.monitor", cfg.checkpoint.monitor, ("val_auc", "val_loss"))
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
    _check_range("data.batch_size", data.batch_size, 1, None)
    _check_range("data.num_workers", data.num_workers, 0, None)
    for name in ("flip_frequency", "flip_time", "affine"):
        _check_range(f"augment.{name}", cfg.augment[name], 0, 1)
    _check_range("augment.shift", cfg.augment.shift, 0, 1)
    _check_range("augment.scale", cfg.augment.scale, 0, 0.99)
    _check_range("augment.rotate", cfg.augment.rotate, 0, 180)
    _check_range("optimizer.lr", cfg.optimizer.lr, 1e-12, None)
    _check_range("optimizer.weight_decay", cfg.optimizer.weight_decay, 0, None)
    _check_range("schedule.pct_start", cfg.schedule.pct_start, 0, 0.99)
    _check_range("schedule.div_factor", cfg.schedule.div_factor, 1, None)
    if cfg.threads is not None:
        _check_range("threads", cfg.threads, 1, None, "; null leaves the choice to torch")
    if cfg.mixup.alpha is not None:
        _check_range("mixup.alpha", cfg.mixup.alpha, 1e-6, None, "; null switches mixup off")
        if data.batch_size < 2:
            msg = (
                "mixup.alpha mixes the cadences of a batch, and data.batch_size=1 holds one: "
                "raise it or set mixup.alpha=null"
            )
            raise SetiError(msg)
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


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = " (YAML reads a bare `on` as true)" if name == "data.panels" and value.lower() in ("true", "on") else ""
        msg = f"{name}={value} is none of {', '.join(choices)}{hint}"
        raise SetiError(msg)


def _check_range(name: str, value: float, low: float, high: float | None, hint: str = "") -> None:
    if not (low <= value < math.inf and (high is None or value <= high)):  # also catches NaN
        wanted = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        if value == math.inf:
            wanted += " and finite"
        msg = f"{name}={value} must be {wanted}{hint}"
        raise SetiError(msg)
