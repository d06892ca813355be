"""The journal of a sweep: what its jobs did, whichever process or machine ran them.

A folder with a file a job, so that jobs of several machines do not write to one file.
"""

import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seti.errors import SetiError

log = logging.getLogger(__name__)

VARIABLE = "SETI_SWEEP_JOURNAL"  # environment variable: the folder, for the processes of the jobs
PARENT = "SETI_SWEEP_PARENT"  # environment variable: the command's process, where its jobs run in children of it
PREFIX = ".seti-sweep-"
STOP = "stop"  # file in the journal of a sweep whose jobs are to end
NO_TEMPORARY_FOLDER = "no folder takes temporary files: set the variable TMPDIR to one where you may write"
KILLED = "its process was killed, perhaps for lack of memory"


@dataclass
class Job:
    """One job of a sweep.

    Attributes:
        folder: its folder.
        overrides: of its command line.
        failure: content of its `failure.json`, or None.
        ended: False while it runs, and forever where its process was killed.
        fresh: its folder was empty when it began.
    """

    folder: Path
    overrides: list[str]
    failure: dict[str, Any] | None = None
    ended: bool = False
    fresh: bool = False


def open_journal(shared: Path | None = None) -> None:
    """Make an empty journal for a sweep that begins.

    Args:
        shared: a folder that all machines of the sweep see; None: the jobs run on this one.

    Raises:
        SetiError: there is no folder for temporary files.
    """
    if shared is not None:
        shared.mkdir(parents=True, exist_ok=True)
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix=PREFIX, dir=shared.absolute())
        os.environ.pop(PARENT, None)
        return
    try:
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix=PREFIX)
    except OSError as error:
        raise SetiError(NO_TEMPORARY_FOLDER) from error
    os.environ[PARENT] = str(os.getpid())


def is_orphaned() -> bool:
    """True in a job's process that has outlived the command of its sweep, which was killed."""
    return has_parent() and int(os.environ[PARENT]) != os.getppid()


def has_parent() -> bool:
    """True in a process that the command of a sweep has started for its jobs."""
    parent = os.environ.get(PARENT, "")
    return is_open() and parent.isdecimal() and int(parent) != os.getpid()


def is_open() -> bool:
    """True in a sweep that has not been reported yet."""
    return VARIABLE in os.environ


def note(number: int, **facts: Any) -> None:
    """Write down facts about a job: attributes of `Job`, as plain values.

    Args:
        number: of the job in its sweep.
        facts: that are new.
    """
    if is_open():
        try:
            with _path(number).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(facts) + "\n")
        except OSError as error:
            log.warning("the sweep's report will miss this job: %s", error)


def is_noted(number: int) -> bool:
    """True if a job has begun."""
    return _path(number).exists()


def stop() -> None:
    """Ask the jobs of this sweep to save their state and end, on whichever machine they are."""
    (Path(os.environ[VARIABLE]) / STOP).touch()


def is_stopping() -> bool:
    """True once the jobs of this sweep are to end."""
    with suppress(OSError):  # listed, because network file systems remember for a while that a file is missing
        return STOP in os.listdir(os.environ[VARIABLE])  # noqa: PTH208
    return False


def close() -> dict[int, Job]:
    """Remove the journal; return the jobs by their numbers."""
    folder = Path(os.environ.pop(VARIABLE))
    os.environ.pop(PARENT, None)
    jobs: dict[int, Job] = {}
    for path in sorted(folder.glob("*.jsonl"), key=lambda path: int(path.stem)):
        job: Job | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # a line that a killed process left half written
                facts = json.loads(line)
                if "folder" in facts:  # it begins, perhaps once more
                    job = Job(Path(facts.pop("folder")), **facts)
                elif job is not None:
                    vars(job).update(facts)
        if job is not None:
            jobs[int(path.stem)] = job
    shutil.rmtree(folder, ignore_errors=True)
    return jobs


def discard() -> None:
    """Remove the journal of a sweep that will not be reported."""
    os.environ.pop(PARENT, None)
    shutil.rmtree(os.environ.pop(VARIABLE), ignore_errors=True)


def _path(number: int) -> Path:
    return Path(os.environ[VARIABLE]) / f"{number}.jsonl"
