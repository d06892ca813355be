"""Kill training on two devices at random moments: a device's process, or the command that started it.

    python tests/faults/device_kills.py --kills 20 --seed 1

After each kill no process may stay behind, and what is said is one line. The same command is then given again, until it
ends: the out-of-fold table and the history must be those of an uninterrupted run, byte for byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pandas as pd
import recoveries

ROOT = Path(__file__).parents[2]
SETTINGS = (
    *("model=tiny", "trainer=cpu", "threads=1", "trainer.precision=32", "trainer.max_epochs=12", "data.n_folds=2"),
    *("data.image_size=[24,32]", "data.batch_size=8", "data.num_workers=0", "mixup.alpha=1", "trainer.devices=2"),
    *("watch.after=null", "optimizer.lr=0.003"),
)
WAIT = 120  # s that the processes may take to end after a kill
ENDING = 30  # s in which processes must notice that the command was killed: they may still import torch
WHOSE = ("leader", "other", "command")
MISSES = 4  # runs for each kill, at most: some end before they are met


def command(folder: Path, name: str) -> list[str]:
    """Command line that trains on two devices."""
    own = [f"exp_name={name}", "data.root=data", "output_dir=outputs"]
    return [sys.executable, str(ROOT / "train.py"), *SETTINGS, *own]


def children(pid: int) -> list[int]:
    """Processes of the devices, by rank."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def results(folder: Path) -> tuple[bytes, str]:
    """Content that must be reproduced."""
    metrics = pd.read_csv(folder / "metrics.csv").drop(columns="seconds")
    return (folder / "oof.csv").read_bytes(), metrics.to_csv()


def start(folder: Path, name: str) -> tuple[subprocess.Popen, list[int]]:
    """Start the command, and wait for the processes of its devices; fewer than two if it ends before."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command(folder, name), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    while len(ranks := children(process.pid)) < 2 and process.poll() is None:
        time.sleep(0.05)
    return process, ranks


def kill(folder: Path, name: str, whose: str, number: int, moment: float, met: list[str]) -> str | None:
    """Train, and kill a process after a while; return what went wrong, or None.

    Args:
        folder: in which the command runs.
        name: of the experiment.
        whose: process, one of `WHOSE`.
        number: of the signal.
        moment: seconds after its processes have started.
        met: gets whose process was killed, unless it had ended before.
    """
    process, ranks = start(folder, name)
    time.sleep(moment)
    target = process.pid if whose == "command" else ranks[whose == "other"] if len(ranks) == 2 else process.pid
    if process.poll() is not None or not recoveries.alive(target):
        print(f"  {whose}, after {moment:.1f} s: it had ended already")
        process.wait()
        return None
    os.kill(target, number)
    met.append(whose)
    try:
        code = process.wait(WAIT)
    except subprocess.TimeoutExpired:
        return f"did not end within {WAIT} s"
    end = time.monotonic() + ENDING
    while any(map(recoveries.alive, ranks)):
        if time.monotonic() > end:
            return "a process stayed behind"
        time.sleep(0.1)
    said = (folder / "log").read_text()
    if "Traceback" in said:
        return f"a traceback: {said[-3000:]}"
    print(f"  {whose}, {signal.Signals(number).name} after {moment:.1f} s: exit code {code}: {said.splitlines()[-1:]}")
    return None


def main(words: list[str] | None = None) -> None:
    """Kill, go on, compare; `words` are those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    random = Random(args.seed)
    sys.stdout.reconfigure(line_buffering=True)
    with recoveries.folder_with_data("seti-device-kills-", 4) as folder:
        process, _ = start(folder, "whole")
        started = time.monotonic()
        if process.wait():
            sys.exit(f"the command failed before any kill: {(folder / 'log').read_text()[-2000:]}")
        longest = time.monotonic() - started
        expected = results(folder / "outputs" / "whole" / "fold_0")
        killed = folder / "outputs" / "killed"
        met: list[str] = []

        def go_on() -> str | None:
            again = command(folder, "killed")
            done = subprocess.run(again, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode or results(killed / "fold_0") != expected:
                return f"another result ({done.returncode}) {done.stderr[-2000:]}"
            return None

        failures = recoveries.recover(
            lambda whose, number: kill(folder, "killed", whose, number, random.random() * longest, met),
            go_on,
            killed,
            whose=WHOSE,
            tries=MISSES * args.kills,
            random=random,
            enough=lambda: len(met) >= args.kills,
        )
    recoveries.end(failures, f"{len(met)} kills, {len(met)} exact recoveries")


if __name__ == "__main__":
    main()
