"""Ray: a cluster that is started on this machine, or joined."""

import logging
import os
import re
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from seti.errors import SetiError, brief
from seti.utils import extras
from seti.utils.processes import lead_to_package

# Read when Ray is imported: no reports to its makers, and every line of every job is printed.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SWEEP = "hydra.launcher"  # section of the settings of a sweep
ANSWER = 10.0  # s to wait for a cluster's answer
SETTLE = 0.2  # s for standard error, which Ray reads after standard output
ECHO = "seti"  # name of a handler of Ray's
DELAY, LOOK = 2.0, 0.05  # s to wait at most for lines of other processes, and between two looks


@contextmanager
def joined(address: str | None, cores: int | None, section: str, *, print_logs: bool) -> Iterator[Any]:
    """Use Ray in this block; gives the module.

    Args:
        address: of a cluster, or `auto`; None starts one on this machine, which ends with the block.
        cores: of this machine that a cluster of its own uses; None for all.
        section: of the settings, such as `hydra.launcher`, for messages.
        print_logs: print here what processes of Ray print.

    Raises:
        SetiError: Ray does not answer, or is not installed as it should be.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    lead_to_package()
    extras.check_imports("hydra/launcher=ray" if section == SWEEP else "launcher=ray", "ray", "ray")
    import ray

    began = not ray.is_initialized()
    try:
        if began:
            _start(ray, address, cores, section, print_logs)
        yield ray
    finally:
        if began:
            ray.shutdown()


class Echo:
    """Lines of Ray's processes that have been printed here, which happens with some delay.

    Args:
        ray: the module.
    """

    def __init__(self, ray: Any) -> None:
        self._lines: set[str] = set()
        self._printer: Any = None
        with suppress(AttributeError):  # Ray has no public way to hear of them
            self._printer = ray._private.ray_logging.global_worker_stdstream_dispatcher
            self._printer.add_handler(ECHO, self._hear)

    def _hear(self, data: dict[str, Any]) -> None:
        self._lines.update(str(line).strip() for line in data.get("lines", ()))

    def wait_for(self, lines: Iterable[str]) -> None:
        """Wait until lines have been printed here, `DELAY` at most; then listen no more."""
        end, lines = time.monotonic() + DELAY, set(lines)
        while not lines <= self._lines and time.monotonic() < end:
            time.sleep(LOOK)
        if lines:
            time.sleep(SETTLE)
        with suppress(AttributeError):
            self._printer.remove_handler(ECHO)


def _start(ray: Any, address: str | None, cores: int | None, section: str, print_logs: bool) -> None:
    options: dict[str, Any] = {"address": address or "local"}
    if address is None:
        options |= {"num_cpus": cores, "include_dashboard": False}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _knock(address)
        ray.init(**options, log_to_driver=print_logs, logging_level=logging.ERROR)
        for number, handler in handlers.items():  # Ray's own would end this process before its jobs
            signal.signal(number, handler)
    except (OSError, ValueError, RuntimeError) as error:
        where = "Ray did not start on this machine" if address is None else f"no Ray cluster answers at {address}"
        msg = (
            f"{section}.address={address}: {where} ({brief(error, 200)}): `ray start --head` starts a cluster, "
            f"and {section}.address=null uses this machine alone"
        )
        raise SetiError(msg) from error


def _knock(address: str | None) -> None:
    """Connect to the address of a cluster, for which Ray would try for minutes.

    Raises:
        OSError: nothing answers there.
    """
    place = re.fullmatch(r"(?:ray://)?\[?([^\]/]+)\]?:(\d+)", address or "")
    if place is not None:
        socket.create_connection((place[1], int(place[2])), ANSWER).close()


def resources(has: dict[str, float], settings: Any, section: str) -> tuple[dict[str, float], int]:
    """Resources of each process, as Ray takes them, and how many processes fit at once.

    Args:
        has: resources of the whole cluster, by Ray's names.
        settings: with `cpus` and `gpus`.
        section: of the settings, for messages.

    Raises:
        SetiError: the cluster has too little for one process.
    """
    gpus = settings["gpus"]
    if gpus == "auto":
        gpus = 1 if has.get("GPU", 0) >= 1 else 0
    wanted = {"CPU": settings["cpus"], "GPU": gpus}
    for name, count in wanted.items():
        if count > has.get(name, 0):
            key = f"{section}.{name.lower()}s"
            what = "job" if section == SWEEP else "actor"
            msg = (
                f"{key}={count} for each {what}, and Ray has {has.get(name, 0):g} {name}s in all: set {key} to what "
                "one machine has"
            )
            raise SetiError(msg)
    slots = min(int(has[name] // count) for name, count in wanted.items() if count)
    return {"num_cpus": settings["cpus"], "num_gpus": gpus}, max(1, slots)
