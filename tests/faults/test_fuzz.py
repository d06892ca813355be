"""Damaged files of every kind: a few hundred in `make test`, over ten thousand in `make test-faults`."""

import pytest


def fuzzed(run, inputs: int, seed: int) -> None:
    done = run("tests/faults/fuzz.py", "--inputs", inputs, "--seed", seed)
    print(done.out)
    assert done.code == 0, done.out + done.err
    assert int(done.out.split(" inputs in ")[0].split()[-1]) >= inputs


def test_some_damaged_files_are_read_correctly_or_refused(run):
    fuzzed(run, 400, seed=1)


@pytest.mark.faults
def test_many_damaged_files_are_read_correctly_or_refused(run):
    fuzzed(lambda *words: run(*words, timeout=1200), 12_000, seed=2)
