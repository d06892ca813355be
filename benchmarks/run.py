"""The benchmark: every stage the ordinary way, this project's way, and the ceiling, timed in turn in one run.

    python benchmarks/run.py [--only <words>] [--quick] [--device cuda] [--readme]

It simulates a few hundred cadences into a temporary folder, prints a table, and writes `results/<device>.json`; with
`--readme` it also writes the table into README.md. `--quick` tries every stage on next to nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import cv2
import growth
import matplotlib as mpl
import numpy as np
import predicting
import reference
import starting
import torch
import training
from measure import Row, Turns, markdown, table

from seti import catalog, files
from seti.cadence import HEADER_BYTES, ON_PANELS, read_cadence
from seti.console import console
from seti.dataset import CadenceDataset, InputSpec
from seti.simulate import load_settings, simulate

HERE = Path(__file__).resolve().parent
FLIPS_AFFINE = {"flip_frequency": 0.5, "flip_time": 0.5, "affine": 0.5, "shift": 0.1, "scale": 0.1, "rotate": 10.0}
START, END = "<!-- {}: written by benchmarks/run.py -->", "<!-- end of {} -->"


@dataclass(frozen=True)
class Room:
    """What the stages work with.

    Attributes:
        root: a simulated data set.
        scratch: a folder that is removed afterwards.
        rounds: how often every way is timed.
        quick: next to nothing is timed.
        device: `cpu` or `cuda`.
    """

    root: Path
    scratch: Path
    rounds: int
    quick: bool
    device: str

    def ids(self, count: int = 200) -> np.ndarray:
        """Training ids."""
        return catalog.read_labels(self.root)["id"].to_numpy(dtype=np.str_)[:count]

    def paths(self, count: int = 200) -> list[Path]:
        """Their files."""
        return [catalog.cadence_path(self.root, "train", i) for i in self.ids(count)]


def reading(room: Room) -> list[Row]:
    """The A panels, one core, files in the page cache."""
    paths = room.paths()
    panel = np.load(paths[0]).nbytes // 6
    place = [np.empty(panel, np.uint8).data for _ in ON_PANELS]

    def raw() -> None:
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            for index, buffer in zip(ON_PANELS, place, strict=True):
                os.preadv(descriptor, [buffer], HEADER_BYTES + index * panel)
            os.close(descriptor)

    ways = {
        "ordinary": lambda: [reference.load_panels(path) for path in paths] and None,
        "ours": lambda: [read_cadence(path, ON_PANELS) for path in paths] and None,
        "raw": raw,
    }
    seen = Turns(ways, len(paths), room.rounds).seconds()
    wanted = "8 x; 0.7 of the ceiling"
    return [Row("read the A panels of a .npy", seen["ours"], seen["ordinary"], seen["raw"], "us/cadence", wanted)]


def preparing(room: Room) -> list[Row]:
    """Reading and making the network's picture, one core."""
    paths, ids = room.paths(), room.ids()
    _, rows, bins = np.load(paths[0]).shape
    spec = InputSpec("A", "spatial", [512, 512], "linear", rows, bins)
    cv2.setNumThreads(0)
    made = []
    for stage, augment, wanted in (
        ("read + flips_affine + 512 x 512", FLIPS_AFFINE, "3 x"),
        ("read + 512 x 512, for validation", None, "4 x"),
    ):
        transform = reference.transforms((512, 512), augment=augment is not None)
        pictures = reference.Pictures(paths, transform)
        dataset = CadenceDataset(room.root, "train", ids, None, spec, augment)
        items = [(index, index) if augment else index for index in range(len(ids))]
        batches = [items[start : start + 32] for start in range(0, len(items), 32)]
        ways = {
            "ordinary": lambda pictures=pictures: (
                [
                    torch.stack([pictures[index][0] for index in range(start, min(start + 32, len(pictures)))])
                    for start in range(0, len(pictures), 32)
                ]
                and None
            ),
            "ours": lambda dataset=dataset, batches=batches: (
                [dataset.__getitems__(batch)[0] for batch in batches] and None
            ),
        }
        seen = Turns(ways, len(ids), room.rounds).seconds()
        made.append(Row(stage, seen["ours"], seen["ordinary"], unit="us/cadence", wanted=wanted))
    cv2.setNumThreads(-1)
    return made


def steps(room: Room) -> list[Row]:
    """Training."""
    few = 3 if room.quick else 20
    # Enough cadences for one epoch: an epoch's end is no part of a step.
    root = starting.linked_data(room.root, room.scratch / "many", 4000, 16)
    if room.device == "cuda":
        large = ["model=effnet_b1", "data.batch_size=64", "data.num_workers=8"]
        stage = "training, effnet_b1, 512 x 512, batch 64"
        return training.rows(
            stage, root, room.scratch, large, "efficientnet_b1", room.rounds, 2 if room.quick else 40, "2 x"
        )
    tiny = ["experiment=demo", "augment=flips", "threads=null", "data.num_workers=2"]
    small = ["model=effnet_b0", "data.image_size=[256,256]", "data.batch_size=16"]
    rounds = min(room.rounds, 3)
    return [
        *training.rows(
            "training, tiny, 96 x 128", root, room.scratch, tiny, "test_resnet.r160_in1k", rounds, few, "1.6 x"
        ),
        *training.rows(
            *("training, effnet_b0, 256 x 256", root, room.scratch, small, "efficientnet_b0"),
            *(min(rounds, 2), 2 if room.quick else 5, "1.6 x"),
        ),
    ]


def prediction(room: Room) -> list[Row]:
    """Five folds of a network that was trained a little, and five large ones."""
    if room.device == "cuda":
        return predicting.rows_on_gpu(room.root, 2 if room.quick else 5)
    outputs = room.scratch / "outputs"
    command = [sys.executable, "train.py", "-m", "experiment=demo", "fold=0,1,2,3,4", "exp_name=tiny"]
    command += [f"data.root={room.root}", f"output_dir={outputs}", f"trainer.max_epochs={1 if room.quick else 3}"]
    subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.DEVNULL)
    return predicting.rows(room.root, outputs / "tiny", min(room.rounds, 3), 4 if room.quick else 16)


def start_up(room: Room) -> list[Row]:
    """From nothing to the first step, with the competition's number of cadences."""
    sizes = (600, 400) if room.quick else (60_000, 40_000)
    root = starting.linked_data(room.root, room.scratch / "full", *sizes)
    seen = [starting.first_step(root) for _ in range(min(room.rounds, 3))]
    rows = f"{sizes[0]:,} rows"
    return [
        Row(f"start of train.py to the first step, {rows}", [s["to the first step"] for s in seen], wanted="15 s"),
        Row("of which the tables", [s["tables"] for s in seen], wanted="2 s"),
        Row("of which imports", [s["imports"] for s in seen]),
    ]


def stacking(room: Room) -> list[Row]:
    """20 experiments at the competition's size."""
    size = growth.stacked(room.scratch / "stack", 2 if room.quick else 20, 6000 if room.quick else 60_000)
    return [
        Row("stack.py, 60,000 rows, 20 experiments, nested", [size.seconds], wanted="60 s"),
        Row("its memory", [size.mib], unit="MiB", wanted="1 GiB"),
    ]


STAGES: dict[str, Callable[[Room], list[Row]]] = {
    "reading": reading,
    "preparing": preparing,
    "training": steps,
    "prediction": prediction,
    "start": start_up,
    "stack": stacking,
}
ON_GPU = ("training", "prediction")


def machine(device: str) -> str:
    """What was measured on."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{os.cpu_count()} cores of {model[0] if model else platform.processor()}, {memory:.0f} GiB"


def into_readme(name: str, text: str) -> None:
    """Put text between the marks of that name."""
    path = HERE / "README.md"
    content = path.read_text()
    before, rest = content.split(START.format(name))
    after = rest.split(END.format(name))[1]
    path.write_text(f"{before}{START.format(name)}\n{text}\n{END.format(name)}{after}")


def main() -> None:
    """Parse the command line, run the stages, write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*STAGES, "growth"], default=[*STAGES, "growth"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--readme", action="store_true")
    given = parser.parse_args()
    mpl.use("Agg")
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no GPU on this machine: run this where there is one, or `make bench` for the CPU")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        sizes = ("train=80", "test=40") if given.quick else ("train=400", "test=300")
        root = simulate(load_settings("preset=easy", "positives=0.5", f"root={scratch / 'data'}", *sizes))
        room = Room(root, scratch, 1 if given.quick else 7, given.quick, given.device)
        for name, stage in STAGES.items():
            if name in given.only and (given.device == "cpu" or name in ON_GPU):
                rows += stage(room)
        if "growth" in given.only and given.device == "cpu":
            growth.draw(root, scratch, HERE / "growth.png", given.quick)
    console().print(table(rows))
    if given.quick:
        return
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    result = {"machine": machine(given.device), "date": when, "torch": torch.__version__}
    files.write_json(HERE / "results" / f"{given.device}.json", result | {"rows": [row.plain() for row in rows]})
    if given.readme:
        into_readme(given.device, f"\n{result['machine']}, {when}, torch {torch.__version__}.\n\n{markdown(rows)}\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
