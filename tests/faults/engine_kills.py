"""Kill a sweep, a prediction by actors or training on two devices at random moments, and go on.

    python tests/faults/engine_kills.py --engine ray --kills 10 --seed 1

A worker (the process of a fold, an actor, a device) and the driver (the command that was typed) are killed in turn.
After each kill what is said holds no traceback, and no process stays behind. The same command is then given again,
until it ends: its tables must be those of an uninterrupted run, byte for byte. Slurm is a cluster of one node that this
program starts and ends.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import device_kills
import recoveries

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import slurm_cluster  # noqa: E402

SETTINGS = (
    *("model=tiny", "trainer=cpu", "threads=1", "trainer.precision=32", "trainer.max_epochs=12", "data.n_folds=2"),
    *("data.image_size=[24,32]", "data.batch_size=8", "data.num_workers=0", "mixup.alpha=1", "watch.after=null"),
    *("optimizer.lr=0.003", "data.root=data", "fold=0,1"),
)
PREDICTION = (
    "predict",
    "ckpt_dir=pretrained",
    "data.root=data/test",
    "device=cpu",
    "data.batch_size=4",
    "launcher=ray",
)
ENGINES = {
    "joblib": ("train", "-m", *SETTINGS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "ray": ("train", "-m", *SETTINGS, "hydra/launcher=ray", "hydra.launcher.total_cpus=2"),
    "slurm": ("train", "-m", *SETTINGS, "hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.mem_gb=1"),
    "actors": PREDICTION,
}
WHOSE = ("worker", "driver")
WAIT = 300  # s that the command may take to end after a kill
ENDING = 120  # s in which processes must notice that the command was killed: they may still import torch
MEETING = 6  # s after its start within which a worker is killed
MISSES = 4  # runs for each kill, at most: some end before they are met
ATTEMPTS = 3  # commands after a kill, at most, until the results are there


class Trial:
    """A command in a folder of its own, and its results.

    Args:
        engine: one of `ENGINES`.
        folder: with `data/`.
        variables: of the environment.
    """

    def __init__(self, engine: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.engine, self.folder = engine, folder
        places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.variables = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1", **variables}
        self.log, self.met = folder / "log", 0

    def start(self, name: str) -> subprocess.Popen:
        """Start the command in a session of its own."""
        own = [f"out=outputs/{name}"] if self.engine == "actors" else [f"exp_name={name}"]
        words = [sys.executable, "-m", "seti", *ENGINES[self.engine], *own]
        with self.log.open("w") as log:
            options = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
            return subprocess.Popen(words, cwd=self.folder, env=self.variables, **options)

    def results(self, name: str) -> list[bytes]:
        """Content that must be reproduced."""
        folder = self.folder / "outputs" / name
        names = ("predictions.csv",) if self.engine == "actors" else ("fold_0/oof.csv", "fold_1/oof.csv")
        return [(folder / one).read_bytes() for one in names]

    def workers(self, name: str, session: int) -> list[int]:
        """Processes that do the work now."""
        if self.engine == "actors":
            return [pid for pid in processes_of(session) if "ray::_Actor" in title(pid)]
        found = []
        for lock in (self.folder / "outputs" / name).glob("fold_*/.lock"):
            try:
                found.append(json.loads(lock.read_text())["pid"])
            except (OSError, ValueError, KeyError):  # not whole yet
                continue
        return [pid for pid in found if recoveries.alive(pid)]

    def left(self, session: int) -> list[str]:
        """Processes that have not ended, of the command and of its jobs."""
        own = [f"{pid} {title(pid)}" for pid in processes_of(session) if recoveries.alive(pid)]
        if self.engine == "slurm":
            asked = subprocess.run(
                ["squeue", "-h"], env=self.variables, capture_output=True, text=True, timeout=60, check=False
            )
            own += asked.stdout.splitlines()
        return own

    def kill(self, name: str, whose: str, number: int, moment: float, random: Random) -> str | None:
        """Run the command, kill a process after a while; return what went wrong, or None."""
        process = self.start(name)
        while whose == "worker" and process.poll() is None and not self.workers(name, process.pid):
            time.sleep(0.1)
        end = time.monotonic() + moment
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.1)
        while whose == "worker" and process.poll() is None and not self.workers(name, process.pid):
            time.sleep(0.1)
        targets = [process.pid] if whose == "driver" else self.workers(name, process.pid)
        met = False
        if targets and process.poll() is None:
            met = True
            target = random.choice(targets)
            try:
                os.kill(target, number)
            except ProcessLookupError:
                met = False
        try:
            code = process.wait(WAIT)
        except subprocess.TimeoutExpired:
            return f"did not end within {WAIT} s: {self.log.read_text()[-2000:]}"
        end = time.monotonic() + (WAIT if self.engine == "slurm" else ENDING)  # jobs of Slurm go on
        while left := self.left(process.pid):
            if time.monotonic() > end:
                return f"stayed behind: {left}"
            time.sleep(0.2)
        said = self.log.read_text()
        if "Traceback" in said or "StackTrace" in said:
            return f"a traceback: {said[-3000:]}"
        last = (said.strip().splitlines() or [""])[-1]
        self.met += met
        how = f"{signal.Signals(number).name} after {moment:.1f} s" if met else "ended before it was met"
        print(f"  {whose}, {how}: exit code {code}: {last[:200]}")
        return None

    def go_on(self, name: str) -> str | None:
        """Give the command until it ends well; return what went wrong, or None."""
        for _ in range(ATTEMPTS):
            if self.start(name).wait(WAIT) == 0:
                return None
        return f"{ATTEMPTS} commands did not finish it: {self.log.read_text()[-2000:]}"


def processes_of(session: int) -> Iterator[int]:
    """Processes of a session."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session:
                yield int(path.name)
        except OSError:
            continue


def title(pid: int) -> str:
    """Command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


@contextmanager
def variables_of(engine: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start what an engine needs; gives environment variables."""
    if engine != "slurm":
        yield {}
        return
    if slurm_cluster.missing():
        sys.exit(f"{', '.join(slurm_cluster.missing())} not installed: Debian has them in slurm-wlm and munge")
    (folder / "slurm").mkdir()
    with slurm_cluster.running(folder / "slurm") as variables:
        yield variables


def recover(trial: Trial, kills: int, random: Random) -> list[str]:
    """Kill, go on, compare; return what went wrong."""
    started = time.monotonic()
    if trial.start("whole").wait(WAIT):
        return [f"the command failed before any kill: {trial.log.read_text()[-2000:]}"]
    longest = time.monotonic() - started
    expected = trial.results("whole")

    def kill(whose: str, number: int) -> str | None:
        moment = random.random() * (MEETING if whose == "worker" else longest)
        return trial.kill("killed", whose, number, moment, random)

    def go_on() -> str | None:
        failed = trial.go_on("killed")
        return failed or (None if trial.results("killed") == expected else "another result")

    return recoveries.recover(
        kill,
        go_on,
        trial.folder / "outputs" / "killed",
        whose=WHOSE,
        tries=MISSES * kills,
        random=random,
        enough=lambda: trial.met >= kills,
    )


def main() -> None:
    """Kill, go on, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=(*ENGINES, "ddp"), required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.engine == "ddp":
        device_kills.main(["--kills", str(args.kills), "--seed", str(args.seed)])
        return
    sys.stdout.reconfigure(line_buffering=True)
    with (
        recoveries.folder_with_data("seti-engine-kills-", 60 if args.engine == "actors" else 4) as folder,
        variables_of(args.engine, folder) as variables,
    ):
        trial = Trial(args.engine, folder, variables)
        failures = recover(trial, args.kills, Random(args.seed))
    recoveries.end(failures, f"{trial.met} kills, {trial.met} exact recoveries")


if __name__ == "__main__":
    main()
