"""Notices that a run gives once, however many folds or experiments meet the same thing."""

import logging
import os
from collections.abc import Hashable

_given: set[Hashable] = set()


def be_silent() -> None:
    """Print nothing and log nothing in this process: another one speaks for it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    logging.getLogger().addHandler(logging.NullHandler())


def log_once(log: logging.Logger, level: int, line: str, about: Hashable = None) -> None:
    """Log a line the first time that this process meets it.

    Args:
        log: of the module that gives the notice.
        level: such as `logging.INFO`.
        line: the whole notice.
        about: its subject, of which one notice is enough however it is worded; None: the line itself.
    """
    key = line if about is None else about
    if key not in _given:
        _given.add(key)
        log.log(level, "%s", line)
