"""Scaling of time with data size: tables, stacking, packing, reading and prediction."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import full_size
import hydra
import matplotlib.pyplot as plt
import numpy as np
import starting
import torch
import training
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from predicting import OPTIONS

from seti.config.schema import plain
from seti.data import competition
from seti.data.cadence import ON_PANELS
from seti.data.folds import assign_folds
from seti.data.pack_writer import pack_split
from seti.data.splits import open_split
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.inference.ensemble import auto_batch_size, predict_probabilities
from seti.models.classifier import CadenceClassifier
from seti.transforms.input_spec import InputSpec


@dataclass(frozen=True)
class Cost:
    """Time and peak memory of one process."""

    seconds: float
    mib: float


def stacked(folder: Path, experiments: int, rows: int) -> Cost:
    """Stack synthetic experiments, and measure it."""
    folder.mkdir()
    full_size.made_up_labels(folder, rows)
    labels = competition.read_labels(folder)
    folds = assign_folds(labels["target"].to_numpy(), full_size.N_FOLDS, seed=42)
    for number in range(experiments):
        full_size.made_up_experiment(folder / "outputs" / f"model_{number}", labels, folds, seed=number)
    command = [sys.executable, str(full_size.ROOT / "stack.py"), f"output_dir={folder / 'outputs'}"]
    started = time.perf_counter()
    # Its own peak, whatever other children of this process took.
    measure = f"import resource, subprocess, sys; subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL); "
    measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", measure], check=True, capture_output=True, text=True)
    return Cost(time.perf_counter() - started, float(done.stdout))


def tables(root: Path) -> float:
    """Time all table work of a fold before its first batch, in seconds."""
    with hydra.initialize_config_dir(str(training.CONF), version_base="1.3"):
        config = plain(hydra.compose("train", [f"data.root={root}"]))
    started = time.perf_counter()
    fold = CadenceDataModule(config["data"], config["augment"], fold=0, seed=0)
    _ = fold.fingerprint, fold.train_set, fold.val_set  # made on use
    return time.perf_counter() - started


def packing(root: Path, folder: Path) -> float:
    """Time packing of all training cadences in this process, in seconds."""
    started = time.perf_counter()
    pack_split(root, "train", "A", folder, workers=1)
    return time.perf_counter() - started


def reading(root: Path, count: int, packed: str, folder: Path) -> float:
    """Time reading the A panels of some cadences, repeating them if there are fewer, in seconds."""
    ids = competition.read_labels(root)["id"].to_numpy(dtype=np.str_)
    store = open_split(root, "train", ids, ON_PANELS, packed, folder).source
    started = time.perf_counter()
    for number in range(count):
        store.read(number % len(store))
    return time.perf_counter() - started


def predicting(root: Path, count: int) -> float:
    """Time prediction of some test cadences with five tiny networks, in seconds."""
    ids = competition.read_test_ids(root).to_numpy()
    chosen = ids[np.arange(count) % len(ids)]
    _, rows, bins = np.load(competition.cadence_path(root, "test", ids[0]), mmap_mode="r").shape
    spec = InputSpec("A", "spatial", [96, 128], "area", rows, bins)
    model = {"backbone": "test_resnet", "pretrained": False, "weights": None, "freeze_backbone": False}
    networks = [CadenceClassifier(spec=spec.plain(), model=model, **OPTIONS) for _ in range(5)]
    source = open_split(root, "test", chosen, ON_PANELS).source
    dataset = CadenceDataset(source, None, spec)
    cpu = torch.device("cpu")
    started = time.perf_counter()
    predict_probabilities(networks, make_loader(dataset, auto_batch_size(dataset, cpu), 0), cpu, "32", "")
    return time.perf_counter() - started


def draw(root: Path, scratch: Path, target: Path, quick: bool) -> None:
    """Measure at four sizes, and draw seconds against size with a proportional line."""
    shares = np.array([0.25, 0.5, 0.75, 1.0])
    packed = scratch / "growth_packed"
    pack_split(root, "train", "A", packed, workers=1)

    def linked(rows: int) -> Path:
        return starting.linked_data(root, scratch / f"linked_{rows}", rows, 16)

    def stack(rows: int) -> float:
        return stacked(scratch / f"stacked_{rows}", 3, rows).seconds

    def pack(count: int) -> float:
        folder = scratch / f"packed_{count}"
        try:
            return packing(linked(count), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    most, rows = (200, 600) if quick else (8000, 60_000)
    plans = [
        ("tables of train.py", "rows", rows, {"": lambda n: tables(linked(n))}),
        ("stack.py, 3 experiments", "rows", max(rows, 3000), {"": stack}),
        ("packing, one core", "cadences", most // 5, {"": pack}),
        (
            "reading the A panels",
            "cadences",
            most,
            {"files": lambda n: reading(root, n, "false", packed), "pack": lambda n: reading(root, n, "true", packed)},
        ),
        ("prediction, 5 tiny folds", "cadences", most // 4, {"": lambda n: predicting(root, n)}),
    ]
    figure, axes = plt.subplots(1, len(plans), figsize=(3 * len(plans), 3))
    for axis, (title, what, largest, ways) in zip(axes, plans, strict=True):
        for number, (label, cost) in enumerate(ways.items()):
            if cost is not stack:  # a process of its own, every time
                cost(int(largest * shares[0]) - 4)  # imports, page cache
            sizes = (largest * shares).astype(int)
            seconds = [cost(int(size)) for size in sizes]
            axis.plot([0, sizes[-1]], [0, seconds[-1]], color="0.75", lw=1, label=None if number else "linear")
            axis.plot(sizes, seconds, "o-", color=f"C{number}", ms=4, label=label or None)
        axis.set(title=title, xlabel=what, ylabel="time (s)", xlim=(0, None), ylim=(0, None))
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.legend(frameon=False)
    if quick:
        return
    figure.tight_layout()
    figure.savefig(target, dpi=80)
    plt.close(figure)
