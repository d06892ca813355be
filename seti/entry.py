"""What every command shares: a person's mistake is one line, and in a sweep the other jobs go on."""

import functools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue

from seti import files
from seti.errors import SetiError

# The tuner draws its bar with tqdm, which fills a log file with it; tqdm reads this when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

log = logging.getLogger(__name__)

FAILURE_FILE = "failure.json"
JOURNAL = "SETI_SWEEP_JOURNAL"  # environment variable: a file that a sweep's jobs write their folders to


def command(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Wrap a Hydra task: `SetiError` becomes one line and exit code 1.

    In a sweep a failing job, whatever the error, is logged with its traceback into its own folder and leaves a
    `failure.json` there for `seti.sweep`; Hydra then goes on with the next job. Raising there instead would
    skip the report, and only the first error would be shown.
    """

    @functools.wraps(task)
    def run(cfg: DictConfig) -> Any:
        try:
            return _run_in_sweep(task, cfg) if in_sweep() else task(cfg)
        except SetiError as error:
            say_error(str(error))
            sys.exit(1)
        except MissingMandatoryValue as error:
            say_error(f"{error.full_key} is not set: add {error.full_key}=<value> to the command")
            sys.exit(1)
        except KeyboardInterrupt:
            say_error("interrupted: the same command begins again what was not finished")
            sys.exit(128 + signal.SIGINT)

    return run


def in_sweep() -> bool:
    """Whether this job is one of a sweep's (`-m`)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _run_in_sweep(task: Callable[[DictConfig], Any], cfg: DictConfig) -> Any:
    hydra = HydraConfig.get()
    failure = Path(hydra.runtime.output_dir) / FAILURE_FILE
    failure.unlink(missing_ok=True)
    if JOURNAL in os.environ:
        with Path(os.environ[JOURNAL]).open("a") as journal:
            journal.write(f"{failure.parent}\n")
    try:
        return task(cfg)
    except Exception as error:
        message = str(error) if isinstance(error, SetiError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, SetiError):
            log.exception("this job of the sweep failed")
        say_error(message)
        files.write_json(
            failure,
            {
                "message": message,
                "overrides": list(hydra.overrides.task),
                "traceback": traceback.format_exc(),
            },
        )
        return float("nan")


def say_error(message: str) -> None:
    """Print one line to standard error, and into the job's log file."""
    line = "error: " + " ".join(message.split())
    # The job's log file gets the line too, but not the console a second time: Hydra logs there without colour.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logging.LogRecord(log.name, logging.ERROR, __file__, 0, line, None, None))
    print(line, file=sys.stderr)
