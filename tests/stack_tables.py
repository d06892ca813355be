"""Simulated predictions of three models for the stacking tests."""

import numpy as np
import pandas as pd

MODELS = ("alpha", "beta", "gamma")
CADENCES, TESTED, FOLDS = 400, 90, 4


def expit(values):
    return 1 / (1 + np.exp(-values))


def table(seed: int, count: int, prefix: str) -> pd.DataFrame:
    """Simulate cadences in random order, and three models that see one signal with increasing noise."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(count) % 5 == 0).astype(int)
    signal = 1.5 * targets + rng.normal(size=count)
    ids = [f"{prefix}{number:04d}" for number in rng.permutation(count)]
    probs = {name: expit(signal + (0.5 + n) * rng.normal(size=count) - 2) for n, name in enumerate(MODELS)}
    return pd.DataFrame({"id": ids, "fold": rng.permutation(count) % FOLDS, "target": targets, **probs})


def oof_rows() -> pd.DataFrame:
    """Simulate held-out rows, one column of probabilities per model."""
    return table(0, CADENCES, "a")


def predicted_rows() -> pd.DataFrame:
    """Simulate predictions of a test set, one column of probabilities per model."""
    return table(1, TESTED, "t")


def oof_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split the rows into one out-of-fold table per model, each in a different order."""
    wanted = ["id", "fold", "target"]
    return {
        name: rows[[*wanted, name]].rename(columns={name: "prob"}).sample(frac=1, random_state=n)
        for n, name in enumerate(MODELS)
    }
