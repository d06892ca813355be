import os
import subprocess
import sys

import pytest

from seti.cli import program
from seti.utils import malloc

SCRIPT = """
import resource, sys, threading
import numpy as np
from seti.utils import malloc

BLOCKS = [2**25, 3 * 2**25, 2**24]  # bytes, as allocated by one step of a network

def step():
    for block in [np.ones(size, np.uint8) for size in BLOCKS]:
        del block

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def in_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.extend([faults(), faults(), faults()]))
    thread.start()
    thread.join()
    return seen[-1]

kept = malloc.keep_freed_memory() if sys.argv[1] == "keep" else None
step()
step()
print(kept, faults(), in_thread())
"""

gnu = pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc")


def run(how: str, **environment: str) -> tuple[str, int, int]:
    # With huge pages, which numpy asks for, one fault would map 512 pages at once.
    environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"} | environment
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], env=environment, capture_output=True, text=True)
    kept, *faults = done.stdout.split()
    return kept, *map(int, faults)


@gnu
def test_the_next_step_reuses_freed_memory():
    usual, kept = run("usual"), run("keep")
    assert (usual[0], kept[0]) == ("None", "True")
    for fresh, ready in zip(usual[1:], kept[1:], strict=True):
        assert ready * 10 < fresh  # of 36,864 pages of 4 KiB, or of a few large ones


@gnu
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_in_the_environment_are_respected(monkeypatch, name):
    monkeypatch.setattr(malloc, "_set", lambda *_: pytest.fail("set regardless"))
    monkeypatch.setenv(name, "glibc.malloc.arena_max=4" if name == "GLIBC_TUNABLES" else "4")
    assert not malloc.keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda _: object())
    assert not malloc.keep_freed_memory()
    monkeypatch.setattr(malloc.sys, "platform", "win32")
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda _: pytest.fail("called regardless"))
    assert not malloc.keep_freed_memory()


def test_programs_keep_their_memory(monkeypatch):
    kept = []
    monkeypatch.setattr(malloc, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(program, "_run_hydra", lambda *_: None)
    program.program("train")(lambda _: None)()
    assert kept == [True]
