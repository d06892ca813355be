"""Choices of every setting that takes one of several words; `conf/` has their meaning."""

from collections.abc import Collection

from seti.data.cadence import PANEL_CHOICES
from seti.simulation.signals import SHAPES
from seti.transforms.layout_names import INTEGRATES
from seti.utils.precision_names import PRECISIONS

BEST = {"val_auc": "max", "val_loss": "min"}  # `checkpoint.monitor`, and the mode in which it keeps the best epoch

CHOICES: dict[str, Collection[str]] = {
    "data.folds": ("column",),
    "data.panels": tuple(PANEL_CHOICES),
    "data.layout": INTEGRATES,
    "data.normalise": ("none", "panel", "robust", "flatten", "whiten", "contrast", "cleaned"),
    "data.interpolation": ("linear", "area"),
    "data.packed": ("auto", "true", "false"),
    "data.on_error": ("raise", "skip"),
    "data.augment_on": ("auto", "device", "host"),
    "data.keep_on_device": ("auto", "true", "false"),
    "augment.inject_shapes": SHAPES,
    "mixup.label": ("interpolate", "union"),
    "model.compile": ("auto", "true", "false"),
    "compile": ("auto", "true", "false"),
    "model.pool": ("gem",),
    "schedule.name": ("onecycle", "cosine"),
    "loss.name": ("bce", "focal"),
    "checkpoint.mode": ("min", "max"),
    "checkpoint.monitor": tuple(BEST),
    "logger": ("tensorboard", "mlflow", "wandb"),
    "average": ("mean", "rank"),
    "precision": ("auto", *PRECISIONS),
}
