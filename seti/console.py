"""The terminal that tables and progress bars go to."""

from rich.console import Console


def console() -> Console:
    """A console on standard output; wide enough for a table where output is no terminal, and logs take over."""
    made = Console()
    return made if made.is_terminal else Console(width=120)
