"""Launchers that start one run in several processes: torchrun, Slurm's srun, this program."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST")
OWN, OWN_VARIABLE = "seti", "SETI_PROCESSES"  # the variable is set in processes that this program has started
PORTS = range(15000, 25000)  # below those that systems give to connections


@dataclass(frozen=True)
class Launch:
    """This process among those that a launcher has started for one run.

    Attributes:
        name: of the launcher.
        rank, count: number of the process, from 0, and how many there are on all machines.
        local_rank, local_count: the same, on this machine.
        node: number of this machine.
    """

    name: str
    rank: int
    count: int
    local_rank: int
    local_count: int
    node: int = 0


def find_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Read what torchrun or srun says of this process; None where they have not started several."""
    if all(_number(environment, name) is not None or name == "MASTER_ADDR" for name in TORCHRUN):
        rank, count, local_rank, local_count = (int(environment[name]) for name in TORCHRUN[:4])
        node = _number(environment, "GROUP_RANK")
        name = OWN if OWN_VARIABLE in environment else "torchrun"
        launch = Launch(name, rank, count, local_rank, local_count, rank // local_count if node is None else node)
        return launch if "MASTER_ADDR" in environment and count > 1 else None
    if all(_number(environment, name) is not None for name in SRUN[:-1]) and SRUN[-1] in environment:
        rank, count, local_rank, nodes = (int(environment[name]) for name in SRUN[:-1])
        node = _number(environment, "SLURM_NODEID") or 0
        return Launch("srun", rank, count, local_rank, count // nodes, node) if count > 1 else None
    return None


def meet(launch: Launch, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return torchrun's variables, by which the processes of a run find each other."""
    if launch.name != "srun":
        return {}
    from lightning_fabric.plugins.environments import SLURMEnvironment  # reads Slurm's lists of machines

    job, step = (_number(environment, name) or 0 for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return {
        "RANK": str(launch.rank),
        "WORLD_SIZE": str(launch.count),
        "LOCAL_RANK": str(launch.local_rank),
        "LOCAL_WORLD_SIZE": str(launch.local_count),
        "GROUP_RANK": str(launch.node),
        "MASTER_ADDR": SLURMEnvironment.resolve_root_node_address(environment["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(PORTS[(7 * job + step) % len(PORTS)]),
    }


def own_environment(rank: int, count: int, port: int) -> dict[str, str]:
    """Variables of a process that this program starts on its machine: torchrun's, and a mark."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    return {
        OWN_VARIABLE: str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **{name: str(number) for name, number in numbers.items()},
    }


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None
