"""A checkpoint in the middle of an epoch when a signal, or a limit of time, stops the run."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from seti.training.callbacks.history import History
from seti.training.checkpoints import Position
from seti.utils import files, ranks, shutdown


@dataclass(frozen=True)
class TimeLimit:
    """The end of the time that a run may take.

    Attributes:
        end: by `time.monotonic()`.
        name: the setting, for messages.
    """

    end: float
    name: str


class SaveOnSignal(pl.Callback):
    """After a signal to stop, or when time is over, save the run between two steps and end it.

    A run that is resumed from there takes the very next batch. An interrupted validation starts over: it changes
    nothing that is trained. A limit of time ends no run that has not made a step, for the next one would end there too.
    What ends one of several processes ends all of them, after the same step.

    Args:
        path: the checkpoint.
        history: its losses must be finite: diverged weights are not saved.
        advice: how to continue, for the last line.
        limit: of time; None sets none.
    """

    def __init__(self, path: Path, history: History, advice: str, limit: TimeLimit | None = None) -> None:
        self.path = path
        self.history = history
        self.advice = advice
        self.limit = limit
        self.validating = False
        self.stepped = False  # in this run
        self.reason: signal.Signals | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over signals from Lightning, which would end in the middle of accumulated gradients."""
        shutdown.defer_again()
        if self._must_end():
            self._end(self.advice)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End between epochs: the last one's end was saved."""
        if self._due():
            self._end(self._saved(Position(trainer.current_epoch, 0)) if trainer.current_epoch else self.advice)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End after a step; after an epoch's last one, end in the validation that follows."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        last = batch_idx + 1 >= trainer.num_training_batches
        self.stepped = self.stepped or stepped or last
        if stepped and not last and self._due():
            self._save_and_end(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """End in the validation."""
        if self._due():
            self.validating = True
            self._save_and_end(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count a validation as progress."""
        self.stepped = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End after the last epoch, which was saved; time that is over only now is not a reason to."""
        if self._must_end():
            self._end(self._saved(Position(len(self.history.rows), 0)))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark the validation as not started: Lightning would resume it half way, without metrics."""
        if self.validating:
            started = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress |= {"total": started, "current": dict(started), "is_last_batch": False}

    def _due(self) -> bool:
        return self._must_end(self.limit is not None and self.stepped and time.monotonic() >= self.limit.end)

    def _must_end(self, over: bool = False) -> bool:
        """Ask all processes if one of them must end, by a signal or a time that is over.

        Every process must come here after the same step.
        """
        signum = shutdown.pending()
        own = signum if signum is not None else shutdown.TIME_OVER if over else 0
        found = int(ranks.largest(own))
        self.reason = signal.Signals(found) if found else None
        return found > 0

    def _saved(self, position: Position) -> str:
        return f"saved {position} in {self.path}; {self.advice}"

    def _save_and_end(self, trainer: pl.Trainer) -> None:
        note = self.advice
        if np.isfinite(self.history.loss_values()).all():
            position = Position(trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready)
            try:
                trainer.save_checkpoint(self.path, weights_only=False)
                note = self._saved(position)
            except OSError as error:
                note = f"nothing was saved ({files.explain(error)}); {note}"
        self._end(note)

    def _end(self, note: str) -> None:
        if self.reason == shutdown.TIME_OVER:
            note = f"{self.limit.name} is over, the fold is unfinished: {note}"
        raise shutdown.Interrupted(self.reason, note)
