"""Engines of a sweep and shards: what is gained by two jobs at once, and what a job costs.

    python benchmarks/engines.py --only two --engines ray slurm             # 5 minutes on two idle cores
    python benchmarks/engines.py --only overhead --engines ray              # 2 minutes
    python benchmarks/engines.py --only overhead --engines slurm --jobs 60  # 2 minutes
    python benchmarks/engines.py --only shards                              # 4 minutes
    python benchmarks/engines.py --results benchmarks/results/engines.json  # everything; keeps the figures

Two jobs: two folds of a tiny network on simulated cadences, one thread each, both at once by an engine against the same
two in a plain sweep: whole commands, and the epochs alone, without the start of Python and of the engine. Overhead: a
sweep of many jobs that do next to nothing, `seti check` of folders that are missing, against one of them; time and the
largest memory of the process that was started. Shards: two processes that predict, each with half of the cadences, and
two actors of Ray, against one process with all of them. Twins: the same for two processes that find twins.

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
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import slurm_cluster  # noqa: E402

ENGINES = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "slurm": ("hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.mem_gb=1"),
    "ray": ("hydra/launcher=ray", "hydra.launcher.total_cpus=2"),
}
STAGES = ("two", "overhead", "shards", "twins")
FILES = 300  # that cadences are links to


class Figures(dict[str, dict[str, float]]):
    """Figures by name, printed as they are taken."""

    def __setitem__(self, name: str, values: dict[str, float]) -> None:
        super().__setitem__(name, values)
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in values.items()), flush=True)


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


def train_two(folder: Path, name: str, epochs: int, words: Sequence[str], variables: dict[str, str]) -> list[float]:
    """Train two folds; wall time of the command, and seconds of each fold's epochs."""
    common = ("train", "-m", "fold=0,1", "experiment=demo", "data.root=data", f"trainer.max_epochs={epochs}")
    common = (*common, "threads=1", "data.num_workers=0", "output_dir=outputs", f"exp_name={name}")
    wall = Timed(folder, (*common, *words), variables).seconds()
    own = folder / "outputs" / name
    epochs_s = [float(pd.read_csv(own / f"fold_{fold}" / "metrics.csv")["seconds"].sum()) for fold in (0, 1)]
    shutil.rmtree(own)
    return [wall, *epochs_s]


def two_jobs(folder: Path, engine: str, epochs: int, alone: Sequence[float]) -> dict[str, float]:
    """Time two folds at once; `alone` has the times of one after the other."""
    with variables_of(engine) as variables:
        both = train_two(folder, engine, epochs, ENGINES[engine], variables)
    return {
        "one after the other (s)": alone[0],
        "at once (s)": both[0],
        "faster": alone[0] / both[0],
        "epochs alone, faster": sum(alone[1:]) / max(both[1:]),
    }


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
        "predict": ("predict", "ckpt_dir=pretrained", "data.root=many", "out=predictions", "device=cpu", "threads=1"),
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
    found = {"one process (s)": alone, "two (s)": both, "efficiency": alone / both / 2}
    if command == "predict" and find_spec("ray") is not None:
        actors = Timed(folder, (*words[:-1], "launcher=ray", "ray.actors=2"), {}).seconds()
        clear()
        found |= {"two actors (s)": actors, "efficiency of actors": alone / actors / 2}
    return found


def link_many(folder: Path, count: int) -> None:
    """Make a folder of cadences that are links to some files."""
    (folder / "many").mkdir()
    paths = sorted((folder / "data" / "test").rglob("*.npy"))
    for number in range(count):
        os.link(paths[number % len(paths)], folder / "many" / f"{number:06d}.npy")


def main() -> None:
    """Run the stages, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--jobs", type=int, default=1000, help="of the sweep that measures the overhead")
    parser.add_argument("--epochs", type=int, default=120, help="of each of the two folds")
    parser.add_argument("--cadences", type=int, default=3000, help="that shards predict")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="seti-engines-") as place:
        folder = Path(place)
        sizes = ("train=200", f"test={FILES}", "preset=easy", "root=data")
        Timed(folder, ("simulate", *sizes), {}).seconds()
        link_many(folder, given.cadences)
        alone = train_two(folder, "alone", given.epochs, (), {}) if "two" in given.only else []
        for engine in given.engines:
            if engine == "slurm" and slurm_cluster.missing():
                print(f"slurm: left out, {', '.join(slurm_cluster.missing())} not installed")
                continue
            if "two" in given.only:
                figures[f"{engine}: two jobs"] = two_jobs(folder, engine, given.epochs, alone)
            if "overhead" in given.only:
                figures[f"{engine}: overhead"] = overhead(folder, engine, given.jobs)
        if "shards" in given.only:
            figures["predict in two shards"] = shards(folder, "predict")
        if "twins" in given.only:
            figures["twins in two shards"] = shards(folder, "twins")
    if given.results is not None:
        given.results.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
