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
    if abs(history["val_auc"].max() - exact) > 1e-6:
        sys.exit(f"{own}: the AUC is {history['val_auc'].max()}, and scikit-learn's {exact}")
    return history, oof["id"].tolist()


def main() -> None:
    """Train both ways in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny data, one round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = 1 if args.quick else args.rounds
    cadences, size = (40, "[24,32]") if args.quick else (400, "[128,128]")
    model = "model=tiny" if args.quick else "model=effnet_b0"
    settings = [model, f"data.image_size={size}", "data.batch_size=16", "trainer.max_epochs=3"]
    with tempfile.TemporaryDirectory(prefix="seti-devices-") as scratch:
        folder = Path(scratch)
        words = ["preset=easy", "positives=0.5", "root=data", f"train={cadences}", "test=4"]
        command = [sys.executable, "-m", "seti.simulate", *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for number in range(rounds):
            tables = {}
            for devices in seconds:
                history, tables[devices] = train(folder, f"d{devices}_{number}", devices, settings)
                seconds[devices].append(float(history["seconds"][1:].median()))
            if tables[1] != tables[2]:
                sys.exit("one and two processes held out different cadences")
    one, two = (np.median(seconds[devices]) for devices in (1, 2))
    ratio = np.median(np.divide(seconds[1], seconds[2]))
    print("| one process, one core | two processes, two cores | faster | wanted |\n| --- | --- | --- | --- |")
    print(f"| {one:.2f} s an epoch | {two:.2f} s an epoch | {ratio:.2f} x | {WANTED} x |")


if __name__ == "__main__":
    main()
