"""Frame of every command: one-line errors, exit codes, and sweeps that outlive a failed job."""

import functools
import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from seti.cli import command_line
from seti.cli.explain import explain
from seti.experiments.failure import FAILURE_FILE
from seti.utils import malloc, shutdown
from seti.utils.shutdown import Interrupted

if TYPE_CHECKING:
    from omegaconf import DictConfig

# The tuner draws its bar with tqdm, which fills a log file with it; tqdm reads this when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

log = logging.getLogger(__name__)

Task = Callable[["DictConfig"], Any]

JOURNAL = "SETI_SWEEP_JOURNAL"  # environment variable: a file that a sweep's jobs write their folders to


def program(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a program that Hydra calls with `conf/<config_name>.yaml` and overrides.

    Whatever stops it becomes one line on standard error and an exit code: 1 for what the user can fix, be it in the
    input, in the settings or on the disk, 130 for Ctrl-C, 143 for SIGTERM. Only a bug of the program ends with a
    traceback.

    What takes long to import is best imported inside of the task: `--help` does without it, and a signal that comes
    meanwhile is answered.

    Args:
        config_name: of the configuration.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def main() -> None:
            # On a full disk logging and threads would print tracebacks of their own before the one line.
            logging.raiseExceptions = False
            threading.excepthook = _quiet_threads
            malloc.keep_freed_memory()
            journal = os.environ.get(JOURNAL)
            try:
                with shutdown.interruptible():
                    _run_hydra(command(task), config_name)
            except BaseException as error:
                if isinstance(error, SystemExit):
                    raise
                _end(error)
            finally:
                if os.environ.get(JOURNAL) not in (None, journal):  # a sweep that was stopped has not reported
                    Path(os.environ.pop(JOURNAL)).unlink(missing_ok=True)

        return main

    return decorate


def command(task: Task) -> Task:
    """Wrap a Hydra task: errors that the user can fix become one line, and signals exit codes.

    In a sweep a failing job, whatever the error, is logged with its traceback into its own folder and leaves a
    `failure.json` there for `seti.cli.sweep_report`; Hydra then goes on with the next job. Raising there instead would
    skip the report, and only the first error would be shown. A signal ends the whole sweep.
    """

    @functools.wraps(task)
    def run(cfg: "DictConfig") -> Any:
        try:
            with shutdown.interruptible():
                return _run_in_sweep(task, cfg) if in_sweep() else task(cfg)
        except BaseException as error:
            _end(error)

    return run


def in_sweep() -> bool:
    """Check for a sweep: this job is one of several (`-m`)."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _run_hydra(task: Task, config_name: str) -> None:
    import hydra

    from seti.config import commands, instantiation_guard, schema  # noqa: F401 - two register what conf/ refers to
    from seti.config.folder import conf_folder

    instantiation_guard.guard(_refuse)
    sys.argv[1:] = command_line.read(config_name, sys.argv[1:])  # Hydra reads the command line there
    asked_for_tracebacks = "HYDRA_FULL_ERROR" in os.environ
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises its errors, where it would print their tracebacks
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=config_name)(task)()
    finally:
        if not asked_for_tracebacks:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def _run_in_sweep(task: Task, cfg: "DictConfig") -> Any:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    failure = Path(hydra.runtime.output_dir) / FAILURE_FILE
    failure.unlink(missing_ok=True)
    _note({"folder": str(failure.parent)})
    try:
        return task(cfg)
    except Exception as error:
        shutdown.raise_if_pending()  # workers die of the same signal, which then reads as their failure
        message = explain(error)
        if message is None:
            message = f"{type(error).__name__}: {error}"
            log.exception("this job of the sweep failed")
        else:  # the traceback may still help a reader of the log; the terminal gets the line alone
            _log_to_file(logging.ERROR, "this job of the sweep failed", sys.exc_info())
        say_error(message)
        failed = {
            "message": " ".join(message.split()),
            "overrides": command_line.recorded(),
            "traceback": traceback.format_exc(),
        }
        _note({"folder": str(failure.parent), "failure": failed})
        _write_failure(failure, failed)
        return float("nan")


def _note(line: dict[str, Any]) -> None:
    """Write a line into the sweep's journal, where there is one."""
    if JOURNAL in os.environ:
        try:
            with Path(os.environ[JOURNAL]).open("a") as journal:
                journal.write(json.dumps(line) + "\n")
        except OSError as error:
            log.warning("the sweep's report will miss this job: %s", error)


def _write_failure(path: Path, failed: dict[str, Any]) -> None:
    from seti.utils import files

    try:
        files.write_json(path, failed)
    except OSError as error:  # the disk may be what failed; the journal has it too
        log.warning("cannot write %s: %s", path, error)


def say_error(message: str) -> None:
    """Print one line to standard error, and into the job's log file."""
    _say("error: " + re.sub(r"\s*\n\s*", " ", message.strip()))  # blanks in paths stay


def _end(error: BaseException) -> None:
    """Print what ended the program, and exit; a bug of the program is raised again."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted(signal.SIGINT)
    elif not isinstance(error, Interrupted) and shutdown.pending() is not None:
        error = Interrupted(shutdown.pending())  # a library's answer to the signal
    if isinstance(error, Interrupted):
        _say(str(error))
        shutdown.silence_half_built_objects()
        sys.exit(error.code)
    message = explain(error) if isinstance(error, Exception) else None
    if message is None:
        raise error
    if isinstance(error, BrokenPipeError):  # the reader of the output has gone; nothing is wrong here
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        say_error(message)
    sys.exit(1)


def _say(line: str) -> None:
    _log_to_file(logging.ERROR, line)
    print(line, file=sys.stderr)


def _log_to_file(level: int, line: str, exc_info: Any = None) -> None:
    # The job's log file alone, not the console a second time: Hydra logs there without colour.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logging.LogRecord(log.name, level, __file__, 0, line, None, exc_info))


def _quiet_threads(args: threading.ExceptHookArgs) -> None:
    # TensorBoard's writer meets a full disk in a thread of its own, and hands the error to the next one who writes.
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def _refuse(message: str) -> NoReturn:
    say_error(message)
    sys.exit(1)
