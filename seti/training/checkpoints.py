"""Checkpoints that appear whole or not at all, at an epoch's end and in its middle."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from seti.training.callbacks.history import History
from seti.utils import files, shutdown


class WholeCheckpoints(TorchCheckpointIO):
    """Write checkpoints as every other file here.

    Lightning's own way puts them together in the system's temporary folder, and moves them: where that is another
    file system, a run killed while it copies leaves half of a checkpoint under the final name, and a missing right
    passes for success.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it cannot be written; the error names the file.
        """
        # Into memory first: torch would tell of a full disk by an error that does not say so.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with files.atomic_write(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


@dataclass(frozen=True)
class Position:
    """Where a checkpoint's run goes on.

    Attributes:
        epoch: number of the epoch.
        batch: how many of its batches are done; all of them where only the validation is missing.
    """

    epoch: int
    batch: int

    @classmethod
    def of(cls, checkpoint: dict[str, Any]) -> "Position | None":
        """Read it from a checkpoint's loops: what Lightning itself goes by. None where there are no such loops."""
        try:
            loops = checkpoint["loops"]["fit_loop"]
            epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]["current"]
            inside = epochs["started"] > epochs["processed"]
            return cls(int(epochs["processed"]), int(batches["processed"]) if inside else 0)
        except (KeyError, TypeError, ValueError):
            return None

    def __str__(self) -> str:
        done = f"{self.epoch} epoch{'s' * (self.epoch != 1)}"
        return f"{done} and {self.batch} batch{'es' * (self.batch != 1)} done" if self.batch else f"{done} done"


class SaveWhenAsked(pl.Callback):
    """When a signal asks the run to end, save it as it is between two steps, and end it.

    A run that goes on from there takes the very next batch. An interrupted validation is begun again: nothing that
    is trained changes in it.

    Args:
        path: the checkpoint.
        history: says whether the losses are still numbers; weights that are none are not saved.
        advice: how to go on, for the last line.
    """

    def __init__(self, path: Path, history: History, advice: str) -> None:
        self.path = path
        self.history = history
        self.advice = advice
        self.validating = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back from Lightning, which would end in the middle of accumulated gradients."""
        shutdown.defer_again()
        shutdown.raise_if_pending(self.advice)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End between epochs: the last one's end was saved."""
        shutdown.raise_if_pending(self.advice)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End after a step; after an epoch's last one the validation comes first, which then ends at once."""
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
        """Note the validation as begun with no batch done: Lightning would go on in its middle, with no sums so far."""
        if self.validating:
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress |= {"total": begun, "current": dict(begun), "is_last_batch": False}

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
