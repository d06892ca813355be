"""Frame of every command: one-line errors, exit codes, and sweeps that outlive a failed job."""

import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from seti.cli import command_line, journal, watch
from seti.cli.explain import explain, is_wrapped
from seti.cli.messages import log_to_file, say, say_error
from seti.errors import SettingsError
from seti.experiments.failure import FAILURE_FILE
from seti.utils import encoding, launchers, malloc, notices, shutdown
from seti.utils.shutdown import Interrupted

if TYPE_CHECKING:
    from omegaconf import DictConfig

# The tuner draws its bar with tqdm, which fills a log file with it; tqdm reads this when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

log = logging.getLogger(__name__)

Task = Callable[["DictConfig"], Any]

FULL_ERROR = "HYDRA_FULL_ERROR"  # environment variable of Hydra: 1 prints tracebacks
_tracebacks = False  # True: the user has set it
_said: set[str] = set()  # notices of idle settings, which the jobs of a sweep share


def program(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a program that Hydra calls with `conf/<config_name>.yaml` and overrides.

    Whatever stops it becomes one line on standard error and an exit code: 1 for what the user can fix, be it in the
    input, in the settings or on the disk, 130 for Ctrl-C, 143 for SIGTERM. Only a bug of the program ends with a
    traceback; HYDRA_FULL_ERROR=1 shows that of every error.

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
            encoding.print_any_character()
            outer = os.environ.get(journal.VARIABLE)
            launch = launchers.find_launch() if config_name == "train" else None
            if launch is not None and launch.rank:
                _follow()
                return
            try:
                with shutdown.interruptible():
                    _run_hydra(command(task), config_name)
            except BaseException as error:
                if isinstance(error, SystemExit):
                    raise
                if isinstance(error, Exception) and shutdown.pending() is None:
                    _report_sweep()
                _end(error)
            finally:
                if launch is not None:
                    from seti.training import together

                    together.decline(launch)
                if os.environ.get(journal.VARIABLE) not in (None, outer):  # a sweep that was stopped has not reported
                    journal.discard()

        return main

    return decorate


def _follow() -> None:
    """Train with the leader of torchrun's or srun's processes, and print nothing."""
    notices.be_silent()
    try:
        with shutdown.interruptible():
            from seti.training import fold

            fold.follow()
    except Interrupted as ended:
        sys.exit(ended.code)
    except Exception:  # the leader says it
        sys.exit(1)


def command(task: Task) -> Task:
    """Wrap a Hydra task: errors that the user can fix become one line, and signals exit codes.

    In a sweep a failing job, whatever the error, is logged with its traceback into its own folder and leaves a
    `failure.json` there for `seti.cli.sweep_report`; Hydra then goes on with the next job. Raising there instead would
    skip the report, and only the first error would be shown. A signal ends the whole sweep.

    A job that is refused before it has written anything leaves no folder behind.
    """

    @functools.wraps(task)
    def run(cfg: "DictConfig") -> Any:
        # In the process that an engine of sweeps has started, too: settings of a process do not come from its parent.
        malloc.keep_freed_memory()
        encoding.print_any_character()
        place = _new_folder()
        try:
            with shutdown.interruptible():
                _say_idle_settings(cfg)
                if not in_sweep():
                    return task(cfg)
                with watch.ending_with_command():
                    return _run_in_sweep(task, cfg, place is not None)
        except BaseException as error:
            if place is not None and isinstance(error, Exception) and explain(error) is not None:
                from seti.cli import job_folder

                job_folder.remove(*place)
            _end(error)

    return run


def in_sweep() -> bool:
    """Check for a sweep: this job is one of several (`-m`)."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _run_hydra(task: Task, config_name: str) -> None:
    import hydra

    from seti.cli import help_text, launchers
    from seti.config import commands, instantiation_guard, schema  # noqa: F401 - two register what conf/ refers to
    from seti.config.folder import conf_folder

    instantiation_guard.guard(_refuse)
    sys.argv[1:] = command_line.read(config_name, sys.argv[1:])  # Hydra reads the command line there
    global _tracebacks
    asked = os.environ.get(FULL_ERROR)
    _tracebacks = asked == "1"
    os.environ[FULL_ERROR] = "1"  # Hydra raises its errors, where it would print their tracebacks
    help_text.list_own_groups(config_name)
    launchers.register()
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=config_name)(task)()
    finally:
        os.environ.pop(FULL_ERROR)
        if asked is not None:
            os.environ[FULL_ERROR] = asked


def _new_folder() -> tuple[Path, str | None] | None:
    """The job's folder, and the name of Hydra's in it, where Hydra has just made them."""
    from hydra.core.hydra_config import HydraConfig

    from seti.cli import job_folder

    if not HydraConfig.initialized():
        return None
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    return (folder, hydra.output_subdir) if job_folder.is_fresh(folder, hydra.output_subdir) else None


def _say_idle_settings(cfg: "DictConfig") -> None:
    """Name, once, settings that were typed and do nothing.

    A training names its own once its settings are checked, but for those of Hydra.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized():
        return
    from seti.config import idle

    hydra = HydraConfig.get()
    lines = [] if in_sweep() else [*idle.idle_without_sweep(OmegaConf.to_container(hydra.overrides.hydra))]
    if hydra.job.config_name != "train":
        lines += idle.idle_settings(cfg, command_line.recorded(), hydra.job.config_name)
    for line in lines:
        if line not in _said:
            _said.add(line)
            say(line)


def _report_sweep() -> None:
    """Report the jobs of a sweep that an error ended, if there is one."""
    if journal.is_open():
        from seti.cli.sweep_report import SweepReport

        if SweepReport.open is not None:
            SweepReport.open.report(complete=False)


def _run_in_sweep(task: Task, cfg: "DictConfig", fresh: bool) -> Any:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    failure = Path(hydra.runtime.output_dir) / FAILURE_FILE
    failure.unlink(missing_ok=True)
    number, overrides = hydra.job.num, command_line.recorded()
    journal.note(number, folder=str(failure.parent), overrides=overrides, fresh=fresh)
    try:
        value = task(cfg)
    except Exception as error:
        shutdown.raise_if_pending()  # workers die of the same signal, which then reads as their failure
        message = explain(error)
        if message is None:
            message = f"{type(error).__name__}: {error}"
            log.exception("this job of the sweep failed")
        else:  # the traceback may still help a reader of the log; the terminal gets the line alone
            log_to_file(logging.ERROR, "this job of the sweep failed", sys.exc_info())
            if _tracebacks:
                traceback.print_exc()
        say_error(message)
        failed = {
            "message": " ".join(message.split()),
            "overrides": overrides,
            "refused": isinstance(error, SettingsError),
            "traceback": traceback.format_exc(),
        }
        journal.note(number, failure=failed)
        _write_failure(failure, failed)
        return float("nan")
    journal.note(number, ended=True)
    return value


def _write_failure(path: Path, failed: dict[str, Any]) -> None:
    from seti.utils import files

    try:
        files.write_json(path, failed)
    except OSError as error:  # the disk may be what failed; the journal has it too
        log.warning("cannot write %s: %s", path, error)


def _end(error: BaseException) -> None:
    """Print what ended the program, and exit; a bug of the program is raised again."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted(signal.SIGINT)
    elif not isinstance(error, Interrupted) and shutdown.pending() is not None:
        error = Interrupted(shutdown.pending())  # a library's answer to the signal
    if isinstance(error, Interrupted):
        say(str(error))
        shutdown.silence_half_built_objects()
        sys.exit(error.code)
    message = explain(error) if isinstance(error, Exception) else None
    if message is None:
        raise error
    shutdown.silence_half_built_objects()  # data loaders whose workers could not start
    if _tracebacks:
        traceback.print_exception(error)
    elif is_wrapped(error):  # the line may not tell all
        log_to_file(logging.ERROR, "the whole error", (type(error), error, error.__traceback__))
    if isinstance(error, BrokenPipeError):  # the reader of the output has gone; nothing is wrong here
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        say_error(message)
    sys.exit(1)


def _quiet_threads(args: threading.ExceptHookArgs) -> None:
    # TensorBoard's writer meets a full disk in a thread of its own, and hands the error to the next one who writes.
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def _refuse(message: str) -> NoReturn:
    say_error(message)
    sys.exit(1)
