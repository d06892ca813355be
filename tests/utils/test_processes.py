import multiprocessing
import os
import signal
import threading
import time

import pytest

from seti.errors import SetiError
from seti.utils import malloc, processes, shutdown
from seti.utils.processes import parallel_map, run_apart


def double(number: int) -> int:
    return 2 * number


def own_pid(_: int) -> int:
    return os.getpid()


def own_folder() -> str:
    return os.getcwd()  # noqa: PTH109


def fail() -> None:
    raise ValueError("not shown")


def die() -> None:
    os._exit(3)


def sleep_long() -> None:
    time.sleep(60)


def end_at_once(_: int) -> None:
    os._exit(1)


def report_workers(path: str) -> None:
    for pid in parallel_map(own_pid, range(1000), workers=2):
        with open(path, "a") as stream:  # noqa: PTH123
            stream.write(f"{pid}\n")
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(parallel_map(double, range(7), workers=workers)) == [0, 2, 4, 6, 8, 10, 12]


def test_a_worker_that_dies_is_reported_in_one_line():
    with pytest.raises(SetiError, match="a worker process was killed"):
        list(parallel_map(end_at_once, range(2), workers=2))


def test_a_function_that_runs_apart_says_whether_it_ended_well_and_no_more(capfd):
    assert run_apart(own_folder)
    assert not run_apart(fail)
    assert not run_apart(die)
    assert capfd.readouterr() == ("", "")


def test_an_interruption_ends_what_runs_apart():
    began, parent = time.monotonic(), os.getpid()
    timer = threading.Timer(1.0, os.kill, (parent, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_apart(sleep_long)
    assert time.monotonic() - began < 30
    assert not multiprocessing.active_children()


def test_workers_keep_freed_memory_as_commands_do(monkeypatch):
    called = []
    monkeypatch.setattr(malloc, "keep_freed_memory", lambda: called.append("malloc"))
    monkeypatch.setattr(shutdown, "ignore_signals_in_worker", lambda: called.append("signals"))
    monkeypatch.setattr(processes, "_end_with_parent", lambda: None)
    processes._start_worker()
    assert set(called) == {"malloc", "signals"}


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    seen = tmp_path / "seen"
    parent = multiprocessing.get_context("spawn").Process(target=report_workers, args=(str(seen),))
    parent.start()
    end = time.monotonic() + 60
    while not (seen.exists() and seen.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    worker = int(seen.read_text().split()[0])
    while alive(worker):
        assert time.monotonic() < end, "the worker waits forever"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
