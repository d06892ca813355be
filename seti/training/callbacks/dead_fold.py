"""Folds that learn nothing: noticed, and told in one line."""

import logging
import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from seti.errors import SetiError
from seti.training.callbacks.history import History

log = logging.getLogger(__name__)

MIN_EPOCHS = 5  # before them nothing is judged: many a fold needs a few to wake up
EVERY = 50  # batches between two looks at the losses: a look makes a GPU wait


class DyingFoldError(SetiError):
    """A fold that another seed might save.

    Args:
        reason: what was seen, and when.
        epoch: its number, counted from 0.
        auc: of the last validation, or None before the first one.
        fix: what to try.
    """

    def __init__(self, reason: str, epoch: int, auc: float | None, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.epoch = epoch
        self.auc = auc


class Watch(pl.Callback):
    """Stop a fold whose losses are no numbers, whose output is constant, or whose AUC never leaves 0.5.

    The first is noticed at once, the others after a share of the epochs. All of it is judged before the epoch's
    checkpoint is written, so a dying epoch never replaces a good one.

    Args:
        label: of the fold, for the message.
        history: the rows and losses to judge by; stands before this callback.
        after: share of the epochs after which a fold is judged; None looks at the losses alone.
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
        """Look at the losses now and then, and before the validation."""
        if (batch_idx + 1) % EVERY == 0 or batch_idx + 1 == trainer.num_training_batches:
            self._check("training", self.history.loss_values(), trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the validation's loss, and note how far its probabilities lie apart."""
        self._check("validation", np.array([float(trainer.callback_metrics["val_loss"])]), trainer, pl_module)
        probs = torch.cat([part.flatten() for part in pl_module.val_auc.preds])
        self.spread = float(probs.max() - probs.min())

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
            reason = f"{self.label} is dying: every held-out cadence gets the same probability in epoch {epochs}"
        elif all(abs(auc - 0.5) < self.auc_margin for auc in aucs):
            reason = (
                f"{self.label} is dying: its AUC is {aucs[-1]:.4f} in epoch {epochs} and was within "
                f"{self.auc_margin:g} of 0.5 in every epoch"
            )
        else:
            return
        raise DyingFoldError(reason, trainer.current_epoch, aucs[-1], fix)

    def _check(self, what: str, losses: np.ndarray, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        bad = losses[~np.isfinite(losses)]
        if not len(bad):
            return
        rate = pl_module.hparams["optimizer"]["lr"]
        aucs = [row["val_auc"] for row in self.history.rows]
        raise DyingFoldError(
            f"{self.label}: the {what} loss is {bad[0]} in epoch {trainer.current_epoch + 1}: training diverged",
            trainer.current_epoch,
            aucs[-1] if aucs else None,
            f"lower optimizer.lr={rate:g}, or set trainer.precision=32",
        )
