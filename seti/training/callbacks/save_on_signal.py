"""A checkpoint in the middle of an epoch when a signal stops the run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from seti.training.callbacks.history import History
from seti.training.checkpoints import Position
from seti.utils import files, shutdown


class SaveOnSignal(pl.Callback):
    """After a signal to stop, save the run between two steps and end it.

    A run that is resumed from there takes the very next batch. An interrupted validation starts over: it changes
    nothing that is trained.

    Args:
        path: the checkpoint.
        history: its losses must be finite: diverged weights are not saved.
        advice: how to continue, for the last line.
    """

    def __init__(self, path: Path, history: History, advice: str) -> None:
        self.path = path
        self.history = history
        self.advice = advice
        self.validating = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over signals from Lightning, which would end in the middle of accumulated gradients."""
        shutdown.defer_again()
        shutdown.raise_if_pending(self.advice)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End between epochs: the last one's end was saved."""
        shutdown.raise_if_pending(self.advice)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End after a step; after an epoch's last one, end in the validation that follows."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if shutdown.pending() and stepped and batch_idx + 1 < trainer.num_training_batches:
            self._save_and_end(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """End in the validation."""
        if shutdown.pending():
            self.validating = True
            self._save_and_end(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark the validation as not started: Lightning would resume it half way, without metrics."""
        if self.validating:
            started = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress |= {"total": started, "current": dict(started), "is_last_batch": False}

    def _save_and_end(self, trainer: pl.Trainer) -> None:
        note = self.advice
        if np.isfinite(self.history.loss_values()).all():
            position = Position(trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready)
            try:
                trainer.save_checkpoint(self.path, weights_only=False)
                note = f"saved {position} in {self.path}; {note}"
            except OSError as error:
                note = f"nothing was saved ({files.explain(error)}); {note}"
        shutdown.raise_if_pending(note)
