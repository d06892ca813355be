"""Compare simulated backgrounds with real snippets: a figure and a table.

    python benchmarks/compare_with_real.py <folder with real .npy> [--simulated <folder of a simulated set>]

Without a simulated set it makes 300 cadences with the default settings in a temporary folder. It prints the table
of docs/simulation.md and writes two figures into docs/: simulated_and_real.png, which git ignores because it
shows the competition's data, and simulated_shapes.png.
"""

import argparse
import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from seti.config.compose import simulation_settings
from seti.data.cadence import ON_PANELS, PANEL_LETTERS, read_cadence
from seti.simulation.dataset import simulate
from seti.simulation.emission import SYSTEM_LEVEL
from seti.simulation.signals import SHAPES, draw_signal
from seti.simulation.spectra import BINS, DF, add_signal, draw_field, render_field

MEASURES = {
    "minimum": "minimum",
    "maximum": "maximum",
    "skew": "skew",
    "kurtosis": "excess kurtosis",
    "profile_variance": "share of variance in the time-constant frequency profile",
    "row_variance": "share of variance in the row means",
    "bin_share": "share of variance in the brightest bin",
    "noise": "thermal noise (from differences of neighbouring rows)",
    "noise_growth": "growth of the thermal noise with a bin's level",
    "noise_skew": "skew of a bin along time, median over bins",
}


def measure(panel: np.ndarray) -> dict[str, float]:
    """Measure one standardised `(rows, bins)` panel."""
    centred = panel - panel.mean()
    variance = panel.var()
    profile, rows = centred.mean(axis=0), centred.mean(axis=1)
    # Taking off each row's median leaves what a bin does by itself, bursts aside.
    alone = centred - np.median(centred, axis=1, keepdims=True)
    alone = alone - alone.mean(axis=0)
    level, spike = np.median(panel, axis=0), profile.argmax()
    scatter = 1.4826 * np.median(np.abs(np.diff(panel, axis=0)), axis=0) / np.sqrt(2)
    return {
        "minimum": panel.min(),
        "maximum": panel.max(),
        "skew": (centred**3).mean() / variance**1.5,
        "kurtosis": (centred**4).mean() / variance**2 - 3,
        "profile_variance": profile.var() / variance,
        "row_variance": rows.var() / variance,
        "bin_share": profile.max() ** 2 / len(profile) / variance,
        "noise": 1.4826 * np.median(np.abs(np.diff(panel, axis=0))) / np.sqrt(2),
        "noise_growth": np.polyfit(np.delete(level, spike), np.delete(scatter, spike), 1)[0],
        "noise_skew": np.median((alone**3).mean(axis=0) / alone.std(axis=0) ** 3),
    }


def measure_all(paths: list[Path]) -> pd.DataFrame:
    """Measure every panel of every file; one row per panel."""
    return pd.DataFrame([measure(panel) for path in paths for panel in read_cadence(path).astype(np.float64)])


def table(real: pd.DataFrame, simulated: pd.DataFrame) -> str:
    """Format ranges and medians as Markdown, with the share of real ones in the simulated range."""
    lines = [
        "| measure, of one panel | real: lowest, median, highest | simulated: 1 %, median, 99 % | real inside |",
        "| --- | --- | --- | --- |",
    ]
    for name, title in MEASURES.items():
        low, middle, high = np.percentile(simulated[name], [1, 50, 99])
        inside = ((real[name] >= low) & (real[name] <= high)).mean()
        quantiles = " ".join(f"{value:.2f}," for value in np.percentile(real[name], [0, 50, 100])).rstrip(",")
        lines.append(f"| {title} | {quantiles} | {low:.2f}, {middle:.2f}, {high:.2f} | {inside:.0%} |")
    return "\n".join(lines)


def save(figure: plt.Figure, target: Path) -> None:
    """Save with 64 colours, because noise makes a full-colour PNG several megabytes."""
    figure.tight_layout(pad=0.4)
    figure.savefig(target, dpi=65)
    Image.open(target).convert("RGB").quantize(64).save(target, optimize=True)


def draw(real: list[Path], simulated: list[Path], target: Path) -> None:
    """Draw cadences as columns of six panels, real ones on the left and simulated on the right."""
    columns = [(path, "real") for path in real] + [(path, "simulated") for path in simulated]
    figure, axes = plt.subplots(6, len(columns), figsize=(1.7 * len(columns), 10), squeeze=False)
    for column, (path, origin) in enumerate(columns):
        for row, panel in enumerate(read_cadence(path).astype(np.float32)):
            axis = axes[row, column]
            low, high = np.percentile(panel, [1, 99])
            axis.imshow(panel, aspect="auto", vmin=low, vmax=high, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(f"{PANEL_LETTERS[row]} ({row})")
        axes[0, column].set_title(origin, fontsize=9)
    save(figure, target)


def draw_shapes(target: Path) -> None:
    """Draw a needle of every shape, in all three A panels of an even background, at SNR 150."""
    settings = simulation_settings()
    figure, axes = plt.subplots(6, len(SHAPES), figsize=(1.7 * len(SHAPES), 10), squeeze=False)
    for column, shape in enumerate(SHAPES):
        rng = np.random.default_rng(column + 1)
        drawn = draw_field(rng, dict.fromkeys(settings.background, 0.0), 1)
        cadence = render_field(drawn)
        signal = draw_signal(rng, shape, ON_PANELS, 150.0, 0.1, drawn.times, BINS, DF)
        add_signal(cadence, drawn.times, signal)
        for row, panel in enumerate(cadence):
            axis = axes[row, column]
            axis.imshow(panel, aspect="auto", vmin=SYSTEM_LEVEL - 2, vmax=SYSTEM_LEVEL + 8, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(f"{PANEL_LETTERS[row]} ({row})")
        axes[0, column].set_title(shape, fontsize=9)
    save(figure, target)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--simulated", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("docs"))
    parser.add_argument("--first", type=int, default=8, help="the first simulated cadence in the figure")
    given = parser.parse_args()
    mpl.use("Agg")
    real = sorted(given.real.rglob("*.npy"))
    with tempfile.TemporaryDirectory() as temporary:
        root = given.simulated or simulate(
            simulation_settings(f"root={temporary}/set", "train=300", "test=0", "workers=1")
        )
        simulated = sorted(root.glob("t*/*/*.npy"))
        print(table(measure_all(real), measure_all(simulated)))
        draw(real[:5], simulated[given.first : given.first + 7], given.figures / "simulated_and_real.png")
        draw_shapes(given.figures / "simulated_shapes.png")


if __name__ == "__main__":
    main()
