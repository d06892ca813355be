"""Small data sets whose cadences are cut, overlapping, from wider fields."""

from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.competition import cadence_path

ROWS, BINS = 32, 128
# Start of each cut in a field of 400 bins, and the split it goes to.
FIELDS = (
    ((0, "train"), (40, "train"), (90, "test")),
    ((10, "train"), (30, "test")),
    ((0, "train"), (0, "train")),
)
ALONE = 5  # cadences on a field of their own, by turns in both splits


def draw_field(rng: np.random.Generator) -> np.ndarray:
    """Noise on a sloped bandpass with a spike, `(6, ROWS, 400)`."""
    band = 1 + 0.5 * np.sin(np.arange(400) / 60 + rng.uniform(0, 6))
    noise = rng.standard_normal((6, ROWS, 400)) * 0.2 * band
    noise[:, :, 77] += 3
    return band * 5 + noise


def standardise(panels: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 of each panel, rounded to float16."""
    level = panels - panels.mean(axis=(1, 2), keepdims=True)
    return (level / level.std(axis=(1, 2), keepdims=True)).astype(np.float16)


def needle(panels: tuple[int, ...], start: int, height: float) -> np.ndarray:
    """A drifting line in some panels, `(6, ROWS, BINS)`."""
    drawn = np.zeros((6, ROWS, BINS))
    rows = np.arange(ROWS)
    for panel in panels:
        drawn[panel, rows, start + rows // 4] = height
    return drawn


def make_set(root: Path, needles: dict[int, np.ndarray] | None = None, seed: int = 0) -> list[tuple[str, str]]:
    """Write a data set; the cadences' splits and ids, in the order of `FIELDS`, those alone last.

    Args:
        root: the folder.
        needles: added to the cadence of that number before it is standardised.
        seed: of the noise.
    """
    rng, needles = np.random.default_rng(seed), needles or {}
    cuts = []
    for field in FIELDS:
        drawn = draw_field(rng)
        cuts += [(split, drawn[:, :, start : start + BINS]) for start, split in field]
    cuts += [(("train", "test")[number % 2], draw_field(rng)[:, :, :BINS]) for number in range(ALONE)]
    made = []
    for number, (split, panels) in enumerate(cuts):
        name = f"{number % 10}cut{number:02d}"
        path = cadence_path(root, split, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, standardise(panels + needles.get(number, 0)))
        made.append((split, name))
    train = [name for split, name in made if split == "train"]
    test = [name for split, name in made if split == "test"]
    targets = [number % 2 for number in range(len(train))]
    pd.DataFrame({"id": train, "target": targets}).to_csv(root / "train_labels.csv", index=False)
    pd.DataFrame({"id": test, "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    pd.DataFrame({"id": test, "target": [n % 2 for n in range(len(test))]}).to_csv(
        root / "test_labels.csv", index=False
    )
    return made
