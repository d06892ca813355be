"""Exponential moving average of the weights."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and buffers.

    Polyak & Juditsky 1992; Tarvainen & Valpola 2017.

    After the first step it equals the weights; after each later one `average = d * average + (1 - d) * weights` with
    `d = min(decay, (1 + n) / (10 + n))` after `n` steps, so that the average of a short training is not dominated by
    its start. Validation uses the averaged weights, and checkpoints have them as `state_dict`, with the trained ones
    as `current_model_state` for a resumed run.

    It must come before a callback that saves after a batch.

    Args:
        decay: upper limit of `d`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self.decay = decay
        self.swapped = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy the network to the device that the trained one is moved to later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:  # it is read at every step: on a GPU that would wait
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average."""
        super().on_validation_epoch_start(trainer, pl_module)
        self.swapped = True

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Continue with the trained weights."""
        super().on_validation_epoch_end(trainer, pl_module)
        self.swapped = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store both; during a validation Lightning has them exchanged, and would store them so."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self.swapped:
            average, current = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint |= {"state_dict": average, "current_model_state": current}

    @torch.no_grad()
    def _average(self, averaged: list[Tensor], current: list[Tensor], _: Tensor) -> None:
        count = int(self._average_model.n_averaged)
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - min(self.decay, (1 + count) / (10 + count)))
        else:  # batch normalisation counts its batches
            torch._foreach_copy_(averaged, current)
