"""Signals and errors in finalisers: none of the first is lost, and of the second none is dropped without reason."""

import signal
import sys
import threading
import time

import pytest

from seti.utils import shutdown
from seti.utils.shutdown import Interrupted


def test_a_signal_during_a_finaliser_is_not_lost(capfd):
    class Freed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def work():
        with shutdown.interruptible():
            Freed()
            time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(Interrupted):
        work()
    assert capfd.readouterr().err == ""
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("block", [shutdown.interruptible, shutdown.deferring])
def test_a_signal_sent_again_while_the_last_one_is_dropped_is_not_lost(monkeypatch, capfd, block):
    class Freed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    class SlowThread(threading.Thread):
        """On a busy machine the thread may have done its work before the hook returns."""

        def start(self):
            super().start()
            time.sleep(0.05)
            signal.raise_signal(signal.SIGTERM)  # a second one

    def work():
        with shutdown.interruptible():
            Freed()
            with block():
                time.sleep(10)

    monkeypatch.setattr(threading, "Thread", SlowThread)
    started = time.monotonic()
    with pytest.raises(Interrupted):
        work()
    assert time.monotonic() - started < 5
    assert capfd.readouterr().err == ""


def test_half_built_objects_are_silent_after_a_signal(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(type(lost.exc_value)))
    shutdown.silence_half_built_objects()

    class HalfBuilt:
        error = AttributeError

        def __del__(self):
            raise self.error

    class Broken(HalfBuilt):
        error = ValueError

    HalfBuilt(), Broken()
    assert reported == [ValueError]


def test_half_built_objects_stay_silent_after_the_surrounding_blocks(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(type(lost.exc_value)))

    class HalfBuilt:
        def __del__(self):
            raise AttributeError

    with shutdown.interruptible():  # the program's, around the one of Hydra's task
        with shutdown.interruptible():
            pass
        shutdown.silence_half_built_objects()
    HalfBuilt()
    assert not reported


def test_dropped_errors_are_reported_until_a_signal_arrives(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(str(lost.exc_value)))

    class Broken:
        def __init__(self, message):
            self.message = message

        def __del__(self):
            raise RuntimeError(self.message)

    def interrupted():
        Broken("before")
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            Broken("a worker is gone")

    with pytest.raises(Interrupted), shutdown.interruptible():
        interrupted()
    assert reported == ["before"]
