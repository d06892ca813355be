"""A Slurm cluster of one node for tests: its own daemons, key and sockets, on the loopback alone."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
DAEMONS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
START_S = 30.0

CONF = """
ClusterName=seti
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
SrunPortRange={first}-{last}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=15
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=300 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=urgent Nodes={host} MaxTime=300 State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> list[str]:
    """Programs of Slurm and munge that are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=DAEMONS) is None]


@contextmanager
def running(folder: Path, cpus: int = 2, memory: int = 8000, grace: int = 15) -> Iterator[dict[str, str]]:
    """Start a cluster in a folder, and end it; gives the environment variables of its commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host, ports = socket.gethostname().split(".")[0], _free_ports()
    conf = folder / "slurm.conf"
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    values = {"host": host, "folder": folder, "user": user, "cpus": cpus, "memory": memory, "grace": grace}
    numbers = {"controller": ports, "daemon": ports + 1, "first": ports + 2, "last": ports + 60}
    conf.write_text(CONF.format(**values, **numbers))
    environment = {"SLURM_CONF": str(conf), "PATH": DAEMONS}
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    started: list[subprocess.Popen] = []

    def start(*words: str) -> None:
        with (folder / f"{words[0]}.out").open("wb") as out:
            variables = {**os.environ, **environment}
            options = {"stdout": out, "stderr": out, "start_new_session": True, "preexec_fn": _end_with_parent}
            started.append(subprocess.Popen(words, env=variables, **options))

    try:
        places = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
        more = {"log-file": folder / "munged.log", "seed-file": folder / "munged.seed"}
        start("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in {**places, **more}.items()))
        _wait(lambda: (folder / "munge.socket").exists(), "munged", folder)
        start("slurmctld", "-D", "-i")
        start("slurmd", "-D", "-N", host)
        _wait(lambda: "idle" in _ask(environment, "sinfo", "-h", "-o", "%t"), "slurmctld", folder)
        yield environment
    finally:
        if len(started) > 1:
            _ask(environment, "scancel", "--full", "--signal=KILL", "-p", "main")
            _ask(environment, "scancel", "--full", "--signal=KILL", "-p", "urgent")
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent() -> None:
    """Let the kernel end this process with its parent, which may be killed itself."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _ask(environment: dict[str, str], *words: str) -> str:
    variables = {**os.environ, **environment}
    try:
        done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _wait(ready, name: str, folder: Path) -> None:
    end = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(folder.glob("*.[lo][ou][gt]")))
            msg = f"{name} has not started: {logs}"
            raise RuntimeError(msg)
        time.sleep(0.2)


def _free_ports() -> int:
    """First of a range of ports that are probably free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return min(one.getsockname()[1], 65_400)
