"""What every command shares: a person's mistake is one line, and in a sweep the other jobs go on."""

import functools
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue
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
        try:
            return _run_in_sweep(task, cfg) if in_sweep() else task(cfg)
        except SetiError as error:
            _say_error(str(error))
            sys.exit(1)
        except MissingMandatoryValue as error:
            _say_error(f"{error.full_key} is not set: add {error.full_key}=<value> to the command")
            sys.exit(1)
        except KeyboardInterrupt:
            _say_error("interrupted: the same command begins again what was not finished")
            sys.exit(128 + signal.SIGINT)

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
        # Experiments may lie in several folders of one; programs that write none have the sweep's own folder.
        root = Path(config.output_dir if "output_dir" in config else config.hydra.sweep.dir)
        folders, failed = (
            sorted(
                marker.parents[above] for marker in root.glob(f"**/{name}") if marker.stat().st_mtime >= self.started
            )
            for name, above in ((".hydra/overrides.yaml", 1), (FAILURE_FILE, 0))
        )
        unreported = _report(folders)
        if failed:
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"\n{len(failed)} {'job' if len(failed) == 1 else 'jobs'} failed:")
            for folder in failed:
                failure = files.read_json(folder / FAILURE_FILE)
                console.print(f"  {folder}: {failure['message']}", highlight=False, markup=False)
        if failed or unreported:
            sys.exit(1)


def _report(folders: list[Path]) -> int:
    """Report every experiment and range test that has one of the jobs' folders; gives how many could not be."""
    from seti import crossval, lr_range  # here, so that composing a configuration does not import torch

    reports = [(lr_range.collect, path) for path in sorted({lr_range.fold_of(folder) for folder in folders} - {None})]
    experiments = sorted({folder.parent for folder in folders if folder.name.startswith("fold_")})
    reports += [(crossval.report, path) for path in experiments]
    failures = 0
    for report, path in reports:
        try:
            report(path)
        except SetiError as error:  # Hydra would turn it into a warning and exit with code 0
            _say_error(str(error))
            failures += 1
    return failures
