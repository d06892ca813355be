"""Errors that the user can fix."""

from collections.abc import Iterator
from contextlib import contextmanager


class SetiError(Exception):
    """Mistake in the input, the settings or the machine, not in the program.

    The message is one line that states what is wrong, where, and how to fix it. Commands print it without a
    traceback and exit with code 1.
    """

    def __init__(self, message: str) -> None:
        # torch re-raises an error from a DataLoader worker with the worker's whole traceback as its message.
        if message.startswith("Caught SetiError in DataLoader worker"):
            message = message.rsplit(f"{__name__}.SetiError: ", 1)[-1].strip()
        super().__init__(message)


class SettingsError(SetiError):
    """Settings that are refused every time: the same command never works, other settings may."""


@contextmanager
def settings_errors() -> Iterator[None]:
    """Raise errors of the block, or of the function that this decorates, as `SettingsError`."""
    try:
        yield
    except SettingsError:
        raise
    except SetiError as error:
        raise SettingsError(str(error)) from error


def brief(value: object, length: int = 60) -> str:
    """Shorten a value read from a file to one printable line, safe to show in a terminal."""
    text = " ".join(str(value)[: 4 * length].split())
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= length else f"{text[:length]}..."
