"""Kills of `seti twins` at random moments, and a file system that takes no more: the same table in the end."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import shared_fields
from shared_fields import BINS

TABLES = ("twins.csv", "twins_gains.npz", "twins_sources.csv", "twins.json")
KILLS = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A set of 3,000 cadences in fields of ten."""
    rng = np.random.default_rng(0)
    train = {}
    for number in range(300):
        field = shared_fields.draw_field(number, 200)
        for place in rng.integers(0, 200 - BINS + 1, 10):
            train[f"{len(train):04d}"] = shared_fields.cut(field, place)
    root = shared_fields.write_set(tmp_path_factory.mktemp("kills") / "set", train, {})
    (root / "sample_submission.csv").unlink()
    return root


def start(root, **more):
    """Start a search in a process group of its own."""
    command = [sys.executable, "-m", "seti.twins", f"data.root={root}", "workers=2"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=root.parent, **pipes, **more)


def finish(root):
    program = start(root)
    _, said = program.communicate(timeout=600)
    assert program.returncode == 0, said
    assert not (root / "twins_parts").exists()
    assert not [path.name for path in root.glob(".*")]
    return {name: (root / name).read_bytes() for name in TABLES}


@pytest.mark.faults
def test_twenty_kills_change_nothing_of_the_table(root):
    whole = finish(root)
    moments, kills = random.Random(0), 0
    for name in TABLES:
        (root / name).unlink()
    for number in range(KILLS):
        program = start(root)
        end = time.monotonic() + moments.uniform(0.5, 6.0)
        while program.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if program.poll() is None:
            os.killpg(program.pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3])
            kills += 1
        _, said = program.communicate()
        assert "Traceback" not in said
        if (root / "twins.csv").exists():
            assert {name: (root / name).read_bytes() for name in TABLES} == whole
            for name in TABLES:
                (root / name).unlink()
    assert kills > 0
    assert finish(root) == whole


@pytest.mark.faults
@pytest.mark.parametrize("limit", [0, 4096, 100_000, 400_000])
def test_a_file_system_that_takes_no_more_is_one_line(root, limit):
    whole = finish(root)

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    program = start(root, preexec_fn=limited, env={**os.environ, "JOBLIB_MULTIPROCESSING": "0"})  # no semaphores
    _, said = program.communicate()
    assert program.returncode == 1, said
    assert len(said.splitlines()) == 1
    assert said.startswith(f"error: {root}/")
    assert {name: (root / name).read_bytes() for name in TABLES} == whole
    assert finish(root) == whole
