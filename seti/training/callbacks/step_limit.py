"""A number of steps after which training ends (`trainer.max_steps`)."""

import math

import pytorch_lightning as pl

from seti.errors import SettingsError


class StepLimit(pl.Callback):
    """Shorten training to a number of steps of the optimiser.

    Lightning's own limit would leave a last, partial epoch without validation. Here that epoch is like any other, of
    the batches that are left: it is validated, and its row and checkpoint are of its own weights. The learning rate and
    everything else that is planned over epochs follow the shortened training.

    Args:
        max_steps: the limit.
        spans: settings that take a number of epochs from the start, and those numbers.
    """

    def __init__(self, max_steps: int, spans: dict[str, float]) -> None:
        self.max_steps = max_steps
        self.spans = spans
        self.last_batches = 0  # of the last epoch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Count the epochs, before the schedule is made.

        Raises:
            SettingsError: they are too few for another setting.
        """
        loop = trainer.fit_loop
        loop.setup_data()  # counts the batches
        batches = trainer.num_training_batches
        steps = math.ceil(batches / trainer.accumulate_grad_batches)
        epochs = math.ceil(self.max_steps / steps)
        if epochs > loop.max_epochs:
            return
        for name, span in self.spans.items():
            if span and span >= epochs:
                msg = (
                    f"{name}={span:g} takes all of trainer.max_steps={self.max_steps}, which ends in epoch {epochs} at "
                    f"{steps} steps an epoch: lower it, or raise trainer.max_steps"
                )
                raise SettingsError(msg)
        loop.max_epochs, loop.epoch_loop.max_steps = epochs, self.max_steps  # of which the schedule is made
        left = self.max_steps - (epochs - 1) * steps
        self.last_batches = min(batches, left * trainer.accumulate_grad_batches)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the end to the epochs: Lightning's limit would skip a last validation that resumes."""
        trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shorten the epoch that a run resumes in, whose start is not announced."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shorten the last epoch."""
        if self.last_batches and trainer.current_epoch == trainer.max_epochs - 1:
            trainer.fit_loop.max_batches = trainer.val_check_batch = self.last_batches
