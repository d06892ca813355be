"""Kills of a command at random moments, each followed by the same command until its results are there.

Shared by the programs that kill sweeps over engines and training on several devices.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)


def alive(pid: int) -> bool:
    """True for a process that runs; one that waits for its parent to read its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def folder_with_data(prefix: str, test: int) -> Iterator[Path]:
    """Make a temporary folder with 40 labelled cadences and so many of a test set in `data/`."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        words = ["preset=easy", "positives=0.5", "workers=1", "root=data", "train=40", f"test={test}"]
        subprocess.run([sys.executable, "-m", "seti.simulate", *words], cwd=folder, check=True, capture_output=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def recover(
    kill: Callable[[str, int], str | None],
    go_on: Callable[[], str | None],
    results: Path,
    *,
    whose: Sequence[str],
    tries: int,
    random: Random,
    enough: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Kill, go on, compare; return what went wrong.

    After half of the kills, and after the last one, the command is given until its results are there; after the others
    it is killed once more.

    Args:
        kill: runs the command and kills a process of it, by whose it is and the number of a signal.
        go_on: gives the command until it ends, and compares its results.
        results: folder that the command writes, removed after each recovery.
        whose: processes to kill, in turn.
        tries: kills at most.
        random: of signals and recoveries.
        enough: whether there were enough kills.
    """
    failures: list[str] = []
    for count in range(tries):
        target, number = whose[count % len(whose)], random.choice(SIGNALS)
        failed = kill(target, number)
        if failed:
            failures.append(f"kill {count + 1} of the {target} by {number.name}: {failed}")
            print(failures[-1])
        last = enough() or count + 1 == tries
        if random.random() < 0.5 or last:
            failed = go_on()
            if failed:
                failures.append(f"after kill {count + 1}: {failed}")
                print(failures[-1])
            shutil.rmtree(results, ignore_errors=True)
        if last:
            break
    return failures


def end(failures: Sequence[str], summary: str) -> None:
    """Print the failures, or a summary if there are none, and exit."""
    print("\n".join(failures) or summary)
    sys.exit(bool(failures))
