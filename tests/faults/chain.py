"""Chain of all commands on tiny data, each in a process forked after the imports."""

import contextlib
import csv
import importlib
import json
import os
import runpy
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TRAIN = (
    *("model=tiny", "trainer=cpu", "threads=1", "trainer.precision=32", "trainer.max_epochs=3", "data.n_folds=2"),
    *("data.image_size=[24,32]", "data.batch_size=4", "data.num_workers=2", "exp_name=exp", "optimizer.lr=0.003"),
)
WAIT = 60  # s that a command may take to end after a signal


@dataclass(frozen=True)
class Ended:
    """Outcome of a command.

    Attributes:
        code: exit code, negative for a signal.
        signalled: True if the signal reached it before it had ended.
        left: processes of its group that were still there.
    """

    code: int
    out: str
    err: str
    seconds: float
    signalled: bool
    left: int


def commands(data: Path, outputs: Path) -> dict[str, tuple[str, ...]]:
    """Return the chain's commands by name: script and arguments."""
    sizes = ("positives=0.5", "train=24", "test=8")
    return {
        "simulate": ("seti/simulate.py", "preset=easy", "workers=1", f"root={data}", *sizes),
        "pack": ("seti/pack.py", f"data.root={data}", "workers=1"),
        "train": ("train.py", "-m", "fold=0,1", *TRAIN, f"data.root={data}", f"output_dir={outputs}"),
        "predict": ("predict.py", f"ckpt_dir={outputs}/exp", "device=cpu", "precision=32", "data.num_workers=2"),
        "stack": ("stack.py", f"output_dir={outputs}", "n_jobs=1"),
    }


def preload() -> None:
    """Import everything the commands need, so that a forked command starts at once."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("training.fold", "training.lr_range", "inference.predict", "stacking.stack", "reports.gallery"):
        importlib.import_module(f"seti.{name}")
    for name in ("simulation.dataset", "data.pack_writer", "cli.sweep_report"):
        importlib.import_module(f"seti.{name}")


def run(
    words: tuple[str, ...],
    folder: Path,
    stop: tuple[signal.Signals, float] | None = None,
    before: Callable[[], None] | None = None,
) -> Ended:
    """Run a command to its end, or signal its process group some time after its start.

    Args:
        words: script and arguments.
        folder: where it runs and what it says is kept.
        stop: signal, and seconds.
        before: called in the new process.
    """
    sys.stdout.flush()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(words, folder, before)
    with contextlib.suppress(PermissionError, ProcessLookupError):  # whichever of the two is first
        os.setpgid(child, child)
    signalled, code = False, None
    if stop is not None:
        code = _wait(child, stop[1])
        if code is None:
            os.killpg(child, stop[0])
            signalled = True
    if code is None:
        code = _wait(child, WAIT)
        if code is None:
            os.killpg(child, signal.SIGKILL)
            _wait(child, WAIT)
            code = 99  # hung
    seconds = time.monotonic() - started
    return Ended(code, _said(folder, "out"), _said(folder, "err"), seconds, signalled, _empty_group(child))


def check_whole(folder: Path) -> list[str]:
    """List incomplete files with a final name."""
    return [f"{path}: {reason}" for path in sorted(folder.rglob("*")) if (reason := _damage(path))]


def parts(folder: Path) -> list[Path]:
    """List leftover temporary files."""
    return [path for path in folder.rglob("*") if ".part" in path.name or path.name.endswith((".tmp", ".temp"))]


def _become(words: tuple[str, ...], folder: Path, before: Callable[[], None] | None) -> None:
    os.setpgid(0, 0)
    code = 1
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f".{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        _kept = sys.stdout, sys.stderr  # an unreferenced one would close its descriptor, which is reused here
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        sys.argv = [str(ROOT / words[0]), *words[1:]]
        if before is not None:
            before()
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except KeyboardInterrupt:
        code = 130
        import traceback

        traceback.print_exc()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def _empty_group(group: int) -> int:
    """Wait for the group's other processes; return the number that had to be killed."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not _members(group):
            return 0
        time.sleep(0.01)
    left = len(_members(group))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return left


def _members(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


def _said(folder: Path, name: str) -> str:
    path = folder / f".{name}"
    return path.read_text(errors="replace") if path.exists() else ""


def _damage(path: Path) -> str:
    if not path.is_file() or path.name.startswith("."):
        return ""
    try:
        content = path.read_bytes()
        if path.suffix == ".csv":
            rows = list(csv.reader(content.decode().splitlines(), strict=True))
            if not content.endswith(b"\n") or len({len(row) for row in rows}) != 1:
                return "rows are missing"
        elif path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".ckpt":
            if zipfile.ZipFile(path).testzip():
                return "a part is damaged"
        elif path.suffix == ".npy":
            if not np.isfinite(np.load(path)).all():
                return "not finite"
        elif path.suffix == ".png" and not content.endswith(b"IEND\xaeB`\x82"):
            return "cut short"
    except Exception as error:  # any parser error means an incomplete file
        return f"{type(error).__name__}: {error}"
    return ""
