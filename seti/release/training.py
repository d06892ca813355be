"""One training of all members, which goes on where it was stopped."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch

from seti.dataloading.stream import StreamDataset, stream_loader
from seti.errors import SetiError
from seti.release.fixed_sets import FixedSet
from seti.release.members import Members
from seti.release.progress import Progress
from seti.release.settings import Settings
from seti.utils.safe_load import read_checkpoint

log = logging.getLogger(__name__)

ENDLESS = 10**9  # cadences; a limit ends the training long before
# Lightning's notices of what is meant here.
NOTICES = (
    ".*does not have many workers.*",
    ".*isinstance.treespec.*",
    ".*dataloader is not resumable.*",
    ".*in eval mode at the start.*",
)
LIMITS = ("cadences", "minutes")  # settings that may change when a training goes on


def train(
    settings: Settings,
    sets: Sequence[FixedSet],
    folder: Path,
    workers: int,
    validate_every: int,
    save_every: float = 60.0,
) -> Members:
    """Train all members until a limit, or go on from the folder's last.ckpt.

    Args:
        settings: of the training.
        sets: scored every so often, and at the end.
        folder: gets last.ckpt and scores.jsonl.
        workers: processes that make cadences.
        validate_every: batches between two validations.
        save_every: seconds between two checkpoints.

    Raises:
        SetiError: there is no limit, or last.ckpt is of a training with other settings.
    """
    if not (settings.cadences or settings.minutes):
        msg = "training would never end: set a limit of cadences or of minutes"
        raise SetiError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last.ckpt"
    first = _begin_at(last, settings)
    members = Members(settings.plain())
    _be_quiet()
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        max_epochs=-1,  # the stream has no end; `Progress` stops
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[Progress(folder, [fixed.name for fixed in sets], save_every=save_every)],
    )
    trainer.fit(
        members,
        stream_loader(StreamDataset(settings.seed, first, ENDLESS, dtype=torch.float16), settings.arrivals, workers),
        [fixed.batches() for fixed in sets],
        ckpt_path=last if last.exists() else None,
        weights_only=True,
    )
    return members


def _begin_at(last: Path, settings: Settings) -> int:
    """Index of the first cadence of the stream that was not trained on yet."""
    if not last.exists():
        return 0
    checkpoint = read_checkpoint(last, "remove it to start again")
    stored, wanted = checkpoint["hyper_parameters"]["settings"], settings.plain()
    other = [key for key in wanted if key not in LIMITS and stored.get(key) != wanted[key]]
    if other:
        msg = (
            f"{last} is of a training with {other[0]}={stored.get(other[0])}, now {wanted[other[0]]}: "
            "remove it to start again, or give another folder"
        )
        raise SetiError(msg)
    seen = checkpoint["progress"]["seen"]
    log.info("going on after %d cadences", seen)
    return seen


def _be_quiet() -> None:
    for text in NOTICES:
        warnings.filterwarnings("ignore", text)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
