"""Engines of a sweep for Hydra: `hydra/launcher=slurm` and `hydra/launcher=ray`.

Settings: conf/hydra/launcher/. Hydra takes plugins from a package of its own alone, of which an editable install would
need a second copy; `register` lets it take these.
"""

import logging
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

JOBLIB = "hydra_plugins.hydra_joblib_launcher._core"  # logger of Hydra's launcher


class _Launcher(Launcher):
    """Launcher of which `launch_jobs` runs the jobs."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, and wait for the last one."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return self.launch_jobs(job_overrides, initial_job_idx)

    @abstractmethod
    def launch_jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Run the jobs by this engine."""


class SlurmLauncher(_Launcher):
    """Runs the jobs of a sweep as an array of Slurm jobs, through submitit."""

    def launch_jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Submit the jobs, and wait for the last one."""
        from seti.cli import slurm_jobs

        return slurm_jobs.launch(self, job_overrides, first)


class RayLauncher(_Launcher):
    """Runs the jobs of a sweep as tasks of Ray, on this machine or on a cluster."""

    def launch_jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Give the jobs to Ray, and wait for the last one."""
        from seti.cli import ray_jobs

        return ray_jobs.launch(self, job_overrides, first)


OWN = tuple(f"{kind.__module__}.{kind.__name__}" for kind in (SlurmLauncher, RayLauncher))


class _JoblibLines(logging.Filter):
    """Filter that puts one line like those of other engines in the place of two of joblib's."""

    FIRST = re.compile(r"Joblib\.Parallel\((?:.*,)?n_jobs=(-?\d+|None)\b.*\) is launching (\d+) jobs")

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record of the library; True if it is to be printed."""
        said = record.getMessage()
        first = self.FIRST.match(said)
        if first is not None:
            from joblib import effective_n_jobs

            at_once = effective_n_jobs(None if first[1] == "None" else int(first[1]))
            record.msg = f"joblib runs {first[2]} jobs, {min(at_once, int(first[2]))} at a time"
        return not said.startswith("Launching jobs, sweep output dir")


_joblib_lines = _JoblibLines()


def register() -> None:
    """Let Hydra instantiate these classes from now on."""
    logging.getLogger(JOBLIB).addFilter(_joblib_lines)
    plugins = Plugins.instance()
    for kind in (SlurmLauncher, RayLauncher):
        plugins.register(kind)
    if not hasattr(Plugins.is_in_toplevel_plugins_module, "own"):
        allowed = Plugins.is_in_toplevel_plugins_module

        def is_allowed(name: str) -> bool:
            return name in OWN or allowed(name)

        is_allowed.own = True
        Plugins.is_in_toplevel_plugins_module = staticmethod(is_allowed)
