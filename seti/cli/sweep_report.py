"""Report at the end of a sweep: results of every experiment that it touched, then failures."""

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from seti.cli.explain import explain
from seti.cli.program import JOURNAL, say_error
from seti.experiments.failure import FAILURE_FILE
from seti.utils import files, hints


class SweepReport(Callback):
    """Hydra's hooks around a sweep; exit code 1 if any job failed.

    Jobs may run in other processes, or on other machines, so nothing they hold in memory can be asked. Those on this
    machine write their folders and failures into a journal; those of a cluster are found by what they wrote under
    `output_dir`.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Open the journal."""
        self.started = time.time() - 1  # file systems round times
        handle, os.environ[JOURNAL] = tempfile.mkstemp(prefix="seti-sweep-")
        os.close(handle)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and exit with code 1 if any job failed."""
        journal = Path(os.environ.pop(JOURNAL))
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        journal.unlink()
        folders = {Path(line["folder"]) for line in lines}
        failures = {Path(line["folder"]): line["failure"] for line in lines if "failure" in line}
        if not folders and "output_dir" in config:
            markers = Path(config.output_dir).resolve().glob("**/.hydra/overrides.yaml")
            folders |= {marker.parents[1] for marker in markers if marker.stat().st_mtime >= self.started}
            failed = (folder / FAILURE_FILE for folder in folders)
            failures = {path.parent: files.read_json(path) for path in failed if path.exists()}
        unreported = _report(sorted(folders))
        if failures:
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"\n{len(failures)} of {len(folders)} jobs failed:")
            for folder, failure in sorted(failures.items()):
                console.print(f"  {_near(folder)}: {failure['message']}", highlight=False, markup=False)
            options = [word for word in config.hydra.overrides.hydra if not word.startswith("hydra.mode=")]
            jobs = (failures[folder]["overrides"] for folder in sorted(failures))
            commands = retry_commands(config.hydra.job.config_name, jobs, options)
            console.print(f"again, just {'that' if len(failures) == 1 else 'those'}:")
            for command in commands:
                console.print(f"  {command}", highlight=False, markup=False)
        if failures or unreported:
            sys.exit(1)


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
        lines.append(hints.command(command, "-m", *fold, *rest, *options))
    return lines


def _near(path: Path) -> Path:
    """Shorten a path to one relative to the current folder, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _report(folders: list[Path]) -> int:
    """Report each experiment and range test of the jobs' folders; return the number of failures."""
    # Imported here: Hydra imports this module at every start, and these take seconds.
    from seti.reports import cross_validation
    from seti.training import lr_range

    tests = {lr_range.fold_of(folder) for folder in folders} - {None}
    experiments = {folder.parent for folder in folders if folder.name.startswith("fold_")}
    reports = [(lr_range.collect, path) for path in sorted(tests)]
    reports += [(cross_validation.report, path) for path in sorted(experiments)]
    failures = 0
    for report, path in reports:
        try:
            report(_near(path))
        except Exception as error:  # Hydra would turn any into a warning and exit with code 0
            message = explain(error)
            if message is None:  # a mistake of the program
                traceback.print_exc()
            else:
                say_error(message)
            failures += 1
    return failures
