"""End of a job whose sweep has ended, where its engine does not end it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seti.cli import journal

LOOK = 0.5  # s between two looks


@contextmanager
def signalling(number: int, asked: Callable[[], bool]) -> Iterator[None]:
    """Send this process a signal, once, as soon as something is true in this block.

    Args:
        number: of the signal.
        asked: looked at from a thread.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK):
            if asked():
                os.kill(os.getpid(), number)
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def ending_with_command() -> Iterator[None]:
    """End this process, and the job in this block, once the command of its sweep is gone.

    The job ends as by SIGTERM, and saves its state. joblib's workers would finish their jobs, and then wait.
    """
    if not journal.has_parent():
        yield
        return
    if not _Worker.is_watched:
        _Worker.is_watched = True
        threading.Thread(target=_end_with_command, daemon=True).start()
    _Worker.is_at_work = True
    try:
        yield
    finally:
        _Worker.is_at_work = False
        if journal.is_orphaned():
            os._exit(1)


class _Worker:
    is_watched: bool = False
    is_at_work: bool = False


def _end_with_command() -> None:
    while not journal.is_orphaned():
        time.sleep(LOOK)
    if _Worker.is_at_work:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        os._exit(1)
