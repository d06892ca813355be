"""Kill every command of the chain at random moments; the results must stay the same.

    python tests/faults/kills.py --kills 100 --seed 1

After each kill no file under its final name may be half-written. The same command is then run again, perhaps killed
again, until it ends. At the end of each chain every result equals the uninterrupted chain's, byte for byte.
"""

import argparse
import collections
import csv
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

import chain

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = ("seconds", "sources")  # durations, and modification times of a pack's sources, which differ between runs
DIGESTS = (
    "checkpoints/best.ckpt",
    "checkpoints",
)  # of files that contain such times; their weights are compared instead


def results(data: Path, outputs: Path) -> dict[str, Any]:
    """Return all content that must be reproduced, by file name."""
    import torch

    found: dict[str, Any] = {}
    for folder in (data, outputs):
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder.parent))
            if path.name in ("metrics.csv",) or not path.is_file() or ".hydra" in path.parts:
                continue
            if (
                path.parent.name == "packed" and path.suffix == ".csv"
            ):  # it contains the modification time of each source
                found[name] = [(row["id"], row["checksum"]) for row in csv.DictReader(path.read_text().splitlines())]
            elif path.suffix in (".csv", ".npy"):
                found[name] = path.read_bytes()
            elif path.suffix == ".json":
                found[name] = _timeless(json.loads(path.read_text()))
            elif path.name == "best.ckpt":
                weights = torch.load(path, weights_only=True)["state_dict"]
                found[name] = {key: value.numpy().tobytes() for key, value in weights.items()}
    return found


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _timeless(value) for key, value in content.items() if key not in (*TIMES, *DIGESTS)}
    return [_timeless(value) for value in content] if isinstance(content, list) else content


class Killer:
    """Runner of chains that counts the kills.

    Args:
        folder: everything happens in it.
        seed: draws the moments and the signals.
        only: names of the commands that are run; the chain may end early.
    """

    def __init__(self, folder: Path, seed: int, only: list[str] | None) -> None:
        self.folder, self.random = folder, Random(seed)
        self.data, self.outputs, self.tmp = folder / "data", folder / "outputs", folder / "tmp"
        commands = chain.commands(self.data, self.outputs)
        self.commands = {name: words for name, words in commands.items() if only is None or name in only}
        self.kills: collections.Counter = collections.Counter()
        self.moments: dict[str, list[float]] = {name: [] for name in self.commands}
        self.codes: collections.Counter = collections.Counter()
        self.failures: list[str] = []
        self.recoveries = self.tracebacks = 0
        self.traceback = ""
        self.leftovers: collections.Counter = collections.Counter()
        self.durations: dict[str, float] = {}

    def begin(self) -> None:
        """Run the chain without a kill, for the expected results."""
        self.clear()
        for name, words in self.commands.items():
            ended = chain.run(words, self.folder)
            if ended.code != 0:
                sys.exit(f"{name} fails by itself: {ended.out} {ended.err}")
            self.durations[name] = ended.seconds
        self.expected = results(self.data, self.outputs)
        print("uninterrupted: " + ", ".join(f"{n} {s:.1f} s" for n, s in self.durations.items()))

    def clear(self) -> None:
        """Start with an empty folder."""
        for path in (self.data, self.outputs, self.tmp):
            shutil.rmtree(path, ignore_errors=True)
        self.tmp.mkdir()

    def run_chain(self, left: int) -> None:
        """Run the chain once, killing each command several times, at most `left` times in total."""
        self.clear()
        for name, words in self.commands.items():
            wanted = min(left, self.random.choice((1, 2, 3, 5) if name == "train" else (1, 1, 2, 3)))
            killed = 0
            for attempt in range(3 * wanted):
                if killed == wanted:
                    break
                killed += self.kill(name, words, fresh=attempt == 0)
            left -= killed
            ended = chain.run(words, self.folder)
            self._check_end(name, ended)
            if ended.code != 0:
                return
        self._compare(sum(self.kills.values()))

    def kill(self, name: str, words: tuple[str, ...], fresh: bool) -> bool:
        """Start a command and kill it; return True if it was still running.

        It is `fresh` if nothing was done yet.
        """
        number = self.random.choice(SIGNALS)
        moment = self.random.random() * 1.05 * self.durations[name]
        ended = chain.run(words, self.folder, (number, moment))
        if not ended.signalled:
            if fresh:  # the machine has become faster meanwhile
                self.durations[name] = ended.seconds
            return False
        self.kills[name, number.name] += 1
        self.moments[name].append(moment / self.durations[name])
        self.codes[number.name, ended.code] += 1
        what = f"{name}, {number.name} after {moment:.3f} s"
        if ended.code == 99:
            self.failures.append(f"{what}: did not end within {chain.WAIT} s")
        if ended.left:
            self.failures.append(f"{what}: {ended.left} processes stayed behind")
        if number != signal.SIGKILL and "Traceback" in ended.err + ended.out:
            self.tracebacks += 1
            self.traceback = self.traceback or f"{what}:\n{ended.out[-500:]}{ended.err[-2500:]}"
        for damage in chain.check_whole(self.data) + chain.check_whole(self.outputs):
            self.failures.append(f"{what}: {damage}")
        return True

    def _check_end(self, name: str, ended: chain.Ended) -> None:
        if ended.code != 0:
            self.failures.append(f"{name} does not go on: {ended.out[-1500:]} {ended.err[-1500:]}")
        if ended.left:
            self.failures.append(f"{name}: {ended.left} processes stayed behind")

    def _compare(self, kills: int) -> None:
        found = results(self.data, self.outputs)
        different = sorted(
            name for name in found.keys() | self.expected.keys() if found.get(name) != self.expected.get(name)
        )
        for path in (self.data, self.outputs):
            different += [f"left: {part}" for part in chain.parts(path)]
        for path in self.tmp.iterdir():
            self.leftovers[path.name[:8]] += 1
        if different:
            self.failures.append(f"after {kills} kills these are not the uninterrupted chain's: {', '.join(different)}")
        else:
            self.recoveries = kills

    def report(self) -> None:
        """Print the kills and their outcomes."""
        print(
            f"\n{'':10}" + "".join(f"{number.name:>9}" for number in SIGNALS) + "   moments, in tenths of the command"
        )
        for name in self.commands:
            tenths = collections.Counter(min(9, int(10 * moment)) for moment in self.moments[name])
            shown = " ".join(f"{tenths[tenth]:2}" for tenth in range(10))
            print(f"{name:10}" + "".join(f"{self.kills[name, n.name]:9}" for n in SIGNALS) + f"   {shown}")
        codes = ", ".join(f"{number} {code}: {count}" for (number, code), count in sorted(self.codes.items()))
        print(f"exit codes: {codes}")
        print(f"left in TMPDIR by SIGKILL: {dict(self.leftovers) or 'nothing'}")
        print(f"tracebacks after SIGTERM and SIGINT: {self.tracebacks}")
        if self.traceback:
            print(self.traceback)


def main() -> int:
    """Kill until there are enough kills; return 1 if any result differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="the first commands of the chain; all where left out")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="seti-kills-"))
    (folder / "tmp").mkdir()
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = None
    started = time.monotonic()
    chain.preload()
    killer = Killer(folder, asked.seed, asked.only)
    killer.begin()
    while sum(killer.kills.values()) < asked.kills and not killer.failures:
        killer.run_chain(asked.kills - sum(killer.kills.values()))
        print(f"{sum(killer.kills.values())} kills, {time.monotonic() - started:.0f} s", flush=True)
    killer.report()
    for failure in killer.failures:
        print(failure)
    total = sum(killer.kills.values())
    print(f"{total} kills, {killer.recoveries} exact recoveries, {time.monotonic() - started:.0f} s, seed {asked.seed}")
    if not killer.failures:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}")
    return 1 if killer.failures or killer.recoveries != total else 0


if __name__ == "__main__":
    sys.exit(main())
