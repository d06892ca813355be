"""Cadences of the stream: batches in the order of their indices, made by worker processes, and fixed sets."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

TRUTH = ("kind", "snr", "drift", "shape")
VALIDATION_BATCH = 64


class Drawn(Protocol):
    """Cadence of a stream, as `seti.simulation.stream.StreamCadence`."""

    data: np.ndarray
    label: int
    kind: str
    snr: float
    drift: float
    shape: str


Draw = Callable[[int, int], Drawn]  # seed, index
Batch = tuple[Tensor, Tensor, Tensor]  # float16 panels `(B, 6, rows, bins)`, targets, indices


@dataclass(frozen=True)
class FixedSet:
    """Cadences that members are scored on and never train on.

    Attributes:
        name: of the set.
        panels: float16 `(N, 6, rows, bins)`.
        truth: a row a cadence: target, and kind, snr, drift and shape of its signal.
    """

    name: str
    panels: Tensor
    truth: pd.DataFrame

    def batches(self) -> DataLoader:
        """Load panels and targets in order."""
        targets = torch.from_numpy(self.truth["target"].to_numpy(np.float32))
        return DataLoader(TensorDataset(self.panels, targets), batch_size=VALIDATION_BATCH)


class StreamBatches(Dataset):
    """Cadences of a stream by their index, made when they are asked for.

    Args:
        draw: makes a cadence.
        seed: of the stream.
    """

    def __init__(self, draw: Draw, seed: int) -> None:
        self.draw, self.seed = draw, seed

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict]:
        """Make one cadence, and the truth about it."""
        drawn = self.draw(self.seed, index)
        return in_float16(drawn.data), {"target": drawn.label} | {name: getattr(drawn, name) for name in TRUTH}

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor, Tensor, list[dict]]:
        """Make the cadences of a batch."""
        made = [self[index] for index in indices]
        panels = torch.from_numpy(np.stack([panels for panels, _ in made]))
        truth = [about for _, about in made]
        return panels, torch.tensor([float(about["target"]) for about in truth]), torch.tensor(indices), truth


class EndlessBatches(Sampler):
    """Indices in order, in batches, without an end.

    Args:
        first: index to begin with.
        size: of a batch.
    """

    def __init__(self, first: int, size: int) -> None:
        self.first, self.size = first, size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of one batch after the other."""
        for start in itertools.count(self.first, self.size):
            yield list(range(start, start + self.size))


def stream_loader(draw: Draw, seed: int, first: int, size: int, workers: int) -> DataLoader:
    """Load a stream from an index on; each batch is made by one worker."""
    return _loader(draw, seed, EndlessBatches(first, size), workers, _training_part)


def fixed_set(name: str, draw: Draw, seed: int, count: int, workers: int) -> FixedSet:
    """Draw the first cadences of a stream as a fixed set."""
    indices = [list(part) for part in np.array_split(range(count), max(1, count // 16))]
    panels, truth = None, []
    for made, _, places, about in _loader(draw, seed, indices, workers, _as_it_is):
        if panels is None:
            panels = torch.empty((count, *made.shape[1:]), dtype=torch.float16)
        panels[places] = made
        truth += about
    return FixedSet(name, panels, pd.DataFrame(truth))


def in_float16(data: np.ndarray) -> np.ndarray:
    """Bring panels into float16, scaled one by one where it could not hold their values; whitening undoes the scale."""
    if data.dtype == np.float16:
        return data
    data = data.astype(np.float32)
    middle = data.mean(axis=(1, 2), keepdims=True)
    spread = data.std(axis=(1, 2), keepdims=True)
    return ((data - middle) / np.where(spread > 0, spread, 1)).astype(np.float16)


def _loader(draw: Draw, seed: int, batches: object, workers: int, collate: Callable) -> DataLoader:
    return DataLoader(
        StreamBatches(draw, seed),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=3 if workers else None,
    )


def _as_it_is(made: tuple) -> tuple:
    return made


def _training_part(made: tuple) -> Batch:
    return made[:3]
