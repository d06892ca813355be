"""Ablation of settings: recipes trained and scored on simulated cadences.

    python benchmarks/recipes.py [--folder recipes] [--only <part> ...] [--docs] [--machine <words>]

The parts are headline, growth, folds, ablation and generalisation. It simulates data sets into the folder and runs
`train.py` and `predict.py` for every recipe and seed, one after the other. What is finished is kept, so a stopped run
continues with the same command. `--docs` writes the tables into docs/recipes.md and the figures to the same folder. No
setting was tuned on these sets, which have their own seeds.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import generalisation
import numpy as np
import pandas as pd
import recipe_figures
from generalisation import run_python
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "recipes.md"
START, END = "<!-- {}: written by benchmarks/recipes.py -->", "<!-- end of {} -->"
SEEDS = (0, 1, 2)
# By name: how many cadences, and the simulator's seed. The settings are its own: a tenth holds needles, of SNR 10 to
# 100; a fifth of the rest are decoys in every panel, a fifth in OFF panels; S-shapes are in the test set alone.
SETS = {"small": (2000, 202), "second": (2000, 505), "third": (2000, 606), "large": (20_000, 303)}
ALIKE = ("small", "second", "third")  # sets that differ by the simulator's seed alone
TEST = 4000
UNSEEN = "sine"  # the shape that no training set holds


@dataclass(frozen=True)
class Recipe:
    """Experiment settings to train with.

    Attributes:
        name: of the experiment's folder, before the seed.
        what: for the table.
        overrides: of `train.py`.
        data: one of `SETS`.
        cadences: labelled ones that are used; 0 for all.
        seeds: of the trainings; the folds stay the same.
    """

    name: str
    what: str
    overrides: tuple[str, ...]
    data: str = "small"
    cadences: int = 0
    seeds: Sequence[int] = SEEDS


def ablations() -> list[Recipe]:
    """Return variants of `scratch_cpu`, one change each, shorter, on half of the cadences."""
    resnet = ("model=tiny", "optimizer.lr=5e-3")
    changes = {
        "best": ("`scratch_cpu`", ()),
        "no_injection": ("no injected signals", ("augment.inject=0", "augment.inject_decoys=0")),
        "union": ("mixup by union", ("mixup.alpha=0.4", "mixup.label=union")),
        "interpolate": ("mixup by interpolation", ("mixup.alpha=0.4",)),
        "clip": ("clipped to -4..5 deviations instead of -4..10", ("data.clip=[-4,5]",)),
        "flatten": ("`data.normalise=flatten` instead of `whiten`", ("data.normalise=flatten",)),
        "on_panels": ("ON panels alone", ("data.panels=A", "augment.inject_decoys=0")),
        "resnet": ("timm's `test_resnet` instead of `needle_net`", resnet),
        "panels": ("panels instead of planes", (*RESIZED, "data.layout=channel")),
        "no_planes": ("panels instead of planes, `test_resnet`", (*resnet, *RESIZED, "data.layout=channel")),
        "both": ("panels and planes, `test_resnet`", (*resnet, *RESIZED, "data.layout=channel_dedoppler")),
        "ema": ("an average of the weights, `ema.decay=0.99`", ("ema.decay=0.99",)),
        "robust": ("`data.normalise=robust`", ("data.normalise=robust",)),
        "focal": ("focal loss", ("loss.name=focal",)),
        "swap": ("OFF panels as negatives, `augment.swap_off=0.2`", ("augment.swap_off=0.2",)),
    }
    return [
        Recipe(f"ablation-{name}", what, ("experiment=scratch_cpu", *SHORT, *overrides))
        for name, (what, overrides) in changes.items()
    ]


# A recipe that learns nothing gets its row, too.
SHORT = ("data.n_folds=2", "trainer.max_epochs=5", "watch.after=null")
RESIZED = ("data.image_size=[96,128]", "data.interpolation=area")
HEADLINE = [
    Recipe("headline-reference_cpu", "`reference_cpu`", ("experiment=reference_cpu",)),
    Recipe("headline-scratch_cpu", "`scratch_cpu`", ("experiment=scratch_cpu",)),
    Recipe("headline-best_cpu", "`best_cpu`", ("experiment=best_cpu",)),
]
FOLDS = [
    *(replace(recipe, seeds=SEEDS[:1]) for recipe in HEADLINE[:2]),
    HEADLINE[2],
    *(Recipe(f"folds-best_cpu-{data}", "`best_cpu`", ("experiment=best_cpu",), data, 0, (0,)) for data in ALIKE[1:]),
]
GROWTH = [
    *[
        Recipe(
            f"growth-reference_cpu-{count}",
            "`reference_cpu`",
            ("experiment=reference_cpu", f"trainer.max_epochs={epochs}"),
            "large",
            count,
            (0,),
        )
        for count, epochs in ((2000, 20), (5000, 10), (20_000, 10))
    ],
    *[
        Recipe(
            f"growth-scratch_cpu-{count}",
            "`scratch_cpu`",
            ("experiment=scratch_cpu", f"trainer.max_epochs={epochs}"),
            "large",
            count,
            (0,),
        )
        for count, epochs in ((200, 60), (500, 30), (2000, 15))
    ],
    *[
        Recipe(f"growth-{name}-{count}", f"`{name}`", (f"experiment={name}",), "large", count, (0,))
        for name, count in (("fine_tune", 200), ("fine_tune", 500), ("best_cpu", 2000))
    ],
]


def parts() -> dict[str, list[Recipe]]:
    """Return the recipes by part of the benchmark."""
    return {"headline": HEADLINE, "growth": GROWTH, "ablation": ablations()}


@dataclass(frozen=True)
class Run:
    """Scores of one recipe with one seed.

    Attributes:
        oof_auc: of the held-out fold.
        test_auc: of the test set, S-shapes included.
        seen_auc: the same without the needles of a shape that the training set lacks.
        recall: share of the test set's needles above all but 1 % of the others.
        seconds: to train the fold.
    """

    oof_auc: float
    test_auc: float
    seen_auc: float
    recall: float
    seconds: float


class Bench:
    """Runner of recipes in a folder.

    Args:
        folder: of data sets and outputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def root(self, data: str, cadences: int = 0) -> Path:
        """Simulate a data set if it is missing, or link its first labelled cadences."""
        root, (train, seed) = self.folder / data, SETS[data]
        if not (root / "train_labels.csv").exists():
            run_python("-m", "seti.simulate", f"root={root}", f"train={train}", f"test={TEST}", f"seed={seed}")
        if cadences in (0, train):
            return root
        part = self.folder / f"{data}-{cadences}"
        if not part.exists():
            part.mkdir()
            for name in ("train", "test", "test_labels.csv", "sample_submission.csv", "truth.csv"):
                (part / name).symlink_to(Path("..") / data / name)
            # A tenth with needles, as in the whole.
            labels = pd.read_csv(root / "train_labels.csv").sample(frac=1, random_state=0)
            kept = [rows.head(round(cadences * len(rows) / train)) for _, rows in labels.groupby("target")]
            pd.concat(kept).sort_values("id").to_csv(part / "train_labels.csv", index=False)
        return part

    def experiment(self, recipe: Recipe, seed: int) -> Path:
        """Return the folder of a run's results."""
        return self.folder / "outputs" / f"{recipe.name}-seed{seed}"

    def run(self, recipe: Recipe, seed: int) -> Run:
        """Train fold 0 and predict the test set unless that is done, and score both."""
        folder, root = self.experiment(recipe, seed), self.root(recipe.data, recipe.cadences)
        settings = [f"data.root={root}", f"output_dir={folder.parent}", f"exp_name={folder.name}"]
        if not (folder / "fold_0" / "result.json").exists():
            run_python("train.py", *recipe.overrides, *settings, f"seed={seed}", "data.fold_seed=0")
        if not (folder / "predictions.json").exists():
            run_python("predict.py", f"ckpt_dir={folder}")
        result = json.loads((folder / "fold_0" / "result.json").read_text())
        scores = self.scores(recipe, seed)
        needles = scores["target"] == 1
        seen = ~needles | (scores["shape"] != UNSEEN)
        prob = scores["fold_0"]
        found = prob > prob[~needles].quantile(0.99)
        return Run(
            result["scores"]["auc"],
            float(roc_auc_score(scores["target"], prob)),
            float(roc_auc_score(scores["target"][seen], prob[seen])),
            float(found[needles].mean()),
            result["seconds"],
        )

    def folds(self, recipe: Recipe) -> list[str]:
        """Train every fold with each seed, predict with all folds, and return the table row."""
        runs = pd.DataFrame([self._pooled(recipe, seed) for seed in recipe.seeds])
        gaps = [runs["pooled"] - runs[name] for name in ("single", "together")]
        columns = (runs["held out"], runs["pooled"], runs["single"], runs["together"])
        cells = [_spread(values) for values in columns] + [_spread(gap, sign="+") for gap in gaps]
        return [f"{recipe.what}, seed {SETS[recipe.data][1]}", *cells]

    def unseen(self, data: str) -> list[str]:
        """Score training and test cadences by the released networks, and return the table row."""
        root, scores = self.root(data), {}
        for split, place in (("train", root / "train"), ("test", root)):
            out = self.folder / "outputs" / f"folds-pretrained-{data}-{split}"
            if not (out / "predictions.json").exists():
                run_python("predict.py", "ckpt_dir=pretrained", f"data.root={place}", f"out={out}")
            labels = pd.read_csv(root / f"{split}_labels.csv", dtype={"id": str})
            joined = labels.merge(
                pd.read_csv(out / "predictions.csv", dtype={"id": str}), on="id", validate="one_to_one"
            )
            scores[split] = float(roc_auc_score(joined["target"], joined["prob"]))
        train, test = scores["train"], scores["test"]
        cells = ["", f"{train:.3f}", "", f"{test:.3f}", "", f"{train - test:+.3f}"]
        return [f"released networks, seed {SETS[data][1]}", *cells]

    def _pooled(self, recipe: Recipe, seed: int) -> dict[str, float]:
        """AUC of five folds: mean held-out, pooled, mean test, and of their average on the test set."""
        folder, root = self.experiment(recipe, seed), self.root(recipe.data)
        settings = [f"data.root={root}", f"output_dir={folder.parent}", f"exp_name={folder.name}"]
        seeds = (f"seed={seed}", "data.fold_seed=0")
        run_python("train.py", "-m", "fold=0,1,2,3,4", *recipe.overrides, *settings, *seeds)
        run_python("predict.py", f"ckpt_dir={folder}")
        summary, scores = json.loads((folder / "cv.json").read_text()), self.scores(recipe, seed)
        single = [roc_auc_score(scores["target"], scores[f"fold_{fold}"]) for fold in range(5)]
        return {
            "held out": summary["mean_auc"],
            "pooled": summary["pooled_auc"],
            "single": float(np.mean(single)),
            "together": float(roc_auc_score(scores["target"], scores["prob"])),
        }

    def scores(self, recipe: Recipe, seed: int) -> pd.DataFrame:
        """Join test predictions with the content of each cadence.

        Columns: fold_0, ..., prob, target, shape, snr, drift_rate, kind.
        """
        truth = pd.read_csv(self.root(recipe.data) / "truth.csv", dtype={"id": str})
        predicted = pd.read_csv(self.experiment(recipe, seed) / "predictions.csv", dtype={"id": str})
        return predicted.merge(truth[truth["split"] == "test"], on="id", validate="one_to_one")


def _spread(values: Sequence[float], sign: str = "") -> str:
    """Write mean and deviation over the seeds."""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):{sign}.3f}{spread}"


FOLDS_COLUMNS = (
    "",
    "held-out folds",
    "pooled out-of-fold AUC",
    "test AUC of a fold",
    "of all five",
    "pooled - a fold's",
    "pooled - all five's",
)
COLUMNS = ("", "held-out AUC", "test AUC", "test AUC, seen shapes", "recall at 1 %", "seconds a fold")


def rows_of(recipes: Sequence[Recipe], runs: dict[str, list[Run]]) -> Iterator[list[str]]:
    """Return one row per recipe, with mean and deviation over the seeds."""
    for recipe in recipes:
        seen = runs[recipe.name]
        cells = [recipe.what + (f", {recipe.cadences:,} cadences" if recipe.cadences else "")]
        for name in ("oof_auc", "test_auc", "seen_auc", "recall"):
            cells.append(_spread(np.array([getattr(run, name) for run in seen])))
        yield [*cells, f"{np.median([run.seconds for run in seen]):.0f}"]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def into_docs(name: str, text: str) -> None:
    """Replace the text between the marks of a name."""
    before, rest = DOCS.read_text().split(START.format(name))
    after = rest.split(END.format(name))[1]
    DOCS.write_text(f"{before}{START.format(name)}\n\n{text}\n\n{END.format(name)}{after}")


def machine() -> str:
    """Describe the machine."""
    return f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}"


def measured(bench: Bench, name: str, figures: bool) -> tuple[Sequence[str], list[list[str]]]:
    """Run a part, draw its figure if requested, and return its table's columns and rows."""
    if name == "generalisation":
        return generalisation.COLUMNS, generalisation.rows(bench.folder, run_python, SEEDS)
    if name == "folds":
        return FOLDS_COLUMNS, [*map(bench.folds, FOLDS), *map(bench.unseen, ALIKE)]
    recipes = parts()[name]
    runs = {recipe.name: [bench.run(recipe, seed) for seed in recipe.seeds] for recipe in recipes}
    if figures and name == "headline":
        scores = {recipe.what.strip("`"): [bench.scores(recipe, seed) for seed in SEEDS] for recipe in recipes}
        recipe_figures.draw_recall(scores, DOCS.with_name("recall.png"))
    if figures and name == "growth":
        rows = [(recipe.what.strip("`"), recipe.cadences, runs[recipe.name]) for recipe in recipes]
        recipe_figures.draw_growth(rows, DOCS.with_name("growth_of_auc.png"))
    return COLUMNS, list(rows_of(recipes, runs))


def main() -> None:
    """Parse the command line, run the recipes, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["headline", "growth", "folds", "ablation", "generalisation"]
    parser.add_argument("--folder", type=Path, default=ROOT / "recipes")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--machine", default=machine(), help="what it runs on, in words")
    given = parser.parse_args()
    bench = Bench(given.folder.resolve())
    bench.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        columns, rows = measured(bench, name, given.docs)
        table = Table(*columns, title=name)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        if given.docs:
            into_docs(name, f"{given.machine}.\n\n{markdown(columns, rows)}")


if __name__ == "__main__":
    main()
