"""How time grows with the data: tables, stacking, reading and predicting."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import full_size
import matplotlib.pyplot as plt
import numpy as np
import starting
import torch
from predicting import OPTIONS

from seti import catalog
from seti.cadence import ON_PANELS, read_cadence
from seti.classifier import CadenceClassifier
from seti.dataset import CadenceDataset, InputSpec, loader
from seti.inference import auto_batch_size, predict_probabilities


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    seconds: float
    mib: float


def stacked(folder: Path, experiments: int, rows: int) -> Cost:
    """Stack made-up experiments."""
    folder.mkdir()
    full_size.made_up_labels(folder, rows)
    labels = catalog.read_labels(folder)
    folds = catalog.assign_folds(labels["target"].to_numpy(), full_size.N_FOLDS, seed=42)
    for number in range(experiments):
        full_size.made_up_experiment(folder / "outputs" / f"model_{number}", labels, folds, seed=number)
    command = [sys.executable, str(full_size.ROOT / "stack.py"), f"output_dir={folder / 'outputs'}"]
    started = time.perf_counter()
    # Its own peak, whatever other children of this process took.
    measure = f"import resource, subprocess, sys; subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL); "
    measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", measure], check=True, capture_output=True, text=True)
    return Cost(time.perf_counter() - started, float(done.stdout))


def stack(scratch: Path, rows: int) -> float:
    """Seconds for stacking three experiments."""
    return stacked(scratch / f"stack_{rows}", 3, rows).seconds


def tables(root: Path) -> float:
    """Seconds for the label table, the check that every file is there, and the folds."""
    started = time.perf_counter()
    labels = catalog.read_labels(root)
    catalog.check_files(root, "train", labels["id"])
    catalog.assign_folds(labels["target"].to_numpy(), full_size.N_FOLDS, seed=42)
    return time.perf_counter() - started


def reading(root: Path, count: int) -> float:
    """Seconds for the A panels of some cadences, more often than once where there are fewer."""
    paths = sorted(root.glob("train/*/*.npy"))
    started = time.perf_counter()
    for number in range(count):
        read_cadence(paths[number % len(paths)], ON_PANELS)
    return time.perf_counter() - started


def predicting(root: Path, count: int) -> float:
    """Seconds for some test cadences with five tiny networks."""
    ids = catalog.read_test_ids(root).to_numpy()
    chosen = ids[np.arange(count) % len(ids)]
    _, rows, bins = np.load(catalog.cadence_path(root, "test", ids[0]), mmap_mode="r").shape
    spec = InputSpec("A", "spatial", [96, 128], "area", rows, bins)
    model = {"backbone": "test_resnet", "pretrained": False, "weights": None, "freeze_backbone": False}
    networks = [CadenceClassifier(spec=spec.plain(), model=model, **OPTIONS) for _ in range(5)]
    dataset = CadenceDataset(root, "test", chosen, None, spec)
    cpu = torch.device("cpu")
    started = time.perf_counter()
    predict_probabilities(networks, loader(dataset, auto_batch_size(dataset, cpu), 0), cpu, "32", "")
    return time.perf_counter() - started


def draw(root: Path, scratch: Path, target: Path, quick: bool) -> None:
    """Measure at four sizes each and draw seconds against size, with the line through the largest and nothing."""
    shares = np.array([0.25, 0.5, 0.75, 1.0])

    def linked(rows: int) -> Path:
        return starting.linked_data(root, scratch / f"linked_{rows}", rows, 16)

    plans = [
        ("tables of train.py", "labels", 600 if quick else 60_000, lambda n: tables(linked(n))),
        (
            "stack.py, 3 experiments",
            "rows",
            3000 if quick else 60_000,
            lambda n: stacked(scratch / f"s{n}", 3, n).seconds,
        ),
        ("reading the A panels", "cadences", 200 if quick else 8_000, lambda n: reading(root, n)),
        ("prediction, 5 tiny folds", "cadences", 80 if quick else 2_000, lambda n: predicting(root, n)),
    ]
    figure, axes = plt.subplots(1, len(plans), figsize=(3.2 * len(plans), 2.8))
    for axis, (title, what, most, cost) in zip(axes, plans, strict=True):
        cost(int(most * shares[0]) - 4)  # imports, page cache
        sizes = (most * shares).astype(int)
        seconds = [cost(int(size)) for size in sizes]
        axis.plot([0, sizes[-1]], [0, seconds[-1]], color="0.8", lw=1)
        axis.plot(sizes, seconds, "o-", color="C0", ms=4)
        axis.set(title=title, xlabel=what, ylabel="seconds", xlim=(0, None), ylim=(0, None))
    if quick:
        return
    figure.tight_layout()
    figure.savefig(target, dpi=80)
