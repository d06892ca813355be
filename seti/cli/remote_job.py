"""A job of a sweep in a process that an engine starts, on this machine or on another one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from seti.cli import journal

SIGTERM_CODE = 143  # exit code of a program that SIGTERM has ended


@dataclass(frozen=True)
class RemoteJob:
    """All that a process needs to run any job of a sweep.

    Attributes:
        hydra_context, config, task: of the sweep.
        singletons: state of Hydra's.
        folder: that the sweep was started in.
        journal: of the sweep.
    """

    hydra_context: HydraContext
    config: DictConfig
    task: TaskFunction
    singletons: dict[type, Any]
    folder: str
    journal: str

    @classmethod
    def of(cls, launcher: Any) -> "RemoteJob":
        """Take what an engine was set up with."""
        return cls(
            launcher.hydra_context,
            launcher.config,
            launcher.task_function,
            Singleton.get_state(),
            os.getcwd(),  # noqa: PTH109 - as it is spelled, not resolved
            os.environ[journal.VARIABLE],
        )

    def __call__(self, overrides: Sequence[str], number: int, job_id: str) -> Any:
        """Run one job; return its value.

        Args:
            overrides: of the job.
            number: of the job in the sweep.
            job_id: that the engine gave it.

        Raises:
            SystemExit: SIGTERM ended it; the engine may start it again, and a fold goes on where it stopped.
        """
        import seti.config.commands
        import seti.config.schema  # noqa: F401 - both register what the configuration refers to

        os.chdir(self.folder)
        os.environ[journal.VARIABLE] = self.journal
        Singleton.set_state(self.singletons)
        setup_globals()
        try:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config.hydra.job):
                config.hydra.job.id, config.hydra.job.num = job_id, number
            done = run_job(
                hydra_context=self.hydra_context,
                task_function=self.task,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            return done.return_value
        except SystemExit as stopped:
            if stopped.code == SIGTERM_CODE:
                raise
            journal.note(number, failure={"message": f"it ended with exit code {stopped.code}"})
            return float("nan")

    def expected_folder(self, overrides: Sequence[str], number: int) -> Path:
        """Folder of a job, whether it has begun or not."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config.hydra.job):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        return Path(self.folder, config.hydra.sweep.dir, config.hydra.sweep.subdir)


def returned(overrides: Sequence[str], value: Any) -> JobReturn:
    """Return a job that has ended, as Hydra takes it; failures stand in the journal."""
    result = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    result.return_value = value
    return result


def note_ended_by_engine(job: RemoteJob, overrides: Sequence[str], number: int, message: str) -> None:
    """Write into the journal that a job was ended from outside, whether it had begun or not."""
    words = list(overrides)
    failure = {"message": " ".join(message.split()), "overrides": words}
    if not journal.is_noted(number):
        journal.note(number, folder=str(job.expected_folder(overrides, number)), overrides=words)
    journal.note(number, failure=failure)
