"""Small data sets whose cadences are cut from common fields of noise, with numpy alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.competition import cadence_path

ROWS, BINS = 24, 48


def draw_field(seed: int, width: int, rows: int = ROWS) -> np.ndarray:
    """Six panels of noise on a sloped band, `(6, rows, width)`, in units of the thermal noise."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, rows, width)) + 3 * np.sin(np.arange(width) / 17) + rng.normal(0, 2, (6, 1, 1))


def cut(field: np.ndarray, offset: int, bins: int = BINS) -> np.ndarray:
    """Cut a cadence and standardise and round it as the competition did."""
    panels = field[:, :, offset : offset + bins]
    mean, deviation = panels.mean(axis=(1, 2), keepdims=True), panels.std(axis=(1, 2), keepdims=True)
    return ((panels - mean) / deviation).astype(np.float16)


def add_line(panels: np.ndarray, start: float, drift: float, numbers=(0, 2, 4), level: float = 4.0) -> np.ndarray:
    """Add a line of two bins' width to some panels of a copy."""
    panels = panels.copy()
    for number in numbers:
        track = start + drift * np.arange(panels.shape[1])
        panels[number] += level * np.exp(-0.5 * (np.arange(panels.shape[2]) - track[:, None]) ** 2)
    return panels


def write_set(root: Path, train: dict[str, np.ndarray], test: dict[str, np.ndarray], targets=()) -> Path:
    """Write cadences by id, and their tables; ids in `targets` have a needle."""
    for split, cadences in (("train", train), ("test", test)):
        for one, panels in cadences.items():
            path = cadence_path(root, split, one)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, panels)
    labels = [int(one in targets) for one in train]
    pd.DataFrame({"id": list(train), "target": labels}).to_csv(root / "train_labels.csv", index=False)
    pd.DataFrame({"id": list(test), "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    return root


def write_usual(root: Path, rows: int = ROWS) -> Path:
    """A set of a chain a-b-c of which c is in test, a pair p-q, and three cadences that are alone: x, y and (test) z.

    Offsets in the fields: a 0, b 30, c 70; p 5, q 0.
    """
    chain, pair = draw_field(1, 200, rows), draw_field(2, 100, rows)
    train = {
        "a": cut(chain, 0),
        "b": cut(add_line(chain, 60, 0.2), 30),
        "p": cut(pair, 5),
        "q": cut(pair, 0),
        "x": cut(draw_field(3, BINS, rows), 0),
        "y": cut(draw_field(4, BINS, rows), 0),
    }
    test = {"c": cut(chain, 70), "z": cut(draw_field(5, BINS, rows), 0)}
    return write_set(root, train, test, targets=("b", "x"))
