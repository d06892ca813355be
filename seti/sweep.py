"""What a sweep says at its end: the results of every experiment that it touched, then what failed."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from seti import crossval, files, lr_range
from seti.entry import FAILURE_FILE, JOURNAL, say_error
from seti.errors import SetiError


class SweepReport(Callback):
    """Hydra's hooks around a sweep; exit code 1 if any job failed.

    Jobs may run in other processes, or on other machines, so nothing they hold in memory can be asked. Those on this
    machine write their folders into a journal; those of a cluster are found by what they wrote under `output_dir`.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Open the journal."""
        self.started = time.time() - 1  # file systems round times
        handle, os.environ[JOURNAL] = tempfile.mkstemp(prefix="seti-sweep-")
        os.close(handle)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and exit with code 1 if any job failed."""
        journal = Path(os.environ.pop(JOURNAL))
        folders = {Path(line) for line in journal.read_text().splitlines()}
        journal.unlink()
        if not folders and "output_dir" in config:
            markers = Path(config.output_dir).resolve().glob("**/.hydra/overrides.yaml")
            folders |= {marker.parents[1] for marker in markers if marker.stat().st_mtime >= self.started}
        failed = sorted(folder for folder in folders if (folder / FAILURE_FILE).exists())
        unreported = _report(sorted(folders))
        if failed:
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"\n{len(failed)} of {len(folders)} jobs failed:")
            for folder in failed:
                failure = files.read_json(folder / FAILURE_FILE)
                console.print(f"  {_near(folder)}: {failure['message']}", highlight=False, markup=False)
        if failed or unreported:
            sys.exit(1)


def _near(path: Path) -> Path:
    """A path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _report(folders: list[Path]) -> int:
    """Report every experiment and range test that has one of the jobs' folders; gives how many could not be."""
    tests = {lr_range.fold_of(folder) for folder in folders} - {None}
    experiments = {folder.parent for folder in folders if folder.name.startswith("fold_")}
    reports = [(lr_range.collect, path) for path in sorted(tests)]
    reports += [(crossval.report, path) for path in sorted(experiments)]
    failures = 0
    for report, path in reports:
        try:
            report(_near(path))
        except SetiError as error:  # Hydra would turn it into a warning and exit with code 0
            say_error(str(error))
            failures += 1
    return failures
