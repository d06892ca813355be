"""Time folds and stacking at the competition's full size, on made-up scores.

    python benchmarks/full_size.py [--labels <folder with train_labels.csv>] [--experiments 3]

Without a label table it makes one of 60,000 cadences, 6,000 of them with a needle. It writes experiments that are
right more often than not, with predictions for 40,000 test cadences, into a temporary folder, and runs `stack.py`
over them as a user would. It prints seconds and the peak memory of the stack's process.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.folds import assign_folds, fingerprint
from seti.experiments import predictions, provenance
from seti.experiments.experiment import Experiment
from seti.utils import files

N_FOLDS, TEST = 5, 40_000
ROOT = Path(__file__).resolve().parents[1]


def made_up_labels(root: Path, rows: int = 60_000) -> None:
    """Write a label table of the competition's size."""
    ids = [f"{number:015x}" for number in np.random.default_rng(0).choice(16**12, rows, replace=False)]
    files.write_csv(
        root / competition.LABELS,
        pd.DataFrame({"id": ids, "target": np.arange(rows) % 10 == 0}).astype({"target": int}),
    )


def made_up_experiment(path: Path, labels: pd.DataFrame, folds: np.ndarray, seed: int) -> None:
    """Write an experiment with informative probabilities, each fold on its own scale."""
    rng = np.random.default_rng(seed)
    experiment = Experiment(path)
    logits = 1.5 * labels["target"].to_numpy() + rng.normal(0, 1.2, len(labels)) + rng.normal(0, 0.2, N_FOLDS)[folds]
    oof = labels.assign(fold=folds, prob=1 / (1 + np.exp(2 - logits)))
    for fold in range(N_FOLDS):
        folder = experiment.fold(fold)
        files.write_csv(folder.oof, oof.loc[folds == fold, ["id", "fold", "target", "prob"]])
        folder.best_checkpoint.parent.mkdir()
        folder.best_checkpoint.write_text("made up")
        result = {
            **provenance.record(folder.path, folder.best_checkpoint, folder.oof),
            **{"versions": {"seti": version("seti")}, "best_epoch": 0, "overrides": None, "seconds": 1.0},
            **{"fold": fold, "n_folds": N_FOLDS, "exp_name": path.name, "scores": {"auc": 0.5, "loss": 0.5}},
            **{"checkpoint": "checkpoints/best.ckpt", "data": {"root": "made up", "fingerprint": fingerprint(labels)}},
            "config": {"seed": seed},
        }
        files.write_json(folder.result, result)
    probs = pd.DataFrame(rng.random((TEST, N_FOLDS)), columns=[f"fold_{fold}" for fold in range(N_FOLDS)])
    table = pd.DataFrame({"id": [f"t{number}" for number in range(TEST)]}).join(probs)
    table["prob"] = probs.mean(axis=1)
    files.write_csv(experiment.predictions_path, table)
    files.write_csv(experiment.submission_path, table[["id", "prob"]].rename(columns={"prob": "target"}))
    record = predictions.describe_predictions(experiment, path, table["id"], "32")
    files.write_json(experiment.predictions_record, record)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--experiments", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.labels or Path(temporary)
        if given.labels is None:
            made_up_labels(root)
        started = time.perf_counter()
        labels = competition.read_labels(root)
        folds = assign_folds(labels["target"].to_numpy(), N_FOLDS, seed=42)
        print(f"read {len(labels)} labels and assigned {N_FOLDS} folds: {time.perf_counter() - started:.2f} s")
        outputs = Path(temporary) / "outputs"
        for number in range(given.experiments):
            made_up_experiment(outputs / f"model_{number}", labels, folds, seed=number)
        started = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "stack.py"), f"output_dir={outputs}"], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # kibibytes on Linux
        seconds = time.perf_counter() - started
        print(f"stacked {given.experiments} experiments of {len(labels)} rows: {seconds:.1f} s, {peak:.0f} MiB")


if __name__ == "__main__":
    main()
