"""Settings of the command line that do nothing, because of what another setting says.

A preset may carry such a setting, and a sweep's control may switch off what others adjust, so these are notices and no
refusals. They are about what was typed: a default that does nothing needs no word.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from seti.config.schema import TrainConfig
from seti.data.cleaned_set import CLEAN
from seti.transforms.layout_names import INTEGRATES
from seti.utils import notices

log = logging.getLogger(__name__)

INJECT = ("inject_shapes", "inject_snr", "inject_drift", "inject_gap", "inject_cleaned")
# What the range test replaces: the rate and its schedule, the number of epochs, and everything that judges an epoch.
NOT_TESTED = (
    "optimizer.lr",
    "schedule.*",
    "ema.*",
    "early_stopping.*",
    "checkpoint.*",
    "watch.*",
    "retries",
    "force",
    "model.head_epochs",
    "mixup.off_last",
    "logger",
    "trainer.max_epochs",
)

# Settings of Hydra that are about sweeps.
OF_SWEEPS = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.sweep.")

# Settings, the condition under which they do nothing, and what it says.
Rule = tuple[Sequence[str], Callable[[Any], bool], str]
TRAIN: tuple[Rule, ...] = (
    (("lr_range.*",), lambda cfg: not cfg.lr_range_test, "lr_range_test=false"),
    (NOT_TESTED, lambda cfg: cfg.lr_range_test, "lr_range_test=true"),
    (("schedule.pct_start",), lambda cfg: cfg.schedule.name == "cosine", "schedule.name=cosine"),
    (
        ("schedule.warmup_epochs", "schedule.final_factor"),
        lambda cfg: cfg.schedule.name == "onecycle",
        "schedule.name=onecycle",
    ),
    (
        tuple(f"augment.{name}" for name in INJECT),
        lambda cfg: cfg.augment.inject == cfg.augment.inject_decoys == 0,
        "augment.inject=0 and augment.inject_decoys=0",
    ),
    (
        ("augment.shift", "augment.scale", "augment.rotate"),
        lambda cfg: cfg.augment.affine == 0,
        "augment.affine=0",
    ),
    (
        ("augment.affine",),
        lambda cfg: cfg.augment.affine > 0 and cfg.augment.shift == cfg.augment.scale == cfg.augment.rotate == 0,
        "augment.shift=0, augment.scale=0 and augment.rotate=0",
    ),
    (("augment.crop_scale",), lambda cfg: cfg.augment.crop == 0, "augment.crop=0"),
    (("augment.cutout_size", "augment.cutout_holes"), lambda cfg: cfg.augment.cutout == 0, "augment.cutout=0"),
    (
        ("mixup.label", "mixup.restandardise", "mixup.off_last"),
        lambda cfg: cfg.mixup.alpha is None and cfg.mixup.cutmix is None,
        "mixup.alpha=null and mixup.cutmix=null",
    ),
    (("loss.gamma",), lambda cfg: cfg.loss.name == "bce", "loss.name=bce"),
    (("early_stopping.min_delta",), lambda cfg: cfg.early_stopping.patience is None, "early_stopping.patience=null"),
    (("watch.auc_margin",), lambda cfg: cfg.watch.after is None, "watch.after=null"),
    (("data.groups",), lambda cfg: cfg.data.folds is not None, "data.folds=column"),
    (("data.pseudo_share", "data.pseudo_weight"), lambda cfg: cfg.data.pseudo is None, "data.pseudo=null"),
    (
        ("data.uncleaned",),
        lambda cfg: not (Path(cfg.data.root) / CLEAN).is_file(),
        "data.root={data.root} is not of seti twins clean=<folder>",
    ),
    (("data.pack_dir",), lambda cfg: cfg.data.packed == "false", "data.packed=false"),
    (("data.dedoppler.*",), lambda cfg: not INTEGRATES[cfg.data.layout], "data.layout={data.layout}"),
    (
        ("data.interpolation",),  # native size: nothing is resized; channel_dedoppler gives panels the planes' size
        lambda cfg: cfg.data.image_size is None and cfg.data.layout != "channel_dedoppler",
        "data.image_size=null",
    ),
    (("model.compile",), lambda cfg: cfg.model.freeze_backbone, "model.freeze_backbone=true"),
    (("model.pretrained",), lambda cfg: cfg.model.pretrained and cfg.model.weights is not None, "model.weights=<file>"),
)


DRAWN = (  # of the simulator's own snippets, from nothing
    *("complete", "train_shapes", "train_shapes.*", "test_shapes", "test_shapes.*", "decoys", "decoys.*"),
    *("shared_backgrounds", "fields", "fields.*", "background", "background.*"),
)
RESIDUAL = ("out", "workers", "data.n_folds", "data.fold_seed", "data.folds", "data.groups")
RULES: dict[str, tuple[Rule, ...]] = {
    "train": TRAIN,
    "predict": (
        (("data.pack_dir",), lambda cfg: cfg.data.packed == "false", "data.packed=false"),
        (("data.num_workers",), lambda cfg: cfg.device == "cpu", "device=cpu"),
        (("ray.*",), lambda cfg: cfg.launcher is None, "launcher=null"),
        (("threads",), lambda cfg: cfg.launcher is not None, "launcher=ray"),
    ),
    "scan": (
        (("ray.*",), lambda cfg: cfg.launcher is None, "launcher=null"),
        (("workers",), lambda cfg: cfg.launcher is not None, "launcher=ray"),
    ),
    "baseline": (
        (RESIDUAL, lambda cfg: cfg.score.lower() == "brightness", "score=brightness"),
        (("data.groups",), lambda cfg: cfg.data.folds is not None, "data.folds=column"),
    ),
    "show": ((("out",), lambda cfg: not cfg.ids and cfg.labels is None, "ids=[] and labels=null"),),
    "inject": (
        (("snr",), lambda cfg: cfg.needles == 0, "needles=0"),
        (("decoy_snr",), lambda cfg: cfg.decoys == 0, "decoys=0"),
    ),
    "simulate": (
        (("cadence.*",), lambda cfg: _product(cfg) != "cadence", "product={product}"),
        (("observation.*",), lambda cfg: _product(cfg) != "observation", "product={product}"),
        (DRAWN, lambda cfg: _product(cfg) in ("cadence", "observation"), "product={product}"),
        (("train", "test", "positives", "workers"), lambda cfg: _product(cfg) == "cadence", "product=cadence"),
        (("fields", "fields.*"), lambda cfg: cfg.shared_backgrounds == 0, "shared_backgrounds=0"),
    ),
}


def log_idle_settings(cfg: TrainConfig, overrides: Sequence[str]) -> None:
    """Log a line for each setting of a training's command line that does nothing; once a sweep.

    Args:
        cfg: checked settings.
        overrides: the words of the command line.
    """
    for line in idle_settings(cfg, overrides):
        notices.log_once(log, logging.WARNING, line)


def idle_without_sweep(overrides: Sequence[str]) -> Iterator[str]:
    """Yield a line for each of Hydra's settings that do nothing in a command without -m.

    Args:
        overrides: the words of the command line about Hydra itself, such as `hydra/launcher=ray`.
    """
    for word in overrides:
        if word.lstrip("+").startswith(OF_SWEEPS):
            yield f"{word} does nothing without -m"


def idle_settings(cfg: Any, overrides: Sequence[str], command: str = "train") -> Iterator[str]:
    """Yield a line for each setting of a command line that does nothing.

    Args:
        cfg: the settings; of a training checked ones, see `seti.config.validation.check_settings`.
        command: whose settings they are.
        overrides: the words of the command line, such as `schedule.pct_start=0.2`.
    """
    last = {word.lstrip("+").partition("=")[0]: word for word in overrides}
    for word in overrides:
        later = last[word.lstrip("+").partition("=")[0]]
        if word != later and not word.startswith("~"):
            yield f"{word} does nothing: {later} comes later"
    typed = dict.fromkeys(word.lstrip("+").partition("=")[0] for word in overrides if not word.startswith("~"))
    values = {word.lstrip("+").partition("=")[0]: word.lstrip("+") for word in overrides}
    for key in typed:
        for keys, is_idle, because in RULES.get(command, ()):
            named = any(key == one or (one.endswith("*") and key.startswith(one[:-1])) for one in keys)
            if named and is_idle(cfg):
                yield f"{values[key]} does nothing: {_filled(because, cfg)}"
                break


def _filled(because: str, cfg: Any) -> str:
    """The reason, with the values of the settings that it names in braces."""
    return re.sub(r"\{(.+?)\}", lambda found: str(OmegaConf.select(cfg, found[1])), because)


def _product(cfg: Any) -> str:
    return cfg.product.strip().lower()
