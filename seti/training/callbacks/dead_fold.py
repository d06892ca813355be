"""Stopping of folds that do not learn, with a one-line reason."""

import logging
import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from seti.errors import SettingsError
from seti.training.callbacks.history import History
from seti.utils import ranks

log = logging.getLogger(__name__)

MIN_EPOCHS = 5  # before them no fold is judged: many need a few to start learning
EVERY = 50  # batches between two checks of the losses: reading them makes a GPU wait


class DeadFoldError(SettingsError):
    """A fold that does not learn, and might with another seed.

    Args:
        reason: the evidence, and its epoch.
        epoch: its number, counted from 0.
        auc: of the last validation, or None before the first one.
        fix: what to try.
    """

    def __init__(self, reason: str, epoch: int, auc: float | None, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.epoch = epoch
        self.auc = auc


class DeadFoldStopping(pl.Callback):
    """Stop a fold with losses that are not finite, constant output, or an AUC stuck at 0.5.

    Losses are checked all the time, the others after a share of the epochs. Every check comes before the epoch's
    checkpoint is written, so the checkpoint of a dead epoch never replaces a good one.

    Args:
        label: of the fold, for the message.
        history: its rows and losses are judged; must come before this callback.
        after: share of the epochs after which a fold is judged; None checks the losses alone.
        auc_margin: the AUC must have been at least this far from 0.5, once.
    """

    def __init__(self, label: str, history: History, after: float | None, auc_margin: float) -> None:
        self.label = label
        self.history = history
        self.after = after
        self.auc_margin = auc_margin
        self.spread = math.inf

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the losses every `EVERY` batches, and before the validation."""
        if (batch_idx + 1) % EVERY == 0 or batch_idx + 1 == trainer.num_training_batches:
            self._check("training", self.history.loss_values(), trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the validation loss, and measure the range of the validation's probabilities."""
        self._check("validation", np.array([float(trainer.callback_metrics["val_loss"])]), trainer, pl_module)
        probs = torch.cat([part.flatten() for part in pl_module.val_auc.preds])
        self.spread = ranks.largest(float(probs.max())) + ranks.largest(-float(probs.min()))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the fold."""
        epochs = trainer.current_epoch + 1
        if self.after is None or epochs < max(MIN_EPOCHS, math.ceil(self.after * trainer.max_epochs)):
            return
        aucs = [row["val_auc"] for row in self.history.rows]
        fix = (
            f"lower optimizer.lr={pl_module.hparams['optimizer']['lr']:g}, set mixup.alpha or another seed, or "
            "retries=1 for a second try; watch.after=null lets it run"
        )
        if self.spread <= torch.finfo(torch.float32).eps:
            reason = f"{self.label} does not learn: every held-out cadence gets the same probability in epoch {epochs}"
        elif all(abs(auc - 0.5) < self.auc_margin for auc in aucs):
            reason = (
                f"{self.label} does not learn: its AUC is {aucs[-1]:.4f} in epoch {epochs} and was within "
                f"{self.auc_margin:g} of 0.5 in every epoch"
            )
        else:
            return
        raise DeadFoldError(reason, trainer.current_epoch, aucs[-1], fix)

    def _check(self, name: str, losses: np.ndarray, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        bad = losses[~np.isfinite(losses)]
        if not len(bad):
            return
        rate = pl_module.hparams["optimizer"]["lr"]
        aucs = [row["val_auc"] for row in self.history.rows]
        raise DeadFoldError(
            f"{self.label}: the {name} loss is {bad[0]} in epoch {trainer.current_epoch + 1}: training diverged",
            trainer.current_epoch,
            aucs[-1] if aucs else None,
            f"lower optimizer.lr={rate:g}, or set trainer.precision=32",
        )
