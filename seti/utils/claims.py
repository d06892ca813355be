"""Claims: files in the place of locks, on file systems that have none.

A claim is made by creating a file that must not exist, which one process alone can do. Unlike a lock it stays when its
process is killed: it is taken over if that process ran on this machine and has ended, else the user must delete it.
"""

import errno
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from seti.errors import SetiError

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # how systems say so
GRACE = 60  # s in which a claim without content may still be written


class LockedError(SetiError):
    """Another process holds the lock."""


def claim_of(lock: Path) -> Path:
    """The claim's file, next to the lock's."""
    return lock.with_name(f"{lock.name}.claim")


def claim(lock: Path) -> None:
    """Claim what a lock file stands for.

    Raises:
        LockedError: another process has claimed it, or had locked it where locks worked.
    """
    path = claim_of(lock)
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            found = _read(path)
            if found is not None:
                _take_over(path, found)
            continue
        os.write(handle, json.dumps(_own()).encode())
        os.close(handle)
        break
    holder = _read(lock)
    if holder and not _has_ended(holder, lock):
        path.unlink()
        raise LockedError(_in_use(lock, holder))


def confirm(lock: Path, holder: dict[str, Any]) -> None:
    """Complete this process's claim, if there is one; else refuse a lock that others claimed.

    Raises:
        LockedError: a process that could not lock has claimed it.
    """
    path = claim_of(lock)
    found = _read(path)
    if found is None:
        return
    if _is_own(found):
        path.write_text(json.dumps(_own() | holder), encoding="utf-8")
    elif not _has_ended(found, path):
        raise LockedError(_in_use(path, found))


def release(lock: Path) -> None:
    """Remove this process's claim, if it has one."""
    path = claim_of(lock)
    found = _read(path)
    if found is not None and _is_own(found):
        path.unlink(missing_ok=True)


def _own() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _is_own(found: dict[str, Any]) -> bool:
    return all(found.get(key) == value for key, value in _own().items())


def _read(path: Path) -> dict[str, Any] | None:
    """Read a holder; empty while it is being written, None without a file."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_ended(holder: dict[str, Any], path: Path) -> bool:
    """True if the holder's process ran on this machine and has ended."""
    if not holder:
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > GRACE
        return False
    if holder.get("host") != socket.gethostname() or type(holder.get("pid")) is not int:
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # it belongs to another user
        return False
    return False


def _take_over(path: Path, found: dict[str, Any]) -> None:
    """Remove the claim of a process that has ended."""
    if not _has_ended(found, path):
        raise LockedError(_in_use(path, found))
    aside = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}")
    try:
        path.rename(aside)  # one of several processes that take it over succeeds
    except FileNotFoundError:
        return
    if _read(aside) != found:  # another process was faster, and this is its claim
        aside.rename(path)
    else:
        aside.unlink()


def _in_use(path: Path, holder: dict[str, Any]) -> str:
    who = "a run that has just started"
    if holder:
        who = (
            f"{holder.get('doing', 'starting')}, process {holder.get('pid')} on {holder.get('host')}"
            f"{' since ' * ('since' in holder)}{holder.get('since', '')}"
        )
    return (
        f"{path.parent} may be in use by another run ({who}), and its file system has no locks to tell: wait until "
        f"that run ends; if it has ended, delete {path}"
    )
