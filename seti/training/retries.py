"""A fold's attempts: what died, with which seed, and which seed comes next."""

import shutil
from pathlib import Path
from typing import Any

from seti.experiments.experiment import FoldFolder, differences
from seti.training.callbacks.dead_fold import DyingFoldError
from seti.utils import files

NAME = "attempts.json"
STEP = 1000  # between the seeds of two attempts: far from those that people set side by side


class Attempts:
    """The dead attempts of a fold, kept in `attempts.json` while the fold is not finished.

    Attempts of other settings, of other data or under another watch are forgotten: they say nothing about this run.

    Args:
        folder: the fold's.
        seed: of the first attempt.
        origin: configuration and fingerprint of this run.
        forget: begin with none.
    """

    def __init__(self, folder: FoldFolder, seed: int, origin: dict[str, Any], forget: bool) -> None:
        self.folder = folder
        self.first_seed = seed
        self.origin = origin
        self.dead: list[dict[str, Any]] = []
        path = folder.path / NAME
        if path.exists() and not forget:
            kept = files.read_json(path)
            known, now = kept["origin"]["config"], origin["config"]
            same = kept["origin"]["fingerprint"] == origin["fingerprint"] and known["watch"] == now["watch"]
            if same and not differences(known, now):
                self.dead = kept["attempts"]

    @property
    def seed(self) -> int:
        """Of the attempt that is to be made."""
        return (self.first_seed + STEP * len(self.dead)) % 2**32

    @property
    def dead_seeds(self) -> list[int]:
        """Of the attempts that died."""
        return [attempt["seed"] for attempt in self.dead]

    def bury(self, error: DyingFoldError) -> None:
        """Note this attempt as dead, and put its history aside; the note comes first, so a kill loses nothing."""
        seed = self.seed
        self.dead.append({"seed": seed, "epoch": error.epoch, "auc": error.auc, "reason": error.reason})
        files.write_json(self.folder.path / NAME, {"origin": self.origin, "attempts": self.dead})
        self.clear_away(seed)

    def clear_away(self, seed: int) -> None:
        """Put a dead attempt's history aside, under its seed, and remove its checkpoints."""
        metrics, tensorboard = self.folder.metrics, self.folder.path / "tensorboard"
        if metrics.exists():
            metrics.replace(metrics.with_name(f"metrics_seed_{seed}.csv"))
        aside = tensorboard.with_name(f"tensorboard_seed_{seed}")
        if tensorboard.exists():
            shutil.rmtree(aside, ignore_errors=True)
            tensorboard.replace(aside)
        shutil.rmtree(self.folder.last_checkpoint.parent, ignore_errors=True)

    def finish(self) -> None:
        """Forget the file: `result.json` has the attempts now."""
        (self.folder.path / NAME).unlink(missing_ok=True)

    @staticmethod
    def traces(folder: Path) -> list[Path]:
        """Everything that dead attempts leave in a fold's folder."""
        return [folder / NAME, *folder.glob("metrics_seed_*.csv"), *folder.glob("tensorboard_seed_*")]
