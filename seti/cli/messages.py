"""The last lines of a command, on standard error and in the job's log file."""

import logging
import re
import sys
from typing import Any

log = logging.getLogger(__name__)


def say_error(message: str) -> None:
    """Print a message as one line to standard error, and into the job's log file."""
    say("error: " + re.sub(r"\s*\n\s*", " ", message.strip()))  # blanks in paths stay


def say(line: str) -> None:
    """Print a line to standard error, and into the job's log file."""
    log_to_file(logging.ERROR, line)
    print(line, file=sys.stderr)


def log_to_file(level: int, line: str, exc_info: Any = None) -> None:
    """Write a line, and an error's traceback, into the job's log file alone."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logging.LogRecord(log.name, level, __file__, 0, line, None, exc_info))
