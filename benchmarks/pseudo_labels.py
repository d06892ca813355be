"""Gain by pseudo-labels where only the test set has S-shapes, and honesty of the scores.

`python benchmarks/pseudo_labels.py <folder> --seeds 0 1 2` simulates a data set for each seed and trains three
experiments on it from random weights: `first`; `honest`, whose fold k learns from the test cadences with the labels of
the first round's fold k; and `fed_back`, which learns from the mean of all folds. What is finished is kept. Signals
that are injected in training are of the training set's shapes alone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from generalisation import run_python
from sklearn.metrics import roc_auc_score

SHAPES = "[line,wiggle,dashes,blip]"  # not sine: S-shapes are in the test set alone
ROUNDS = ("first", "honest", "fed_back")
COLUMNS = ("out_of_fold", "test", "s_shapes", "ensemble")


def measure(folder: Path, seed: int, sizes: argparse.Namespace) -> pd.DataFrame:
    """Train the experiments of one seed that are missing.

    Returns:
        A row a round: mean AUC of the held-out folds; of the test set, for each network; of its S-shapes among all
        without a needle; and of the mean of the networks.
    """
    root, outputs = folder / f"set_{seed}", folder / f"outputs_{seed}"
    if not (root / "test_labels.csv").exists():
        counts = (f"train={sizes.cadences}", f"test={sizes.cadences}", f"positives={sizes.positives}")
        run_python("-m", "seti.simulate", f"root={root}", *counts, f"seed={1000 + seed}", "workers=1")
    for name in ROUNDS:
        experiment = outputs / name
        place = (f"data.root={root}", f"output_dir={outputs}", f"exp_name={name}", f"data.n_folds={sizes.folds}")
        start = (f"trainer.max_epochs={sizes.epochs[0]}",)
        if name != "first":
            labels = "predictions" if name == "honest" else "submission"
            start = (
                f"trainer.max_epochs={sizes.epochs[1]}",
                f"data.pseudo={outputs / 'first' / labels}.csv",
                f"model.weights={outputs / 'first'}",
            )
        if not all((experiment / f"fold_{fold}" / "result.json").exists() for fold in range(sizes.folds)):
            recipe = ("-m", "experiment=scratch_cpu", "fold=all", f"augment.inject_shapes={SHAPES}", "watch.after=null")
            run_python("train.py", *recipe, *place, *start, f"seed={seed}")
        if not (experiment / "predictions.csv").exists():
            run_python("predict.py", f"ckpt_dir={experiment}")
    return pd.DataFrame([_scores(root, outputs / name, sizes.folds) for name in ROUNDS], ROUNDS, COLUMNS)


def _scores(root: Path, experiment: Path, folds: int) -> list[float]:
    held_out = [pd.read_csv(experiment / f"fold_{fold}" / "oof.csv") for fold in range(folds)]
    table = pd.read_csv(experiment / "predictions.csv", dtype={"id": str})
    truth = pd.read_csv(root / "truth.csv", dtype={"id": str})
    table = table.merge(truth[truth["split"] == "test"][["id", "target", "shape"]], on="id", validate="one_to_one")
    some = table[(table["target"] == 0) | (table["shape"] == "sine")]
    names = [f"fold_{fold}" for fold in range(folds)]
    return [
        float(np.mean([roc_auc_score(one["target"], one["prob"]) for one in held_out])),
        float(np.mean([roc_auc_score(table["target"], table[name]) for name in names])),
        float(np.mean([roc_auc_score(some["target"], some[name]) for name in names])),
        float(roc_auc_score(table["target"], table["prob"])),
    ]


def tabulate(runs: list[pd.DataFrame]) -> list[str]:
    """Lines of a table: mean and deviation over the seeds."""
    lines = ["| round | out-of-fold | test | out-of-fold - test | gain in test | S-shapes | mean of the networks |"]
    lines.append("| --- " * 7 + "|")
    for name in ROUNDS:
        rows = [run.loc[name] for run in runs]
        gain = [row["test"] - run.loc["first", "test"] for row, run in zip(rows, runs, strict=True)]
        columns = (
            [row["out_of_fold"] for row in rows],
            [row["test"] for row in rows],
            [row["out_of_fold"] - row["test"] for row in rows],
            gain,
            [row["s_shapes"] for row in rows],
            [row["ensemble"] for row in rows],
        )
        signs = ("", "", "+", "+", "", "")
        cells = [_written(values, sign) for values, sign in zip(columns, signs, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _written(values: list[float], sign: str) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):{sign}.3f}{spread}"


def main() -> None:
    """Measure all seeds and print the table."""
    parser = argparse.ArgumentParser(description="Gain by pseudo-labels, honest and fed back.")
    parser.add_argument("folder", type=Path, help="for data sets and outputs; what is finished there is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cadences", type=int, default=300, help="in train, and as many in test")
    parser.add_argument("--positives", type=float, default=0.3, help="share with a needle")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, nargs=2, default=[10, 4], help="of the first round, and of the others")
    sizes = parser.parse_args()
    runs = []
    for seed in sizes.seeds:
        runs.append(measure(sizes.folder.resolve(), seed, sizes))
        print(f"seed {seed}", runs[-1].round(4).to_string(), sep="\n", flush=True)
    print("\n".join(tabulate(runs)))


if __name__ == "__main__":
    sys.exit(main())
