"""Time a report of the competition's size: 20 experiments of 60,000 cadences in five folds.

    python benchmarks/pages.py --cadences 500

Folders of experiments are made of random scores, and the drawn cadences of noise. Prints seconds, peak memory and the
size of the page.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from unit_helpers import seal, seal_predictions

from seti.data import competition

TRAIN, TEST, FOLDS, EPOCHS = 60_000, 39_995, 5, 15


def make_data(root: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Write tables of the competition's size, and one cadence that all others are links to."""
    ids = [f"{number:015x}" for number in np.random.default_rng(0).integers(0, 2**59, TRAIN + TEST)]
    train = pd.DataFrame({"id": ids[:TRAIN], "target": (np.arange(TRAIN) % 11 == 0).astype(int)})
    root.mkdir(parents=True)
    train.to_csv(root / "train_labels.csv", index=False)
    test = pd.Series(ids[TRAIN:], name="id")
    test.to_frame().assign(target=0.5).to_csv(root / "sample_submission.csv", index=False)
    one = root / "one.npy"
    np.save(one, np.random.default_rng(1).normal(size=(6, 273, 256)).astype(np.float16))
    for split, part in (("train", train["id"]), ("test", test)):
        for id in part:
            path = competition.cadence_path(root, split, id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(one)
    return train, test


def make_experiment(folder: Path, root: Path, train: pd.DataFrame, test: pd.Series, seed: int) -> None:
    """Write an experiment's tables and records with random scores."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-(rng.normal(size=TRAIN) + 2 * train["target"].to_numpy() - 2)))
    for fold in range(FOLDS):
        place = folder / f"fold_{fold}"
        place.mkdir(parents=True)
        rows = np.arange(TRAIN) % FOLDS == fold
        table = train[rows].assign(fold=fold, prob=scores[rows])
        table[["id", "fold", "target", "prob"]].to_csv(place / "oof.csv", index=False)
        epochs = {
            name: np.linspace(0.7, 0.3, EPOCHS) for name in ("train_loss", "val_loss", "val_auc", "lr", "seconds")
        }
        pd.DataFrame({"epoch": range(EPOCHS), **epochs}).to_csv(place / "metrics.csv", index=False)
        result = {
            **{"fold": fold, "n_folds": FOLDS, "exp_name": folder.name, "scores": {"auc": 0.9, "loss": 0.3}},
            **{"checkpoint": "checkpoints/best.ckpt", "data": {"root": str(root), "fingerprint": "f"}},
            **{"config": {"seed": 0, "optimizer": {"lr": seed / 1000}}},
        }
        (place / "result.json").write_text(json.dumps(result))
    seal(folder)
    probs = rng.uniform(size=TEST)
    columns = {f"fold_{fold}": probs for fold in range(FOLDS)} | {"prob": probs}
    pd.DataFrame({"id": test, **columns}).to_csv(folder / "predictions.csv", index=False)
    seal_predictions(folder)
    record = json.loads((folder / "predictions.json").read_text())
    record["data"]["root"] = str(root)
    (folder / "predictions.json").write_text(json.dumps(record))


def main() -> None:
    """Make the folders, write the page and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--cadences", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, outputs = Path(folder) / "data", Path(folder) / "outputs"
        train, test = make_data(root)
        for number in range(given.experiments):
            make_experiment(outputs / f"experiment_{number:02d}", root, train, test, number)
        names = ",".join(str(path) for path in sorted(outputs.iterdir()))
        began = time.monotonic()
        words = [f"ckpt_dir=[{names}]", f"cadences={given.cadences}"]
        subprocess.run([sys.executable, "-m", "seti.report", *words], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{given.experiments} experiments, {given.cadences} cadences drawn: {time.monotonic() - began:.1f} s, "
            f"{used.ru_utime + used.ru_stime:.1f} s CPU, peak {used.ru_maxrss / 2**20:.2f} GiB, "
            f"page {(outputs / 'report.html').stat().st_size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
