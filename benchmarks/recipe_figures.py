"""Figures of the recipes: recall by SNR and drift rate, AUC by data size, and planes.

python benchmarks/recipe_figures.py <data set> <id>      # docs/planes.png: a training cadence and its planes
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from seti.data.cadence import PANEL_LETTERS, read_cadence
from seti.data.competition import cadence_path
from seti.transforms.dedoppler import Dedoppler, compress
from seti.transforms.normalisation import Normalisation

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLOURS = ("#888888", "#0b6e99", "#c2541b")


def draw_recall(scores: dict[str, list[pd.DataFrame]], path: Path) -> None:
    """Draw recall at 1 % false positives against SNR and against drift rate.

    Args:
        scores: by recipe, a table a seed, with the columns of `recipes.Bench.scores`.
        path: of the PNG.
    """
    mpl.use("Agg")
    figure, (by_snr, by_drift) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for colour, (name, tables) in zip(COLOURS, scores.items(), strict=False):
        for axes, column, edges in (
            (by_snr, "snr", np.geomspace(10, 100, 7)),
            (by_drift, "drift_rate", np.linspace(0, 0.15, 7)),
        ):
            recalls = np.array([_recall(table, column, edges) for table in tables])
            middle = np.sqrt(edges[1:] * edges[:-1]) if column == "snr" else (edges[1:] + edges[:-1]) / 2
            axes.plot(middle, recalls.mean(axis=0), "o-", color=colour, label=name)
            axes.fill_between(middle, recalls.min(axis=0), recalls.max(axis=0), color=colour, alpha=0.2, lw=0)
    by_snr.set(xscale="log", xlabel="SNR over one panel", ylabel="recall at 1 % false positives", ylim=(0, 1))
    by_snr.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    by_snr.minorticks_off()
    by_drift.set(xlabel="drift rate (Hz/s)")
    by_snr.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _recall(table: pd.DataFrame, column: str, edges: np.ndarray) -> list[float]:
    needles = table[table["target"] == 1]
    found = needles["fold_0"] > table["fold_0"][table["target"] == 0].quantile(0.99)
    place = np.digitize(needles[column].abs(), edges[1:-1])
    return [float(found[place == number].mean()) for number in range(len(edges) - 1)]


def draw_growth(rows: Sequence[tuple[str, int, Sequence[Any]]], path: Path) -> None:
    """Draw test AUC against the number of labelled cadences.

    Args:
        rows: recipe, cadences, its runs.
        path: of the PNG.
    """
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for colour, name in zip(COLOURS, dict.fromkeys(row[0] for row in rows), strict=False):
        own = [(cadences, np.mean([run.test_auc for run in runs])) for recipe, cadences, runs in rows if recipe == name]
        axes.plot(*zip(*own, strict=True), "o-", color=colour, label=name)
    axes.set(xscale="log", xlabel="labelled cadences, a tenth with needles", ylabel="test AUC", ylim=(0.45, 1))
    axes.axhline(0.5, color="0.8", lw=1)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_planes(root: Path, cadence_id: str, path: Path) -> None:
    """Draw a cadence as it is, whitened, and as de-Doppler planes, panel by panel.

    Args:
        root: the data set's folder.
        cadence_id: of a training cadence.
        path: of the PNG.
    """
    mpl.use("Agg")
    read = torch.from_numpy(read_cadence(cadence_path(root, "train", cadence_id)))[None]
    white = Normalisation("whiten", (-4.0, 5.0))(read)
    planes = compress(Dedoppler(32, 33, (0, 56))(white, torch.arange(6)))
    figure, axes = plt.subplots(6, 3, figsize=(9, 9), layout="constrained", sharex=True)
    for row, letter, *shown in zip(axes, PANEL_LETTERS, read[0].float(), white[0], planes[0], strict=True):
        for axis, image, limits in zip(row, shown, ((-2, 4), (-2, 4), (-1, 4)), strict=True):
            drift = (0, 256, 32, -32) if image is shown[-1] else (0, 256, 273, 0)
            axis.imshow(image, aspect="auto", vmin=limits[0], vmax=limits[1], extent=drift, cmap="viridis")
        row[0].set_ylabel(f"{letter}\nrow")
        row[2].yaxis.tick_right()
    for axis, title in zip(axes[0], ("as it is", "whitened", "along drift rates (bins a panel)"), strict=True):
        axis.set_title(title, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("frequency (bins)")
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/recipe_figures.py <data set> <id of a training cadence>")
    draw_planes(Path(sys.argv[1]), sys.argv[2], DOCS / "planes.png")
