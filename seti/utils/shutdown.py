"""Ctrl-C and SIGTERM: a program ends with one line, after saving what it can."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Interrupted(BaseException):
    """A signal asked the program to end. No `Exception`: nothing but the program's end may catch it.

    Args:
        signum: which signal.
        note: what was saved, and how to go on.
    """

    def __init__(self, signum: int, note: str = "the same command goes on with what is there") -> None:
        super().__init__(signum, note)
        self.signum = signal.Signals(signum)
        self.note = note

    @property
    def code(self) -> int:
        """Exit code, as shells count it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"{WORDS.get(self.signum, self.signum.name)}: {self.note}"


class _State:
    """What this process was asked; a forked worker is another process, and is not meant."""

    asked: signal.Signals | None = None
    owner: int | None = None


def asked() -> signal.Signals | None:
    """Which signal asked this process to end, if any did since its handlers were set."""
    return _State.asked


def raise_if_asked(note: str | None = None) -> None:
    """End here if a signal asked for it and was put off."""
    if _State.asked is not None:
        raise Interrupted(_State.asked, *([] if note is None else [note]))


@contextmanager
def ending() -> Iterator[None]:
    """While the block runs, a signal ends it wherever it is, by `Interrupted`."""
    hook = sys.unraisablehook
    sys.unraisablehook = ours = functools.partial(_raise_again, hook)
    try:
        with _handlers(_end_here):
            yield
    finally:
        if sys.unraisablehook is ours:  # else what a signal met is to be hushed until the process is gone
            sys.unraisablehook = hook


@contextmanager
def putting_off() -> Iterator[None]:
    """While the block runs, the first signal is noted for `asked`, and a second one ends the block where it is.

    The block asks where it can end well; a signal that it never asked about ends it behind its last line.
    """
    with _handlers(_note_first):
        yield
        raise_if_asked()


def put_off_again() -> None:
    """Inside of `putting_off`: set its handlers again, after a library has set its own."""
    _set(_note_first)


def spare_worker() -> None:
    """In a worker process: leave it to the parent when to end, for a signal often reaches the whole group.

    Without the workers the parent could not finish the step that it wants to save. The parent's own SIGTERM is
    obeyed; a worker whose parent was killed notices by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # else nobody can tell who sent it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()


def _obey_parent(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


@contextmanager
def shielded_children() -> Iterator[None]:
    """Start processes in this block: Ctrl-C does not reach them, not even while they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python hands signals to the main thread alone
        yield
        return
    if _State.owner != os.getpid():
        _State.owner, _State.asked = os.getpid(), None
    outermost = not any(signal.getsignal(number) in (_end_here, _note_first) for number in SIGNALS)
    if outermost:
        _State.asked = None
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _set(handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _set(handler: Callable[[int, FrameType | None], Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, handler)


def _end_here(signum: int, _: FrameType | None) -> None:
    _leave_if_child(signum)
    _State.asked = signal.Signals(signum)
    raise Interrupted(signum)


def _raise_again(hook: Callable[[Any], Any], lost: Any) -> None:
    """Where Python drops errors, such as while it frees an object, a signal's is dropped as well: send it again.

    Of other errors that are dropped after a signal nothing is said: workers that it met, for instance, are missed by
    torch in the middle of anything.
    """
    if not isinstance(lost.exc_value, Interrupted):
        if _State.asked is None:
            hook(lost)
        return
    again = threading.Timer(0.01, _send_again, (lost.exc_value.signum,))
    again.daemon = True
    again.start()


def hush_half_made() -> None:
    """Say nothing of objects that a signal met while they were made: torch's loader cannot take itself apart then."""
    hook = sys.unraisablehook

    def hushed(lost: Any) -> None:
        if not isinstance(lost.exc_value, AttributeError):
            hook(lost)

    sys.unraisablehook = hushed


def _send_again(signum: signal.Signals) -> None:
    if signal.getsignal(signum) in (_end_here, _note_first):  # else the block has ended meanwhile
        os.kill(os.getpid(), signum)


def _note_first(signum: int, _: FrameType | None) -> None:
    _leave_if_child(signum)
    if _State.asked is not None:
        raise Interrupted(signum)
    _State.asked = signal.Signals(signum)
    if signum == signal.SIGINT and sys.stderr.isatty():
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nending after this step, which is then saved; Ctrl-C again ends at once\n")


def _leave_if_child(signum: int) -> None:
    """A process that was forked off has these handlers too: it goes as it would without them, but silently."""
    if os.getpid() != _State.owner:
        os._exit(128 + signum)
