"""Prediction by actors of Ray, each of which prepares the networks once."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from seti.config.schema import AUTO
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.inference.ensemble import Ensemble, MirroredViews, predict_probabilities
from seti.models.classifier import CadenceClassifier
from seti.transforms.batch import prepare, to_device
from seti.utils.console import cadence_progress
from seti.utils.device import choose_device, memory_errors
from seti.utils.ray_pool import Cluster

TURN_SECONDS = 15.0  # work of an actor at a time, which is lost if it is killed
SHARES = 3  # turns that are left for each actor at least: all end at about the same time


@dataclass(frozen=True)
class Place:
    """Place where networks run.

    Attributes:
        device: that they run on; of the actors, if there are any.
        cluster: whose actors predict; None: this process does.
    """

    device: torch.device
    cluster: Cluster | None = None

    @classmethod
    def choose(cls, device: str, cluster: Cluster | None) -> "Place":
        """Choose a device here, or that of the cluster's actors.

        Raises:
            SetiError: see `seti.utils.device.choose_device`.
        """
        if cluster is None or not cluster.has_gpus or device.strip().lower() == "cpu":
            return cls(choose_device("cpu" if cluster is not None and device == "auto" else device), cluster)
        return cls(torch.device("cuda"), cluster)


@dataclass
class Predictor:
    """Networks and cadences of one prediction, in an actor.

    Attributes:
        classifiers, dataset, size, precision, flips, halve, compiled: as for
            `seti.inference.ensemble.predict_probabilities`.
        lead: number of cadences of the first batch, with which the networks are prepared.
        workers: processes that read for a GPU.
        device: kind of device, `cpu` or `cuda`.
        threads: cores of the actor.
    """

    classifiers: Sequence[CadenceClassifier]
    dataset: CadenceDataset
    size: int
    lead: int
    device: str
    precision: str
    flips: bool
    halve: bool
    compiled: bool
    workers: int
    threads: int
    _ensemble: Ensemble | None = field(default=None, repr=False)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities of some cadences, `(len(rows), networks)`.

        Raises:
            SetiError: as `seti.inference.ensemble.predict_probabilities`.
        """
        device = torch.device(self.device)
        if self._ensemble is None:
            torch.set_num_threads(self.threads)
            self._ensemble = self._prepared(device)
        loader = make_loader(taken(self.dataset, rows), self.size, self.workers if device.type == "cuda" else 0)
        options = {"flips": self.flips, "halve": self.halve, "ensemble": self._ensemble}
        with memory_errors(f"data.batch_size={self.size}"):
            return predict_probabilities(self.classifiers, loader, device, self.precision, "", **options)

    @torch.inference_mode()
    def _prepared(self, device: torch.device) -> Ensemble:
        """Prepare the networks with the first batch of all, as a prediction in one process does."""
        networks = [classifier.to(device).eval().backbone for classifier in self.classifiers]
        lead = taken(self.dataset, np.arange(self.lead))
        with MirroredViews(lead, self.flips).panels_if_needed():
            inputs, *_ = lead.__getitems__(list(range(self.lead)))
        example = prepare(to_device(inputs, device), self.dataset.image_maker)
        return Ensemble(networks, example, device, self.precision, self.halve, self.compiled)


def taken(dataset: CadenceDataset, rows: np.ndarray) -> CadenceDataset:
    """Take some cadences of a dataset."""
    return CadenceDataset(dataset.source.take(rows), None, dataset.spec, on_device=dataset.on_device)


def predict_batches(
    cluster: Cluster, predictor: Predictor, batches: Sequence[range], label: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predict batches by actors; yield rows, and their probabilities, as they are done.

    Args:
        cluster: whose actors predict.
        predictor: that each of them holds.
        batches: rows of each batch.
        label: of the progress bar.

    Raises:
        SetiError: as `Predictor.predict`, or an actor was killed too often.
    """
    with cluster.actors(len(batches), predictor) as actors, cadence_progress() as progress:
        task = progress.add_task(label, total=sum(map(len, batches)))
        turns = _Turns(batches, actors.count)
        for (rows, began), probs in actors.as_they_end(_predict, turns):
            turns.measure(len(rows), time.monotonic() - began)
            progress.advance(task, len(rows))
            yield rows, probs


def _predict(predictor: Predictor, rows: np.ndarray, _: float) -> np.ndarray:
    return predictor.predict(rows)


class _Turns:
    """Rows of one turn of an actor after the other: a batch at first, then some seconds of work."""

    def __init__(self, batches: Sequence[range], actors: int) -> None:
        self._batches, self._actors, self._next, self._seconds = batches, actors, 0, None

    def measure(self, rows: int, seconds: float) -> None:
        """Note how long a turn has taken."""
        self._seconds = seconds / rows

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        while self._next < len(self._batches):
            left = self._batches[self._next :]
            count = 1
            if self._seconds is not None:
                count = int(TURN_SECONDS / max(self._seconds * len(left[0]), 1e-9))
            count = max(1, min(count, len(left) // (SHARES * self._actors)))
            self._next += count
            yield np.concatenate([np.asarray(batch) for batch in left[:count]]), time.monotonic()


def predictor_of(
    cfg: Any,
    place: Place,
    classifiers: Sequence[CadenceClassifier],
    dataset: CadenceDataset,
    size: int,
    compiled: bool,
) -> Predictor:
    """Make what each actor holds, from the settings of `conf/predict.yaml`.

    Args:
        cfg: the configuration.
        place: of the actors.
        classifiers: on the CPU.
        dataset: every cadence of the prediction.
        size: cadences in a batch.
        compiled: compile the networks.
    """
    return Predictor(
        classifiers,
        dataset,
        size,
        min(size, len(dataset)),
        place.device.type,
        cfg.precision,
        cfg.flips,
        cfg.data.batch_size == AUTO,
        compiled,
        cfg.data.num_workers,
        cfg.ray.cpus,
    )
