"""Time the full data check and raw reads of the same bytes, in turn, from the page cache.

    python benchmarks/checking.py <folder of a data set> [--count 1000] [--rounds 7]

Both run in this process on one core, without the start of others: raw is `open`, `preadv` of the whole file into a
buffer that is ready, `close`.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.progress import Progress

from seti.data.file_scan import scan_files


def raw(paths: list[str]) -> None:
    """Read whole files."""
    buffer = bytearray(max(Path(path).stat().st_size for path in paths[:1]))
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.preadv(descriptor, [buffer], 0)
        os.close(descriptor)


def scan(paths: list[str]) -> None:
    """Check whole files."""
    with Progress(disable=True) as progress:
        scan_files(paths, 1, progress, progress.add_task(""))


def seconds(work: Callable[[list[str]], None], paths: list[str]) -> float:
    """Return the seconds of one pass."""
    started = time.perf_counter()
    work(paths)
    return time.perf_counter() - started


def main() -> None:
    """Parse the command line, measure in turn, print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    paths = [str(path) for path in sorted(given.root.glob("train/*/*.npy"))[: given.count]]
    size = sum(Path(path).stat().st_size for path in paths)
    times: dict[Callable, list[float]] = {raw: [], scan: []}
    for work in times:
        work(paths)  # into the page cache
    for _ in range(given.rounds):
        for work, seen in times.items():
            seen.append(seconds(work, paths))
    for work, seen in times.items():
        low, middle, high = size / 1e9 / np.percentile(seen, [100, 50, 0])
        print(f"{work.__name__}: median {middle:.2f} GB/s ({low:.2f}-{high:.2f}), {len(paths)} cadences a pass")
    shares = np.divide(times[raw], times[scan])
    print(f"check at {np.median(shares):.2f} of the speed of raw reads ({shares.min():.2f}-{shares.max():.2f})")


if __name__ == "__main__":
    main()
