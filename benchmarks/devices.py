"""Training of one fold by two processes on two cores against one process on one core.

    python benchmarks/devices.py                 # a table, in minutes
    python benchmarks/devices.py --quick         # try it on tiny data

Both train the same batches with one thread a process, in turn, several rounds. Seconds are those of the epochs after
the first one, from `metrics.csv`, whose training and validation both divide their cadences. Every table of held-out
cadences is compared with the labels, and the AUC with scikit-learn's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from seti.data import competition

ROOT = Path(__file__).resolve().parents[1]
WANTED = 1.7
QUICK = ["model=tiny", "data.batch_size=16"]
NETWORKS = {
    "needle_net (experiment=scratch_cpu)": ["experiment=scratch_cpu"],
    "effnet_b0 at 128 x 128, batch 16": ["model=effnet_b0", "data.image_size=[128,128]", "data.batch_size=16"],
}


def train(folder: Path, name: str, devices: int, settings: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Train a fold; return its history, and the held-out cadences.

    Raises:
        SystemExit: held-out rows are missing, or the AUC is another one.
    """
    words = [f"exp_name={name}", f"trainer.devices={devices}", "data.root=data", "threads=1", "trainer=cpu"]
    words += ["trainer.precision=32", "data.num_workers=0", "watch.after=null", "data.n_folds=2", *settings]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    own = folder / "outputs" / name / "fold_0"
    oof, history = pd.read_csv(own / "oof.csv", dtype={"id": str}), pd.read_csv(own / "metrics.csv")
    labels = competition.read_labels(folder / "data").set_index("id")["target"]
    exact = roc_auc_score(oof["target"], oof["prob"])
    if oof["id"].duplicated().any() or not oof["target"].eq(labels[oof["id"]].to_numpy()).all():
        sys.exit(f"{own}: held-out rows are not those of the labels")
    # Prediction folds batch normalisation: rounding may exchange two cadences whose scores are nearly the same.
    if abs(history["val_auc"].max() - exact) > 3e-4:
        sys.exit(f"{own}: the AUC is {history['val_auc'].max()}, and scikit-learn's {exact}")
    return history, oof["id"].tolist()


def main() -> None:
    """Train both ways in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny data, one round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = 1 if args.quick else args.rounds
    cadences = 40 if args.quick else 800
    networks = {"tiny": [*QUICK, "data.image_size=[24,32]"]} if args.quick else NETWORKS
    print("| network | one process, one core | two processes, two cores | faster | wanted |\n|" + " --- |" * 5)
    with tempfile.TemporaryDirectory(prefix="seti-devices-") as scratch:
        folder = Path(scratch)
        words = ["preset=easy", "positives=0.5", "root=data", f"train={cadences}", "test=4"]
        command = [sys.executable, "-m", "seti.simulate", *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for name, words in networks.items():
            compare(folder, name, [*words, "trainer.max_epochs=3"], rounds)


def compare(folder: Path, name: str, settings: list[str], rounds: int) -> None:
    """Train one network both ways in turn, and print its row."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        tables = {}
        for devices in seconds:
            history, tables[devices] = train(
                folder, f"{settings[0].split('=')[1]}_d{devices}_{number}", devices, settings
            )
            seconds[devices].append(float(history["seconds"][1:].median()))
        if tables[1] != tables[2]:
            sys.exit("one and two processes held out different cadences")
    one, two = (np.median(seconds[devices]) for devices in (1, 2))
    ratio = np.median(np.divide(seconds[1], seconds[2]))
    print(f"| {name} | {one:.2f} s an epoch | {two:.2f} s an epoch | {ratio:.2f} x | {WANTED} x |", flush=True)


if __name__ == "__main__":
    main()
