"""Dataset of cadences: images with targets, or panels of which the device makes images."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seti.data.sources import CadenceSource
from seti.data.splits import INSTEAD
from seti.dataloading.shared_memory import new_tensor
from seti.dataloading.uncleaned import Uncleaned
from seti.errors import SetiError
from seti.transforms.batch import fill, hand_over
from seti.transforms.input_spec import InputSpec
from seti.transforms.panel_augmentation import PanelAugmentation
from seti.transforms.panels import Cadence, Panels
from seti.transforms.views import View

Batch = tuple[Tensor | Panels, Tensor, Tensor]


class CadenceDataset(Dataset):
    """Cadences of a source as images with targets.

    Args:
        source: N cadences, with the panels of `panels_to_read(spec.panels, augment)`.
        targets: `(N,)`, 0 or 1; None where they are not known.
        spec: the network's input.
        augment: the training transforms, or None.
        on_device: batches hold panels, of which `seti.transforms.batch` makes images where the network runs.
        uncleaned: the same cadences before they were cleaned, drawn in training; None draws none.

    Raises:
        SetiError: the source's panels have another size than the network's input is made from.
    """

    def __init__(
        self,
        source: CadenceSource,
        targets: np.ndarray | None,
        spec: InputSpec,
        augment: dict[str, Any] | None = None,
        on_device: bool = False,
        uncleaned: Uncleaned | None = None,
    ) -> None:
        if (source.rows, source.bins) != (spec.rows, spec.bins):
            msg = (
                f"cadences from {source.description} have panels of {source.rows} x {source.bins}, but the "
                f"network takes in panels of {spec.rows} x {spec.bins}: use cadences of that size, or train again"
            )
            raise SetiError(msg)
        self.panel_augmentation = PanelAugmentation.of(augment) if augment else PanelAugmentation()
        self.source = source
        self.targets = np.full(len(source), np.nan, np.float32) if targets is None else np.asarray(targets, np.float32)
        self.spec = spec
        self.image_maker = spec.image_maker(augment)
        self.on_device = on_device
        self.uncleaned = uncleaned
        self.kept_from: int | None = None  # place of the first cadence among those kept on the device; None: none are

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` text."""
        return self.source.ids

    @property
    def most_bytes(self) -> int:
        """Largest size of one cadence in a batch: as an image, or as panels of 4-byte floats."""
        images = self.image_maker.shape(self.spec.rows, self.spec.bins)
        return 4 * max(math.prod(images), len(self.image_maker.numbers) * self.spec.rows * self.spec.bins)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, np.float32, int]:
        """Load one cadence as an image.

        Args:
            item: an index, or `(index, seed)` where the seed draws the transforms (see `EpochSampler`).

        Returns:
            Image `(C, H, W)` float32, target (NaN where unknown), index.

        Raises:
            SetiError: the file is damaged or of another shape than the data set's.
        """
        inputs, targets, indices = self._batch([item], on_device=False)
        return inputs[0], np.float32(targets[0]), int(indices[0])

    def __getitems__(self, items: list[int | tuple[int, int]]) -> Batch:
        """Load a batch, each cadence straight to its place in it.

        Args:
            items: as `__getitem__` takes them.

        Returns:
            Images `(B, C, H, W)` float32, or panels where the device makes the images; targets `(B,)`, NaN where
            unknown; indices `(B,)`.

        Raises:
            SetiError: a file is damaged or of another shape than the data set's.
        """
        return self._batch(items, self.on_device)

    def _batch(self, items: list[int | tuple[int, int]], on_device: bool) -> Batch:
        # One by one: an image is made while its cadence is in the processor's cache.
        cadences = (self._load(*_split(item)) for item in items)
        if on_device:
            loaded = list(cadences if self.kept_from is None else map(self._view_or_load, items))
            inputs, targets = hand_over(loaded, self.image_maker, new_tensor), [cadence.target for cadence in loaded]
        else:
            inputs = new_tensor((len(items), *self.image_maker.shape(self.spec.rows, self.spec.bins)), torch.float32)
            targets = fill(inputs, cadences, self.image_maker)
        indices = torch.tensor([_split(item)[0] for item in items])
        return inputs, torch.tensor(targets, dtype=torch.float32), indices

    def _read(self, index: int, seed: int | None) -> np.ndarray:
        if seed is not None and self.uncleaned is not None and self.uncleaned.is_drawn(seed):
            return self.uncleaned.source.read(index)
        try:
            return self.source.read(index)
        except SetiError as error:
            if not str(error).endswith("replace the file"):
                raise
            msg = f"{error}{INSTEAD}"
            raise SetiError(msg) from error

    def _view_or_load(self, item: int | tuple[int, int]) -> Cadence:
        return self._view(*_split(item)) or self._load(*_split(item))

    def _view(self, index: int, seed: int | None) -> Cadence | None:
        """View a cadence that is kept on the device, unless its values change in training."""
        if seed is not None and self.uncleaned is not None and self.uncleaned.is_drawn(seed):
            return None
        numbers, target = self.source.panels, float(self.targets[index])
        view = View.whole(self.kept_from + index, (len(numbers), self.source.rows, self.source.bins))
        now = np.array(numbers)
        if seed is not None and self.panel_augmentation.changes:
            augmented = self.panel_augmentation.view(view, numbers, target, seed)
            if augmented is None:
                return None
            view, now, target = augmented
        if numbers != self.image_maker.numbers:
            places = [numbers.index(number) for number in self.image_maker.numbers]
            view, now = view.pick(places), now[places]
        return Cadence(seed, view, now, target)

    def _load(self, index: int, seed: int | None) -> Cadence:
        """Read a cadence, augment its panels in training, and pick those that the network sees."""
        cadence, numbers, target = self._read(index, seed), self.source.panels, float(self.targets[index])
        cadence = cadence.astype(cadence.dtype.newbyteorder("="), copy=False)  # torch has native byte order only
        now = np.array(numbers)
        if seed is not None and self.panel_augmentation.changes:
            given = cadence.dtype
            cadence, now, target = self.panel_augmentation(cadence, numbers, target, seed)
            if self.on_device:
                cadence = _as_stored(cadence, given)
        if numbers != self.image_maker.numbers:
            places = [numbers.index(number) for number in self.image_maker.numbers]
            cadence, now = cadence[places], now[places]
        return Cadence(seed, cadence, now, target)


def _as_stored(panels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round panels to which signals were added as the files are rounded, where they fit.

    One cadence of float32 would make a whole batch of it, and a GPU waits for the bytes of its batches.
    """
    if panels.dtype == dtype or dtype != np.float16:
        return panels
    rounded = torch.from_numpy(panels).half()
    return panels if rounded.isinf().any() else rounded.numpy()


def _split(item: int | tuple[int, int]) -> tuple[int, int | None]:
    return item if isinstance(item, tuple) else (item, None)
