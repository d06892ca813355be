"""Jobs of a sweep as tasks of Ray."""

import logging
import os
import signal
from collections.abc import Sequence
from itertools import islice
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides

from seti.cli.remote_job import SIGTERM_CODE, RemoteJob, lead_to_package, note_ended_by_engine, returned
from seti.errors import SetiError, brief

log = logging.getLogger(__name__)

AHEAD = 2  # tasks that Ray holds for each one that can run: a thousand waiting ones would take memory
GRACE = 60.0  # s in which running jobs may save their state after Ctrl-C
# Read when Ray is imported: no reports to its makers, and every line of every job is printed.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


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
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    lead_to_package()
    import ray

    settings = launcher.settings
    began = not ray.is_initialized()
    if began:
        _start(ray, settings)
    try:
        return _run(ray, launcher, job_overrides, first)
    finally:
        if began:
            ray.shutdown()


def _start(ray: Any, settings: dict[str, Any]) -> None:
    address = settings["address"]
    options: dict[str, Any] = {"address": address or "local"}
    if address is None:
        options |= {"num_cpus": settings["total_cpus"], "include_dashboard": False}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options, log_to_driver=True, logging_level=logging.ERROR)
        for number, handler in handlers.items():  # Ray's own would end this process before its jobs
            signal.signal(number, handler)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = "Ray did not start on this machine" if address is None else f"no Ray cluster answers at {address}"
        msg = (
            f"hydra.launcher.address={address}: {where} ({brief(error, 200)}): `ray start --head` starts a cluster, "
            "and hydra.launcher.address=null uses this machine alone"
        )
        raise SetiError(msg) from error


def _run(ray: Any, launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    options, slots = _resources(ray.cluster_resources(), launcher.settings)
    job = RemoteJob.of(launcher)
    run = ray.remote(_run_job).options(
        **options, max_retries=launcher.settings["retries"], retry_exceptions=[StoppedError], name="seti"
    )
    log.info("Ray runs %d jobs, %d at a time", len(job_overrides), slots)
    shared = ray.put(job)
    waiting = iter(enumerate(job_overrides, first))
    running: dict[Any, int] = {}
    values: dict[int, Any] = {}
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
            except ray.exceptions.RayError as error:
                values[number] = float("nan")
                note_ended_by_engine(job, job_overrides[number - first], number, _explain(ray, error))
    except BaseException:
        for task in running:
            ray.cancel(task)  # as Ctrl-C in each: they save their state
        ray.wait(list(running), num_returns=len(running), timeout=GRACE)
        raise
    return [returned(overrides, values[number]) for number, overrides in enumerate(job_overrides, first)]


def _run_job(job: RemoteJob, overrides: list[str], number: int) -> Any:
    try:
        return job(overrides, number, f"ray_{number}")
    except SystemExit as stopped:
        raise StoppedError(f"exit code {SIGTERM_CODE}") from stopped


def _resources(has: dict[str, float], settings: dict[str, Any]) -> tuple[dict[str, float], int]:
    """Resources of a job, and how many jobs run at once.

    Raises:
        SetiError: the cluster has too little for one job.
    """
    gpus = settings["gpus"]
    if gpus == "auto":
        gpus = 1 if has.get("GPU", 0) >= 1 else 0
    wanted = {"CPU": settings["cpus"], "GPU": gpus}
    for name, count in wanted.items():
        if count > has.get(name, 0):
            key = f"{name.lower()}s"
            msg = (
                f"hydra.launcher.{key}={count} for each job, and Ray has {has.get(name, 0):g} {name}s in all: set "
                f"hydra.launcher.{key} to what one machine has"
            )
            raise SetiError(msg)
    slots = min(int(has[name] // count) for name, count in wanted.items() if count)
    return {"num_cpus": settings["cpus"], "num_gpus": gpus}, max(1, slots)


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
