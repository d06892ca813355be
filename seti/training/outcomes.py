"""Errors of a process that trains with others, as text that the others can read."""

import json
import signal
import traceback
from typing import Any

from torch import distributed

from seti.errors import SetiError, SettingsError
from seti.utils.shutdown import Interrupted

LOST_WORDS = ("gloo", "connection closed by peer", "connection reset by peer", "broken pipe")


class FailedProcessError(Exception):
    """Mistake of the program in another process; the message is its traceback."""


def is_lost(error: BaseException) -> bool:
    """True for an error that says no more than that another process has gone."""
    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LOST_WORDS)


def describe(error: BaseException) -> str:
    """Describe an error as JSON."""
    content: dict[str, Any] = {"message": str(error)}
    if isinstance(error, Interrupted):
        content = {"kind": "interrupted", "signal": int(error.signum), "message": error.note}
    elif is_lost(error):
        content["kind"] = "lost"
    elif isinstance(error, SetiError):
        content["kind"] = "settings" if isinstance(error, SettingsError) else "fixable"
    elif isinstance(error, OSError) and error.errno is not None:
        content |= {"kind": "system", "errno": error.errno, "reason": error.strerror, "file": error.filename}
    else:
        content |= {
            "kind": "mistake",
            "type": type(error).__name__,
            "traceback": "".join(traceback.format_exception(error)),
        }
    return json.dumps(content, default=str)


def restore(text: str) -> BaseException | None:
    """Make the error that `describe` was given; None for one that `is_lost`."""
    content = json.loads(text)
    kind, message = content["kind"], content["message"]
    if kind == "interrupted":
        return Interrupted(signal.Signals(content["signal"]), message)
    if kind in ("settings", "fixable"):
        return SettingsError(message) if kind == "settings" else SetiError(message)
    if kind == "system":
        return OSError(content["errno"], content["reason"], content["file"])
    if kind == "lost":
        return None
    error = RuntimeError(message if content["type"] == "RuntimeError" else f"{content['type']}: {message}")
    error.__cause__ = FailedProcessError(f"in another process\n{content['traceback']}")
    return error
