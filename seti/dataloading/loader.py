"""DataLoaders over a `CadenceDataset`: their shared settings and their workers."""

import logging
import os
import warnings
from functools import cache, partial
from multiprocessing import get_start_method
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from seti.dataloading import shared_memory
from seti.dataloading.dataset import Batch, CadenceDataset
from seti.dataloading.shared_memory import SharedSlots
from seti.transforms.panels import Panels
from seti.utils import shutdown

log = logging.getLogger(__name__)


def make_loader(dataset: CadenceDataset, batch_size: int, num_workers: int, **options: Any) -> DataLoader:
    """Make a DataLoader of batches `(images or panels, targets, indices)`.

    Args:
        dataset: loads whole batches.
        batch_size: cadences in a batch.
        num_workers: processes that load; 0 loads in this one.
        options: more arguments of `DataLoader`; its `batch_sampler` may make smaller batches.
    """
    # Hydra's joblib launcher makes its own start method the default, by which workers cannot be started.
    method = get_start_method()
    context = "fork" if num_workers > 0 and method == "loky" else None
    forks = num_workers > 0 and "fork" in (context, method)
    slots = SharedSlots.for_batches(num_workers, batch_size * dataset.most_bytes) if forks else None
    # torch says so for each loader, and Lightning makes each of them a second time.
    warnings.filterwarnings("ignore", message=".*suggested max number of worker.*")
    _warn_of_workers(num_workers)
    batches = {} if "batch_sampler" in options else {"batch_size": batch_size}
    return DataLoader(
        dataset,
        **batches,
        collate_fn=_unchanged if slots is None else partial(_hand_over, slots),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=partial(_start_worker, slots),
        # Else every new iterator would draw from torch's global generator, and a resumed epoch mix up other cadences.
        generator=torch.Generator(),
        multiprocessing_context=context,
        **options,
    )


@cache
def _warn_of_workers(count: int) -> None:
    """Warn once a process of more workers than cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count > cores:
        log.warning(
            "data.num_workers=%d are more than the %d core%s that this process may use, which is slower than %d",
            *(count, cores, "s" * (cores > 1), cores),
        )


def _unchanged(batch: Batch) -> Batch:
    return batch  # __getitems__ made it whole


def _hand_over(slots: SharedSlots, batch: Batch) -> tuple:
    inputs, targets, indices = batch
    sent = inputs.each_tensor(slots.hand_over) if isinstance(inputs, Panels) else slots.hand_over(inputs)
    return sent, slots.hand_over(targets), slots.hand_over(indices)


def _start_worker(slots: SharedSlots | None, _: int) -> None:
    shared_memory.use_in_worker(slots)
    shutdown.ignore_signals_in_worker()
    # Workers are the parallelism; OpenCV would start a pool of threads in each of them.
    cv2.setNumThreads(0)
