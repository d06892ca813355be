"""Time training, in cadences a second: the ordinary loop, this project, and its step on a batch in place, in turn.

The ordinary loop loads whole files, transforms and resizes them with albumentations one by one in as many workers, and
steps an unfused AdamW in the ordinary memory layout: in float32 on a processor, with 16-bit autocast on a GPU.

python benchmarks/training_step.py <folder of a data set> [--model effnet_b0 --size 256 256 --batch 16 --device cpu]
"""

import argparse
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import albumentations as A
import hydra
import numpy as np
import pytorch_lightning as pl
import timm
import torch
from preparing import OrdinaryDataset
from torch import nn
from torch.utils.data import DataLoader

from seti import catalog
from seti.assembly import build_classifier, build_trainer, settle_logs
from seti.augment import geometric
from seti.classifier import CadenceClassifier
from seti.config import plain
from seti.datamodule import CadenceDataModule
from seti.device import autocast, choose_precision
from seti.preparation import prepare, to_device

CONF = Path(__file__).resolve().parents[1] / "conf"
bce = nn.functional.binary_cross_entropy_with_logits


def _settings(root: Path, model: str, size: list[int], batch: int, device: str, workers: int, steps: int):
    overrides = [
        f"model={model}",
        f"data.root={root}",
        f"data.image_size={size}",
        f"data.batch_size={batch}",
        f"data.num_workers={workers}",
        f"trainer={'gpu' if device == 'cuda' else 'cpu'}",
        f"trainer.limit_train_batches={steps}",
        "+trainer.limit_val_batches=0",
        "trainer.max_epochs=1",
        "trainer.enable_progress_bar=false",
    ]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("train", overrides)


def _settle(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class _Clock(pl.Callback):
    """When the first measured step began and the last one ended."""

    def __init__(self, warm: int) -> None:
        self.warm, self.began, self.ended = warm, 0.0, 0.0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx == self.warm - 1:
            self.began = _settle(pl_module.device)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.ended = _settle(pl_module.device)


def ours(cfg, folder: Path, warm: int) -> float:
    """Cadences a second of `train.py`'s own Trainer, without validation."""
    config = plain(cfg)
    datamodule = CadenceDataModule(config["data"], config["augment"], cfg.fold, cfg.seed)
    clock = _Clock(warm)
    trainer = build_trainer(cfg, folder, [clock], logger=False, enable_checkpointing=False)
    trainer.fit(build_classifier(config, datamodule, fetch_weights=True), datamodule=datamodule)
    return (trainer.global_step - warm) * cfg.data.batch_size / (clock.ended - clock.began)


def resident(cfg, steps: int, warm: int) -> float:
    """Cadences a second of this project's step on one batch that lies where the network is."""
    config = plain(cfg)
    device = torch.device("cuda" if cfg.trainer.accelerator == "gpu" else "cpu")
    precision = choose_precision(config["trainer"]["precision"], device)
    datamodule = CadenceDataModule(config["data"] | {"num_workers": 0}, config["augment"], cfg.fold, cfg.seed)
    inputs, targets, _ = next(iter(datamodule.train_dataloader()))
    classifier: CadenceClassifier = build_classifier(config, datamodule, fetch_weights=True).to(device)
    pictures, targets = prepare(to_device(inputs, device), classifier.picture), targets.to(device)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-4, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "16-mixed" and device.type == "cuda")
    for step in range(warm + steps):
        if step == warm:
            began = _settle(device)
        with autocast(precision, device):
            loss = bce(classifier(pictures).float(), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return steps * len(targets) / (_settle(device) - began)


def ordinary(cfg, steps: int, warm: int, workers: int) -> float:
    """Cadences a second of the ordinary loop."""
    config = plain(cfg)
    device = torch.device("cuda" if cfg.trainer.accelerator == "gpu" else "cpu")
    root = Path(cfg.data.root)
    labels = catalog.read_labels(root)
    paths = [catalog.cadence_path(root, "train", str(one)) for one in labels["id"]]
    transforms = [*geometric(config["augment"]), A.Resize(*cfg.data.image_size)]
    data = OrdinaryDataset(paths, labels["target"].to_numpy(), transforms)
    batches = DataLoader(
        data, cfg.data.batch_size, shuffle=True, num_workers=workers, drop_last=True, pin_memory=device.type == "cuda"
    )
    network = timm.create_model(config["model"]["backbone"].split(".")[0], in_chans=1, num_classes=1).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    half = device.type == "cuda"
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    for step, (pictures, targets, _) in enumerate(_endless(batches, warm + steps)):
        if step == warm:
            began = _settle(device)
        pictures, targets = pictures.to(device), targets.to(device)
        with torch.autocast(device.type, torch.float16 if half else torch.bfloat16, enabled=half):
            loss = bce(network(pictures).squeeze(1).float(), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return steps * cfg.data.batch_size / (_settle(device) - began)


def _endless(batches: DataLoader, count: int) -> Iterator:
    return islice((batch for _ in cycle([None]) for batch in batches), count)


def measure(
    root: Path,
    folder: Path,
    model: str = "effnet_b0",
    size: tuple[int, int] = (256, 256),
    batch: int = 16,
    device: str = "cpu",
    workers: int = 2,
    steps: int = 10,
    rounds: int = 3,
) -> dict:
    """Time training.

    Args:
        root: of the data set; must hold more than `steps + 3` batches.
        folder: that may be written to.
        model, size, batch, device: what is trained, and where.
        workers: of every loader.
        steps: measured in each round, behind 3 that are not.
        rounds: of each way, in turn.

    Returns:
        `stage`, `unit` and the rounds' rates of `reference`, `ours` and `ceiling`.
    """
    settle_logs()
    warm = 3
    cfg = _settings(root, model, list(size), batch, device, workers, warm + steps)
    rates = {"reference": [], "ours": [], "ceiling": []}
    for _ in range(rounds):
        rates["reference"].append(ordinary(cfg, steps, warm, workers))
        rates["ours"].append(ours(cfg, folder, warm))
        rates["ceiling"].append(resident(cfg, steps, warm))
    return {"stage": f"training, {model} {size[0]} x {size[1]}, batch {batch}, {device}", "unit": "cadences/s"} | rates


def main() -> None:
    """Parse the command line, measure, print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("outputs/benchmark"))
    parser.add_argument("--model", default="effnet_b0")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = vars(parser.parse_args())
    stage = measure(**given)
    print(stage["stage"])
    for way in ("reference", "ours", "ceiling"):
        low, middle, high = np.percentile(stage[way], [0, 50, 100])
        print(f"  {way}: median {middle:.1f} cadences/s ({low:.1f}-{high:.1f}), {1e3 / middle:.2f} ms a cadence")
    ours_now, reference, ceiling = (np.array(stage[way]) for way in ("ours", "reference", "ceiling"))
    print(f"  ours / reference: median {np.median(ours_now / reference):.2f}")
    print(f"  ours / resident step: median {np.median(ours_now / ceiling):.2f}")


if __name__ == "__main__":
    main()
