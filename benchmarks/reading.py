"""Time ways of reading A panels, in turn, on one core and from the page cache.

    python benchmarks/reading.py <folder of a data set> [--count 400] [--rounds 9]

Rows: loading whole files, the ordinary way; this project's files and pack; and the ceiling of each, which is raw
`preadv` of the same bytes into a buffer that is ready, opening and closing included. Without a pack in
`<folder>/packed` one is made in a temporary folder.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from seti.data import competition
from seti.data.cadence import HEADER_BYTES, ON_PANELS
from seti.data.pack_reader import PackedCadences
from seti.data.pack_writer import pack_split
from seti.data.sources import CadenceFiles


def ways(root: Path, ids: np.ndarray, packed: Path) -> dict[str, Callable[[int], object]]:
    """Return functions that read the cadence of an index, by name."""
    stored = CadenceFiles(root, "train", ids, ON_PANELS)
    pack = pack_split(root, "train", "A", packed, workers=1)
    cadences = PackedCadences(pack, root, ids, ON_PANELS)
    paths = [competition.cadence_path(root, "train", i) for i in ids]
    names = [str(path) for path in paths]
    place = np.empty((len(ON_PANELS), stored.rows, stored.bins), np.float16)
    panels = [panel.data for panel in place]
    size = place[0].nbytes
    descriptor = os.open(pack.data, os.O_RDONLY)
    start = cadences.pack.read_manifest()["bytes"] - len(cadences.pack.read_table()) * place.nbytes
    places = {name: number for number, name in enumerate(cadences.pack.read_table()["id"])}
    offsets = [start + places[i] * place.nbytes for i in ids]

    def raw_file(index: int) -> None:
        descriptor = os.open(names[index], os.O_RDONLY | os.O_CLOEXEC)
        for panel, buffer in zip(ON_PANELS, panels, strict=True):
            os.preadv(descriptor, [buffer], HEADER_BYTES + panel * size)
        os.close(descriptor)

    return {
        "load whole file": lambda index: np.load(paths[index]).astype(np.float32)[list(ON_PANELS)],
        "files": stored.read,
        "files, into a place": lambda index: stored.read(index, place),
        "raw reads of files": raw_file,
        "pack": cadences.read,
        "pack, into a place": lambda index: cadences.read(index, place),
        "raw reads of the pack": lambda index: os.preadv(descriptor, [place.data], offsets[index]),
    }


def microseconds(read: Callable[[int], object], order: list[int]) -> float:
    """Return the time of one pass per cadence."""
    started = time.perf_counter()
    for index in order:
        read(index)
    return (time.perf_counter() - started) / len(order) * 1e6


def main() -> None:
    """Parse the command line, measure in turn, print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    ids = competition.read_labels(given.root)["id"].to_numpy(dtype=np.str_)[: given.count]
    with tempfile.TemporaryDirectory() as temporary:
        whole = (given.root / "packed" / "train-A.json").exists()
        reads = ways(given.root, ids, given.root / "packed" if whole else Path(temporary))
        order = np.random.default_rng(0).permutation(len(ids)).tolist()
        first = {name: microseconds(read, order) for name, read in reads.items()}  # into the page cache
        times = {name: [] for name in reads}
        for _ in range(given.rounds):
            for name, read in reads.items():
                times[name].append(microseconds(read, order))
    ordinary = np.array(times["load whole file"])
    print(f"{len(ids)} cadences, {given.rounds} rounds, microseconds a cadence: median (lowest-highest)")
    for name, seen in times.items():
        low, middle, high = np.percentile(seen, [0, 50, 100])
        ratio = np.median(ordinary / seen)
        print(f"{name:>22}: {middle:5.0f} ({low:.0f}-{high:.0f}), {ratio:4.1f} x; first pass {first[name]:.0f}")
    for ours, ceiling in (("files, into a place", "raw reads of files"), ("pack", "raw reads of the pack")):
        share = np.median(np.array(times[ceiling]) / times[ours])
        print(f"{ours}: {share:.2f} of the speed of {ceiling}")


if __name__ == "__main__":
    main()
