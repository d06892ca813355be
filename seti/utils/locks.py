"""One run at a time in a folder."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seti.errors import SetiError
from seti.utils import files

NAME = ".lock"


@contextmanager
def hold(folder: Path, doing: str, name: str = NAME, patience: float = 0, fix: str = "") -> Iterator[None]:
    """Keep other runs out of an existing folder while the block runs.

    The kernel keeps the lock and drops it when the process ends, however it ends; what a killed run leaves behind is
    a small file that locks nothing. The lock is a POSIX one: forked workers do not inherit it, so none of them can
    keep it for a parent that was killed. It holds between machines where the file system shares POSIX locks, as NFS
    does with its lock service running.

    Args:
        folder: to be locked, by a file in it.
        doing: what this run does there, for whoever is kept out.
        name: of the file.
        patience: seconds to wait for the lock, where others hold it for an instant.
        fix: what else whoever is kept out can do.

    Raises:
        SetiError: another process is at work in the folder.
    """
    path = folder / name
    with files.name_in_errors(path):
        handle = _wait_for(path, patience, fix)
    try:
        told = {
            "doing": doing,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with files.name_in_errors(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(told).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while the lock is held: nobody else can have begun to use this file
        os.close(handle)


def _wait_for(path: Path, patience: float, fix: str) -> int:
    end = time.monotonic() + patience
    while True:
        try:
            return _acquire(path, fix)
        except SetiError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


def _acquire(path: Path, fix: str) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(handle)
            os.close(handle)
            msg = (
                f"{path.parent} is in use by another run ({holder}): wait for its end, or stop it first"
                f"{'; ' if fix else ''}{fix}"
            )
            raise SetiError(msg) from error
        except BaseException:
            os.close(handle)
            raise
        try:
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # its former holder has just removed it: that lock would keep nobody out


def _holder(handle: int) -> str:
    try:
        told = json.loads(os.pread(handle, 1000, 0))
        return f"{told['doing']}, process {told['pid']} on {told['host']} since {told['since']}"
    except (ValueError, KeyError, TypeError):
        return "which has just begun"
