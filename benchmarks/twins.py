"""Accuracy, time and memory of the search for twins, and the residual on real snippets.

python benchmarks/twins.py simulated <folder of a simulated set>      # recall, wrong links and offsets, CPU
python benchmarks/twins.py scale 10000 100000                         # cadences are generated while they are read
python benchmarks/twins.py windows <folder with cadence files>        # windows of snippets, standardised apart
"""

import argparse
import functools
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from seti.backgrounds import search
from seti.backgrounds.cadences import ALL, Cadences, DataSet
from seti.backgrounds.conclusions import Found
from seti.backgrounds.fields import LEAST_OVERLAP, overlapping_pairs
from seti.backgrounds.verification import fit, sample_overlap
from seti.data.cadence import read_cadence

ROWS, BINS = 273, 256
WIDE, CUTS, SHARED = 4096, 30, 0.85  # bins of a generated field, cadences of it, share of cadences that have twins
WIDE_OVERLAP = 16  # bins
FORMS = 4  # of the generated noise: two blocks, either sign


def against_truth(found: Found, field: np.ndarray, offset: np.ndarray, bins: int) -> dict[str, object]:
    """Compare links with the truth: recall of overlapping pairs, wrong links, wrong offsets.

    Args:
        found: of the search.
        field: `(N,)` number of the field that each cadence was cut from.
        offset: `(N,)` its first bin there.
        bins: of a cadence.
    """
    links = found.links
    one, two, shift = overlapping_pairs(field, offset, bins)
    overlap = bins - np.abs(shift)
    count = len(field)
    held = np.isin(one * count + two, links.one.astype(np.int64) * count + links.two)
    same = field[links.one] == field[links.two]
    narrow, wide = overlap < WIDE_OVERLAP, overlap >= WIDE_OVERLAP
    return {
        "cadences": count,
        f"pairs that overlap by {WIDE_OVERLAP} bins or more": int(wide.sum()),
        f"recall of pairs that overlap by {WIDE_OVERLAP} bins or more": _share(held[wide]),
        f"pairs that overlap by {LEAST_OVERLAP} to {WIDE_OVERLAP - 1} bins": int(narrow.sum()),
        f"recall of pairs that overlap by {LEAST_OVERLAP} to {WIDE_OVERLAP - 1} bins": _share(held[narrow]),
        "wrong links": int((~same).sum()),
        "wrong offsets": int((same & (offset[links.two] - offset[links.one] != links.shift)).sum()),
        "residual in thermal noise, median and 99 %": np.percentile(links.residual, [50, 99]).round(5).tolist(),
    }


def simulated(root: Path) -> dict[str, object]:
    """Search a simulated set and compare with its `truth.csv`."""
    start = time.process_time(), time.perf_counter()
    found = search.find_twins(root, workers=1)
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    truth = pd.read_csv(root / "truth.csv", dtype={"id": str}).set_index("id").loc[found.twins["id"]]
    result = against_truth(found, truth["background"].to_numpy(), truth["offset"].to_numpy(), BINS)
    cpu = {"CPU ms a cadence, reading included": round(1e3 * spent[0] / len(truth), 3)}
    return result | cpu | {"seconds": round(spent[1], 1), "memory GB": memory()}


class Generated:
    """Cadences that are made while they are read: a `CadenceSource`.

    The time that this takes is counted apart.
    """

    spent = 0.0

    def __init__(self, field: np.ndarray, offset: np.ndarray, panels: tuple[int, ...]) -> None:
        self.ids, self.panels, self.rows, self.bins = np.arange(len(field)).astype(str), panels, ROWS, BINS
        self._field, self._offset = field, offset

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def description(self) -> str:
        """Origin of the cadences."""
        return "generated cadences"

    def take(self, indices: np.ndarray) -> "Generated":
        """Select cadences."""
        return Generated(self._field[indices], self._offset[indices], self.panels)

    def read(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Make one cadence."""
        start = time.process_time()
        part = _part(int(self._field[index]), int(self._offset[index]), self.panels)
        mean, deviation = part.mean(axis=(1, 2), keepdims=True), part.std(axis=(1, 2), keepdims=True)
        made = ((part - mean) / deviation).astype(np.float16)
        Generated.spent += time.process_time() - start
        return made


def _part(number: int, offset: int, panels: tuple[int, ...]) -> np.ndarray:
    """Cut a cadence from a field of noise on a band, `(panels, 273, 256)` float32.

    The noise of all fields is that of two blocks, with the rows in 273 orders, the panels in six, and either sign: none
    of these 6,552 fields shares a key with another.
    """
    form, turn = divmod(number // ROWS, len(ALL))
    if form >= FORMS:
        msg = f"at most {FORMS * ROWS * len(ALL)} fields can be made"
        raise ValueError(msg)
    block, negative = divmod(form, 2)
    start = block * WIDE + offset
    noise = _noise()[[(panel + turn) % len(ALL) for panel in panels], :, start : start + BINS]
    noise = np.roll(-noise if negative else noise, number % ROWS, axis=1)
    rng = np.random.default_rng(number)
    period, comb = rng.uniform(50, 400), rng.uniform(3, 9)
    spikes = rng.integers(0, WIDE, 8)
    at = np.arange(offset, offset + BINS)
    band = 2 * np.sin(at / period) + 4 * np.exp(-(at % 700) / 90) * np.cos(at / comb) ** 2
    flicker = np.maximum(rng.normal(0, 1, (len(ALL), ROWS, 1)), 0)[list(panels)]
    return noise * (1 + band / 25).astype(np.float32) + (band + 40 * np.isin(at, spikes) + flicker).astype(np.float32)


@functools.cache
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(ALL), ROWS, 2 * WIDE), dtype=np.float32)


class GeneratedSet(DataSet):
    """Data set of generated cadences: nothing but the table and the parts is written."""

    def open(self, panels: tuple[int, ...]) -> Cadences:
        """Open some panels of all cadences."""
        source = Generated(self.sizes, self.times, panels)
        return Cadences((source, None), np.zeros(len(self.ids), np.int64), np.arange(len(self.ids)))


def scale(count: int) -> dict[str, object]:
    """Search generated cadences; times are this program's CPU, without making the cadences."""
    shared = int(SHARED * count)
    rng = np.random.default_rng(0)
    field = np.concatenate([np.arange(shared) // CUTS, shared // CUTS + 1 + np.arange(count - shared) // 9])
    # Of the cadences that are alone, nine come from one field, without overlap.
    apart = (np.arange(count - shared) % 9) * (BINS + 30)
    offset = np.concatenate([rng.integers(0, WIDE - BINS + 1, shared), apart])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ids = np.array([f"{number:015x}" for number in range(count)])
        # Sizes and times of the files stand for field and offset.
        data = GeneratedSet(root, ids, np.full(count, "train"), field, offset, ROWS, BINS, None)
        Generated.spent = 0.0
        stages = {"_match": 0.0, "join_matches": 0.0, "fingerprint_all": 0.0}
        with mock.patch.object(search, "open_data_set", return_value=data), _timed(stages):
            start = time.process_time()
            found = search.find_twins(root, workers=1)
            total = time.process_time() - start - Generated.spent
        disk = sum(path.stat().st_size for path in root.iterdir())
    times = {f"CPU s, {name.strip('_')}": round(spent, 1) for name, spent in stages.items()}
    return {
        **against_truth(found, field, offset, BINS),
        "CPU s in all": round(total, 1),
        "CPU ms a cadence": round(1e3 * total / count, 3),
        **times,
        "memory GB": memory(),
        "files MB": round(disk / 1e6, 1),
    }


def _timed(stages: dict[str, float]) -> mock._patch:
    """Count the CPU time of stages of the search, without making the cadences."""

    def timed(name: str, work: object) -> object:
        @functools.wraps(work)
        def run(*args: object, **more: object) -> object:
            start = time.process_time() - Generated.spent
            result = work(*args, **more)
            stages[name] += time.process_time() - Generated.spent - start
            return result

        return run

    return mock.patch.multiple(search, **{name: timed(name, getattr(search, name)) for name in stages})


def windows(folder: Path) -> dict[str, object]:
    """Fit overlapping windows of every snippet, standardised and rounded apart, to each other.

    The residual is the root mean square of a panel's difference in its middle bin, in units of the thermal noise; that
    with the gain and offset that the windows were made with is what rounding to float16 leaves.
    """
    fitted, exact, worst = [], [], []
    for path in sorted(folder.rglob("*.npy")):
        panels = read_cadence(path).astype(np.float64)
        bins = panels.shape[2]
        for shift in (bins // 16, bins // 4, 3 * bins // 8):
            one, two = _standardise(panels[:, :, : bins - shift]), _standardise(panels[:, :, shift:])
            gain, offset, _, thermal = (
                found[0] for found in fit(*(side[None] for side in sample_overlap(one, two, shift)))
            )
            sides = one[:, :, shift:].astype(np.float64), two[:, :, : bins - 2 * shift].astype(np.float64)
            mean, deviation = (
                np.stack([f(side, axis=(1, 2)) for side in (panels[:, :, : bins - shift], panels[:, :, shift:])])
                for f in (np.mean, np.std)
            )
            made_with = deviation[1] / deviation[0], (mean[1] - mean[0]) / deviation[0]
            for found, line in ((fitted, (gain, offset)), (exact, made_with)):
                bare = sides[0] - line[0][:, None, None] * sides[1] - line[1][:, None, None]
                by_bin = np.sqrt((bare**2).mean(axis=1)) / thermal[:, None]
                found.append(np.median(by_bin, axis=1))
            worst.append(by_bin.max())
    names = {"residual of a pair (middle panel)": (fitted, np.median), "residual of a panel": (fitted, np.ravel)}
    names |= {f"{name}, rounding alone": (exact, over) for name, (_, over) in names.items()}
    measured = {
        f"{name}, median and largest": [
            round(float(f(np.concatenate([np.atleast_1d(over(one)) for one in found]))), 5) for f in (np.median, np.max)
        ]
        for name, (found, over) in names.items()
    }
    return {"pairs of windows": len(fitted), **measured, "residual of the worst bin": round(float(np.max(worst)), 4)}


def _standardise(panels: np.ndarray) -> np.ndarray:
    mean, deviation = panels.mean(axis=(1, 2), keepdims=True), panels.std(axis=(1, 2), keepdims=True)
    return ((panels - mean) / deviation).astype(np.float16)


def memory() -> float:
    """Largest resident memory of this process so far, in GB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def _share(values: np.ndarray) -> float:
    return round(float(values.mean()), 5) if len(values) else float("nan")


def results(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Yield the results of the command line."""
    for word in given.words:
        if given.what == "scale":
            yield scale(int(word))
        else:
            yield (simulated if given.what == "simulated" else windows)(Path(word))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("simulated", "scale", "windows"))
    parser.add_argument("words", nargs="+")
    for result in results(parser.parse_args()):
        print(json.dumps(result, indent=2), flush=True)


if __name__ == "__main__":
    main()
