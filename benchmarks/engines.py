"""Engines of a sweep and shards: what is gained by two jobs at once, and what a job costs.

    python benchmarks/engines.py                         # about 15 minutes on two idle cores
    python benchmarks/engines.py --only overhead --jobs 20 --engines ray    # a quick trial
    python benchmarks/engines.py --results benchmarks/results/engines.json  # keep the figures

Two jobs: two folds of a tiny network on simulated cadences, one thread each, both at once by an engine against the same
two in a plain sweep. Overhead: a sweep of many jobs that do next to nothing, `seti check` of folders that are missing,
against one of them; time and the largest memory of the process that was started. Shards: two processes that predict, or
find twins, each with half of the cadences, against one process with all of them.

Slurm is a cluster of one node that the script starts and ends (tests/slurm_cluster.py).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import slurm_cluster  # noqa: E402

ENGINES = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "slurm": ("hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.mem_gb=1"),
    "ray": ("hydra/launcher=ray", "hydra.launcher.total_cpus=2"),
}
STAGES = ("two", "overhead", "shards")


class Timed:
    """A command that runs: wall time, exit code, and the largest memory of its first process."""

    def __init__(self, folder: Path, words: Sequence[str], variables: dict[str, str]) -> None:
        places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1", **variables}
        self.log = folder / f"{time.monotonic_ns()}.log"
        self.began = time.perf_counter()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seti", *words], cwd=folder, env=environment, stdout=log, stderr=log
            )
        self.peak_kb = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text()
            except OSError:
                return
            found = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
            self.peak_kb = max([self.peak_kb, *found])
            time.sleep(0.2)

    def seconds(self, code: int = 0) -> float:
        """Wait for the end; wall time in s."""
        if self.process.wait() != code:
            sys.exit(f"{self.process.args} ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
        return time.perf_counter() - self.began


@contextmanager
def variables_of(engine: str) -> Iterator[dict[str, str]]:
    """Start what an engine needs; gives environment variables."""
    if engine != "slurm":
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder, slurm_cluster.running(Path(folder), grace=0) as variables:
        yield variables


def two_jobs(folder: Path, engine: str, epochs: int) -> dict[str, float]:
    """Time two folds at once, and one after the other."""
    words = (
        "train",
        "-m",
        "fold=0,1",
        "experiment=demo",
        "data.root=data",
        f"trainer.max_epochs={epochs}",
        "threads=1",
    )
    common = (*words, "data.num_workers=0", "output_dir=outputs")
    with variables_of(engine) as variables:
        alone = Timed(folder, (*common, "exp_name=alone"), variables).seconds()
        both = Timed(folder, (*common, f"exp_name={engine}", *ENGINES[engine]), variables).seconds()
    for name in ("alone", engine):
        shutil.rmtree(folder / "outputs" / name)
    return {"one after the other (s)": alone, "at once (s)": both, "faster": alone / both}


def overhead(folder: Path, engine: str, jobs: int) -> dict[str, float]:
    """Time a sweep of many jobs, and of one."""

    def sweep(count: int, variables: dict[str, str]) -> Timed:
        folders = ",".join(f"nowhere_{number}" for number in range(count))
        words = ("check", "-m", f"data.root={folders}", *ENGINES[engine])
        timed = Timed(folder, words, variables)
        timed.wall = timed.seconds(code=1)  # each says that the folder is missing
        return timed

    with variables_of(engine) as variables:
        one, many = sweep(1, variables), sweep(jobs, variables)
    each = (many.wall - one.wall) / (jobs - 1)
    memory = {"memory, 1 job (MB)": one.peak_kb / 1024, f"memory, {jobs} jobs (MB)": many.peak_kb / 1024}
    return {"1 job (s)": one.wall, f"{jobs} jobs (s)": many.wall, "each further job (ms)": 1000 * each, **memory}


def shards(folder: Path, command: str) -> dict[str, float]:
    """Time one process, and two that share the work; efficiency 1: two take half of the time."""
    words = {
        "predict": ("predict", "ckpt_dir=pretrained", "data.root=data", "out=predictions", "device=cpu", "threads=1"),
        "twins": ("twins", "data.root=data", "workers=1"),
    }[command]

    def clear() -> None:
        shutil.rmtree(folder / "predictions", ignore_errors=True)
        for path in (folder / "data").glob("twins*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    clear()
    alone = Timed(folder, words, {}).seconds()
    clear()
    began = time.perf_counter()
    for one in [Timed(folder, (*words, f"shard={number}/2"), {}) for number in (1, 2)]:
        one.seconds()
    both = time.perf_counter() - began
    clear()
    return {"one process (s)": alone, "two (s)": both, "efficiency": alone / both / 2}


def main() -> None:
    """Run the stages, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--jobs", type=int, default=1000, help="of the sweep that measures the overhead")
    parser.add_argument("--epochs", type=int, default=200, help="of each of the two folds")
    parser.add_argument("--cadences", type=int, default=2000, help="that shards predict")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="seti-engines-") as place:
        folder = Path(place)
        sizes = ("train=200", f"test={given.cadences}", "preset=easy", "root=data")
        Timed(folder, ("simulate", *sizes), {}).seconds()
        for engine in given.engines:
            if engine == "slurm" and slurm_cluster.missing():
                print(f"slurm: left out, {', '.join(slurm_cluster.missing())} not installed")
                continue
            if "two" in given.only:
                figures[f"{engine}: two jobs"] = two_jobs(folder, engine, given.epochs)
            if "overhead" in given.only:
                figures[f"{engine}: overhead"] = overhead(folder, engine, given.jobs)
        if "shards" in given.only:
            figures["predict in two shards"] = shards(folder, "predict")
            figures["twins in two shards"] = shards(folder, "twins")
    for name, values in figures.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in values.items()))
    if given.results is not None:
        given.results.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
