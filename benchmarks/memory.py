"""Resident memory of a sweep's process at the end of each fold.

python benchmarks/memory.py <folder of a data set> [overrides ...]
"""

import argparse
import json
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("model=tiny", "trainer=cpu", "threads=1", "data.image_size=[96,128]", "data.num_workers=1")
FOLDS = "fold=0,1,2,3,4"
MARK = "resident MiB: "


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def after_each_fold(root: Path, overrides: tuple[str, ...] = (*SMALL, "trainer.max_epochs=2")) -> list[float]:
    """Train five folds in a separate process; return its resident MiB after each."""
    with tempfile.TemporaryDirectory() as outputs:
        command = [sys.executable, __file__, str(root), "--child", f"output_dir={outputs}", *overrides]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seen = [float(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not seen:
        sys.exit(f"the sweep failed:\n{done.stdout}\n{done.stderr}")
    return seen


def _child(root: Path, overrides: list[str]) -> None:
    """Run `train.py` so that it prints its memory after every fold."""
    from seti.training import fold

    train = fold.train

    def watched(cfg: object) -> float:
        score = train(cfg)
        print(f"{MARK}{resident():.1f}", flush=True)
        return score

    fold.train = watched
    sys.argv = ["train.py", "-m", FOLDS, f"data.root={root}", *overrides]
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
        seen = after_each_fold(given.root.resolve(), *([tuple(overrides)] if overrides else []))
        print(json.dumps(seen))


if __name__ == "__main__":
    main()
