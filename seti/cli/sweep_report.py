"""Report at the end of a sweep: results of every experiment that it touched, then failures."""

import functools
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from seti.cli import job_folder, journal
from seti.cli.explain import explain
from seti.cli.journal import Job
from seti.cli.messages import say_error
from seti.config import arguments, process_checks, scalars, trainer_checks
from seti.config.schema import check_exp_name
from seti.errors import SettingsError, settings_errors
from seti.experiments import swept_folds
from seti.experiments.failure import FAILURE_FILE
from seti.utils import files, hints
from seti.utils.console import near

OWN = ("seti.cli.launchers.SlurmLauncher", "seti.cli.launchers.RayLauncher")  # their jobs run anywhere
LOCAL = ("hydra._internal.core_plugins.", "hydra_plugins.hydra_joblib_launcher.")  # launchers of this machine


def _ending_the_program(hook: Callable[..., None]) -> Callable[..., None]:
    """End the program on an error in a hook, of which Hydra would make a warning."""

    @functools.wraps(hook)
    def run(*args: Any, **options: Any) -> None:
        try:
            hook(*args, **options)
        except Exception as error:
            message = explain(error)
            if message is None:  # a mistake of the program
                traceback.print_exc()
            else:
                say_error(message)
            sys.exit(1)

    return run


class SweepReport(Callback):
    """Hydra's hooks around a job and a sweep: early refusals, and exit code 1 if any job failed.

    Jobs may run in other processes, or on other machines, so nothing they hold in memory can be asked. They write into
    a journal; those of launchers of others on a cluster are found by what they wrote under `output_dir`.
    """

    open: ClassVar["SweepReport | None"] = None  # of the sweep that runs

    @_ending_the_program
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a job that could not be reported, before its folder is made."""
        job_folder.check_places(config)
        _check_devices(config, [], sweep=False)
        HydraConfig.instance().set_config(config)  # as Hydra does next; the folder's name needs it
        with suppress(OmegaConfBaseException):  # Hydra resolves it as well, and then ends
            job_folder.remember_existing(Path(config.hydra.run.dir))

    @_ending_the_program
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a sweep without jobs, or one that could not be reported; open the journal."""
        self.started = time.time() - 1  # file systems round times
        self.config = config
        job_folder.check_places(config)
        _check_jobs(config)
        swept_folds.announce(_folds(config))
        with suppress(OmegaConfBaseException):
            job_folder.remember_existing(Path(config.hydra.sweep.dir))
        elsewhere = config.hydra.launcher._target_ in OWN
        journal.open_journal(Path(config.hydra.sweep.dir) if elsewhere else None)
        SweepReport.open = self

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and exit with code 1 if any job failed."""
        if not self.report():
            sys.exit(1)

    def report(self, complete: bool = True) -> bool:
        """Report the jobs so far; return True if every one succeeded.

        Args:
            complete: every job was run; False after an error that ended the sweep, which is then printed by itself.
        """
        SweepReport.open = None
        swept_folds.forget()
        config, jobs = self.config, list(journal.close().values())
        if not jobs and "exp_name" in config:
            jobs = _find_jobs(Path(config.output_dir).resolve(), self.started)
        for job in jobs:
            if not job.ended and job.failure is None:
                job.failure = {"message": journal.KILLED}
        unreported = _report(jobs)
        failed = [job for job in jobs if job.failure is not None]
        if failed:
            _list_failures(failed, len(jobs), config)
        subfolder = config.hydra.output_subdir
        for job in jobs:
            refused = job.failure is not None and job.failure.get("refused")
            if job.fresh and (refused or not any(job.folder.glob("*"))):
                job_folder.remove(job.folder, subfolder)
            elif refused:  # of an earlier run's folder, which is as it was
                (job.folder / FAILURE_FILE).unlink(missing_ok=True)
        job_folder.remove_sweep(Path(config.hydra.sweep.dir))
        if complete and not jobs and ("exp_name" in config or config.hydra.launcher._target_.startswith(LOCAL)):
            say_error("the sweep has run no job: see the settings of hydra.sweeper and hydra.launcher")
            return False
        return not (failed or unreported)


def _check_jobs(config: DictConfig) -> None:
    """Refuse a sweep over a setting with no value, or over names that cannot name a folder.

    Raises:
        SetiError: naming the setting.
    """
    with suppress(HydraException):  # of the sweeper, which parses the words again and says it
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        swept: list[str] = []
        for word in parser.parse_overrides(_words(config.hydra.overrides.task)):
            if word.is_sweep_override():
                swept.append(word.key_or_group)
            if word.is_discrete_sweep() and not list(word.sweep_iterator()):
                msg = f"{word.input_line} stands for no value: the sweep would have no job"
                raise SettingsError(msg)
            if word.key_or_group == "exp_name" and "exp_name" in config:
                for name in scalars.values_of(word):
                    if "${" not in str(name):
                        check_exp_name(str(name))
        _check_devices(config, swept, sweep=True)


def _check_devices(config: DictConfig, swept: list[str], sweep: bool) -> None:
    """Refuse devices that are not there, and processes that cannot train together.

    Args:
        config: of a job, or of a sweep without what differs between its jobs.
        swept: keys of what differs.
        sweep: there are several jobs.

    Raises:
        SettingsError: naming the setting or the environment variable.
    """
    if "exp_name" not in config:
        return
    with settings_errors():
        if config.hydra.launcher._target_.startswith(LOCAL):  # others start their jobs in environments of their own
            process_checks.check_launch(sweep)
        if not any(key == "experiment" or key.split(".")[0] == "trainer" for key in swept):
            with suppress(OmegaConfBaseException):  # of an interpolation, which Hydra resolves as well
                trainer_checks.check_trainer(config.trainer)


def _folds(config: DictConfig) -> set[int] | None:
    """Folds of the jobs; None where the sweeper chooses them."""
    with suppress(HydraException, ValueError):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        words = parser.parse_overrides(_words(config.hydra.overrides.task))
        given = [word for word in words if word.key_or_group == "fold" and word.is_sweep_override()]
        return {int(value) for word in given for value in word.sweep_iterator()}
    return None


def _words(recorded: ListConfig) -> list[str]:
    """Words of a command line, whose interpolations are not those of the record."""
    return OmegaConf.to_container(recorded, resolve=False)


def _find_jobs(output_dir: Path, started: float) -> list[Job]:
    """Find the jobs of other machines that reach no journal by the files that began them."""
    folders = set()
    for path in (*output_dir.glob("**/.hydra/overrides.yaml"), *output_dir.glob(f"**/{job_folder.LOG}")):
        if path.stat().st_mtime >= started:
            folders.add(path.parents[1] if path.name == "overrides.yaml" else path.parent)
    jobs = []
    for folder in sorted(folders):
        path = folder / FAILURE_FILE
        jobs.append(Job(folder, [], files.read_json(path) if path.exists() else None, ended=True))
    return jobs


def _list_failures(failed: list[Job], count: int, config: DictConfig) -> None:
    """Print which jobs failed and why, and the commands that run those again that may succeed."""
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"\n{len(failed)} of {count} jobs failed:")
    messages: dict[str, list[Path]] = {}
    for job in sorted(failed, key=lambda job: job.folder):
        messages.setdefault(job.failure["message"], []).append(job.folder)
    for message, folders in messages.items():
        named = len(folders) == 1 and any(str(name) in message for name in (folders[0], near(folders[0])))
        where = "" if named else f"{', '.join(str(near(folder)) for folder in folders)}: "
        console.print(f"  {where}{message}", highlight=False, markup=False)
    again = [job for job in failed if not job.failure.get("refused")]
    if again:
        options = [word for word in _words(config.hydra.overrides.hydra) if not word.startswith("hydra.mode=")]
        overrides = (job.failure.get("overrides", job.overrides) for job in again)
        commands = retry_commands(config.hydra.job.config_name, overrides, options)
        console.print(f"again, just {'that' if len(again) == 1 else 'those'}:")
        for command in commands:
            print(f"  {command}", file=sys.stderr)  # to be copied: rich would expand tabs and :names:


def retry_commands(command: str, jobs: Iterable[list[str]], options: list[str]) -> list[str]:
    """Return command lines that run jobs again; jobs that differ only in their fold share one.

    Args:
        command: name of the command that ran the sweep.
        jobs: the overrides of each.
        options: Hydra's own, of the whole sweep.
    """
    folds: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        rest = tuple(word for word in job if not word.startswith("fold="))
        folds.setdefault(rest, []).extend(word.removeprefix("fold=") for word in job if word.startswith("fold="))
    lines = []
    for rest, numbers in folds.items():
        fold = [f"fold={','.join(numbers)}"] if numbers else []
        lines.append(hints.command(command, "-m", *fold, *arguments.retyped(command, list(rest)), *options))
    return lines


def _report(jobs: list[Job]) -> int:
    """Report each experiment and range test of the jobs; return the number of failures."""
    tests = {job_folder.tested_fold(job.folder) for job in jobs} - {None}
    experiments = {job.folder.parent for job in jobs if job.folder.name.startswith("fold_")}
    reports: list[Callable[[], object]] = []
    # Imported only for the jobs that need it: torch and matplotlib take seconds.
    if tests:
        from seti.training import lr_range

        reports += [functools.partial(lr_range.collect, near(path)) for path in sorted(tests)]
    if experiments:
        from seti.reports import cross_validation

    for path in sorted(experiments):
        own = [job for job in jobs if job.folder.parent == path]
        typed = [job.overrides for job in own if job.failure is None]
        failed = (job for job in own if job.failure is not None and job.failure.get("refused"))
        refused = [job.failure.get("overrides", job.overrides) for job in failed]
        reports.append(functools.partial(cross_validation.report, near(path), typed[-1] if typed else None, refused))
    failures = 0
    for report in reports:
        try:
            report()
        except Exception as error:  # Hydra would turn any into a warning and exit with code 0
            message = explain(error)
            if message is None:  # a mistake of the program
                traceback.print_exc()
            else:
                say_error(message)
            failures += 1
    return failures
