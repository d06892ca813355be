"""A disk that fills up in each command: one line, nothing half-written, and the same command finishes later."""

import pytest


def filled(run, *words: str, timeout: float = 120) -> None:
    done = run("tests/faults/full_disk.py", *words, timeout=timeout)
    print(done.out)
    assert done.code == 0, done.out + done.err
    assert "0 failures" in done.out


@pytest.mark.faults
def test_a_disk_that_fills_up_in_any_command(run):
    filled(run, timeout=1800)
