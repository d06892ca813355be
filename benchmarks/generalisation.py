"""Generalisation across generators: trained on one, scored on each, ranked by the worst.

Part of benchmarks/recipes.py, which runs it: `python benchmarks/recipes.py --only generalisation`.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
# Presets of the simulator, each another generator; competition: its default settings.
GENERATORS = ("competition", "setigen", "crowded", "radiometer")
TRAIN, TEST, SEED = 2000, 1000, 404  # a seed on which nothing was tuned
POSITIVES = 0.25
NAMES = {"competition": ()} | {name: (f"preset={name}",) for name in GENERATORS[1:]}
RECIPES = ("reference_cpu", "scratch_cpu", "best_cpu")
COLUMNS = ("recipe", "trained on", *(f"`{name}`" for name in GENERATORS), "worst of the others", "which")


@dataclass(frozen=True)
class Trained:
    """Networks whose generalisation is measured.

    Attributes:
        recipe: name of an experiment's preset, or `pretrained`, the released networks as they are.
        source: generator that they are trained on; empty for the released ones.
    """

    recipe: str
    source: str = ""


def has_release() -> bool:
    """Check that the package comes with trained networks."""
    return any((ROOT / "seti" / "pretrained").glob("needle_net/*"))


def rows(folder: Path, call: Callable[..., None], seeds: Sequence[int]) -> list[list[str]]:
    """Train and score what is missing, and tabulate the test AUC on every generator.

    Args:
        folder: of data sets and outputs; what is finished is kept.
        call: runs a program with its arguments.
        seeds: of the trainings.

    Returns:
        A row for each recipe and generator that it is trained on, as `COLUMNS` names them.
    """
    trained = [Trained(recipe, source) for recipe in RECIPES for source in GENERATORS]
    trained += [Trained("pretrained")] if has_release() else []
    table = []
    for each in trained:
        runs = [_score(folder, call, each, seed) for seed in (seeds if each.source else seeds[:1])]
        scores = {name: np.array([run[name] for run in runs]) for name in GENERATORS}
        others = {name: values.mean() for name, values in scores.items() if name != each.source}
        worst = min(others, key=others.get)
        cells = [_written(scores[name], bold=name == worst) for name in GENERATORS]
        recipe = f"`{each.recipe}`" if each.source else "`ckpt_dir=pretrained`"
        source = f"`{each.source}`" if each.source else "the stream"
        table.append([recipe, source, *cells, f"{others[worst]:.3f}", f"`{worst}`"])
    return table


def _written(values: np.ndarray, bold: bool) -> str:
    text = f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")
    return f"**{text}**" if bold else text


def data_set(folder: Path, call: Callable[..., None], name: str) -> Path:
    """Simulate a generator's data set if it is missing."""
    root = folder / f"generator-{name}"
    if not (root / "train_labels.csv").exists():
        sizes = (f"train={TRAIN}", f"test={TEST}", f"seed={SEED}", f"positives={POSITIVES}")
        call("-m", "seti.simulate", *NAMES[name], f"root={root}", *sizes)
    return root


def _score(folder: Path, call: Callable[..., None], trained: Trained, seed: int) -> dict[str, float]:
    """Train fold 0 unless that is done, and compute the test AUC on every generator."""
    name = f"generalisation-{trained.recipe}-{trained.source}-seed{seed}" if trained.source else "pretrained"
    experiment = folder / "outputs" / name
    if trained.source and not (experiment / "fold_0" / "result.json").exists():
        root = data_set(folder, call, trained.source)
        place = (f"data.root={root}", f"output_dir={experiment.parent}", f"exp_name={name}")
        call("train.py", f"experiment={trained.recipe}", *place, f"seed={seed}", "data.fold_seed=0", "watch.after=null")
    scores = {}
    for target in GENERATORS:
        root = data_set(folder, call, target)
        stored = experiment / f"predictions-{target}.csv"
        if not stored.exists():
            where = (f"ckpt_dir={experiment}",) if trained.source else ("ckpt_dir=pretrained", f"out={experiment}")
            call("predict.py", *where, f"data.root={root}")
            shutil.copyfile(experiment / "predictions.csv", stored)
        predicted = pd.read_csv(stored, dtype={"id": str})
        labels = pd.read_csv(root / "test_labels.csv", dtype={"id": str})
        joined = predicted.merge(labels, on="id", validate="one_to_one")
        scores[target] = float(roc_auc_score(joined["target"], joined["prob"]))
    return scores


def run_python(*words: str) -> None:
    """Run a program of the project, and end with its output where it fails."""
    print("python", *words, flush=True)
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"that ended with code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
