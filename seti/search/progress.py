"""Progress of a scan by coarse channel, with an estimate of the time that is left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from seti.utils.console import console

EVERY = 30.0  # s between two lines where the output is not a terminal


class ScanProgress:
    """Count of parts that are done: a bar in a terminal, a line now and then elsewhere.

    Args:
        noun: of the parts, singular.
        total: number of parts of this run.
        done: number of these that are done already.
    """

    def __init__(self, noun: str, total: int, done: int) -> None:
        self._noun, self._total, self._done, self._events = noun, total, done, 0
        self._began, self._first = time.monotonic(), done
        self._said = self._began
        self._bar = self._task = None

    def advance(self, events: int) -> None:
        """Count a part that has just been searched."""
        self._done += 1
        self._events += events
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=self._noun, left=self._rest())
        elif time.monotonic() - self._said >= EVERY and self._done < self._total:
            self._said = time.monotonic()
            print(f"{self._noun} {self._done} of {self._total}{self._rest()}", flush=True)

    def _rest(self) -> str:
        new = self._done - self._first
        each = (time.monotonic() - self._began) / new if new else 0.0
        found = f"{self._events} event{'s' * (self._events != 1)}"
        return f", {found}, {each:.1f} s each, {duration(each * (self._total - self._done))} left"

    @contextmanager
    def shown(self) -> Iterator["ScanProgress"]:
        """Show the progress while the block runs."""
        terminal = console()
        if not terminal.is_terminal:
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        with Progress(*columns, console=terminal) as self._bar:
            self._task = self._bar.add_task(self._noun, total=self._total, completed=self._done, left="")
            yield self


def duration(seconds: float) -> str:
    """Format a duration in the two units that matter: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
