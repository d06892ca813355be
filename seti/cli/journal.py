"""The journal of a sweep: what its jobs on this machine did, whichever process ran them."""

import json
import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seti.errors import SetiError

log = logging.getLogger(__name__)

VARIABLE = "SETI_SWEEP_JOURNAL"  # environment variable: the file, for the processes of the jobs
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


def open_journal() -> None:
    """Make an empty journal for a sweep that begins.

    Raises:
        SetiError: there is no folder for temporary files.
    """
    try:
        handle, os.environ[VARIABLE] = tempfile.mkstemp(prefix="seti-sweep-")
    except OSError as error:
        raise SetiError(NO_TEMPORARY_FOLDER) from error
    os.close(handle)


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
            with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps({"job": number, **facts}) + "\n")
        except OSError as error:
            log.warning("the sweep's report will miss this job: %s", error)


def close() -> dict[int, Job]:
    """Remove the journal; return the jobs by their numbers."""
    journal = Path(os.environ.pop(VARIABLE))
    jobs: dict[int, Job] = {}
    for line in journal.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, KeyError):  # a line that a killed process left half written
            facts = json.loads(line)
            number = facts.pop("job")
            if "folder" in facts:
                jobs[number] = Job(Path(facts.pop("folder")), **facts)
            else:
                vars(jobs[number]).update(facts)
    journal.unlink()
    return jobs
