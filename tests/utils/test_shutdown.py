"""Signals: handlers that are restored, blocks that put a signal off, workers and forked processes."""

import multiprocessing
import os
import signal
import time

import pytest

from seti.utils import shutdown
from seti.utils.shutdown import Interrupted


def test_handlers_are_restored_after_the_block():
    before = [signal.getsignal(number) for number in shutdown.SIGNALS]
    with shutdown.interruptible(), shutdown.deferring():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in shutdown.SIGNALS] == before


def test_a_deferred_signal_is_raised_at_the_end_of_the_block():
    reached = []

    def work():
        with shutdown.interruptible(), shutdown.deferring():
            signal.raise_signal(signal.SIGTERM)
            reached.append("the block's end")

    with pytest.raises(Interrupted, match=r"^terminated: "):
        work()
    assert reached == ["the block's end"]
    with shutdown.interruptible():  # another run in the same process
        assert shutdown.pending() is None


def test_a_worker_outlives_the_signals_of_its_group_but_not_its_parents():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        shutdown.ignore_signals_in_worker()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # from a process other than the parent
        time.sleep(0.1)
        os.write(writer, b"alive")
        time.sleep(10)
        os._exit(1)
    assert os.read(reader, 5) == b"alive"
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_worker_ends_after_its_parent_even_one_that_died_before_the_worker_started(monkeypatch, late):
    monkeypatch.setattr(shutdown, "ORPHAN_AFTER", 0.05)
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        own = os.getpid()

        def work():
            while late and os.getppid() == own:
                time.sleep(0.01)
            os.write(writer, b"started")
            shutdown.ignore_signals_in_worker()
            time.sleep(20)

        multiprocessing.get_context("fork").Process(target=work).start()
        if not late:
            time.sleep(0.2)
        os._exit(0)
    os.close(writer)
    os.waitpid(parent, 0)
    started = time.monotonic()
    assert os.read(reader, 7) == b"started"
    assert os.read(reader, 1) == b"", "the end of the worker closes the pipe"
    os.close(reader)
    assert time.monotonic() - started < 10


def test_a_forked_process_exits_silently(capfd):
    with shutdown.interruptible():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert capfd.readouterr().err == ""
