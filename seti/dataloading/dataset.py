"""Cadences as images, one by one and in batches, or as panels for the device to make images of."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_start_method
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from seti.data.cadence import PANEL_LETTERS
from seti.data.sources import CadenceSource
from seti.dataloading.shared_memory import Slots
from seti.errors import SetiError
from seti.transforms.batch import Panels, prepare
from seti.transforms.input_spec import InputSpec
from seti.transforms.panels import Recomposition
from seti.transforms.warp import Move
from seti.utils import shutdown

AT_ONCE = 4  # cadences: the spectra of 8 fall out of a processor's cache

Batch = tuple[Tensor | Panels, Tensor, Tensor]


class CadenceDataset(Dataset):
    """Cadences of a source as images with targets.

    Args:
        source: N cadences, with the panels of `panels_to_read(spec.panels, augment)`.
        targets: `(N,)`, 0 or 1; None where they are not known.
        spec: the network's input.
        augment: the training transforms, or None.
        on_device: batches hold panels, of which `seti.transforms.batch` makes images where the network runs.

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
    ) -> None:
        if (source.rows, source.bins) != (spec.rows, spec.bins):
            msg = (
                f"cadences from {source.description} have panels of {source.rows} x {source.bins}, but the "
                f"network takes in panels of {spec.rows} x {spec.bins}: use cadences of that size, or train again"
            )
            raise SetiError(msg)
        self.recomposition = Recomposition.of(augment) if augment else Recomposition()
        self.source = source
        self.targets = np.full(len(source), np.nan, np.float32) if targets is None else np.asarray(targets, np.float32)
        self.spec = spec
        self.image_maker = spec.image_maker(augment)
        self.on_device = on_device

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` text."""
        return self.source.ids

    @property
    def most_bytes(self) -> int:
        """Of one cadence in a batch, as an image or, of floats of 4 bytes, as panels."""
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
        # One after the other: while a cadence is in the processor's cache, its image is made.
        cadences = (self._load(*_split(item)) for item in items)
        if on_device:
            inputs, targets = self._panels(list(cadences), _empty)
        else:
            inputs = _empty((len(items), *self.image_maker.shape(self.spec.rows, self.spec.bins)), torch.float32)
            targets = (self._draw_by_batch if self.image_maker.by_batch else self._draw)(cadences, inputs)
        indices = torch.tensor([_split(item)[0] for item in items])
        return inputs, torch.tensor(targets, dtype=torch.float32), indices

    def _load(self, index: int, seed: int | None) -> "_Loaded":
        """Read a cadence, put it together again where that is wanted, and pick the panels that the network sees."""
        cadence, numbers, target = self.source.read(index), self.source.panels, float(self.targets[index])
        cadence = cadence.astype(cadence.dtype.newbyteorder("="), copy=False)  # torch knows no other order of bytes
        now = np.array(numbers)
        if seed is not None and self.recomposition.changes:
            cadence, now, target = self.recomposition(cadence, numbers, target, seed)
        if numbers != self.image_maker.numbers:
            places = [numbers.index(number) for number in self.image_maker.numbers]
            cadence, now = cadence[places], now[places]
        return _Loaded(seed, cadence, now, target)

    def _draw(self, cadences: Iterable["_Loaded"], images: Tensor) -> list[float]:
        """Make images in their places; gives the targets."""
        targets = []
        for cadence, out in zip(cadences, images.numpy(), strict=True):
            panels = cadence.panels
            if self.image_maker.normalisation.changes:
                panels = self.image_maker.normalisation(torch.from_numpy(panels)[None])[0].numpy()
            self.image_maker(panels, cadence.seed, out)
            targets.append(cadence.target)
        return targets

    def _draw_by_batch(self, cadences: Iterable["_Loaded"], images: Tensor) -> list[float]:
        """The same where images are made of several cadences at once: of few, which stay in the cache."""
        targets = []
        for part in images.split(AT_ONCE):
            panels, some = self._panels(list(islice(cadences, len(part))), _plain_empty)
            part.copy_(prepare(panels, self.image_maker))
            targets += some
        return targets

    def _panels(
        self, cadences: list["_Loaded"], empty: Callable[[tuple[int, ...], torch.dtype], Tensor]
    ) -> tuple[Panels, list[float]]:
        targets, seeds = ([getattr(cadence, name) for cadence in cadences] for name in ("target", "seed"))
        moved = self.image_maker.transform is not None and seeds[0] is not None
        if not self.image_maker.by_batch:
            moves = [self.image_maker.source(seed, self.spec.rows, self.spec.bins) for seed in seeds] if moved else None
            panels = _stacked(cadences, empty)
            return Panels(panels, None if moves is None else torch.from_numpy(np.stack(moves))), targets
        if moved:
            # Before the transform, which aligns panels by the time they were observed at.
            cadences = [cadence.mirrored(self.image_maker.draw(cadence.seed, 1, 1)) for cadence in cadences]
        numbers = torch.from_numpy(np.stack([cadence.numbers for cadence in cadences]).astype(np.float32))
        gaps = None if seeds[0] is None else torch.tensor([self.image_maker.fan.draw_gap(seed) for seed in seeds])
        return Panels(_stacked(cadences, empty), None, numbers, gaps), targets


@dataclass(frozen=True)
class _Loaded:
    """A cadence on its way into a batch.

    Attributes:
        seed: as it was asked for.
        panels: `(panels, rows, bins)` in any precision.
        numbers: `(panels,)`: which of the six each one is.
        target: 0, 1 or NaN.
    """

    seed: int | None
    panels: np.ndarray
    numbers: np.ndarray
    target: float

    def mirrored(self, move: Move) -> "_Loaded":
        """Mirror it; in time that is the whole cadence, of which the last panel then comes first."""
        panels, numbers = self.panels, self.numbers
        if move.flip_frequency:
            panels = panels[:, :, ::-1]
        if move.flip_time:
            panels, numbers = panels[:, ::-1], len(PANEL_LETTERS) - 1 - numbers
        return replace(self, panels=panels, numbers=numbers)


def _stacked(cadences: list[_Loaded], empty: Callable[[tuple[int, ...], torch.dtype], Tensor]) -> Tensor:
    widest = np.result_type(*{cadence.panels.dtype for cadence in cadences})
    panels = empty((len(cadences), *cadences[0].panels.shape), torch.from_numpy(np.empty(0, widest)).dtype)
    np.stack([cadence.panels for cadence in cadences], out=panels.numpy())
    return panels


def _split(item: int | tuple[int, int]) -> tuple[int, int | None]:
    return item if isinstance(item, tuple) else (item, None)


def _plain_empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    # numpy asks for huge pages: torch's fresh memory takes 3 times as long to be written to.
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype))


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """For what leaves this process where it is a worker: else it would be copied on its way out."""
    worker = get_worker_info()
    if worker is None:
        return _plain_empty(shape, dtype)
    place = None if _slots is None else _slots.take(worker.id, shape, dtype)
    return torch.empty(shape, dtype=dtype).share_memory_() if place is None else place


def loader(dataset: CadenceDataset, batch_size: int, num_workers: int, **options: Any) -> DataLoader:
    """A DataLoader with the settings that every cadence loader here shares."""
    # Hydra's joblib launcher makes its own way of starting processes the default, which workers cannot start by.
    method = get_start_method()
    context = "fork" if num_workers > 0 and method == "loky" else None
    forks = num_workers > 0 and "fork" in (context, method)
    slots = Slots.for_batches(num_workers, batch_size * dataset.most_bytes) if forks else None
    return DataLoader(
        dataset,
        batch_size=batch_size,
        collate_fn=_as_it_is if slots is None else partial(_hand_over, slots),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=partial(_start_worker, slots),
        # Else every new iterator would draw from torch's global generator, and a resumed epoch mix up other cadences.
        generator=torch.Generator(),
        multiprocessing_context=context,
        **options,
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch  # __getitems__ made it whole


def _hand_over(slots: Slots, batch: Batch) -> tuple:
    inputs, targets, indices = batch
    sent = Panels(*map(slots.hand_over, inputs)) if isinstance(inputs, Panels) else slots.hand_over(inputs)
    return sent, slots.hand_over(targets), slots.hand_over(indices)


_slots: Slots | None = None  # of this process, where it is a worker


def _start_worker(slots: Slots | None, _: int) -> None:
    global _slots
    _slots = slots
    shutdown.ignore_signals_in_worker()
    # Workers are the parallelism; OpenCV would start a pool of threads in each of them.
    cv2.setNumThreads(0)
