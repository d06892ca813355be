"""Networks over cadences: each batch is read and prepared once, and every network and every flip looks at it.

On a CPU each thread takes whole batches, from the file to the probabilities, and computes on one core: the threads
of one operation would wait for each other, and workers would take the cores away from them. On a GPU workers read, and
the device prepares and computes.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seti.dataloading.dataset import Batch, CadenceDataset
from seti.errors import SetiError
from seti.inference.batch_norm import fold_batch_norm
from seti.models.classifier import CadenceClassifier
from seti.transforms.batch import prepare, to_device
from seti.transforms.panels import Panels
from seti.utils.console import cadence_progress
from seti.utils.device import AUTOCAST, autocast, choose_precision

log = logging.getLogger(__name__)

# With precision=auto, half precision may move no probability of the first batch by more. The largest deviation among
# tens of thousands is about twice that of a batch, and 2e-3 is what a prediction may be off.
TOLERANCE = 1e-3
# Their weights are standardised in every call, which needs all digits, and cast then.
STANDARDISED = (ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame)
CPU_BATCH_BYTES = 4 * 2**20  # of images: more of them fall out of the cache between two layers
GPU_BATCH = 512  # to begin with


def auto_batch_size(dataset: CadenceDataset, device: torch.device) -> int:
    """Cadences a batch: as many as fit on a GPU, halved when they do not; what the cache holds on a CPU."""
    if device.type == "cuda":
        return GPU_BATCH
    height, width = dataset.spec.image_shape
    return int(np.clip(CPU_BATCH_BYTES // (dataset.image_maker.channels * height * width * 4), 4, 32))


@torch.inference_mode()
def predict_probabilities(
    classifiers: Sequence[CadenceClassifier],
    batches: DataLoader,
    device: torch.device,
    precision: str,
    label: str,
    flips: bool = False,
    halve: bool = False,
) -> np.ndarray:
    """Run every classifier over every batch, each cadence being read once.

    Args:
        classifiers: networks that take in the same images; they are left as they are, but for their mode and device.
        batches: of `CadenceDataset`, in any order: the rows are placed by the indices that come with them.
        device: where the networks run.
        precision: one of `seti.utils.device.AUTOCAST`, or `auto`: half precision for the networks whose probabilities
            it does not move by more than `TOLERANCE`.
        label: of the progress bar.
        flips: average the probabilities of a cadence as it is, mirrored in frequency, in time, and in both.
        halve: where a batch does not fit on the device, compute on halves of it.

    Returns:
        `(N, K)` float64 probabilities, a row a cadence of the dataset, a column a classifier.

    Raises:
        SetiError: a probability is not a number, a cadence is damaged, or a batch does not fit on the device.
    """
    dataset = batches.dataset
    probs = np.full((len(dataset), len(classifiers)), np.nan)
    views = Views(dataset, flips)
    networks = [classifier.to(device).eval().backbone for classifier in classifiers]
    ensemble: Ensemble | None = None

    def look(batch: Batch) -> int:
        inputs, _, indices = batch
        probs[indices.numpy()] = ensemble(views(to_device(inputs, device))).numpy()
        return len(indices)

    with cadence_progress() as progress, views.as_needed():
        task = progress.add_task(label, total=len(probs))
        first, others = _first(batches, device)
        example = prepare(to_device(first[0], device), dataset.image_maker)
        ensemble = Ensemble(networks, example, device, precision, halve)
        progress.advance(task, look(first))
        for count in _in_threads(look, others, dataset) if device.type == "cpu" else map(look, others):
            progress.advance(task, count)
    bad = int((~np.isfinite(probs)).any(axis=1).sum())
    if bad:
        msg = (
            f"{label}: the network gives no number for {bad} of {len(probs)} cadences: its weights diverged; "
            "train it again with a lower optimizer.lr"
        )
        raise SetiError(msg)
    return probs


class Ensemble:
    """Trained networks made ready, on one device.

    Args:
        networks: in evaluation mode, on the device; they are left as they are.
        images: the first batch, by which the networks are made ready.
        device: where they are.
        precision: as `predict_probabilities` takes it.
        halve: as `predict_probabilities` takes it.
    """

    def __init__(
        self, networks: Sequence[nn.Module], images: Tensor, device: torch.device, precision: str, halve: bool
    ) -> None:
        self.device = device
        self.halve = halve
        self.at_once = len(images)
        lowest = choose_precision(precision, device)
        folded = [fold_batch_norm(network, _innermost(images[:1])) for network in networks]
        half = AUTOCAST[lowest] is not None
        self.members = [(_cast_once(network, lowest) if half else network, lowest) for network in folded]
        if precision == "auto" and half:
            self._keep_exact(folded, images)

    def __call__(self, views: Iterable[Tensor]) -> Tensor:
        """Average each network's probabilities over some views of the same cadences.

        Args:
            views: `(B, C, H, W)` each.

        Returns:
            `(B, K)` float32, on the host.

        Raises:
            SetiError: the batch does not fit on the device.
        """
        with torch.inference_mode():
            sums, count = 0.0, 0
            for images in views:
                sums, count = sums + self._fitting(images), count + 1
            return (sums / count).cpu()

    def _fitting(self, images: Tensor) -> Tensor:
        while True:
            try:
                return torch.cat([self._probabilities(part) for part in images.split(self.at_once)])
            except torch.OutOfMemoryError as error:
                if not self.halve or self.at_once == 1:
                    msg = (
                        f"{self.device} has no memory left for batches of {self.at_once}: lower data.batch_size"
                        f"{'' if self.at_once > 1 else ', or use device=cpu'}"
                    )
                    raise SetiError(msg) from error
            self.at_once //= 2  # outside of the handler, which would keep the failed step's tensors
            torch.cuda.empty_cache()
            log.info("%s has no memory left for more: going on with batches of %d", self.device, self.at_once)

    def _probabilities(self, images: Tensor) -> Tensor:
        images = _innermost(images)
        return torch.stack([_probability(member, images, self.device) for member in self.members], dim=1)

    def _keep_exact(self, folded: Sequence[nn.Module], images: Tensor) -> None:
        """Compute in float32 what half precision would move too far."""
        given = self([images])
        low, self.members = self.members, [(network, "32") for network in folded]
        moved = (given - self([images])).abs().amax(dim=0)
        exact = [not shift <= TOLERANCE for shift in moved.tolist()]  # NaN is not
        self.members = [full if keep else half for keep, half, full in zip(exact, low, self.members, strict=True)]
        if any(exact):
            log.info(
                "%d of %d networks compute in float32, because %s moves a probability by %.4f (precision=%s insists)",
                *(sum(exact), len(exact), low[0][1], moved.max(), low[0][1]),
            )


class Views:
    """What the networks look at: every cadence as it is, or mirrored as well, as while training.

    Args:
        dataset: what the batches are of.
        flips: also mirrored in frequency, in time, and in both.
    """

    def __init__(self, dataset: CadenceDataset, flips: bool) -> None:
        self.dataset = dataset
        self.flips = flips
        self.layout = dataset.image_maker.layout
        self.from_panels = flips and not (self.layout.mirrors_time and self.layout.mirrors_frequency)

    def __call__(self, inputs: Tensor | Panels) -> Iterator[Tensor]:
        """Make images of a batch, one view after the other."""
        maker = self.dataset.image_maker
        images = prepare(inputs, maker)
        yield images
        if not self.flips:
            return
        yield self._mirrored_in_frequency(inputs, images)
        if self.layout.mirrors_time:
            images = images.flip(-2)
        else:
            inputs = inputs.mirrored_in_time(self.layout.panels)
            images = prepare(inputs, maker)
        yield images
        yield self._mirrored_in_frequency(inputs, images)

    def _mirrored_in_frequency(self, inputs: Tensor | Panels, images: Tensor) -> Tensor:
        if self.layout.mirrors_frequency:
            return images.flip(-1)
        return prepare(inputs.mirrored_in_frequency(), self.dataset.image_maker)

    @contextmanager
    def as_needed(self) -> Iterator[None]:
        """Let the dataset hand over panels while these views need them."""
        before = self.dataset.on_device
        self.dataset.on_device = before or self.from_panels
        try:
            yield
        finally:
            self.dataset.on_device = before


def _probability(member: tuple[nn.Module, str], images: Tensor, device: torch.device) -> Tensor:
    network, precision = member
    with autocast(precision, device):
        return network(images).float().sigmoid()


def _cast_once(network: nn.Module, precision: str) -> nn.Module:
    """A copy with the weights cast that autocast would cast in every call."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(module, STANDARDISED):
            module.to(AUTOCAST[precision])
    return network


def _innermost(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _first(batches: DataLoader, device: torch.device) -> tuple[Batch, Iterator]:
    """The first batch, and what is left: batches, or on a CPU the indices of each."""
    if device.type != "cpu":
        left = iter(batches)
        return next(left), left
    left = iter(batches.batch_sampler)
    return batches.dataset.__getitems__(next(left)), left


def _in_threads(look: Callable[[Batch], int], batches: Iterable[list[int]], dataset: CadenceDataset) -> Iterator[int]:
    """Load and look at batches, a core each, in the order that they come in."""
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(lambda indices: look(dataset.__getitems__(indices)), batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
        cv2.setNumThreads(of_opencv)
