"""Callbacks that make a resumed run equal an uninterrupted one: history, seeds, stopping."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from seti.experiments.run_identity import RunIdentity
from seti.utils import files, ranks

log = logging.getLogger(__name__)


class History(pl.Callback):
    """Write `metrics.csv`, one row an epoch, and keep its rows in the checkpoint.

    Lightning's own CSV logger starts an empty file when a run is resumed. These rows come back with the checkpoint,
    so the file always holds every epoch once.

    Args:
        path: the csv file.
        identity: of the run, kept in every checkpoint: a resuming run compares its own with it.
    """

    def __init__(self, path: Path, identity: RunIdentity) -> None:
        self.path = path
        self.identity = identity
        self.rows: list[dict[str, float]] = []
        self.started = time.monotonic()
        self.lr = float("nan")
        # Of this epoch's batches. Kept as tensors until the end of the epoch: reading a loss makes a GPU wait.
        self.losses: list[torch.Tensor | float] = []
        self.sizes: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an epoch; one that is resumed in its middle has its state from the checkpoint."""
        self.started = time.monotonic()
        self.losses, self.sizes = [], []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the whole batch's loss, which Lightning has divided by the batches of a step."""
        self.losses.append(ranks.mean(outputs["loss"].detach()) * trainer.accumulate_grad_batches)
        self.sizes.append(len(batch[1]) * ranks.count())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Record this step's rate: at the epoch's end the schedule is one step further."""
        self.lr = optimizer.param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row, before the checkpoint callbacks, which store it."""
        metrics = trainer.callback_metrics
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": float(np.average(self.loss_values(), weights=self.sizes)),
            "val_loss": float(metrics["val_loss"]),
            "val_auc": float(metrics["val_auc"]),
            "lr": self.lr,
            "seconds": round(time.monotonic() - self.started, 2),
        }
        self.rows.append(row)
        if ranks.leads():
            files.write_csv(self.path, pd.DataFrame(self.rows))
        log.info(
            "epoch %d of %s: train loss %.4f, validation loss %.4f, AUC %.4f (%.0f s)",
            row["epoch"] + 1,
            trainer.max_epochs,
            row["train_loss"],
            row["val_loss"],
            row["val_auc"],
            row["seconds"],
        )

    def loss_values(self) -> np.ndarray:
        """Losses of this epoch's batches so far, `(batches,)` float64."""
        return np.array([float(loss) for loss in self.losses])

    def state_dict(self) -> dict[str, Any]:
        """Rows, identity and the state of the running epoch, for the checkpoint."""
        return {
            "rows": self.rows,
            "origin": self.identity.plain(),
            "losses": self.loss_values().tolist(),
            "sizes": list(self.sizes),
            "lr": self.lr,
            "seconds": time.monotonic() - self.started,
            "processes": ranks.count(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore everything but the identity, which stays this run's own."""
        self.rows = list(state_dict["rows"])
        self.losses = list(state_dict["losses"])
        self.sizes = list(state_dict["sizes"])
        self.lr = state_dict["lr"]
        self.started = time.monotonic() - state_dict["seconds"]

    @staticmethod
    def read_identity(checkpoint: dict[str, Any]) -> RunIdentity | None:
        """The identity of the run that wrote a checkpoint; None for another program's."""
        found: Any = checkpoint
        for key in ("callbacks", History.__name__, "origin"):
            found = found.get(key) if isinstance(found, dict) else None
        return RunIdentity.from_plain(found)

    @staticmethod
    def read_processes(checkpoint: dict[str, Any]) -> int:
        """Number of processes that trained together when a checkpoint of this program was written."""
        return int(checkpoint["callbacks"][History.__name__].get("processes", 1))

    @property
    def state_key(self) -> str:
        """The callback's key in a checkpoint."""
        return History.__name__


class StepSeed(pl.Callback):
    """Seed torch before every batch from the run's seed and the batch's number.

    Mixup and dropout then draw the same numbers, whether the batch follows another one or a resumed checkpoint. Each
    of several processes draws numbers of its own.

    Args:
        seed: integers that distinguish this run from others.
    """

    def __init__(self, seed: tuple[int, ...]) -> None:
        self.seed = (*seed, ranks.rank()) if ranks.rank() else seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed CPU and GPU generators."""
        entropy = [*self.seed, trainer.current_epoch, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping whose decision survives an interruption before the result was written."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide again: Lightning restores the count of epochs, but not the decision."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
