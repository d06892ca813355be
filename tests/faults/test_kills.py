"""Killed anywhere, resumed exactly: one command in `make test`, the whole chain in `make test-faults`."""

import pytest


def killed(run, kills: int, *words: str, timeout: float = 120) -> None:
    done = run("tests/faults/kills.py", "--kills", kills, *words, timeout=timeout)
    print(done.out)
    assert done.code == 0, done.out + done.err
    assert f"{kills} kills, {kills} exact recoveries" in done.out


def test_a_killed_simulation_resumes_exactly(run):
    killed(run, 3, "--only", "simulate", "--seed", "3")


@pytest.mark.faults
def test_a_hundred_kills_of_the_chain_are_a_hundred_exact_recoveries(run):
    killed(run, 100, "--seed", "1", timeout=2400)
