"""Benchmark of every stage: the ordinary way, this project's way and the ceiling, in turn.

    python benchmarks/run.py [--only <words>] [--quick] [--device cuda] [--readme] [--machine <words>]

It simulates a few hundred cadences into a temporary folder and prints a table. With `--readme` it writes every round
into `results/<device>.json` and the table into README.md; with `--only` the other rows stay as they were. `--quick`
tries every stage on next to nothing, with `--device cuda` also where there is no GPU, and writes nothing.
"""

import argparse
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import checking
import cv2
import growth
import hydra
import matplotlib as mpl
import memory
import numpy as np
import predicting
import reading
import reference
import starting
import torch
import training
from measure import Row, Turns, markdown, table

from seti.config.compose import simulation_settings
from seti.config.schema import plain
from seti.data import competition
from seti.data.cadence import ON_PANELS
from seti.data.pack_writer import pack_split
from seti.data.splits import open_split
from seti.dataloading.dataset import CadenceDataset
from seti.simulation.dataset import simulate
from seti.transforms.input_spec import InputSpec
from seti.utils import files, malloc
from seti.utils.console import console

HERE = Path(__file__).resolve().parent
START, END = "<!-- {}: written by benchmarks/run.py -->", "<!-- end of {} -->"


@dataclass(frozen=True)
class Setup:
    """Data set, folders and options shared by all stages.

    Attributes:
        root: a simulated data set.
        scratch: a temporary folder, removed afterwards.
        rounds: number of times each way is timed.
        quick: a smoke test with minimal timings.
        device: `cpu` or `cuda`.
    """

    root: Path
    scratch: Path
    rounds: int
    quick: bool
    device: str

    @property
    def packed(self) -> Path:
        """Folder of the training cadences' pack."""
        return self.scratch / "packed"

    def ids(self, count: int = 200) -> np.ndarray:
        """Return the first training ids."""
        return competition.read_labels(self.root)["id"].to_numpy(dtype=np.str_)[:count]

    def paths(self, count: int = 200) -> list[Path]:
        """Return the files of the first training ids."""
        return [competition.cadence_path(self.root, "train", i) for i in self.ids(count)]


def panels(setup: Setup) -> list[Row]:
    """Time reading the A panels, on one core, from the page cache."""
    ways = reading.ways(setup.root, setup.ids(), setup.packed)
    order = np.random.default_rng(0).permutation(len(setup.ids())).tolist()

    def one_pass(read: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            for index in order:
                read(index)

        return run

    seen = Turns({name: one_pass(read) for name, read in ways.items()}, len(order), setup.rounds).seconds()
    ordinary, unit = seen["load whole file"], "us/cadence"
    copied = f"copied out {np.median(seen['pack, into a place']) * 1e6:.0f} us"
    stage = "read the A panels"
    return [
        *[Row(f"{stage} of a .npy", seen["files"], ordinary, seen["raw reads of files"], unit, "8 x; 0.7 of ceiling")],
        *[Row(f"{stage} of the pack", seen["pack"], ordinary, seen["raw reads of the pack"], unit, "14 x", copied)],
    ]


def preparing(setup: Setup) -> list[Row]:
    """Time reading and image preparation in batches of 32, on one core."""
    paths, ids = setup.paths(), setup.ids()
    _, rows, bins = np.load(paths[0], mmap_mode="r").shape
    spec = InputSpec("A", "spatial", [512, 512], "linear", rows, bins)
    pack_split(setup.root, "train", "A", setup.packed, workers=1)
    cv2.setNumThreads(0)
    with hydra.initialize_config_dir(str(training.CONF), version_base="1.3"):
        flips_affine = plain(hydra.compose("train", ["augment=flips_affine"]).augment)
    made = []
    for stage, augment, wanted in (
        ("read + flips_affine + 512 x 512", flips_affine, "3 x"),
        ("read + 512 x 512, for validation", None, "4 x"),
    ):
        images = reference.Images(paths, reference.transforms((512, 512), augment=augment is not None))
        items = [(index, index) if augment else index for index in range(len(ids))]

        @reference.usual_heap()
        def ordinary(images: reference.Images = images) -> None:
            for batch in _batches(range(len(images))):
                torch.stack([images[index][0] for index in batch])

        def ours(packed: str, augment: dict | None = augment, items: list = items) -> Callable[[], None]:
            source = open_split(setup.root, "train", ids, ON_PANELS, packed, setup.packed).source
            dataset = CadenceDataset(source, None, spec, augment)

            def run() -> None:
                for batch in _batches(items):
                    dataset.__getitems__(batch)

            return run

        ways = {"ordinary": ordinary, "files": ours("false"), "pack": ours("true")}
        seen = Turns(ways, len(ids), setup.rounds).seconds()
        for source, name in (("files", stage), ("pack", f"{stage}, from the pack")):
            made.append(Row(name, seen[source], seen["ordinary"], unit="us/cadence", wanted=wanted))
    cv2.setNumThreads(-1)
    return made


def _batches(items: Any) -> list[Any]:
    return [items[start : start + 32] for start in range(0, len(items), 32)]


def check(setup: Setup) -> list[Row]:
    """Time the full data check of all six panels, on one core."""
    paths = [str(path) for path in setup.paths()]
    ways = {"ours": lambda: checking.scan(paths), "raw": lambda: checking.raw(paths)}
    seen = Turns(ways, len(paths), setup.rounds).seconds()
    return [Row("check of whole files", seen["ours"], (), seen["raw"], "us/cadence")]


def steps(setup: Setup) -> list[Row]:
    """Time training steps."""
    # Enough cadences for one epoch, because the end of an epoch is not part of a step.
    root = starting.linked_data(setup.root, setup.scratch / "many", 4000, 16)
    if setup.device == "cuda":
        large = ["model=effnet_b1", "augment=flips_affine", "data.augment_on=device", "data.batch_size=64"]
        large += [f"data.num_workers={min(os.cpu_count() or 1, 8)}"]
        if setup.quick:
            large += ["data.image_size=[64,64]", "data.batch_size=4"]
        stage = "training, effnet_b1, 512 x 512, batch 64"
        return training.rows(
            *(
                stage,
                root,
                setup.scratch,
                large,
                "efficientnet_b1",
                setup.rounds,
                2 if setup.quick else 40,
                "2 x",
            )
        )
    # As in the preset: one core computes, the other prepares batches.
    tiny = ["experiment=demo", "augment=flips_affine"]
    small = ["model=effnet_b0", "data.image_size=[256,256]", "data.batch_size=16"]
    # Enough steps to time: a tiny step takes 0.05 s.
    tiny_steps, small_steps = (3, 2) if setup.quick else (60, 9)
    rounds = min(setup.rounds, 5)
    where = (root, setup.scratch)
    return [
        *training.rows("training, tiny, 96 x 128", *where, tiny, "test_resnet.r160_in1k", rounds, tiny_steps, "1.6 x"),
        *training.rows(
            "training, effnet_b0, 256 x 256", *where, small, "efficientnet_b0", rounds, small_steps, "1.6 x"
        ),
    ]


def prediction(setup: Setup) -> list[Row]:
    """Time prediction with five folds of a briefly trained small network, and of a large one."""
    if setup.device == "cuda":
        side = 64 if setup.quick else 512
        return predicting.rows_on_gpu(setup.root, 1 if setup.quick else 5, side)
    outputs = setup.scratch / "outputs"
    command = [sys.executable, "train.py", "-m", "experiment=demo", "fold=0,1,2,3,4", "exp_name=tiny"]
    command += [
        f"data.root={setup.root}",
        f"output_dir={outputs}",
        f"trainer.max_epochs={1 if setup.quick else 3}",
    ]
    subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.DEVNULL)
    return predicting.rows(setup.root, outputs / "tiny", min(setup.rounds, 3), 4 if setup.quick else 12)


def start_up(setup: Setup) -> list[Row]:
    """Time the start of training to its first step, with the competition's number of cadences."""
    sizes = (600, 400) if setup.quick else (60_000, 40_000)
    root = starting.linked_data(setup.root, setup.scratch / "full", *sizes)
    seen = [starting.first_step(root) for _ in range(min(setup.rounds, 3))]
    rows = f"{sizes[0]:,} rows"
    return [
        Row(f"start of train.py to the first step, {rows}", [s["to the first step"] for s in seen], wanted="15 s"),
        Row("of which the tables", [s["tables"] for s in seen], wanted="2 s"),
        Row("of which imports", [s["imports"] for s in seen]),
    ]


def stacking(setup: Setup) -> list[Row]:
    """Time stacking of 20 experiments at the competition's size."""
    size = growth.stacked(setup.scratch / "stack", 2 if setup.quick else 20, 6000 if setup.quick else 60_000)
    return [
        Row("stack.py, 60,000 rows, 20 experiments, nested", [size.seconds], wanted="60 s"),
        Row("its memory", [size.mib], unit="MiB", wanted="1 GiB"),
    ]


def sweep(setup: Setup) -> list[Row]:
    """Measure memory over the folds of one process."""
    seen = memory.after_each_fold(setup.root)
    values = ", ".join(f"{mib:.0f}" for mib in seen)
    return [
        Row("memory of a sweep after its last fold", seen[-1:], unit="MiB", wanted="flat", note=f"a fold: {values}")
    ]


STAGES: dict[str, Callable[[Setup], list[Row]]] = {
    "reading": panels,
    "preparing": preparing,
    "check": check,
    "training": steps,
    "prediction": prediction,
    "stack": stacking,
    "start": start_up,
    "memory": sweep,
}
ON_GPU = ("training", "prediction")


def machine(device: str) -> str:
    """Describe the machine."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{os.cpu_count()} cores of {model[0] if model else platform.processor()}, {memory:.0f} GiB"


def into_readme(name: str, text: str) -> None:
    """Replace the text between the marks of a name."""
    path = HERE / "README.md"
    content = path.read_text()
    before, rest = content.split(START.format(name))
    after = rest.split(END.format(name))[1]
    path.write_text(f"{before}{START.format(name)}\n{text}\n{END.format(name)}{after}")


def written(path: Path, machine_now: str, parts: dict[str, list[Row]]) -> dict[str, Any]:
    """Write the results; parts not measured keep earlier results from the same machine."""
    earlier = files.read_json(path) if path.exists() else {"machine": machine_now, "parts": {}}
    if earlier["machine"] != machine_now:
        earlier = {"parts": {}}
    now = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "torch": torch.__version__}
    fresh = {name: now | {"rows": [row.plain() for row in rows]} for name, rows in parts.items()}
    merged = earlier["parts"] | fresh
    result = {"machine": machine_now, "parts": {name: merged[name] for name in STAGES if name in merged}}
    files.write_json(path, result)
    return result


def readme_text(result: dict[str, Any]) -> str:
    """Return the table with its machine and dates."""
    parts = result["parts"].values()
    dates, versions = (" and ".join(sorted({part[key] for part in parts})) for key in ("date", "torch"))
    rows = [Row.of(row) for part in parts for row in part["rows"]]
    return f"\n{result['machine']}; {dates}; torch {versions}.\n\n{markdown(rows)}\n"


def main() -> None:
    """Parse the command line, run the stages, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*STAGES, "growth"], default=[*STAGES, "growth"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--machine", help="what it runs on, in words; else as the system says")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--readme", action="store_true")
    given = parser.parse_args()
    mpl.use("Agg")
    logging.getLogger("seti").setLevel(logging.WARNING)
    if given.device == "cuda" and not given.quick and not torch.cuda.is_available():
        sys.exit("torch finds no GPU on this machine: run this where there is one, or `make bench` for the CPU")
    malloc.keep_freed_memory()  # as the programs do
    parts: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        sizes = ("train=80", "test=40") if given.quick else ("train=400", "test=300")
        root = simulate(simulation_settings("preset=easy", "positives=0.5", f"root={scratch / 'data'}", *sizes))
        setup = Setup(root, scratch, 1 if given.quick else 7, given.quick, given.device)
        for name in [*STAGES, "growth"]:
            if name not in given.only or (given.device == "cuda" and name not in ON_GPU):
                continue
            started = time.perf_counter()
            if name == "growth":
                growth.draw(root, scratch, HERE / "growth.png", given.quick)
            else:
                parts[name] = STAGES[name](setup)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    console().print(table([row for rows in parts.values() for row in rows]))
    if given.readme and parts and not given.quick:
        path = HERE / "results" / f"{given.device}.json"
        result = written(path, given.machine or machine(given.device), parts)
        into_readme(given.device, readme_text(result))


if __name__ == "__main__":
    main()
