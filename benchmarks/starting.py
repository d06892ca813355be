"""Time from the start of `train.py` to the first optimiser step, and memory over a sweep.

    python benchmarks/starting.py <folder of a data set> [overrides ...]

The data set may be one of links to a few files: see `linked_data`.
"""

import argparse
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data import competition
from seti.utils import files

ROOT = Path(__file__).resolve().parents[1]
STARTED = "SETI_BENCHMARK_STARTED"
SMALL = ("model=tiny", "trainer=cpu", "threads=1", "data.image_size=[96,128]", "data.num_workers=1")


def linked_data(source: Path, root: Path, train: int, test: int) -> Path:
    """Create a data set of any size, a tenth of it needles, from hard links to another one."""
    files_of = sorted(source.glob("train/*/*.npy"))
    ids = [f"{number:015x}" for number in np.random.default_rng(0).choice(16**12, train + test, replace=False)]
    ids = [f"{i[-1]}{i[:-1]}" for i in ids]  # spread over 16 folders, as the competition's
    for split, names in (("train", ids[:train]), ("test", ids[train:])):
        for first in "0123456789abcdef":
            (root / split / first).mkdir(parents=True)
        for number, name in enumerate(names):
            os.link(files_of[number % len(files_of)], competition.cadence_path(root, split, name))
    labels = pd.DataFrame({"id": ids[:train], "target": (np.arange(train) % 10 == 0).astype(int)})
    files.write_csv(root / competition.LABELS, labels)
    files.write_csv(root / competition.SUBMISSION, pd.DataFrame({"id": ids[train:], "target": 0.5}))
    return root


def first_step(root: Path, overrides: tuple[str, ...] = SMALL) -> dict[str, float]:
    """Run `train.py` in a separate process to its first step; return seconds of each part."""
    with tempfile.TemporaryDirectory() as outputs:
        command = [sys.executable, __file__, str(root), "--child", f"output_dir={outputs}", *overrides]
        environment = os.environ | {STARTED: str(time.time())}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"to the first step"')]
    if not lines:
        sys.exit(f"train.py did not come to its first step:\n{done.stdout}\n{done.stderr}")
    return json.loads(lines[0])


def _child(root: Path, overrides: list[str]) -> None:
    """Run `train.py` with timers, and exit at the first step."""
    started = float(os.environ[STARTED])
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from seti.dataloading.datamodule import CadenceDataModule
    from seti.training import fold  # noqa: F401  (what train.py imports when it begins)

    spent = {"to the first step": 0.0, "imports": time.time() - started, "tables": 0.0}
    depth = [0]

    def timed(function: Callable) -> Callable:
        def run(*args: object) -> object:
            before = time.perf_counter()
            depth[0] += 1
            try:
                return function(*args)
            finally:
                depth[0] -= 1
                if not depth[0]:  # one table is made of another
                    spent["tables"] += time.perf_counter() - before

        return run

    for made in vars(CadenceDataModule).values():  # labels, folds, what is on disk, and both parts of the fold
        if isinstance(made, cached_property):
            made.func = timed(made.func)

    def stop(*_: object) -> None:
        spent["to the first step"] = time.time() - started
        spent["MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(spent), flush=True)
        raise SystemExit

    register_optimizer_step_post_hook(stop)
    sys.argv = ["train.py", f"data.root={root}", *overrides]
    runpy.run_path("train.py", run_name="__main__")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given, overrides = parser.parse_known_args()
    if given.child:
        _child(given.root, overrides)
    else:
        print(json.dumps(first_step(given.root.resolve(), tuple(overrides) or SMALL), indent=2))


if __name__ == "__main__":
    main()
