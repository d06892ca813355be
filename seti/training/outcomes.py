"""How a process that trained with others ended, as text that the others can read."""

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
    told: dict[str, Any] = {"message": str(error)}
    if isinstance(error, Interrupted):
        told = {"kind": "interrupted", "signal": int(error.signum), "message": error.note}
    elif is_lost(error):
        told["kind"] = "lost"
    elif isinstance(error, SetiError):
        told["kind"] = "settings" if isinstance(error, SettingsError) else "fixable"
    elif isinstance(error, OSError) and error.errno is not None:
        told |= {"kind": "system", "errno": error.errno, "reason": error.strerror, "file": error.filename}
    else:
        told |= {
            "kind": "mistake",
            "type": type(error).__name__,
            "traceback": "".join(traceback.format_exception(error)),
        }
    return json.dumps(told, default=str)


def restore(text: str) -> BaseException | None:
    """Make the error again that `describe` was given; None for a process that has lost another one."""
    told = json.loads(text)
    kind, message = told["kind"], told["message"]
    if kind == "interrupted":
        return Interrupted(signal.Signals(told["signal"]), message)
    if kind in ("settings", "fixable"):
        return SettingsError(message) if kind == "settings" else SetiError(message)
    if kind == "system":
        return OSError(told["errno"], told["reason"], told["file"])
    if kind == "lost":
        return None
    error = RuntimeError(message if told["type"] == "RuntimeError" else f"{told['type']}: {message}")
    error.__cause__ = FailedProcessError(f"in another process\n{told['traceback']}")
    return error
