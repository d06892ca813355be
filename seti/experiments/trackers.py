"""Folds, sweeps and stacks as runs of one experiment in MLflow or Weights & Biases.

Both write into files under `output_dir`; neither asks another machine for anything.
"""

import hashlib
import importlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seti.errors import SettingsError
from seti.experiments.run_identity import flatten

log = logging.getLogger(__name__)

PROJECT = "seti"  # the experiment in MLflow, the project in Weights & Biases
PACKAGES = {"mlflow": "mlflow.tracking", "wandb": "wandb"}  # module that a tracker needs
LONGEST = 500  # characters of a parameter, MLflow's least limit
ENVIRONMENT = {
    "mlflow": {
        "MLFLOW_ALLOW_FILE_STORE": "true",  # else MLflow 3.11 and later refuse it for a database
        "MLFLOW_DISABLE_TELEMETRY": "true",  # no network
    },
    "wandb": {
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",  # train.log has the output
        "WANDB_ERROR_REPORTING": "false",  # no network
    },
}


@dataclass(frozen=True)
class Run:
    """A run of a tracker.

    Attributes:
        output_dir: folder of the experiments.
        kind: fold, sweep or stack.
        exp_name: the experiment; empty for a stack.
        fold: its number; None for others.
        seed: of a fold.
    """

    output_dir: Path
    kind: str
    exp_name: str = ""
    fold: int | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """Name that the tracker shows: `<exp_name>/fold_0`, `<exp_name>` for a sweep, or `stack`."""
        return f"{self.exp_name}/fold_{self.fold}" if self.kind == "fold" else self.exp_name or self.kind

    @property
    def tags(self) -> dict[str, str]:
        """By which a run is found again."""
        values = {"kind": self.kind, "exp_name": self.exp_name, "fold": self.fold, "seed": self.seed}
        return {f"seti.{name}": str(value) for name, value in values.items() if value not in (None, "")}

    @property
    def digest(self) -> str:
        """The same for a run that is resumed or recorded again."""
        return hashlib.sha256(repr(sorted(self.tags.items())).encode()).hexdigest()[:8]


def check_tracker(name: str | None) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
        SettingsError: naming the extra to install.
    """
    if name not in PACKAGES:
        return
    _prepare(name)
    try:
        importlib.import_module(PACKAGES[name])
    except ImportError as error:
        msg = f"logger={name} needs a package that is not installed ({error}): pip install 'seti[{name}]'"
        raise SettingsError(f"{msg}, or leave logger out") from error


def store(output_dir: Path) -> str:
    """MLflow's address of the file store under a folder of experiments."""
    return (output_dir / "mlruns").resolve().as_uri()


def find_mlflow_run(run: Run, unfinished: bool) -> str | None:
    """Id of the latest MLflow run with these tags, if any.

    Args:
        run: what it is of.
        unfinished: leave out runs that have come to their end.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store(run.output_dir))
    experiment = client.get_experiment_by_name(PROJECT)
    if experiment is None:
        return None
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in run.tags.items() if "'" not in value)
    found = client.search_runs([experiment.experiment_id], wanted, order_by=["attributes.start_time DESC"])
    found = [one for one in found if one.data.tags.items() >= run.tags.items()]
    found = [one for one in found if not unfinished or one.info.status != "FINISHED"]
    return found[0].info.run_id if found else None


def wandb_id(run: Run, again: bool) -> str:
    """Id of a run in Weights & Biases.

    Args:
        run: what it is of.
        again: that of the latest one; else a new one.
    """
    folder = run.output_dir / "wandb"
    known = {path.name.rpartition("-")[2] for path in folder.glob(f"*run-*-{run.digest}*")}
    return f"{run.digest}{max(1, len(known) + (not again))}"


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Settings by dotted key, as trackers take them."""
    return {key: str(value)[:LONGEST] for key, value in flatten(dict(config))}


def record(name: str | None, run: Run, config: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """Write the scores of a sweep or a stack as a run, again where it is there already.

    A tracker that fails leaves a warning: no result depends on it.

    Args:
        name: of the tracker; others than mlflow and wandb write nothing.
        run: what it is of.
        config: its settings.
        scores: by name.
    """
    if name not in PACKAGES:
        return
    try:
        check_tracker(name)
        {"mlflow": _record_mlflow, "wandb": _record_wandb}[name](run, config, scores)
    except Exception as error:  # of any kind: packages of others, on disks of others
        log.warning("logger=%s has no run of %s: %s", name, run.name, error)


@contextmanager
def wandb_run(run: Run, id: str) -> Iterator[Any]:
    """Open a run in Weights & Biases that stays offline, and end it."""
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True, save_code=False)
    run.output_dir.mkdir(parents=True, exist_ok=True)
    opened = wandb.init(
        **{"project": PROJECT, "name": run.name, "group": run.exp_name or None, "job_type": run.kind, "id": id},
        **{"dir": str(run.output_dir), "mode": "offline", "settings": settings, "tags": list(run.tags.values())},
    )
    failed = True
    try:
        yield opened
        failed = False
    finally:
        opened.finish(exit_code=int(failed))


def _prepare(name: str) -> None:
    for key, value in ENVIRONMENT[name].items():
        os.environ.setdefault(key, value)


def _record_mlflow(run: Run, config: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store(run.output_dir))
    found = find_mlflow_run(run, unfinished=False)
    if found is None:
        experiment = client.get_experiment_by_name(PROJECT)
        place = experiment.experiment_id if experiment else client.create_experiment(PROJECT)
        found = client.create_run(place, tags=run.tags, run_name=run.name).info.run_id
        for key, value in parameters(config).items():
            client.log_param(found, key, value)
    for key, value in scores.items():
        client.log_metric(found, key, value)
    client.set_terminated(found)


def _record_wandb(run: Run, config: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    with wandb_run(run, wandb_id(run, again=True)) as opened:
        opened.config.update(parameters(config), allow_val_change=True)
        opened.summary.update(dict(scores))
