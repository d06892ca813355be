"""Made-up experiments for the tests of stacking."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from unit_helpers import seal, seal_predictions

from seti.blending import StackConfig

MODELS = ("alpha", "beta", "gamma")
CADENCES, TESTED, FOLDS = 400, 90, 4


def expit(values):
    return 1 / (1 + np.exp(-values))


def table(seed: int, count: int, prefix: str) -> pd.DataFrame:
    """Cadences in no order of their ids; the three models see the same signal with more and more noise."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(count) % 5 == 0).astype(int)
    signal = 1.5 * targets + rng.normal(size=count)
    ids = [f"{prefix}{number:04d}" for number in rng.permutation(count)]
    probs = {name: expit(signal + (0.5 + n) * rng.normal(size=count) - 2) for n, name in enumerate(MODELS)}
    return pd.DataFrame({"id": ids, "fold": rng.permutation(count) % FOLDS, "target": targets, **probs})


def oof_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Out-of-fold tables, each in an order of its own."""
    wanted = ["id", "fold", "target"]
    return {
        name: rows[[*wanted, name]].rename(columns={name: "prob"}).sample(frac=1, random_state=n)
        for n, name in enumerate(MODELS)
    }


def write_experiment(output_dir: Path, name: str, rows: pd.DataFrame, root: Path, folds=range(FOLDS)) -> Path:
    path = output_dir / name
    for fold in folds:
        folder = path / f"fold_{fold}"
        folder.mkdir(parents=True)
        rows[rows["fold"] == fold].to_csv(folder / "oof.csv", index=False)
        result = {
            "fold": fold,
            "n_folds": FOLDS,
            "exp_name": name,
            "scores": {"auc": 0.5, "loss": 0.7},
            "checkpoint": "checkpoints/best.ckpt",
            "data": {"root": str(root), "fingerprint": "f"},
            "config": {},
        }
        (folder / "result.json").write_text(json.dumps(result))
    seal(path)
    return path


def write_predictions(path: Path, ids, probs, folds=range(FOLDS)) -> None:
    predictions = pd.DataFrame({"id": ids, **{f"fold_{fold}": probs for fold in folds}, "prob": probs})
    predictions.to_csv(path / "predictions.csv", index=False)
    seal_predictions(path)


def write_outputs(folder: Path, tables: dict[str, pd.DataFrame], test_rows: pd.DataFrame) -> Path:
    """Finished experiments; only the first one's predictions are in the sample submission's order."""
    for number, (name, oof) in enumerate(tables.items()):
        path = write_experiment(folder / "outputs", name, oof, folder / "data")
        shuffled = test_rows if number == 0 else test_rows.sample(frac=1, random_state=number)
        write_predictions(path, shuffled["id"], shuffled[name])
    return folder / "outputs"


def config(outputs: Path, **settings) -> StackConfig:
    defaults = {"meta": "logistic", "calibrate": "none", "seed": 0, "n_jobs": 1}
    return StackConfig(output_dir=str(outputs), **defaults | settings)
