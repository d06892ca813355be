"""Retries of a fold that does not learn: failed attempts, and the seed of the next one."""

import shutil
from dataclasses import asdict
from pathlib import Path

from seti.experiments.experiment import FoldFolder
from seti.experiments.fold_result import Attempt, read_attempts
from seti.experiments.run_identity import RunIdentity
from seti.training.callbacks.dead_fold import DeadFoldError
from seti.utils import files, ranks

NAME = "attempts.json"
STEP = 1000  # between the seeds of two attempts: far from seeds that users compare


class Attempts:
    """The failed attempts of a fold, kept in `attempts.json` while the fold is not finished.

    Attempts with other settings, other data or another `watch` are forgotten: they say nothing about this run.

    Args:
        folder: the fold's.
        seed: of the first attempt.
        identity: of this run.
        forget: start with none.
    """

    def __init__(self, folder: FoldFolder, seed: int, identity: RunIdentity, forget: bool) -> None:
        self.folder = folder
        self.first_seed = seed
        self.identity = identity
        self.failed: list[Attempt] = []
        path = folder.path / NAME
        if path.exists() and not forget:
            content = files.read_json(path)
            kept = RunIdentity.from_plain(content.get("origin"))
            if (
                kept is not None
                and kept.config.get("watch") == identity.config["watch"]
                and not kept.differences(identity)
            ):
                self.failed = read_attempts(path, content)

    @property
    def seed(self) -> int:
        """Of the next attempt."""
        return (self.first_seed + STEP * len(self.failed)) % 2**32

    @property
    def failed_seeds(self) -> list[int]:
        """Seeds of the failed attempts."""
        return [attempt.seed for attempt in self.failed]

    def record_failure(self, error: DeadFoldError) -> None:
        """Record that this attempt failed, then set its files aside, so that a kill loses nothing.

        Of several processes, which fail alike, the leader does so.
        """
        seed = self.seed
        self.failed.append(Attempt(seed, error.epoch, error.auc, error.reason))
        if not ranks.leads():
            return
        attempts = [asdict(attempt) for attempt in self.failed]
        files.write_json(self.folder.path / NAME, {"origin": self.identity.plain(), "attempts": attempts})
        self.set_aside(seed)

    def set_aside(self, seed: int) -> None:
        """Rename a failed attempt's history after its seed, and remove its checkpoints."""
        metrics, tensorboard = self.folder.metrics, self.folder.path / "tensorboard"
        if metrics.exists():
            metrics.replace(metrics.with_name(f"metrics_seed_{seed}.csv"))
        aside = tensorboard.with_name(f"tensorboard_seed_{seed}")
        if tensorboard.exists():
            shutil.rmtree(aside, ignore_errors=True)
            tensorboard.replace(aside)
        shutil.rmtree(self.folder.last_checkpoint.parent, ignore_errors=True)

    def finish(self) -> None:
        """Remove `attempts.json`: `result.json` has the attempts now."""
        (self.folder.path / NAME).unlink(missing_ok=True)

    @staticmethod
    def traces(folder: Path) -> list[Path]:
        """Everything that failed attempts leave in a fold's folder."""
        return [folder / NAME, *folder.glob("metrics_seed_*.csv"), *folder.glob("tensorboard_seed_*")]
