"""Callback for limits, speed, checkpoints by the clock, and scores of fixed sets."""

import json
import logging
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from sklearn.metrics import roc_auc_score

from seti.release.evaluation import FALSE_ALARMS, ensemble
from seti.release.members import Members
from seti.utils import files

log = logging.getLogger(__name__)


class Progress(Callback):
    """Stops a training at its limit, reports its speed, and saves it.

    Args:
        folder: gets last.ckpt and scores.jsonl.
        sets: names of the fixed sets, in the order of the validation's loaders.
        report_every: seconds between two lines in the log.
        save_every: seconds between two checkpoints.
    """

    def __init__(self, folder: Path, sets: list[str], report_every: float = 20.0, save_every: float = 60.0) -> None:
        self.folder, self.sets = folder, sets
        self.report_every, self.save_every = report_every, save_every
        self.reported = self.saved = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Members, *_: object) -> None:
        """Report, save and stop when it is time."""
        now = time.monotonic()
        if self.reported is None:
            self.reported, self.saved = (now, pl_module.seen, pl_module.steps), now
        since, seen, steps = self.reported
        if now - since > self.report_every:
            log.info(
                "%3.0f %%  %d cadences  %d steps  %.0f cadences/s  %.1f steps/s  loss %.3f",
                100 * pl_module.progress,
                pl_module.seen,
                pl_module.steps,
                (pl_module.seen - seen) / (now - since),
                (pl_module.steps - steps) / (now - since),
                float(pl_module.last_loss),
            )
            self.reported = now, pl_module.seen, pl_module.steps
        done = pl_module.progress >= 1
        if done or now - self.saved > self.save_every:
            self.saved = now
            self._save(trainer)
        if done:
            trainer.should_stop = True

    def _save(self, trainer: pl.Trainer) -> None:
        with files.atomic_write(self.folder / "last.ckpt") as temporary:
            trainer.save_checkpoint(temporary)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Members) -> None:
        """Write the scores of the fixed sets into the log and into scores.jsonl."""
        entry = {"seen": pl_module.seen, "steps": pl_module.steps, "minutes": round(pl_module.elapsed / 60, 2)}
        for place, name in enumerate(self.sets):
            logits, targets = (torch.cat(part).numpy() for part in zip(*pl_module.scored[place], strict=True))
            for network, columns in member_columns(pl_module.keys).items():
                entry[f"{name}/{network}"] = quick_scores(logits[:, columns], targets)
        log.info(
            "%d cadences: AUC %s",
            pl_module.seen,
            ", ".join(f"{name} {value['auc']:.3f}" for name, value in entry.items() if isinstance(value, dict)),
        )
        with (self.folder / "scores.jsonl").open("a") as stream:
            stream.write(json.dumps(entry) + "\n")


def member_columns(keys: list[tuple[str, int]]) -> dict[str, list[int]]:
    """Columns of the logits that belong to each network's members."""
    names = dict.fromkeys(name for name, _ in keys)
    return {name: [column for column, (other, _) in enumerate(keys) if other == name] for name in names}


def quick_scores(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Score an ensemble, the mean of its members' probabilities, on one set.

    Args:
        logits: `(N, members)`.
        targets: `(N,)`, 0 or 1, both of them present.

    Returns:
        auc and recall of the ensemble, member_auc the mean of its members'.
    """
    probs = ensemble(logits)
    threshold = np.quantile(probs[targets == 0], 1 - FALSE_ALARMS[0])
    return {
        "auc": round(float(roc_auc_score(targets, probs)), 4),
        "recall": round(float((probs[targets == 1] > threshold).mean()), 4),
        "member_auc": round(float(np.mean([roc_auc_score(targets, column) for column in logits.T])), 4),
    }
