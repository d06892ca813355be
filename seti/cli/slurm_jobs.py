"""Jobs of a sweep as an array of Slurm jobs, or as processes of this machine."""

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides

from seti.cli.remote_job import RemoteJob, note_ended_by_engine, returned
from seti.errors import SetiError, brief
from seti.utils.processes import lead_to_package

log = logging.getLogger(__name__)

LARGEST_ARRAY = 1000  # jobs; Slurm's default limit is 1001
POLL, POLL_SLURM = 0.5, 5.0  # s between two looks at results, and two questions to Slurm
VANISHED = 3  # answers without a job after which it has ended: a queued or requeued one is listed
USUAL = ("None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning")  # reasons to wait that pass
# Of Slurm's commands on a machine without its configuration, which neither a file nor a server gives.
UNCONFIGURED = (
    "Could not establish a configuration source",
    "Unable to process configuration file",
    "unable to status file",
)
ANSWER = 60  # s to wait for Slurm's answer
REMEDIES = {
    "TIMEOUT": "its time was over: raise hydra.launcher.timeout_min, or hydra.launcher.requeues",
    "OUT_OF_MEMORY": "it needed more memory than it had asked for: raise hydra.launcher.mem_gb",
    "NODE_FAIL": "its machine has failed",
    "CANCELLED": "it was cancelled",
    "PREEMPTED": "it was preempted and not queued again",
}


@dataclass(frozen=True)
class SlurmJob:
    """A job that Slurm queues again when it takes the machine away; submitit calls it."""

    job: RemoteJob

    def __call__(self, overrides: Sequence[str], number: int, name: str) -> Any:
        """Run one job; return its value."""
        try:
            return self.job(overrides, number, name)
        except SystemExit:
            self._queue_again()
            raise

    def checkpoint(self, *arguments: Any) -> Any:
        """Give submitit what it starts after the job's time was over: the same job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)

    @staticmethod
    def _queue_again() -> None:
        """Queue this job again if Slurm preempts it: Slurm leaves out one that ends in time.

        A job that was cancelled, or whose time is over, is no longer running for Slurm when SIGTERM comes.
        """
        name = os.environ.get("SLURM_JOB_ID")
        if name is not None and _state(name) == "RUNNING":
            asked = _ask("scontrol", "requeue", name)
            if asked.returncode:
                log.warning("Slurm does not queue this job again: %s", brief(asked.stderr.strip(), 200))


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run the jobs of a sweep through submitit.

    Slurm is asked by squeue, which works without accounting. Ctrl-C cancels what runs, so that it saves its state.

    Args:
        launcher: with settings of conf/hydra/launcher/slurm.yaml.
        job_overrides: of each job.
        first: number of the first job in the sweep.

    Raises:
        SetiError: Slurm does not answer, or refuses the jobs.
    """
    import submitit

    settings = launcher.settings
    check_scheduler(settings["cluster"])
    lead_to_package()
    job = RemoteJob.of(launcher)
    jobs: list[Any] = []
    for number, overrides in enumerate(job_overrides, first):
        log.info("\t#%d : %s", number, " ".join(filter_overrides(list(overrides))))
    try:
        for start in range(0, len(job_overrides), LARGEST_ARRAY):
            part = list(job_overrides[start : start + LARGEST_ARRAY])
            numbers = range(first + start, first + start + len(part))
            try:
                executor = _executor(submitit, settings)
                names = [f"submitit_{number}" for number in numbers]
                jobs += executor.map_array(SlurmJob(job), [list(one) for one in part], numbers, names)
            except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
                msg = f"Slurm refuses the jobs ({brief(str(error).strip().splitlines()[-1], 300)}): see hydra.launcher"
                raise SetiError(msg) from error
        log.info("%d jobs are queued, logs in %s", len(jobs), settings["folder"])
        return _collect(job, jobs, job_overrides, first, settings)
    except BaseException:
        _cancel(jobs, settings["cluster"])
        raise


def check_scheduler(cluster: str) -> None:
    """Refuse a sweep for which there is no scheduler.

    Raises:
        SetiError: Slurm is not installed here, has no configuration, or does not answer.
    """
    if cluster == "local":
        return
    if cluster != "slurm":
        msg = f"hydra.launcher.cluster={cluster} is none of slurm, local"
        raise SetiError(msg)
    if shutil.which("sbatch") is None:
        msg = (
            "hydra/launcher=slurm: there is no sbatch on this machine: start the command on a login node of the "
            "cluster, or try it here with hydra.launcher.cluster=local"
        )
        raise SetiError(msg)
    asked = _ask("sinfo", "-h", "-o", "%G")
    if asked.returncode:
        said = brief((asked.stderr.strip() or "no answer").splitlines()[-1], 200)
        if any(words in asked.stderr for words in UNCONFIGURED):
            msg = (
                f"hydra/launcher=slurm: this machine is not part of a Slurm cluster ({said}): start the command on a "
                "login node of one, or try it here with hydra.launcher.cluster=local"
            )
            raise SetiError(msg)
        msg = f"hydra/launcher=slurm: Slurm's controller does not answer ({said}): try again later"
        raise SetiError(msg)


def _executor(submitit: Any, settings: dict[str, Any]) -> Any:
    cluster = settings["cluster"]
    options = {"slurm_max_num_timeout": settings["requeues"]} if cluster == "slurm" else {}
    executor = submitit.AutoExecutor(folder=settings["folder"], cluster=cluster, **options)
    chosen = {
        "name": settings["name"],
        "timeout_min": settings["timeout_min"],
        "cpus_per_task": settings["cpus"],
        "gpus_per_node": _gpus(settings["gpus"], cluster),
        "mem_gb": settings["mem_gb"],
        "tasks_per_node": 1,
        "slurm_setup": [f"export OMP_NUM_THREADS={settings['cpus']}", *settings["setup"]],
        "slurm_additional_parameters": dict(settings["options"]),
        **{f"slurm_{name}": settings[name] for name in ("partition", "account", "qos", "constraint")},
        "slurm_array_parallelism": settings["at_once"],
        "slurm_signal_delay_s": settings["notice_s"],
    }
    executor.update_parameters(**{name: value for name, value in chosen.items() if value is not None})
    return executor


def _gpus(wanted: Any, cluster: str) -> int | None:
    if wanted != "auto":
        return wanted or None
    if cluster == "local":
        return None
    return 1 if "gpu:" in _ask("sinfo", "-h", "-o", "%G").stdout else None


def _collect(
    job: RemoteJob, jobs: Sequence[Any], job_overrides: Sequence[Sequence[str]], first: int, settings: dict[str, Any]
) -> list[JobReturn]:
    """Wait for every job; note those that were ended from outside."""
    values: dict[int, Any] = {}
    queue = _Queue(jobs, settings["cluster"])
    missed = [0] * len(jobs)
    asked = time.monotonic()
    while len(values) < len(jobs):
        left = [place for place in range(len(jobs)) if place not in values]
        ask = settings["cluster"] == "local" or time.monotonic() - asked >= POLL_SLURM
        listed = queue.listed() if ask else None
        if ask:
            asked = time.monotonic()
        for place in left:
            one, number = jobs[place], first + place
            if _has_result(one):
                values[place] = _value(job, one, job_overrides[place], number)
            elif listed is not None and one.job_id not in listed:
                missed[place] += 1
                if missed[place] >= VANISHED:
                    values[place] = float("nan")
                    note_ended_by_engine(job, job_overrides[place], number, _reason(one, settings["cluster"]))
            else:
                missed[place] = 0 if listed is not None else missed[place]
                continue
            if place in values:
                log.info("\t#%d ended: %d of %d", number, len(values), len(jobs))
        if len(values) < len(jobs):
            time.sleep(POLL)
    return [returned(overrides, values[place]) for place, overrides in enumerate(job_overrides)]


def _has_result(one: Any) -> bool:
    path = Path(one.paths.result_pickle)
    with suppress(OSError):  # network file systems keep an old listing of a folder
        os.listdir(path.parent)  # noqa: PTH208
    return path.exists()


def _value(job: RemoteJob, one: Any, overrides: Sequence[str], number: int) -> Any:
    try:
        return one.result()
    except Exception as error:  # of the job, as text: submitit has pickled it
        last = str(error).strip().splitlines()[-1]
        note_ended_by_engine(job, overrides, number, f"{brief(last, 300)}; {_log_of(one)}")
        return float("nan")


class _Queue:
    """Queue of Slurm, asked about jobs; each remark is printed once."""

    def __init__(self, jobs: Sequence[Any], cluster: str) -> None:
        self._jobs, self._cluster, self._said = jobs, cluster, set()

    def listed(self) -> set[str] | None:
        """Jobs that wait or run; None where Slurm does not answer."""
        if self._cluster == "local":
            return {one.job_id for one in self._jobs if one.state == "RUNNING"}
        asked = _ask("squeue", "-h", "-r", "-j", ",".join(sorted(_arrays(self._jobs))), "-o", "%i|%t|%r")
        if asked.returncode and "Invalid job id" not in asked.stderr:
            self._say(f"Slurm does not answer ({brief(asked.stderr.strip(), 200)}): waiting")
            return None
        rows = [line.split("|") for line in asked.stdout.splitlines() if line.count("|") == 2]
        for _, state, reason in rows:
            if state == "PD" and reason not in USUAL:
                self._say(f"Slurm says why jobs wait: {reason}; see hydra.launcher, or squeue --start")
        return {name for name, _, _ in rows}

    def _say(self, remark: str) -> None:
        if remark not in self._said:
            log.warning(remark)
        self._said.add(remark)


def _reason(one: Any, cluster: str) -> str:
    state = _state(one.job_id) if cluster == "slurm" else ""
    why = REMEDIES.get(state, "it was ended from outside" + (f", in state {state}" if state else ""))
    return f"{why}; {_log_of(one)}"


def _state(name: str) -> str:
    """State of a job that runs or has ended in the last minutes; empty where Slurm does not say."""
    fields = _ask("scontrol", "-o", "show", "job", name).stdout.split()
    return next((field.partition("=")[2] for field in fields if field.startswith("JobState=")), "")


def _log_of(one: Any) -> str:
    return f"its log is {one.paths.stderr}"


def _cancel(jobs: Sequence[Any], cluster: str) -> None:
    if cluster == "slurm" and jobs:
        _ask("scancel", *sorted(_arrays(jobs)))
    elif cluster == "local":
        for one in jobs:
            one.cancel()


def _arrays(jobs: Iterable[Any]) -> set[str]:
    return {one.job_id.partition("_")[0] for one in jobs}


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))
