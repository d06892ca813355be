"""The terminal that tables and progress bars go to."""

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
    """A console on standard output; wide enough for a table where output is no terminal, and logs take over."""
    made = Console()
    return made if made.is_terminal else Console(width=120)


def cadence_progress() -> Progress:
    """A progress bar over cadences, with how many of them a second."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console())


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} cadences/s" if speed else "", style="progress.data.speed")
