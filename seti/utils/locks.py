"""Folder locks: one run at a time in a folder."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seti.utils import claims, files
from seti.utils.claims import LockedError

NAME = ".lock"
_threads = threading.Lock()
_held: set[tuple[int, Path]] = set()  # processes and files: the kernel's locks do not keep threads of one apart


@contextmanager
def hold(folder: Path, doing: str, name: str = NAME, patience: float = 0, fix: str = "") -> Iterator[None]:
    """Lock an existing folder against other runs while the block runs.

    The kernel holds the lock and releases it when the process ends for any reason; a killed run leaves only a small
    file that locks nothing. It is a POSIX lock, which forked workers do not inherit, so no worker can keep it alive
    after its parent was killed. It works across machines if the file system shares POSIX locks, as NFS does with its
    lock service running. On a file system without locks a claim takes its place, see `seti.utils.claims`.

    Args:
        folder: the folder to lock.
        doing: what this run does in the folder; shown to other runs that want the lock.
        name: name of the lock file in the folder.
        patience: seconds to wait for a lock that other runs hold only briefly.
        fix: further advice for a run that is refused.

    Raises:
        LockedError: another process, or another thread of this one, holds the lock.
    """
    path = folder / name
    with files.name_in_errors(path):
        handle = _wait_for(path, patience, fix)
    try:
        holder = {
            "doing": doing,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with files.name_in_errors(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(holder).encode(), 0)
            claims.confirm(path, holder)
        yield
    finally:
        _held.discard((os.getpid(), path.resolve()))
        path.unlink(missing_ok=True)  # before the lock is released, so that no other run has started to use the file
        claims.release(path)
        os.close(handle)


def _wait_for(path: Path, patience: float, fix: str) -> int:
    end = time.monotonic() + patience
    while True:
        try:
            return _claim(path, fix)
        except LockedError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


def _claim(path: Path, fix: str) -> int:
    claim = os.getpid(), path.resolve()
    with _threads:
        if claim in _held:  # not even opened: closing any handle of this process would release the lock
            raise LockedError(_in_use(path, "another thread of this process", fix))
        handle = _acquire(path, fix)
        _held.add(claim)
    return handle


def _acquire(path: Path, fix: str) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(handle)
            os.close(handle)
            raise LockedError(_in_use(path, holder, fix)) from error
        except OSError as error:
            if error.errno not in claims.NO_LOCKS:
                os.close(handle)
                raise
            try:
                claims.claim(path)
            except BaseException:
                os.close(handle)
                raise
            return handle
        except BaseException:
            os.close(handle)
            raise
        try:
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # the previous holder has just removed the file, so a lock on it excludes no one


def _in_use(path: Path, holder: str, fix: str) -> str:
    return (
        f"{path.parent} is in use by another run ({holder}): wait until it ends, or stop it first"
        f"{'; ' if fix else ''}{fix}"
    )


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 1000, 0))
        return f"{holder['doing']}, process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "which has just started"
