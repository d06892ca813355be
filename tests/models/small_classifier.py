"""A small classifier, and ten epochs of its training, which tests share."""

import functools

import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader
from unit_helpers import quiet_trainer

from seti.models.classifier import CadenceClassifier

SIZE = (24, 32)
SPEC = {
    "panels": "A",
    "layout": "spatial",
    "image_size": list(SIZE),
    "interpolation": "linear",
    "rows": 273,
    "bins": 256,
}
MODEL = {"backbone": "test_resnet", "pretrained": False, "weights": None, "freeze_backbone": False}
MAX_LR, DIV_FACTOR, PCT_START = 6e-4, 6.0, 0.1


class Watch(pl.Callback):
    """Record the learning rate of every step, and the validation logits and AUC of each epoch."""

    def __init__(self):
        self.rates, self.aucs, self.expected, self.losses, self.expected_losses = [], [], [], [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_validation_epoch_end(self, trainer, pl_module):
        with torch.no_grad():
            batches = [(pl_module(images), targets) for images, targets, _ in trainer.val_dataloaders]
        logits, targets = (torch.cat(part) for part in zip(*batches, strict=True))
        self.expected.append(roc_auc_score(targets, logits))
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        self.expected_losses.append(bce(logits, targets).item())

    def on_train_epoch_end(self, trainer, pl_module):
        self.aucs.append(float(trainer.callback_metrics["val_auc"]))
        self.losses.append(float(trainer.callback_metrics["val_loss"]))


def classifier(
    mixup=None, cutout=None, lr=MAX_LR, weight_decay=1e-2, pct_start=PCT_START, **model
) -> CadenceClassifier:
    torch.manual_seed(0)
    optimizer = {"lr": lr, "weight_decay": weight_decay}
    schedule = {"pct_start": pct_start, "div_factor": DIV_FACTOR}
    return CadenceClassifier(SPEC, MODEL | model, optimizer, schedule, mixup, cutout)


def batches(count: int, seed: int = 0, size: int = 4) -> DataLoader:
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.arange(count) % 3 == 0).float()
    images = torch.randn(count, 1, *SIZE, generator=generator) + 0.2 * targets[:, None, None, None]
    return DataLoader(list(zip(images, targets, torch.arange(count), strict=True)), batch_size=size)


def fit(module, watch, epochs: int, train_count: int = 16, **settings) -> pl.Trainer:
    trainer = quiet_trainer(max_epochs=epochs, callbacks=[watch], **settings)
    trainer.fit(module, batches(train_count), batches(21, seed=1))
    return trainer


@functools.cache
def ten_epochs() -> tuple[Watch, CadenceClassifier, pl.Trainer]:
    """Train four steps an epoch; shared, not to be trained further."""
    watch = Watch()
    module = classifier(weight_decay=0.03)
    trainer = fit(module, watch, epochs=10)
    return watch, module, trainer
