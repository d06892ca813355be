"""Reference for every stage of the benchmark: the ordinary loop, written plainly.

Whole files are loaded and cast, panels are picked afterwards, albumentations runs one transform after the other, a
DataLoader of two workers makes batches, the network computes in float32 in the default memory layout, and every fold
makes a pass of its own over the data. Nothing is slowed down on purpose.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from seti.data.cadence import ON_PANELS
from seti.utils import malloc

WORKERS = 2
CPU = torch.device("cpu")
INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@contextmanager
def usual_heap() -> Iterator[None]:
    """Return freed memory to the system, as without `seti.utils.malloc`.

    The C library raises its thresholds to the largest block that was freed, 32 MiB at most, and twice that.
    """
    malloc.set_thresholds(2**25, 2**26)
    try:
        yield
    finally:
        malloc.keep_freed_memory()


def load_panels(path: Path) -> np.ndarray:
    """Load the whole file, cast it, then select the A panels: `(3, rows, bins)` float32."""
    return np.load(path).astype(np.float32)[list(ON_PANELS)]


def transforms(image_size: tuple[int, int], interpolation: str = "linear", augment: bool = False) -> A.Compose:
    """Compose `flips_affine` of albumentations transforms, and the resizing."""
    training = [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(
            translate_percent=(-0.1, 0.1),
            scale=(0.9, 1.1),
            rotate=(-10, 10),
            keep_ratio=True,
            border_mode=cv2.BORDER_REFLECT_101,
            p=0.5,
        ),
    ]
    resize = A.Resize(*image_size, interpolation=INTERPOLATIONS[interpolation])
    return A.Compose([*(training if augment else []), resize])


class Images(Dataset):
    """Dataset of A panels stacked along time: `(1, height, width)` float32 and a target."""

    def __init__(self, paths: list[Path], transform: A.Compose, targets: np.ndarray | None = None) -> None:
        self.paths = paths
        self.transform = transform
        self.targets = np.zeros(len(paths), np.float32) if targets is None else targets.astype(np.float32)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, np.float32]:
        panels = load_panels(self.paths[index])
        image = self.transform(image=panels.reshape(-1, panels.shape[-1]))["image"]
        return torch.from_numpy(image)[None], self.targets[index]


@usual_heap()
@torch.no_grad()
def predict(networks: list[nn.Module], images: Images, batch_size: int = 32, device: torch.device = CPU) -> np.ndarray:
    """Predict in one pass over the data per network: `(N, K)` probabilities."""
    columns = []
    for network in networks:
        network.eval()
        loader = DataLoader(images, batch_size=batch_size, num_workers=WORKERS)
        columns.append(np.concatenate([network(batch.to(device)).sigmoid().cpu().numpy() for batch, _ in loader]))
    return np.stack(columns, axis=1)


@usual_heap()
def train(
    network: nn.Module, images: Images, batch_size: int, steps: int, device: torch.device = CPU, warm: int = 2
) -> float:
    """Run a plain loop of AdamW steps; return seconds per cadence, after a few warm-up steps.

    On a GPU it computes in 16 bits with four workers, as the ordinary loop there does.
    """
    gpu = device.type == "cuda"
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=gpu)
    loader = DataLoader(
        images,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=4 if gpu else WORKERS,
        pin_memory=gpu,
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    started = 0.0
    for step in range(warm + steps):
        if step == warm:
            started = time.perf_counter()
        batch, targets = next(batches)
        batch, targets = batch.to(device), targets.to(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, enabled=gpu):
            logits = network(batch)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()  # for the log
    return (time.perf_counter() - started) / (steps * batch_size)
