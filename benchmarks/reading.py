"""Time reading the A panels of cadences against loading whole files, in turn, on one core with files in the page cache.

python benchmarks/reading.py <folder of a data set> [--count 400] [--rounds 7]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from seti.cadence import ON_PANELS, read_cadence


def load_whole(path: Path) -> np.ndarray:
    """The ordinary way: the whole file, cast, then the panels."""
    return np.load(path).astype(np.float32)[list(ON_PANELS)]


def read_panels(path: Path) -> np.ndarray:
    """This project's way, which also looks for NaN."""
    return read_cadence(path, ON_PANELS)


def microseconds(read: Callable[[Path], np.ndarray], paths: list[Path]) -> float:
    """Time of one pass, a cadence."""
    started = time.perf_counter()
    for path in paths:
        read(path)
    return (time.perf_counter() - started) / len(paths) * 1e6


def main() -> None:
    """Parse the command line, measure in turn, print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    paths = sorted(given.root.glob("train/*/*.npy"))[: given.count]
    microseconds(load_whole, paths)  # into the page cache
    times = {read: [] for read in (load_whole, read_panels)}
    for _ in range(given.rounds):
        for read, seen in times.items():
            seen.append(microseconds(read, paths))
    for read, seen in times.items():
        low, middle, high = np.percentile(seen, [0, 50, 100])
        print(f"{read.__name__}: median {middle:.0f} us a cadence ({low:.0f}-{high:.0f}), {len(paths)} cadences")
    ratios = np.divide(times[load_whole], times[read_panels])
    print(f"ratio, round by round: median {np.median(ratios):.1f} ({ratios.min():.1f}-{ratios.max():.1f})")


if __name__ == "__main__":
    main()
