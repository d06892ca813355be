"""Checkpoints: atomic writing, the position at which training resumes, finding one."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from seti.errors import SetiError
from seti.experiments.experiment import FoldFolder
from seti.experiments.run_identity import REPLACE, RunIdentity
from seti.training.callbacks.history import History
from seti.utils import files
from seti.utils.safe_load import read_checkpoint

RESTART = "force=true trains this fold from the start"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints whole or not at all, as every other file here.

    Lightning writes them to the system's temporary folder and moves them: where that is another file system, a run
    killed during the copy leaves half of a checkpoint under the final name, and a missing permission passes for
    success.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it cannot be written; the error names the file.
        """
        # Into memory first: torch's own error does not say that the disk is full.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with files.atomic_write(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


@dataclass(frozen=True)
class Position:
    """The position in training at which a checkpoint continues.

    Attributes:
        epoch: number of the epoch.
        batch: how many of its batches are done; all of them if only the validation is missing.
    """

    epoch: int
    batch: int

    @classmethod
    def of(cls, checkpoint: dict[str, Any]) -> "Position | None":
        """Read it from the state of the loops, as Lightning does; None where a checkpoint has none."""
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


def find_checkpoint(
    folder: FoldFolder,
    identity: RunIdentity,
    check_processes: Callable[[int], None] = lambda _: None,
    remedy: Callable[[], str] = lambda: REPLACE,
) -> tuple[int, Position] | None:
    """Find the checkpoint of an interrupted run of the same fold.

    Args:
        folder: the fold's.
        identity: of the run that would continue it; its seed is not compared.
        check_processes: refuses a number of processes that trained together when the checkpoint was written.
        remedy: gives the advice to a run with other settings, besides another exp_name.

    Returns:
        The seed of the run that wrote `last.ckpt`, and the position at which it continues; None without one.

    Raises:
        SetiError: it is damaged, of another program, or of a run with other settings or data.
    """
    path = folder.last_checkpoint
    if not path.exists():
        return None
    checkpoint = read_checkpoint(path, RESTART)
    found, position = History.read_identity(checkpoint), Position.of(checkpoint)
    if found is None or found.seed is None or position is None:
        msg = (
            f"{path} was not written by this program, or by an older version of it: give another exp_name; or {RESTART}"
        )
        raise SetiError(msg)
    found.check_same(identity, folder.path, remedy)
    check_processes(History.read_processes(checkpoint))
    return found.seed, position
