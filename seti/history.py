"""What makes a resumed run equal to an uninterrupted one: its history, its seeds, its decision to stop."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from seti import files

log = logging.getLogger(__name__)


class History(pl.Callback):
    """Write `metrics.csv`, one row an epoch, and keep its rows in the checkpoint.

    Lightning's own CSV logger starts an empty file when a run is resumed. These rows come back with the checkpoint,
    so the file always holds every epoch once.

    Args:
        path: the csv file.
        origin: plain values kept in every checkpoint: what a resuming run compares itself with.
    """

    def __init__(self, path: Path, origin: dict[str, Any]) -> None:
        self.path = path
        self.origin = origin
        self.rows: list[dict[str, float]] = []
        self.started = time.monotonic()
        self.lr = float("nan")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        self.started = time.monotonic()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Note the rate of this step: at the epoch's end the schedule has moved on, at the last one past its end."""
        self.lr = optimizer.param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row. Lightning calls checkpoint callbacks after this one, so they store it."""
        metrics = trainer.callback_metrics
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": float(metrics["train_loss"]),
            "val_loss": float(metrics["val_loss"]),
            "val_auc": float(metrics["val_auc"]),
            "lr": self.lr,
            "seconds": round(time.monotonic() - self.started, 2),
        }
        self.rows.append(row)
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

    def state_dict(self) -> dict[str, Any]:
        """Rows and origin, for the checkpoint."""
        return {"rows": self.rows, "origin": self.origin}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows back; the origin stays this run's own."""
        self.rows = list(state_dict["rows"])

    @staticmethod
    def read_origin(checkpoint: dict[str, Any]) -> dict[str, Any] | None:
        """What a checkpoint says about the run that wrote it; None for another program's."""
        return checkpoint.get("callbacks", {}).get(History.__name__, {}).get("origin")

    @property
    def state_key(self) -> str:
        """The callback's key in a checkpoint."""
        return History.__name__


class EpochSeed(pl.Callback):
    """Seed torch before every epoch from the run's seed and the epoch's number.

    Mixup and dropout then draw the same numbers whether the epoch follows on another or on a resumed checkpoint.

    Args:
        seed: a sequence of integers that tells this run from others.
    """

    def __init__(self, seed: tuple[int, ...]) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed CPU and GPU generators."""
        torch.manual_seed(int(np.random.SeedSequence([*self.seed, trainer.current_epoch]).generate_state(1)[0]))


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a run which was stopped early, then cut short before its result, does not forget."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning brings back the count of epochs, but not the decision."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
