"""Refusal of settings that cannot work, in one line, before anything is read or written.

Only the values are checked here. The packages that use the data or the network refuse what does not suit those.
"""

from dataclasses import fields, is_dataclass

from omegaconf import DictConfig, OmegaConf

from seti.config import conversions
from seti.config.checks import check_choice, check_range, settle_choices
from seti.config.choices import BEST
from seti.config.device_checks import check_together
from seti.config.input_checks import check_augment, check_data
from seti.config.release_checks import check_release
from seti.config.schema import CheckpointConfig, TrainConfig, check_exp_name, unknown
from seti.config.training_checks import check_loss, check_mixing, check_model, check_optimisation
from seti.errors import SetiError, settings_errors
from seti.models.names import network_name


@settings_errors()
def check_settings(cfg: TrainConfig) -> None:
    """Refuse settings that cannot work, before anything is read or written.

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    _check_known(cfg)
    _settle(cfg)
    data = cfg.data
    check_range("seed", cfg.seed, 0, 2**32 - 1)  # before data.fold_seed, which follows it
    check_release(cfg)
    check_data(data)
    check_augment(cfg.augment, data)
    check_model(cfg)
    check_optimisation(cfg)
    check_loss(cfg.loss)
    check_mixing(cfg.mixup, data.batch_size)
    check_exp_name(cfg.exp_name)
    if not 0 <= cfg.fold < data.n_folds:
        msg = f"fold={cfg.fold} is none of the {data.n_folds} folds: use 0..{data.n_folds - 1}, or raise data.n_folds"
        raise SetiError(msg)
    _check_best(cfg.checkpoint)
    check_choice("logger", cfg.logger)
    if cfg.ema.decay is not None:
        check_range("ema.decay", cfg.ema.decay, 1e-6, 1 - 1e-6, "; null switches it off")
    if cfg.threads is not None:
        check_range("threads", cfg.threads, 1, None, "; null leaves the choice to torch")
    if cfg.early_stopping.patience is not None:
        check_range("early_stopping.patience", cfg.early_stopping.patience, 1, None, "; null switches it off")
    check_range("retries", cfg.retries, 0, None)
    if cfg.watch.after is not None:
        check_range("watch.after", cfg.watch.after, 0, 1, "; null lets every fold run")
    check_range("watch.auc_margin", cfg.watch.auc_margin, 0, 0.5)
    if cfg.lr_range_test:
        check_range("lr_range.steps", cfg.lr_range.steps, 5, None)
        check_range("lr_range.max_lr", cfg.lr_range.max_lr, 1e-12, None)
        check_range("lr_range.min_lr", cfg.lr_range.min_lr, 1e-12, cfg.lr_range.max_lr)
    check_together(cfg)


def _settle(cfg: TrainConfig) -> None:
    """Write values that were written in another way as they are defined, in place."""
    settle_choices(cfg)
    model, optimizer = cfg.model, cfg.optimizer
    model.backbone = network_name(model.backbone)
    optimizer.name = optimizer.name.strip().lower()  # timm's are in lower case
    model.stem_stride = conversions.sides(model.stem_stride)


def _check_best(checkpoint: CheckpointConfig) -> None:
    check_choice("checkpoint.mode", checkpoint.mode)
    check_choice("checkpoint.monitor", checkpoint.monitor)
    best = BEST[checkpoint.monitor]
    if checkpoint.mode != best:
        msg = (
            f"checkpoint.mode={checkpoint.mode} keeps the worst epoch by "
            f"checkpoint.monitor={checkpoint.monitor}: set checkpoint.mode={best}, or another monitor"
        )
        raise SetiError(msg)


def _check_known(cfg: TrainConfig, prefix: str = "") -> None:
    """Refuse settings that do not exist: Hydra lets `+data.x=1` add any."""
    known = [field.name for field in fields(OmegaConf.get_type(cfg))]
    for name in cfg:
        if name not in known:
            raise SetiError(unknown(f"{prefix}{name}", OmegaConf.get_type(cfg)))
        section = cfg._get_node(name)
        if isinstance(section, DictConfig) and is_dataclass(OmegaConf.get_type(section)):
            _check_known(section, f"{prefix}{name}.")
