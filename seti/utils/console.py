"""Terminal output: the console for tables, progress bars, paths and the next command."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_bars: ContextVar[bool] = ContextVar("bars", default=True)


def console() -> Console:
    """Create a console on standard output, 120 columns wide if output is redirected."""
    made = Console()
    return made if made.is_terminal else Console(width=120)


def near(path: Path) -> Path:
    """Shorten a path to one relative to the current folder, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def print_next(command: str, purpose: str = "") -> None:
    """Print the command that comes next, on a line of its own.

    Args:
        command: quoted for a shell.
        purpose: of the command, where that is not plain.
    """
    print(f"next{', ' * bool(purpose)}{purpose}:  {command}")


def cadence_progress() -> Progress:
    """Create a progress bar that counts cadences and shows their rate.

    A task that begins with some completed has them as its field `before` too: they do not count in the final rate.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn())
    return _Bars(*columns, TimeRemainingColumn(), console=console(), disable=not _bars.get())


def item_progress(items: str) -> Progress:
    """Create a progress bar that counts items and shows the time that is left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(items))
    return _Bars(*columns, TimeRemainingColumn(), console=console(), disable=not _bars.get())


@contextmanager
def progress_bars(shown: bool) -> Iterator[None]:
    """Show the progress bars that are made in this block, or none of them."""
    before = _bars.set(shown and _bars.get())
    try:
        yield
    finally:
        _bars.reset(before)


class _Bars(Progress):
    """Progress bars that an error leaves behind only where they have come on."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.transient = kind is not None and not any(task.completed for task in self.tasks)
        super().__exit__(kind, error, trace)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        # The last samples alone may be those of parts that came in together, thousands of times as fast as the rest.
        whole = (task.completed - task.fields.get("before", 0)) / task.finished_time if task.finished_time else None
        speed = whole if task.finished else task.speed
        return Text(f"{speed:.{0 if speed >= 1 else 1}f} cadences/s" if speed else "", style="progress.data.speed")
