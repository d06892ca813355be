"""Signals that a job of a sweep sends to itself, where its engine has none for it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
