"""Cadences as pictures, one by one and in batches."""

from dataclasses import asdict, dataclass
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from seti.augment import Picture
from seti.cadence import PANEL_CHOICES
from seti.store import open_store


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
        packed, pack_dir: as `seti.store.open_store`.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        ids: np.ndarray,
        targets: np.ndarray | None,
        spec: InputSpec,
        augment: dict[str, float] | None = None,
        packed: str = "auto",
        pack_dir: str | None = None,
    ) -> None:
        self.store = open_store(
            root, split, ids, PANEL_CHOICES[spec.panels], spec.rows, spec.bins, packed=packed, pack_dir=pack_dir
        )
        self.targets = np.full(len(ids), np.nan, np.float32) if targets is None else np.asarray(targets, np.float32)
        self.spec = spec
        self.picture = spec.picture(augment)

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` text."""
        return self.store.ids

    def __len__(self) -> int:
        return len(self.store)

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
        return torch.from_numpy(self.picture(self.store.read(index), seed)), self.targets[index], index


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
