"""`trainer.precision=auto` on a CPU: the faster of float32 and bfloat16, in one record.

A CPU that computes in bfloat16 is not always faster with it: its matrix products are, and the depthwise convolutions of
an EfficientNet are slower.
"""

import logging
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.seed import isolate_rng

from seti.config.schema import AUTO, plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.experiments.run_identity import differences
from seti.models.classifier import CadenceClassifier
from seti.training.build import build_classifier, runs_on_gpu, use_threads
from seti.training.compiling import count_steps
from seti.utils import files, locks
from seti.utils.device import autocast, choose_precision

log = logging.getLogger(__name__)

NAME = "precision.json"
FLOAT, HALF = "32", "bf16-mixed"
WORTHWHILE = 300  # steps of a fold from which they are timed: timing takes about ten
ROUNDS, SECONDS = 4, 30.0  # timed steps of each precision; no more rounds after that many s
MARGIN = 1.03  # that bfloat16 must be faster by: a smaller difference is chance, and float32 is exact
PATIENCE = 900  # s to wait for another fold that times


@dataclass(frozen=True)
class PrecisionRecord:
    """The content of `precision.json` in the experiment's folder.

    Attributes:
        precision: that the folds are trained in.
        milliseconds: of a training step, by precision.
        config: that it was timed for; plain values.
    """

    precision: str
    milliseconds: dict[str, float]
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "PrecisionRecord | None":
        """Read the record, or None where there is none.

        Raises:
            SetiError: it is damaged.
        """
        if not path.exists():
            return None
        content = files.read_json(path)
        if content.get("precision") not in (FLOAT, HALF) or not isinstance(content.get("config"), dict):
            msg = f"{path} holds no precision: delete it, and the next run times both again"
            raise SetiError(msg)
        return cls(content["precision"], content.get("milliseconds", {}), content["config"])


def settle(cfg: DictConfig, experiment: Experiment, datamodule: CadenceDataModule, fresh: bool = True) -> str | None:
    """Choose the precision of `trainer.precision=auto` on a CPU that computes in bfloat16.

    The experiment's record has it. The first fold of `WORTHWHILE` steps or more times some in both precisions and
    writes the record; folds that start at the same time wait for it.

    Args:
        cfg: the whole configuration.
        experiment: that the fold belongs to.
        datamodule: of the fold.
        fresh: False for a fold that goes on, or one that writes nothing: nothing is timed.

    Returns:
        The precision; None where it is not chosen here: for other settings, on a GPU, for a short fold.

    Raises:
        SetiError: the record is damaged.
    """
    if str(cfg.trainer.get("precision")) != AUTO or runs_on_gpu(cfg.trainer):
        return None
    if choose_precision(AUTO, torch.device("cpu")) != HALF:
        return None
    config = plain(cfg)
    record = _known(experiment, config)
    if record is None and not fresh:
        return None
    if record is None and count_steps(config["trainer"], datamodule) >= WORTHWHILE:
        doing = f"timing precisions for fold {cfg.fold} of {cfg.exp_name}"
        with locks.hold(experiment.path, doing, name=".precision.lock", patience=PATIENCE):
            record = _known(experiment, config)
            if record is None:
                record = _time_both(cfg, config, datamodule)
                files.write_json(experiment.path / NAME, asdict(record))
    if record is None:
        log.debug("trainer.precision=auto: %s, for a fold of fewer than %d steps is not timed", HALF, WORTHWHILE)
        return None
    times = " and ".join(f"{value:.3g} ms in {name}" for name, value in record.milliseconds.items())
    why = "" if record.precision == min(record.milliseconds, key=record.milliseconds.get) else ", which is too close"
    log.info("trainer.precision=auto: %s (a step takes %s%s; %s)", record.precision, times, why, NAME)
    return record.precision


def _known(experiment: Experiment, config: dict[str, Any]) -> PrecisionRecord | None:
    record = PrecisionRecord.read(experiment.path / NAME)
    return None if record is None or differences(record.config, config) else record


def _time_both(cfg: DictConfig, config: dict[str, Any], datamodule: CadenceDataModule) -> PrecisionRecord:
    with isolate_rng():
        use_threads(cfg)
        classifier = build_classifier(config, datamodule, fetch_weights=False)
        seconds = time_steps(classifier, datamodule.share.size)
    faster = HALF if seconds[HALF] * MARGIN < seconds[FLOAT] else FLOAT
    return PrecisionRecord(faster, {name: round(1000 * value, 2) for name, value in seconds.items()}, config)


def time_steps(classifier: CadenceClassifier, batch: int) -> dict[str, float]:
    """Time training steps on random images, by turns in each precision, on this CPU.

    Args:
        classifier: in training mode; its weights do not change, its batch statistics do.
        batch: images in a step.

    Returns:
        Median seconds of a forward and a backward pass, by precision.
    """
    images = torch.randn(batch, classifier.image_maker.channels, *classifier.spec.image_shape)
    targets = torch.arange(batch) % 2.0
    taken: dict[str, list[float]] = {FLOAT: [], HALF: []}
    began = time.perf_counter()
    for number in range(ROUNDS + 1):
        for precision, seconds in taken.items():
            started = time.perf_counter()
            with autocast(precision, torch.device("cpu")):
                logits = classifier(images)
            classifier.loss(logits.float(), targets).backward()
            classifier.zero_grad()
            seconds.append(time.perf_counter() - started)
        if number and time.perf_counter() - began > SECONDS:
            break
    return {precision: statistics.median(seconds[1:]) for precision, seconds in taken.items()}  # not the first: warm-up
