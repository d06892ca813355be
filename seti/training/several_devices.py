"""Start of training on several devices of this machine, in a process for each."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from omegaconf import DictConfig
from torch import distributed

from seti.config.device_checks import count_devices
from seti.errors import SetiError
from seti.training import together
from seti.utils import launchers, ranks, shutdown
from seti.utils.shutdown import Interrupted

GRACE = 30  # s that the others have after the first process has failed
PERIOD = 0.05  # s
AUC, LOGGING = "auc", "logging"  # keys of the result, and of how the leader logs
AGAIN = "the same command goes on with what is there"


def start(cfg: DictConfig, overrides: list[str] | None, job_folder: Path | None, job_logging: str) -> float:
    """Train a fold in one process for each device.

    This process trains nothing: so a sweep goes on after any of them was killed, and nothing of a fold stays in it.

    Args:
        cfg: `conf/train.yaml`, settled.
        overrides: of the command line.
        job_folder: in which Hydra keeps the command's `.hydra/`, if it does.
        job_logging: settings of `logging.config` for the processes, as YAML.

    Returns:
        AUC of the held-out fold.

    Raises:
        SetiError: as training in one process does, or a process was killed.
    """
    count = count_devices(cfg.trainer)
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=ranks.TIMEOUT)
    store.set(together.RUN, together.encode(cfg, overrides, job_folder))
    store.set(LOGGING, job_logging)
    processes: list[subprocess.Popen] = []
    with shutdown.deferring():
        try:
            with shutdown.shielded_children():  # Ctrl-C reaches them as well: they get it from this process
                processes += [_start(rank, count, store.port) for rank in range(count)]
            codes = _wait(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
                process.stdin.close()
        failures = together.read_failures(store, count)
        if any(codes):
            raise _choose(codes, failures)
        return float(store.get(AUC))


def _start(rank: int, count: int, port: int) -> subprocess.Popen:
    environment = os.environ | launchers.own_environment(rank, count, port)
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    words = [sys.executable, "-m", "seti.training.rank_process"]
    return subprocess.Popen(words, stdin=subprocess.PIPE, env=environment)


def _wait(processes: list[subprocess.Popen]) -> list[int | None]:
    """Wait until all processes have ended, passing on a signal; return their exit codes.

    After the first failure the others have `GRACE`; the code of one that still runs then is None.
    """
    passed_on, end = False, float("inf")
    while True:
        codes = [process.poll() for process in processes]
        if any(codes):
            end = min(end, time.monotonic() + GRACE)
        if None not in codes or time.monotonic() > end:
            return codes
        if shutdown.pending() is not None and not passed_on:
            passed_on = True
            for process in processes:
                _tell(process)
        time.sleep(PERIOD)


def _tell(process: subprocess.Popen) -> None:
    try:
        process.stdin.write(b"end\n")
        process.stdin.flush()
    except OSError:  # it has ended
        pass


def _choose(codes: list[int | None], failures: dict[int, BaseException | None]) -> BaseException:
    """Choose the error that says why training ended, by exit codes and errors of processes."""
    known = [error for _, error in sorted(failures.items()) if error is not None]
    interrupted = next((error for error in known if isinstance(error, Interrupted)), None)
    if shutdown.pending() is not None:
        return Interrupted(shutdown.pending(), *([interrupted.note] if interrupted else []))
    first = next((error for error in known if not isinstance(error, Interrupted)), interrupted)
    if first is not None:
        return first
    for rank, code in enumerate(codes):
        if code is not None and code < 0 and rank not in failures:
            name = signal.Signals(-code).name
            why = ", perhaps for lack of memory" * (name == "SIGKILL")
            return SetiError(f"process {rank} of the {len(codes)} of this fold was ended by {name}{why}: {AGAIN}")
    return SetiError(together.LOST)
