"""Kills of `seti scan` at random moments, until it is done: no channel twice, and the same events."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

HANGS = 600  # s


def start(folder: Path, *words: str) -> subprocess.Popen:
    """Start a scan in a process group of its own."""
    command = [sys.executable, "-m", "seti.scan", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def results(scan: Path) -> dict[str, int]:
    """Results of coarse channels and borders that are there, with the time at which each was written."""
    return {
        path.name: path.stat().st_mtime_ns for path in (scan / "channels").glob("*.csv") if ".hits" not in path.name
    }


def scan_with_kills(folder: Path, scan: Path, kills: int, seed: int, longest: float, *words: str) -> int:
    """Kill a scan, with its workers, at random moments, and let it end then; gives the number of kills.

    The moments lie within `longest` seconds of its start, fewer than a whole scan takes.

    Raises:
        AssertionError: a result was written twice, or the last run failed.
    """
    moments = random.Random(seed)
    seen: dict[str, int] = {}
    done = 0
    for _ in range(kills):
        program = start(folder, *words)
        end = time.monotonic() + moments.uniform(0.2, longest)
        while program.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            done += 1
        program.communicate()
        now = results(scan)
        changed = [name for name in seen if now.get(name) != seen[name]]
        assert not changed, f"searched again: {changed}"
        seen = now
    program = start(folder, *words)
    _, said = program.communicate(timeout=HANGS)
    assert program.returncode == 0, said
    now = results(scan)
    assert all(now[name] == seen[name] for name in seen)
    return done
