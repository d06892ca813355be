"""Fixed sets of cadences with the truth about them, to calibrate and score on."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from seti.simulation import crowded, radiometer, setigen_cadences
from seti.simulation.kinds import KINDS, NEEDLE, Limits

TRUTH = ("kind", "snr", "drift", "shape")
VALIDATION_BATCH = 64
# Generators of other making than the stream, which no member trains on.
GENERATORS = {"radiometer": radiometer.draw, "crowded": crowded.draw, "setigen": setigen_cadences.draw}
LIMITS = Limits((10.0, 100.0), 0.15, 0.5)
OTHERS = (0.2, 0.1, 0.15, 0.15, 0.4)  # shares of the kinds without needle


class Drawn(Protocol):
    """Cadence of a stream, as `seti.simulation.stream.StreamCadence`."""

    data: np.ndarray
    label: int
    kind: str
    snr: float
    drift: float
    shape: str


Draw = Callable[[int, int], Drawn]  # seed, index


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


class WithTruth(Dataset):
    """Cadences of a stream by their index, with the truth about them.

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

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor, list[dict]]:
        """Make the cadences of a batch: float16 `(B, 6, rows, bins)`, indices, truth."""
        made = [self[index] for index in indices]
        panels = torch.from_numpy(np.stack([panels for panels, _ in made]))
        return panels, torch.tensor(indices), [about for _, about in made]


def fixed_set(name: str, draw: Draw, seed: int, count: int, workers: int) -> FixedSet:
    """Draw the first cadences of a stream as a fixed set."""
    indices = [part.tolist() for part in np.array_split(range(count), max(1, count // 16))]
    drawn = DataLoader(WithTruth(draw, seed), batch_sampler=indices, num_workers=workers, collate_fn=_as_it_is)
    panels, truth = None, []
    for made, places, about in drawn:
        if panels is None:
            panels = torch.empty((count, *made.shape[1:]), dtype=torch.float16)
        panels[places] = made
        truth += about
    return FixedSet(name, panels, pd.DataFrame(truth))


@dataclass(frozen=True)
class Made:
    """Cadence of a generator, with the attributes of `Drawn`."""

    data: np.ndarray
    label: int
    kind: str
    snr: float
    drift: float
    shape: str


def available_generators() -> list[str]:
    """Names of `GENERATORS` whose packages are installed."""
    return [name for name in GENERATORS if name != "setigen" or importlib.util.find_spec("setigen")]


def draw_of_generator(name: str, seed: int, index: int) -> Made:
    """Draw a cadence of one of `GENERATORS`, half of them needles."""
    rng = np.random.default_rng([seed, list(GENERATORS).index(name), index])
    kind = NEEDLE if index % 2 else str(rng.choice(KINDS[1:], p=OTHERS))
    data, contents = GENERATORS[name](rng, kind, LIMITS)
    return Made(data, int(kind == NEEDLE), kind, contents.snr, contents.drift, contents.shape)


def in_float16(data: np.ndarray) -> np.ndarray:
    """Bring panels of other types into float16, each standardised, which whitening undoes."""
    if data.dtype == np.float16:
        return data
    data = data.astype(np.float32)
    middle = data.mean(axis=(1, 2), keepdims=True)
    spread = data.std(axis=(1, 2), keepdims=True)
    return ((data - middle) / np.where(spread > 0, spread, 1)).astype(np.float16)


def _as_it_is(made: tuple) -> tuple:
    return made
