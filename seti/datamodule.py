"""The LightningDataModule: cadences of one fold, as pictures, in batches."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from seti import catalog
from seti.augment import Picture
from seti.cadence import PANEL_CHOICES, read_cadence
from seti.errors import SetiError
from seti.experiment import fingerprint


@dataclass(frozen=True)
class InputSpec:
    """What the network takes in: kept in every checkpoint, so that prediction prepares cadences as training did.

    Attributes:
        panels, layout, image_size, interpolation: as the settings of the same names.
        rows, bins: of every panel on disk.
    """

    panels: str
    layout: str
    image_size: list[int] | None
    interpolation: str
    rows: int
    bins: int

    def picture(self, augment: dict[str, float] | None = None) -> Picture:
        """What turns panels into the network's pictures."""
        return Picture(self.panels, self.layout, self.image_size, self.interpolation, augment)

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        if self.image_size is not None:
            return self.image_size[0], self.image_size[1]
        stacked = len(PANEL_CHOICES[self.panels]) if self.layout == "spatial" else 1
        return self.rows * stacked, self.bins

    def plain(self) -> dict[str, Any]:
        """As a dict of plain values, for a checkpoint."""
        return asdict(self)


class CadenceDataset(Dataset):
    """Cadences of one split as pictures.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        targets: `(N,)`, or None where they are not known.
        spec: what the network takes in.
        augment: the training transforms, or None.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        ids: np.ndarray,
        targets: np.ndarray | None,
        spec: InputSpec,
        augment: dict[str, float] | None = None,
    ) -> None:
        self.root = root
        self.split = split
        self.ids = np.asarray(ids, dtype=np.str_)  # one block of memory: a list would be copied into every worker
        self.targets = np.full(len(ids), np.nan, np.float32) if targets is None else np.asarray(targets, np.float32)
        self.spec = spec
        self.picture = spec.picture(augment)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[torch.Tensor, np.float32, int]:
        """Load one cadence.

        Args:
            item: an index, or `(index, seed)` where the seed draws the transforms (see `EpochSampler`).

        Returns:
            Picture `(C, H, W)` float32, target (NaN where unknown), index.

        Raises:
            SetiError: the file is damaged or of another shape than the data set's.
        """
        index, seed = item if isinstance(item, tuple) else (item, None)
        path = catalog.cadence_path(self.root, self.split, str(self.ids[index]))
        cadence = read_cadence(path, PANEL_CHOICES[self.spec.panels])
        if cadence.shape[1:] != (self.spec.rows, self.spec.bins):
            msg = (
                f"cadence {path} has panels of {cadence.shape[1]} x {cadence.shape[2]}, the others have "
                f"{self.spec.rows} x {self.spec.bins}: remove or replace the file"
            )
            raise SetiError(msg)
        return torch.from_numpy(self.picture(cadence, seed)), self.targets[index], index


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffle anew every epoch, and hand each cadence the seed of its transforms.

    The order and the seeds follow from `(seed, epoch)` alone. So they do not depend on the number of workers, no
    two workers can draw the same transforms, and a resumed run goes on exactly as the uninterrupted one.

    Args:
        targets: `(N,)`, 0 or 1.
        seed: a sequence of integers that tells this run from others.
        balanced: draw, with replacement, as many positives as negatives.
    """

    def __init__(self, targets: np.ndarray, seed: tuple[int, ...], balanced: bool) -> None:
        self.targets = targets
        self.seed = seed
        self.balanced = balanced
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([*self.seed, self.epoch])
        n = len(self.targets)
        if self.balanced:
            positive = self.targets == 1
            weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
            order = rng.choice(n, size=n, p=weight)
        else:
            order = rng.permutation(n)
        seeds = rng.integers(2**31, size=n)
        return zip(order.tolist(), seeds.tolist(), strict=True)


class CadenceDataModule(pl.LightningDataModule):
    """Training and validation cadences of one fold.

    Args:
        data: the `data` settings as plain values.
        augment: the `augment` settings as plain values.
        fold: which fold is held out.
        seed: of the shuffling and the transforms.

    Raises:
        SetiError: on use, when the data set is missing, damaged or too small; see `seti.catalog`.
    """

    def __init__(self, data: dict[str, Any], augment: dict[str, float], fold: int, seed: int) -> None:
        super().__init__()
        self.data = data
        self.augment = augment
        self.fold = fold
        self.seed = seed
        self.first_epoch = 0  # of this run; a resumed one begins later
        self.root = Path(data["root"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Columns id, target, fold: every labelled cadence, sorted by id."""
        labels = catalog.read_labels(self.root)
        catalog.check_files(self.root, "train", labels["id"])
        folds = catalog.assign_folds(labels["target"].to_numpy(), self.data["n_folds"], self.data["fold_seed"])
        return labels.assign(fold=folds)

    @cached_property
    def fingerprint(self) -> str:
        """Tells this label table from others."""
        return fingerprint(self.table)

    @cached_property
    def spec(self) -> InputSpec:
        """What the network takes in; rows and bins are those of the first cadence."""
        first = catalog.cadence_path(self.root, "train", self.table["id"].iloc[0])
        _, rows, bins = read_cadence(first).shape
        chosen = {key: self.data[key] for key in ("panels", "layout", "image_size", "interpolation")}
        return InputSpec(**chosen, rows=rows, bins=bins)

    @cached_property
    def train_set(self) -> CadenceDataset:
        """Cadences of the other folds, transformed."""
        return self._dataset(self.table[self.table["fold"] != self.fold], self.augment)

    @cached_property
    def val_set(self) -> CadenceDataset:
        """Cadences of the held-out fold, as they are."""
        return self._dataset(self.table[self.table["fold"] == self.fold], None)

    def _dataset(self, table: pd.DataFrame, augment: dict[str, float] | None) -> CadenceDataset:
        return CadenceDataset(
            self.root, "train", table["id"].to_numpy(), table["target"].to_numpy(), self.spec, augment
        )

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches of `(pictures, targets, indices)`; a last batch of one is dropped.

        Batch normalisation cannot train on one picture, nor mixup blend it.
        """
        sampler = EpochSampler(self.train_set.targets, (self.seed, self.fold), self.data["balanced"])
        # Lightning sets the epoch after it has begun to iterate, when workers have loaded the first batches already.
        sampler.set_epoch(self.first_epoch)
        size = self.data["batch_size"]
        alone = len(self.train_set) % size == 1 and len(self.train_set) > size
        return loader(self.train_set, size, self.data["num_workers"], sampler=sampler, drop_last=alone)

    def val_dataloader(self) -> DataLoader:
        """Batches of the held-out fold, in the table's order."""
        return loader(self.val_set, self.data["batch_size"], self.data["num_workers"])


def loader(dataset: CadenceDataset, batch_size: int, num_workers: int, **options: Any) -> DataLoader:
    """A DataLoader with the settings that every cadence loader here shares."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_single_thread,
        # Else every new iterator would draw from torch's global generator, and a resumed epoch mix up other cadences.
        generator=torch.Generator(),
        # Hydra's joblib launcher makes its own way of starting processes the default, which workers cannot start by.
        multiprocessing_context="fork" if num_workers > 0 and get_start_method(allow_none=True) == "loky" else None,
        **options,
    )


def _single_thread(_: int) -> None:
    # Workers are the parallelism; OpenCV would start a pool of threads in each of them.
    cv2.setNumThreads(0)
