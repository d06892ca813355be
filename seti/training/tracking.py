"""Training of a fold as a run of MLflow or Weights & Biases."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from seti.config.schema import plain
from seti.experiments import trackers
from seti.utils import ranks


class Tracked:
    """Logger of a fold, for Lightning, and the fold's final scores.

    Attributes:
        logger: None: the default one.
        scores: to be filled once the fold is finished, by name.
    """

    def __init__(self, logger: Logger | None) -> None:
        self.logger = logger
        self.scores: dict[str, float] = {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of `build_trainer`."""
        return {} if self.logger is None else {"logger": self.logger}


@contextmanager
def tracked(cfg: DictConfig, seed: int, resumed: bool) -> Iterator[Tracked]:
    """Open the run of a fold; it ends with the block, as failed if that raises.

    Args:
        cfg: the whole configuration.
        seed: of this attempt.
        resumed: go on with the run that was interrupted.
    """
    name = cfg.logger
    if name not in trackers.PACKAGES or cfg.trainer.get("logger") is False or not ranks.leads():
        yield Tracked(None)
        return
    if not ranks.leads():  # Lightning writes nothing there
        yield Tracked(None)
        return
    trackers.check_tracker(name)
    run = trackers.Run(Path(cfg.output_dir), "fold", cfg.exp_name, cfg.fold, seed)
    opened = _mlflow if name == "mlflow" else _wandb
    with opened(run, plain(cfg), resumed) as made:
        yield made


@contextmanager
def _mlflow(run: trackers.Run, config: dict[str, Any], resumed: bool) -> Iterator[Tracked]:
    from pytorch_lightning.loggers import MLFlowLogger

    found = trackers.find_mlflow_run(run, unfinished=True) if resumed else None
    logger = MLFlowLogger(
        trackers.PROJECT,
        run_name=run.name,
        tracking_uri=trackers.store(run.output_dir),
        tags=dict(run.tags),
        run_id=found,
    )
    if found is None:
        logger.log_hyperparams(trackers.parameters(config))  # those of a resumed run are there, and cannot change
    made = Tracked(logger)
    status = "FAILED"
    try:
        yield made
        for key, value in made.scores.items():
            logger.experiment.log_metric(logger.run_id, key, value)
        status = "FINISHED"
    finally:
        logger.experiment.set_terminated(logger.run_id, status)


@contextmanager
def _wandb(run: trackers.Run, config: dict[str, Any], resumed: bool) -> Iterator[Tracked]:
    from pytorch_lightning.loggers import WandbLogger

    with trackers.wandb_run(run, trackers.wandb_id(run, again=resumed)) as opened:
        opened.config.update(trackers.parameters(config), allow_val_change=True)
        made = Tracked(WandbLogger(experiment=opened, save_dir=str(run.output_dir), offline=True))
        yield made
        opened.summary.update(made.scores)
