"""Cadences as pictures, one by one and in batches, or as panels for the device to make pictures of."""

from dataclasses import asdict, dataclass
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from seti import interruption
from seti.augment import Picture
from seti.cadence import PANEL_CHOICES
from seti.preparation import Panels
from seti.store import Store, open_store


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

    def picture(self, augment: dict[str, Any] | None = None) -> Picture:
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


Batch = tuple[Tensor | Panels, Tensor, Tensor]


class CadenceDataset(Dataset):
    """Cadences of one split as pictures.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        targets: `(N,)`, or None where they are not known.
        spec: what the network takes in.
        augment: the training transforms, or None.
        packed, pack_dir: as `seti.store.open_store`.
        on_device: batches hold panels, of which `seti.preparation` makes pictures where the network runs.
        opened: the same ids, where they are open already: to open a large pack takes a while.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        ids: np.ndarray,
        targets: np.ndarray | None,
        spec: InputSpec,
        augment: dict[str, Any] | None = None,
        packed: str = "auto",
        pack_dir: str | None = None,
        on_device: bool = False,
        opened: Store | None = None,
    ) -> None:
        size = spec.rows, spec.bins
        if opened is None or (opened.rows, opened.bins) != size:  # another size is refused by name
            opened = open_store(root, split, ids, PANEL_CHOICES[spec.panels], *size, packed=packed, pack_dir=pack_dir)
        self.store = opened
        self.targets = np.full(len(ids), np.nan, np.float32) if targets is None else np.asarray(targets, np.float32)
        self.spec = spec
        self.picture = spec.picture(augment)
        self.on_device = on_device

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` text."""
        return self.store.ids

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, np.float32, int]:
        """Load one cadence as a picture.

        Args:
            item: an index, or `(index, seed)` where the seed draws the transforms (see `EpochSampler`).

        Returns:
            Picture `(C, H, W)` float32, target (NaN where unknown), index.

        Raises:
            SetiError: the file is damaged or of another shape than the data set's.
        """
        index, seed = _split(item)
        return torch.from_numpy(self.picture(self.store.read(index), seed)), self.targets[index], index

    def __getitems__(self, items: list[int | tuple[int, int]]) -> Batch:
        """Load a batch, each cadence straight to its place in it.

        Args:
            items: as `__getitem__` takes them.

        Returns:
            Pictures `(B, C, H, W)` float32, or panels where the device makes the pictures; targets `(B,)`, NaN where
            unknown; indices `(B,)`.

        Raises:
            SetiError: a file is damaged or of another shape than the data set's.
        """
        indices, seeds = zip(*map(_split, items), strict=True)
        inputs = self._panels(indices, seeds) if self.on_device else self._pictures(indices, seeds)
        return inputs, torch.from_numpy(self.targets[list(indices)]), torch.tensor(indices)

    def _pictures(self, indices: tuple[int, ...], seeds: tuple[int | None, ...]) -> Tensor:
        pictures = _empty((len(indices), *self.picture.shape(self.spec.rows, self.spec.bins)), torch.float32)
        for index, seed, out in zip(indices, seeds, pictures.numpy(), strict=True):
            self.picture(self.store.read(index), seed, out)
        return pictures

    def _panels(self, indices: tuple[int, ...], seeds: tuple[int | None, ...]) -> Panels:
        cadences = [self.store.read(index) for index in indices]
        widest = np.result_type(*{cadence.dtype.newbyteorder("=") for cadence in cadences})
        panels = _empty((len(indices), *cadences[0].shape), torch.from_numpy(np.empty(0, widest)).dtype)
        np.stack(cadences, out=panels.numpy())
        if self.picture.transform is None or seeds[0] is None:
            return Panels(panels, None)
        moves = [self.picture.source(seed, self.spec.rows, self.spec.bins) for seed in seeds]
        return Panels(panels, torch.from_numpy(np.stack(moves)))


def _split(item: int | tuple[int, int]) -> tuple[int, int | None]:
    return item if isinstance(item, tuple) else (item, None)


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if get_worker_info() is not None:
        # Else it would be copied on its way out of the worker's process.
        return torch.empty(shape, dtype=dtype).share_memory_()
    # numpy asks for huge pages: torch's fresh memory takes 3 times as long to be written to.
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype))


def loader(dataset: CadenceDataset, batch_size: int, num_workers: int, **options: Any) -> DataLoader:
    """A DataLoader with the settings that every cadence loader here shares."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        # Else every new iterator would draw from torch's global generator, and a resumed epoch mix up other cadences.
        generator=torch.Generator(),
        # Hydra's joblib launcher makes its own way of starting processes the default, which workers cannot start by.
        multiprocessing_context="fork" if num_workers > 0 and get_start_method(allow_none=True) == "loky" else None,
        **options,
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch  # __getitems__ made it whole


def _start_worker(_: int) -> None:
    interruption.spare_worker()
    # Workers are the parallelism; OpenCV would start a pool of threads in each of them.
    cv2.setNumThreads(0)
