"""Jobs of a sweep as tasks of Ray."""

import logging
import os
import signal
from collections.abc import Sequence
from itertools import islice
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides

from seti.cli import journal, watch
from seti.cli.remote_job import SIGTERM_CODE, RemoteJob, note_ended_by_engine, returned
from seti.errors import brief
from seti.utils import ray_cluster

log = logging.getLogger(__name__)

AHEAD = 2  # tasks that Ray holds for each one that can run: a thousand waiting ones would take memory
ENDED = "#{} has ended"
GRACE = 60.0  # s in which running jobs may save their state after Ctrl-C


class StoppedError(Exception):
    """SIGTERM ended the process of a job before the job."""


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run the jobs of a sweep as tasks.

    A job whose process or machine dies is started again, at most `retries` times, and goes on where it stopped.

    Args:
        launcher: with settings of conf/hydra/launcher/ray.yaml.
        job_overrides: of each job.
        first: number of the first job in the sweep.

    Raises:
        SetiError: Ray does not answer, or has too little for a job.
    """
    settings = launcher.settings
    with ray_cluster.joined(settings["address"], settings["total_cpus"], ray_cluster.SWEEP, print_logs=True) as ray:
        return _run(ray, launcher, job_overrides, first)


def _run(ray: Any, launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    options, slots = ray_cluster.resources(ray.cluster_resources(), launcher.settings, ray_cluster.SWEEP)
    job = RemoteJob.of(launcher)
    run = ray.remote(_run_job).options(
        **options, max_retries=launcher.settings["retries"], retry_exceptions=[StoppedError], name="seti"
    )
    log.info("Ray runs %d jobs, %d at a time", len(job_overrides), slots)
    shared = ray.put(job)
    waiting = iter(enumerate(job_overrides, first))
    running: dict[Any, int] = {}
    values: dict[int, Any] = {}
    echo, ended_lines = ray_cluster.Echo(ray), []
    try:
        while True:
            for number, overrides in islice(waiting, max(0, AHEAD * slots - len(running))):
                log.info("\t#%d : %s", number, " ".join(filter_overrides(list(overrides))))
                running[run.remote(shared, list(overrides), number)] = number
            if not running:
                break
            (ended, *_), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(ended)
            try:
                values[number] = ray.get(ended)
                ended_lines.append(ENDED.format(number))
            except ray.exceptions.RayError as error:
                values[number] = float("nan")
                note_ended_by_engine(job, job_overrides[number - first], number, _explain(ray, error))
    except BaseException:
        journal.stop()  # not ray.cancel: a task that ends meanwhile may abort this process (ray 2.60)
        if running:
            stopped, _ = ray.wait(list(running), num_returns=len(running), timeout=GRACE)
            ended_lines += [ENDED.format(running[one]) for one in stopped]
        raise
    finally:
        echo.wait_for(ended_lines)  # Ray forgets what it has not printed when it is shut down
    return [returned(overrides, values[number]) for number, overrides in enumerate(job_overrides, first)]


def _run_job(job: RemoteJob, overrides: list[str], number: int) -> Any:
    os.environ[journal.VARIABLE] = job.journal
    try:
        with watch.signalling(signal.SIGINT, journal.is_stopping):  # as Ctrl-C, once the sweep is stopping
            value = float("nan") if journal.is_stopping() else job(overrides, number, f"ray_{number}")
    except SystemExit as stopped:
        raise StoppedError(f"exit code {SIGTERM_CODE}") from stopped
    print(ENDED.format(number), flush=True)  # its last line, for which the sweep waits
    return value


def _explain(ray: Any, error: Exception) -> str:
    known = {
        ray.exceptions.OutOfMemoryError: "Ray killed its process, because the machine was short of memory",
        ray.exceptions.WorkerCrashedError: "its process was killed, perhaps for lack of memory",
        ray.exceptions.NodeDiedError: "its machine has gone",
        ray.exceptions.TaskCancelledError: "it was cancelled",
    }
    for kind, message in known.items():
        if isinstance(error, kind):
            return f"{message}; hydra.launcher.retries says how often it is started again"
    if isinstance(getattr(error, "cause", None), StoppedError):
        return "SIGTERM stopped it, and all of its hydra.launcher.retries are used"
    return brief(str(error).strip().splitlines()[-1], 300)
