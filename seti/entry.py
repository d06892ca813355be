"""What every command shares: a person's mistake is one line, and in a sweep the other jobs go on."""

import functools
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from seti import files
from seti.errors import SetiError

# The tuner draws its bar with tqdm, which fills a log file with it; tqdm reads this when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

log = logging.getLogger(__name__)

FAILURE_FILE = "failure.json"


def command(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Wrap a Hydra task: `SetiError` becomes one line and exit code 1.

    In a sweep a failing job, whatever the error, is logged with its traceback into its own folder and leaves a
    `failure.json` there for `SweepReport`; Hydra then goes on with the next job. Raising there instead would
    skip the report, and only the first error would be shown.
    """

    @functools.wraps(task)
    def run(cfg: DictConfig) -> Any:
        if in_sweep():
            return _run_in_sweep(task, cfg)
        try:
            return task(cfg)
        except SetiError as error:
            _say_error(str(error))
            sys.exit(1)

    return run


def in_sweep() -> bool:
    """Whether this job is one of a sweep's (`-m`)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _run_in_sweep(task: Callable[[DictConfig], Any], cfg: DictConfig) -> Any:
    hydra = HydraConfig.get()
    failure = Path(hydra.runtime.output_dir) / FAILURE_FILE
    failure.unlink(missing_ok=True)
    try:
        return task(cfg)
    except Exception as error:
        message = str(error) if isinstance(error, SetiError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, SetiError):
            log.exception("this job of the sweep failed")
        _say_error(message)
        files.write_json(
            failure,
            {
                "message": message,
                "overrides": list(hydra.overrides.task),
                "traceback": traceback.format_exc(),
            },
        )
        return float("nan")


def _say_error(message: str) -> None:
    line = "error: " + " ".join(message.split())
    # The job's log file gets the line too, but not the console a second time: Hydra logs there without colour.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logging.LogRecord(log.name, logging.ERROR, __file__, 0, line, None, None))
    print(line, file=sys.stderr)


class SweepReport(Callback):
    """After a sweep: the results of every experiment that it touched, then what failed, with exit code 1."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember when the sweep began: jobs may run in other processes, so their folders tell what they did."""
        self.started = time.time() - 1  # file systems round times

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and exit with code 1 if any job failed."""
        from seti import crossval, lr_range  # here, so that composing a configuration does not import torch

        folders = sorted(
            marker.parent.parent
            for marker in Path(config.output_dir).glob("**/.hydra/overrides.yaml")
            if marker.stat().st_mtime >= self.started
        )
        failed = [folder for folder in folders if (folder / FAILURE_FILE).exists()]
        for fold_path in sorted({lr_range.fold_of(folder) for folder in folders} - {None}):
            lr_range.collect(fold_path)
        for experiment_path in sorted({folder.parent for folder in folders if folder.name.startswith("fold_")}):
            crossval.report(experiment_path)
        if failed:
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"\n{len(failed)} of {len(folders)} jobs failed:")
            for folder in failed:
                failure = files.read_json(folder / FAILURE_FILE)
                console.print(f"  {folder}: {failure['message']}", highlight=False, markup=False)
            sys.exit(1)
