"""Checks that a run has a process of its own, and a process one run."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seti.errors import SetiError, brief
from seti.utils import hints
from seti.utils.launchers import find_launch

# Environment variables by which launchers tell a process how many of them they have started.
SLURM_STEP, SLURM_JOB = "SLURM_STEP_NUM_TASKS", ("SLURM_NTASKS", "SLURM_NPROCS")
COUNTS = (
    "WORLD_SIZE",  # torchrun, DeepSpeed, Lightning, Kubeflow
    "LOCAL_WORLD_SIZE",
    SLURM_STEP,
    *SLURM_JOB,
    "OMPI_COMM_WORLD_SIZE",  # Open MPI
    "PMI_SIZE",  # MPICH, Intel MPI
    "MV2_COMM_WORLD_SIZE",  # MVAPICH
    "MPI_LOCALNRANKS",  # Intel MPI
    "JSM_NAMESPACE_SIZE",  # jsrun of LSF
    "HOROVOD_SIZE",
)
# And which one of them it is, counted from 0: above 0 there are others.
RANKS = (
    "RANK",
    "LOCAL_RANK",  # also of the processes that Lightning starts for further devices
    "NODE_RANK",
    "GROUP_RANK",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "PMIX_RANK",
    "MV2_COMM_WORLD_RANK",
    "JSM_NAMESPACE_RANK",
    "PALS_RANKID",
    "HOROVOD_RANK",
)
INTERACTIVE = ("bash", "interactive")  # names of Slurm's jobs with a shell, which announces what it could start

_running = threading.Lock()


def check_launch(sweep: bool, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to train in one of several processes, but those of torchrun or srun for one fold.

    Args:
        sweep: several folds are to be trained.
        environment: variables of the process.

    Raises:
        SetiError: another launcher announces several processes, or there are several folds.
    """
    launch = find_launch(environment)
    if launch is None:
        check_one_process(environment)
    elif sweep:
        msg = (
            f"each of the {launch.count} processes that {launch.name} has started would run this whole sweep: leave "
            f"{launch.name} out, with trainer.devices={launch.local_count} for several devices a fold, or start it "
            "for each fold"
        )
        raise SetiError(msg)


def check_one_process(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to train in one of several processes that would share a run.

    Processes of one process group average their gradients, and in a sweep they may be at different folds: a network
    would then learn from its own held-out rows.

    Args:
        environment: variables of the process.

    Raises:
        SetiError: a launcher announces several processes, or torch has joined this one to others.
    """
    announced = _announced(environment)
    torch = sys.modules.get("torch")  # not imported for this: where it is not, no group can have been joined
    if announced is None and torch is not None and torch.distributed.is_available():
        group = torch.distributed.is_initialized() and torch.distributed.get_world_size()
        if group > 1:
            announced = (
                f"torch.distributed joins {group} processes",
                "call torch.distributed.destroy_process_group() before",
            )
    if announced is not None:
        what, fix = announced
        msg = f"{what} for one run, but not as torchrun or srun do: {fix}"
        raise SetiError(msg)


@contextmanager
def only_run(doing: str) -> Iterator[None]:
    """Keep a process to one training at a time: threads share the random numbers.

    Args:
        doing: what this run does.

    Raises:
        SetiError: another thread trains.
    """
    if not _running.acquire(blocking=False):
        msg = f"{doing}: this process trains already, in another thread: start a process of its own for each fold"
        raise SetiError(msg)
    try:
        yield
    finally:
        _running.release()


def _announced(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Find the variable that announces several processes, and the way out; None for one process."""
    counts = {name: _number(environment.get(name)) for name in COUNTS}
    if counts[SLURM_STEP] is not None or environment.get("SLURM_JOB_NAME") in INTERACTIVE:
        for name in SLURM_JOB:  # of the whole job: this process is that of a step, or of a shell
            counts[name] = None
    ranks = {name: _number(environment.get(name)) for name in RANKS}
    several = [name for name, count in counts.items() if (count or 1) > 1]
    others = [name for name, rank in ranks.items() if (rank or 0) > 0]
    if not several and not others:
        return None
    name = (several or others)[0]
    said = f"{name}={brief(environment[name])}"
    what = f"{said} announces {counts[name]} processes" if several else f"{said} announces further processes"
    start = hints.command("train", "fold=0")
    if name.startswith("SLURM"):
        start = f"srun {start}"
    return what, f"start `{start}`, with trainer.devices=2 for two devices; unset {name} if it is a leftover"


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
