"""Terminal output: the console for tables, progress bars, paths and the next command."""

from pathlib import Path

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
    return Progress(*columns, TimeRemainingColumn(), console=console())


def item_progress(items: str) -> Progress:
    """Create a progress bar that counts items and shows the time that is left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(items))
    return Progress(*columns, TimeRemainingColumn(), console=console())


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        # The last samples alone may be those of parts that came in together, thousands of times as fast as the rest.
        whole = (task.completed - task.fields.get("before", 0)) / task.finished_time if task.finished_time else None
        speed = whole if task.finished else task.speed
        return Text(f"{speed:.{0 if speed >= 1 else 1}f} cadences/s" if speed else "", style="progress.data.speed")
