"""Types of the settings, and the names of folders that Hydra composes from them.

`conf/` has every setting's value and meaning. The types here make Hydra refuse a value of the wrong type when it
composes the configuration, before anything is read or written.
"""

import difflib
import hashlib
import re
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from seti.config import conversions  # noqa: F401 - wraps the types of the settings
from seti.errors import SetiError
from seti.models.names import network_name

# Metadata of the fields that are paths: on a command line a leading `~` or environment variable in them is expanded.
PATH = {"path": True}


@dataclass
class DedopplerConfig:
    """Group `data.dedoppler`, for `seti.transforms.dedoppler`."""

    max_drift: float = MISSING
    drifts: int = MISSING
    gap: list[float] = MISSING


@dataclass
class DataConfig:
    """Group `data`, for `seti.dataloading` and `seti.transforms.input_spec`."""

    root: str = field(default=MISSING, metadata=PATH)
    n_folds: int = MISSING
    fold_seed: int = MISSING
    folds: str | None = None
    groups: str | None = field(default=MISSING, metadata=PATH)  # auto, or a table
    pseudo: str | None = field(default=None, metadata=PATH)
    pseudo_share: float | None = None
    pseudo_weight: float | None = None
    uncleaned: float | None = None
    panels: str = MISSING
    layout: str = MISSING
    image_size: list[int] | None = None
    interpolation: str = MISSING
    batch_size: Any = MISSING  # a number, or auto
    balanced: bool = MISSING
    num_workers: int = MISSING
    packed: str = MISSING
    pack_dir: str | None = field(default=None, metadata=PATH)
    on_error: str = MISSING
    augment_on: str = MISSING
    keep_on_device: str = MISSING
    normalise: str = MISSING
    clip: list[float] | None = None
    remove_spike: bool = MISSING
    dedoppler: DedopplerConfig = field(default_factory=DedopplerConfig)


@dataclass
class AugmentConfig:
    """Group `augment`, for the training transforms in `seti.transforms`."""

    flip_frequency: float = MISSING
    flip_time: float = MISSING
    affine: float = MISSING
    shift: float = MISSING
    scale: float = MISSING
    rotate: float = MISSING
    crop: float = MISSING
    crop_scale: list[float] = MISSING
    cutout: float = MISSING
    cutout_size: list[float] = MISSING
    cutout_holes: int = MISSING
    swap_off: float = MISSING
    shuffle_on: float = MISSING
    shuffle_off: float = MISSING
    roll: float = MISSING
    inject: float = MISSING
    inject_decoys: float = MISSING
    inject_shapes: list[str] = MISSING
    inject_snr: list[float] = MISSING
    inject_drift: float = MISSING
    inject_gap: list[float] = MISSING
    inject_cleaned: bool | None = None


@dataclass
class ModelConfig:
    """Group `model`, for `seti.models.backbone`."""

    backbone: str = MISSING
    pretrained: bool = MISSING
    weights: str | None = field(default=None, metadata=PATH)
    freeze_backbone: bool = MISSING
    compile: str = MISSING
    pool: str | None = None
    drop_rate: float | None = None
    drop_path: float | None = None
    stem_stride: Any = None  # a number, or one for time and one for frequency
    head_epochs: int = MISSING


@dataclass
class OptimizerConfig:
    """Group `optimizer`, for `seti.models.optimiser`."""

    name: str = MISSING
    lr: float = MISSING
    weight_decay: float = MISSING
    layer_decay: float | None = None


@dataclass
class ScheduleConfig:
    """Group `schedule`, for `seti.models.optimiser`."""

    name: str = MISSING
    pct_start: float = MISSING
    div_factor: float = MISSING
    warmup_epochs: float = MISSING
    final_factor: float = MISSING


@dataclass
class LossConfig:
    """Group `loss`, for `seti.models.loss`."""

    name: str = MISSING
    gamma: float | None = None
    smoothing: float = MISSING
    pos_weight: float | None = None


@dataclass
class EmaConfig:
    """Group `ema`, for `seti.training.callbacks.weight_averaging`."""

    decay: float | None = None


@dataclass
class MixupConfig:
    """Group `mixup`, for `seti.transforms.mixup`."""

    alpha: float | None = None
    label: str = MISSING
    cutmix: float | None = None
    restandardise: bool = MISSING
    off_last: float = MISSING


@dataclass
class EarlyStoppingConfig:
    """Group `early_stopping`, for `seti.training.callbacks.history`."""

    patience: int | None = None
    min_delta: float = MISSING


@dataclass
class CheckpointConfig:
    """Group `checkpoint`, for `seti.training.build`."""

    monitor: str = MISSING
    mode: str = MISSING


@dataclass
class WatchConfig:
    """Group `watch`, for `seti.training.callbacks.dead_fold`."""

    after: float | None = None
    auc_margin: float = MISSING


@dataclass
class LrRangeConfig:
    """Group `lr_range`, for `seti.training.lr_range`."""

    min_lr: float = MISSING
    max_lr: float = MISSING
    steps: int = MISSING


@dataclass
class TrainConfig:
    """Settings of `conf/train.yaml`."""

    fold: int = MISSING
    seed: int = MISSING
    exp_name: str = MISSING
    output_dir: str = field(default=MISSING, metadata=PATH)
    force: bool = MISSING
    lr_range_test: bool = MISSING
    logger: str = MISSING
    threads: int | None = None
    retries: int = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    lr_range: LrRangeConfig = field(default_factory=LrRangeConfig)
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class PredictDataConfig:
    """Group `data` of `conf/predict.yaml`."""

    root: str | None = field(default=None, metadata=PATH)
    batch_size: Any = MISSING  # auto, or a number
    num_workers: int = MISSING
    packed: str = MISSING
    pack_dir: str | None = field(default=None, metadata=PATH)
    on_error: str = MISSING


@dataclass
class RayConfig:
    """Section `ray` of a configuration: actors that share the work of one command."""

    address: str | None = None
    actors: int | None = None
    cpus: int = MISSING
    gpus: Any = MISSING  # a number, or auto
    retries: int = MISSING


@dataclass
class PredictConfig:
    """Settings of `conf/predict.yaml`."""

    ckpt_dir: Any = field(default=MISSING, metadata=PATH)  # a folder, or a list of them
    out: str | None = field(default=None, metadata=PATH)
    report: bool = False
    threads: int | None = None
    device: str = MISSING
    precision: str = MISSING
    compile: str = MISSING
    shard: str | None = None
    launcher: str | None = None
    flips: bool = MISSING
    average: str = MISSING
    data: PredictDataConfig = field(default_factory=PredictDataConfig)
    ray: RayConfig = field(default_factory=RayConfig)


_train = OmegaConf.structured(TrainConfig)
OmegaConf.set_struct(_train.trainer, False)  # any argument of Lightning's, without a +; the checks know which exist
ConfigStore.instance().store(name="train_schema", node=_train)
ConfigStore.instance().store(name="predict_schema", node=PredictConfig)

AUTO = "auto"  # of data.batch_size
# Folders of output_dir that are not experiments. Some file systems take STACK for the same name.
TAKEN = {
    "stack": "the stack's own folder",
    "mlruns": "the folder of logger=mlflow",
    "wandb": "the folder of logger=wandb",
}


def default_exp_name(backbone: str, panels: str, layout: str, image_size: list[int] | None, alpha: float | None) -> str:
    """Name an experiment after its main settings: `efficientnet_b1-A-spatial-512x512-mixup0.1`."""
    size = "x".join(map(str, image_size)) if image_size else "native"
    mixup = [f"mixup{alpha:g}"] if alpha else []
    # The tag after timm's dot is the origin of the weights, not part of the architecture.
    # Written as the checks will write them: Hydra makes the folder first.
    panels, layout = panels.strip().lower(), layout.strip().lower().replace("-", "_")
    words = [network_name(backbone).split(".")[0], {"a": "A"}.get(panels, panels), layout, size, *mixup]
    return "-".join(words)


def job_suffix(lr_range_test: bool, override_dirname: str) -> str:
    """Subfolder of a range test in the fold's folder, named after its overrides; else empty.

    A sweep of range tests over settings that are not in `exp_name` keeps its curves apart this way, and a finished
    fold keeps its log and configuration.
    """
    if not lr_range_test:
        return ""
    name = re.sub(r"[^\w.,=+-]", "_", override_dirname)
    if len(name) > 200:  # file systems allow 255; the hash keeps jobs apart
        name = f"{name[:190]}-{hashlib.sha256(override_dirname.encode()).hexdigest()[:8]}"
    return "/lr_range/" + (name or "default")


def check_exp_name(name: str) -> str:
    """Return the name, or refuse it: Hydra makes folders from it before all other checks.

    Raises:
        SetiError: it does not name a folder directly in `output_dir`.
    """
    if name.lower() in TAKEN:
        msg = f"exp_name={name!r} cannot name a folder of experiments: it is {TAKEN[name.lower()]}; use another name"
        raise SetiError(msg)
    if not re.fullmatch(r"[\w.+=,-]+", name) or name.startswith("."):
        msg = (
            f"exp_name={name!r} cannot name a folder of experiments: use letters, digits and . + = , _ - "
            "(the dot not first)"
        )
        raise SetiError(msg)
    return name


OmegaConf.register_new_resolver("checked", check_exp_name, replace=True)
OmegaConf.register_new_resolver("default_exp_name", default_exp_name, replace=True)
OmegaConf.register_new_resolver("job_suffix", job_suffix, replace=True)


def unknown(key: str, section: type) -> str:
    """Message that a setting does not exist, with the nearest one that does.

    Args:
        key: with the names of its groups.
        section: the dataclass of its group.
    """
    group, _, name = key.rpartition(".")
    near = difflib.get_close_matches(name, [one.name for one in fields(section)], 1, 0.6)
    meant = f"{group}.{near[0]}" if near and group else near[0] if near else ""
    return f"{key} is not a setting: " + (
        f"did you mean {meant}?" if meant else "--cfg job prints those that there are"
    )


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolve a configuration to plain dicts, lists and values, for checkpoints and JSON."""
    resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in resolved.items()}
