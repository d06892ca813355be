"""Training speed: a plain float32 loop, this project's Trainer, and its step alone."""

import gc
import time
from pathlib import Path

import hydra
import numpy as np
import pytorch_lightning as pl
import reference
import torch
from measure import Row
from torch.utils.data import DataLoader, Dataset

from seti.config.schema import plain
from seti.data import competition
from seti.dataloading.datamodule import CadenceDataModule
from seti.models.backbone import Backbone
from seti.training.build import build_classifier, build_trainer, configure_logs
from seti.training.compiling import choose_compilation
from seti.transforms.batch import prepare, to_device

CONF = Path(__file__).resolve().parents[1] / "conf"
WARM = 3


class Clock(pl.Callback):
    """Timer of steps after the warm-up, and of the GPU time of each."""

    def __init__(self, gpu: bool, last: int) -> None:
        self.gpu = gpu
        self.last = last
        self.started = self.ended = 0.0
        self.begun: torch.cuda.Event | None = None
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def gpu_seconds(self) -> float:
        """Seconds from the first to the last kernel of every step; 0 without a GPU."""
        return sum(begun.elapsed_time(done) for begun, done in self.events) / 1e3

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Record an event in the GPU's queue."""
        if self.gpu and trainer.global_step >= WARM:
            self.begun = torch.cuda.Event(enable_timing=True)
            self.begun.record()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Read the clock; only twice per run, because it waits for the GPU."""
        if self.begun is not None:
            done = torch.cuda.Event(enable_timing=True)
            done.record()
            self.events.append((self.begun, done))
        if trainer.global_step in (WARM, self.last):
            if self.gpu:
                torch.cuda.synchronize()
            self.started, self.ended = self.ended, time.perf_counter()


class Resident(Dataset):
    """Dataset that repeats one batch."""

    def __init__(self, batch: tuple, count: int) -> None:
        self.batch = batch
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        return self.batch


def seconds_a_cadence(overrides: list[str], folder: Path, steps: int, resident: bool) -> tuple[float, float]:
    """Train for some steps with the project's own Trainer.

    Args:
        overrides: as `train.py` takes them.
        folder: where the Trainer may write.
        steps: that are timed.
        resident: on one batch of images that is on the device before.

    Returns:
        On the clock, and of the GPU.
    """
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", overrides)
    gc.collect()  # as `seti.training.fold.train` begins
    configure_logs()
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], fold=0, seed=0)
    clock = Clock(torch.cuda.is_available(), WARM + steps)
    options = {"limit_train_batches": WARM + steps, "limit_val_batches": 0, "max_epochs": 1, "logger": False}
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False}
    trainer = build_trainer(cfg, folder, [clock], **options, **quiet)
    classifier = build_classifier(config, datamodule, fetch_weights=False)
    choose_compilation(classifier, config, trainer, datamodule)
    if resident:
        device = trainer.strategy.root_device
        inputs, targets, indices = next(iter(datamodule.train_dataloader()))
        images = prepare(to_device(inputs, device), datamodule.train_set.image_maker)
        batch = images, targets.to(device), indices.to(device)
        trainer.fit(classifier, DataLoader(Resident(batch, WARM + steps), batch_size=None))
    else:
        datamodule.trainer = trainer
        datamodule.keep()
        trainer.fit(classifier, datamodule=datamodule)
        datamodule.release()
    count = steps * config["data"]["batch_size"]
    return (clock.ended - clock.started) / count, clock.gpu_seconds / count


def rows(
    stage: str, root: Path, folder: Path, overrides: list[str], backbone: str, rounds: int, steps: int, wanted: str
) -> list[Row]:
    """Time the three in turn.

    Args:
        stage: the rows' name.
        root: the data set's folder.
        folder: where the Trainer may write.
        overrides: of the model, the size and the batch.
        backbone: timm's name of the network.
        rounds: how often each is timed.
        steps: how many steps a time.
        wanted: of the first row.
    """
    given = [f"data.root={root}", *overrides]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        data = hydra.compose("train", given).data
    labels = competition.read_labels(root)
    paths = [competition.cadence_path(root, "train", i) for i in labels["id"]]
    transform = reference.transforms(tuple(data.image_size), data.interpolation, augment=True)
    images = reference.Images(paths, transform, labels["target"].to_numpy())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen: dict[str, list[float]] = {"ordinary": [], "ours": [], "resident": [], "gpu": []}
    threads = torch.get_num_threads()
    for turn in range(rounds):
        torch.set_num_threads(threads)  # the Trainer sets its own
        network = Backbone(backbone, 1, tuple(data.image_size))
        # Fewer steps: a few percent decide about the share of the ceiling, and not about how many times faster.
        seen["ordinary"].append(reference.train(network, images, data.batch_size, max(steps // 3, 2), device))
        for resident in (False, True) if turn % 2 else (True, False):
            clock, gpu = seconds_a_cadence(given, folder, steps, resident)
            seen["resident" if resident else "ours"].append(clock)
            if not resident:
                seen["gpu"].append(gpu)
    torch.set_num_threads(threads)
    note = f"{1 / np.median(seen['ours']):.3g} cadences/s"
    if device.type == "cuda":
        note += f", the GPU's step {np.median(seen['gpu']) * 1e3:.3g} ms/cadence"
    wanted = f"{wanted}; 0.95 of the ceiling"
    return [Row(stage, seen["ours"], seen["ordinary"], seen["resident"], "ms/cadence", wanted, note)]
