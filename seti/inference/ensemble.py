"""Ensemble prediction: each batch is read and prepared once for all networks and flips.

On a CPU each thread processes whole batches on one core, from file to probabilities; several threads per operation
would wait for each other, and loader workers would compete for the cores. On a GPU workers read files, and the device
prepares images and runs the networks.
"""

import copy
import itertools
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
from seti.models.compiled_network import run_compiled
from seti.transforms.batch import prepare, to_device
from seti.transforms.panels import Panels
from seti.utils.console import cadence_progress
from seti.utils.device import AUTOCAST, autocast, choose_precision
from seti.utils.wording import count

log = logging.getLogger(__name__)

# With precision=auto, the largest change of a probability in the first batch that half precision may cause. The largest
# among tens of thousands of cadences is about twice that of a batch, and predictions may be off by 2e-3.
TOLERANCE = 1e-3
# These standardise their weights in every call, in float32, and cast them only then.
STANDARDISED = (ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame)
CPU_BATCH_BYTES = 4 * 2**20  # of images; larger batches are evicted from the cache between layers
# Initial batch size, halved if it does not fit. Five folds of EfficientNet-B1 on an H100: 549 cadences/s, and 403 with
# 512, where cuDNN changes the layout of every input first.
GPU_BATCH = 256
# Cadences times networks from which compiling pays: it takes 30 s once for all folds and doubles the rate (five of
# EfficientNet-B1 on an H100: 1,105 cadences/s instead of 549).
WORTHWHILE = 150_000


def auto_batch_size(dataset: CadenceDataset, device: torch.device) -> int:
    """Choose a batch size: large on a GPU, where it is halved as needed; by cache on a CPU."""
    if device.type == "cuda":
        return GPU_BATCH
    height, width = dataset.spec.image_shape
    return int(np.clip(CPU_BATCH_BYTES // (dataset.image_maker.channels * height * width * 4), 4, 32))


def worth_compiling(choice: str, device: torch.device, cadences: int, networks: int, flips: bool) -> bool:
    """Resolve `compile` of the prediction settings: auto, true or false.

    Args:
        choice: of the user.
        device: that predicts; auto never compiles on a CPU.
        cadences: number of them in the whole data set, so that shards compute as one command does.
        networks: number of them.
        flips: each cadence is seen in four views.
    """
    runs = cadences * networks * (4 if flips else 1)
    return choice == "true" or (choice == "auto" and device.type == "cuda" and runs >= WORTHWHILE)


@torch.inference_mode()
def predict_probabilities(
    classifiers: Sequence[CadenceClassifier],
    batches: DataLoader,
    device: torch.device,
    precision: str,
    label: str,
    flips: bool = False,
    halve: bool = False,
    lead: CadenceDataset | None = None,
    progressed: Callable[[np.ndarray], None] | None = None,
    compiled: bool = False,
    ensemble: "Ensemble | None" = None,
    whole: int | None = None,
) -> np.ndarray:
    """Predict every cadence with every classifier, reading each cadence once.

    Args:
        classifiers: classifiers with one input spec; only their mode and device change.
        batches: loader of a `CadenceDataset` in any order; rows are placed by the indices in the batches.
        device: the device to run on.
        precision: one of `seti.utils.device.AUTOCAST`, or `auto`: half precision for each network whose probabilities
            it changes by at most `TOLERANCE`.
        label: label of the progress bar.
        flips: average over each cadence as it is, mirrored in frequency, in time, and in both.
        halve: halve batches that do not fit on the device.
        lead: a batch with which the networks are prepared, where the first one is not that of the whole data set.
        progressed: called after each batch with the probabilities so far, `(n, K)`, where batches are in order.
        compiled: compile the networks, see `worth_compiling`.
        ensemble: the classifiers' networks, where they are prepared already.
        whole: number of cadences that several processes predict together; the progress bar counts all of them, at the
            pace of this process.

    Returns:
        `(N, K)` float64 probabilities, one row per cadence of the dataset and one column per classifier.

    Raises:
        SetiError: a probability is not finite, a cadence is damaged, or a batch does not fit on the device.
    """
    dataset = batches.dataset
    probs = np.full((len(dataset), len(classifiers)), np.nan)
    views = MirroredViews(dataset, flips)
    networks = [classifier.to(device).eval().backbone for classifier in classifiers]

    def predict_batch(batch: Batch) -> int:
        inputs, _, indices = batch
        probs[indices.numpy()] = ensemble(views(to_device(inputs, device))).numpy()
        return len(indices)

    with cadence_progress() as progress, views.panels_if_needed():
        task = progress.add_task(label, total=whole or len(probs))
        first, others = _split_first(batches, device)
        if ensemble is None:
            leading = first if lead is None else _whole_batch(lead, dataset.on_device)
            example = prepare(to_device(leading[0], device), dataset.image_maker)
            ensemble = Ensemble(networks, example, device, precision, halve, compiled)
        counts = _in_threads(predict_batch, others, dataset) if device.type == "cpu" else map(predict_batch, others)
        done = 0
        for count in itertools.chain([predict_batch(first)], counts):
            done += count
            progress.update(task, completed=done * (whole or len(probs)) // len(probs))
            if progressed is not None:
                progressed(probs[:done])
    bad = np.flatnonzero((~np.isfinite(probs)).any(axis=1))
    if len(bad):
        raise SetiError(_not_finite(label, dataset, bad))
    return probs


class Ensemble:
    """Trained networks prepared for fast prediction on one device.

    Args:
        networks: networks in evaluation mode on the device, which are not modified.
        images: `(B, C, H, W)`, the first batch, used to fold batch normalisation and to choose precisions.
        device: the networks' device.
        precision: as for `predict_probabilities`.
        halve: as for `predict_probabilities`.
        compiled: as for `predict_probabilities`.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        images: Tensor,
        device: torch.device,
        precision: str,
        halve: bool,
        compiled: bool = False,
    ) -> None:
        self.device = device
        self.halve = halve
        self.chunk_size = len(images)
        self.compiled = compiled
        lowest = choose_precision(precision, device)
        folded = [fold_batch_norm(network, _channels_last(images[:1])) for network in networks]
        half = AUTOCAST[lowest] is not None
        self.members = [(_cast_once(network, lowest) if half else network, lowest) for network in folded]
        if precision == "auto" and half:
            self._choose_precisions(folded, images)

    def __call__(self, views: Iterable[Tensor]) -> Tensor:
        """Average each network's probabilities over several views of the same cadences.

        Args:
            views: `(B, C, H, W)` images each.

        Returns:
            `(B, K)` float32 probabilities on the host.

        Raises:
            SetiError: the batch does not fit on the device.
        """
        with torch.inference_mode():
            sums, count = 0.0, 0
            for images in views:
                sums, count = sums + self._in_chunks(images), count + 1
            return (sums / count).cpu()

    def _in_chunks(self, images: Tensor) -> Tensor:
        while True:
            try:
                return torch.cat([self._probabilities(part) for part in images.split(self.chunk_size)])
            except torch.OutOfMemoryError as error:
                if not self.halve or self.chunk_size == 1:
                    msg = (
                        f"{self.device} is out of memory with batches of {self.chunk_size}: lower data.batch_size"
                        f"{'' if self.chunk_size > 1 else ', or use device=cpu'}"
                    )
                    raise SetiError(msg) from error
            self.chunk_size //= 2  # outside the handler, which would keep the failed step's tensors alive
            torch.cuda.empty_cache()
            log.info("%s is out of memory: continuing with batches of %d", self.device, self.chunk_size)

    def _probabilities(self, images: Tensor) -> Tensor:
        images = _channels_last(images)
        compiled = self.compiled and len(images) == self.chunk_size  # a smaller last batch would be compiled by itself
        return torch.stack([_probability(member, images, self.device, compiled) for member in self.members], dim=1)

    def _choose_precisions(self, folded: Sequence[nn.Module], images: Tensor) -> None:
        """Run networks in float32 if half precision changes a probability beyond `TOLERANCE`."""
        given = self([images])
        low, self.members = self.members, [(network, "32") for network in folded]
        compiled, self.compiled = self.compiled, False  # for one batch it would take longer
        moved = (given - self([images])).abs().amax(dim=0)
        self.compiled = compiled
        exact = [not shift <= TOLERANCE for shift in moved.tolist()]  # negated, so that NaN counts as too much
        self.members = [full if keep else half for keep, half, full in zip(exact, low, self.members, strict=True)]
        if any(exact) and moved.isfinite().all():  # else an error follows
            log.info(
                "%d of %s %s in float32, because %s changes a probability by %.4f (precision=%s forces it)",
                *(sum(exact), count(len(exact), "network"), "runs" if sum(exact) == 1 else "run"),
                *(low[0][1], moved.max(), low[0][1]),
            )


class MirroredViews:
    """Test-time augmentation: images of each cadence as it is and, optionally, mirrored.

    Args:
        dataset: the dataset that the batches come from.
        flips: also mirror in frequency, in time, and in both.
    """

    def __init__(self, dataset: CadenceDataset, flips: bool) -> None:
        self.dataset = dataset
        self.flips = flips
        self.layout = dataset.image_maker.layout
        self.from_panels = flips and not (self.layout.mirrors_time and self.layout.mirrors_frequency)

    def __call__(self, inputs: Tensor | Panels) -> Iterator[Tensor]:
        """Yield the images of a batch, one view after the other."""
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
    def panels_if_needed(self) -> Iterator[None]:
        """Let the dataset return panels instead of images in this block, if the views need them."""
        before = self.dataset.on_device
        self.dataset.on_device = before or self.from_panels
        try:
            yield
        finally:
            self.dataset.on_device = before


def _not_finite(label: str, dataset: CadenceDataset, bad: np.ndarray) -> str:
    """Message about cadences that got no number, for bad values or bad weights."""
    many = f"{len(bad)} of {count(len(dataset), 'cadence')}"
    if not dataset[int(bad[0])][0].isfinite().all():
        first = dataset.ids[bad[0]]
        return (
            f"{label}: the values of {many} are too large or too small for data.normalise={dataset.spec.normalise} in "
            f"32-bit floats, first {first}: scale them to a deviation near 1"
        )
    return (
        f"{label}: the network's output is not finite for {many}: its weights diverged; train it again with a lower "
        "optimizer.lr"
    )


def _probability(member: tuple[nn.Module, str], images: Tensor, device: torch.device, compiled: bool) -> Tensor:
    network, precision = member
    with autocast(precision, device):
        logits = run_compiled(network, images) if compiled else network(images)
        return logits.float().sigmoid()


def _cast_once(network: nn.Module, precision: str) -> nn.Module:
    """Copy a network with its weights already cast, which autocast would do in every call."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(module, STANDARDISED):
            module.to(AUTOCAST[precision])
    return network


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _split_first(batches: DataLoader, device: torch.device) -> tuple[Batch, Iterator]:
    """Load the first batch; return it with an iterator of the others (on a CPU, their indices)."""
    if device.type != "cpu":
        left = iter(batches)
        return next(left), left
    left = iter(batches.batch_sampler)
    return batches.dataset.__getitems__(next(left)), left


def _whole_batch(dataset: CadenceDataset, on_device: bool) -> Batch:
    dataset.on_device = on_device
    return dataset.__getitems__(list(range(len(dataset))))


def _in_threads(work: Callable[[Batch], int], batches: Iterable[list[int]], dataset: CadenceDataset) -> Iterator[int]:
    """Load and process batches in order, one core per batch."""
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(lambda indices: work(dataset.__getitems__(indices)), batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
        cv2.setNumThreads(of_opencv)
