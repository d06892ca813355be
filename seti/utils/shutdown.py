"""Clean shutdown on Ctrl-C and SIGTERM: programs save their state and end with one line."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ORPHAN_AFTER = 5  # s, at most, until a worker notices that its parent has gone
SIGNALS = (signal.SIGINT, signal.SIGTERM)
TIME_OVER = signal.SIGALRM  # not sent: the word for a limit of time that this program keeps itself
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", TIME_OVER: "out of time"}


class Interrupted(BaseException):
    """Signal to end the program, raised as an exception.

    It derives from `BaseException` so that only the program's entry point catches it.

    Args:
        signum: the signal's number.
        note: what was saved, and how to continue.
    """

    def __init__(self, signum: int, note: str = "the same command goes on with what is there") -> None:
        super().__init__(signum, note)
        self.signum = signal.Signals(signum)
        self.note = note

    @property
    def code(self) -> int:
        """Exit code by the shell's convention: 130 after Ctrl-C, 143 after SIGTERM, 142 out of time."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"{WORDS.get(self.signum, self.signum.name)}: {self.note}"


class _State:
    """Pending signal of this process, its id to recognise forked workers by, and a running hook."""

    pending: signal.Signals | None = None
    owner: int | None = None
    in_hook: bool = False
    launched: bool = False


def pending() -> signal.Signals | None:
    """Return the signal received since the handlers were installed, if any."""
    return _State.pending


def obey_launcher() -> None:
    """Take one signal only, as the process of a launcher.

    It passes on signals that its processes had as well, and ends those that do not end.
    """
    _State.launched = True


def raise_if_pending(note: str | None = None) -> None:
    """Raise `Interrupted` if a signal was received and deferred."""
    if _State.pending is not None:
        raise Interrupted(_State.pending, *([] if note is None else [note]))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let signals raise `Interrupted` anywhere in the block."""
    hook = sys.unraisablehook
    sys.unraisablehook = ours = functools.partial(_raise_again, hook)
    try:
        with _handlers(_interrupt):
            yield
    finally:
        if sys.unraisablehook is ours:  # otherwise `silence_half_built_objects` stays in force until the process ends
            sys.unraisablehook = hook


@contextmanager
def deferring() -> Iterator[None]:
    """Defer the first signal in the block to a safe point.

    A second signal raises `Interrupted` at once. The block calls `pending` or `raise_if_pending` at its safe points. A
    signal still pending when the block ends is raised then.
    """
    with _handlers(_defer):
        yield
        raise_if_pending()


def defer_again() -> None:
    """Reinstall the handlers of `deferring` after a library has replaced them."""
    _set(_defer)


def ignore_signals_in_worker() -> None:
    """Let only the parent end this worker process.

    A signal often reaches the whole process group, and without its workers the parent could not finish the step that
    it is about to save. Ctrl-C is ignored, and SIGTERM is obeyed only when the parent sends it. A worker whose parent
    was killed ends as well, also where that was before the worker had started.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):  # without it the sender is unknown
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_obey_parent, args=(_parent(),), daemon=True).start()


def _parent() -> int:
    """Id of the process that started this worker, even if it has died meanwhile."""
    started_by = multiprocessing.parent_process()
    if started_by is None or multiprocessing.get_start_method() == "forkserver":  # whose server is the parent
        return os.getppid()
    return started_by.pid


def _obey_parent(parent: int) -> None:
    while os.getppid() == parent:
        sent = signal.sigtimedwait([signal.SIGTERM], ORPHAN_AFTER)
        if sent is not None and sent.si_pid == parent:
            break
    os._exit(0)


@contextmanager
def shielded_children() -> Iterator[None]:
    """Shield processes started in this block from Ctrl-C, even during their own startup."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    if _State.owner != os.getpid():
        _State.owner, _State.pending = os.getpid(), None
    outermost = not any(signal.getsignal(number) in (_interrupt, _defer) for number in SIGNALS)
    if outermost:
        _State.pending = None
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


def _interrupt(signum: int, _: FrameType | None) -> None:
    _exit_if_forked(signum)
    if _State.launched and _State.pending is not None:
        return
    _State.pending = signal.Signals(signum)
    if not _State.in_hook:  # an exception would be dropped there, and the signal is sent again anyway
        raise Interrupted(signum)


def _raise_again(hook: Callable[[Any], Any], lost: Any) -> None:
    """Resend a signal whose exception Python dropped.

    Python drops exceptions in places such as finalisers, `Interrupted` included. Other errors dropped after a signal
    are not reported: torch, for instance, may complain anywhere about workers that the signal ended.
    """
    if not isinstance(lost.exc_value, Interrupted):
        if _State.pending is None:
            hook(lost)
        return
    _State.in_hook = True
    try:
        again = threading.Thread(target=_send_again, args=(lost.exc_value.signum,), daemon=True)
        again.start()
    finally:
        _State.in_hook = False


def silence_half_built_objects() -> None:
    """Silence finaliser errors of objects that a signal left half built, such as data loaders."""
    hook = sys.unraisablehook

    def silenced(lost: Any) -> None:
        if not isinstance(lost.exc_value, AttributeError):
            hook(lost)

    sys.unraisablehook = silenced


def _send_again(signum: signal.Signals) -> None:
    time.sleep(0.01)
    while _State.in_hook:  # of a busy machine
        time.sleep(0.01)
    if signal.getsignal(signum) in (_interrupt, _defer):  # otherwise the block has ended
        os.kill(os.getpid(), signum)


def _defer(signum: int, _: FrameType | None) -> None:
    _exit_if_forked(signum)
    if _State.pending is not None:
        if not _State.in_hook and not _State.launched:
            raise Interrupted(signum)
        return
    _State.pending = signal.Signals(signum)
    if signum == signal.SIGINT and sys.stderr.isatty():
        # Not print, which is not reentrant: the signal may have arrived inside a print.
        os.write(2, b"\nstopping after this step, which will be saved; press Ctrl-C again to stop at once\n")


def _exit_if_forked(signum: int) -> None:
    """Exit silently in a forked process, which inherits these handlers."""
    if os.getpid() != _State.owner:
        os._exit(128 + signum)
