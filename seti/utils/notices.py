"""Notices that a run gives once, however many folds or experiments meet the same thing."""

import functools
import logging


@functools.cache
def log_once(log: logging.Logger, level: int, line: str) -> None:
    """Log a line the first time that this process meets it.

    Args:
        log: of the module that gives the notice.
        level: such as `logging.INFO`.
        line: the whole notice, with the path that it is about.
    """
    log.log(level, "%s", line)
