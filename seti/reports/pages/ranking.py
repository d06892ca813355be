"""Cadences that an experiment or a stack has scored, as the gallery ranks them."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from seti.data import competition
from seti.errors import SetiError
from seti.evaluation.recall import OperatingPoint, recall_at
from seti.experiments import predictions
from seti.experiments.experiment import Experiment
from seti.utils import files

log = logging.getLogger(__name__)

FOUND, MISSED, FALSE_ALARM, REJECTED = "found", "missed", "false alarm", "rejected"
SNR = "snr"  # column of truth.csv, which seti simulate writes, or of train_labels.csv


@dataclass(frozen=True)
class Ranking:
    """Scored cadences.

    Attributes:
        name: of the experiment, or `stack`.
        identity: key of the labels in the user's browser: the same if the page is written again.
        point: recall and threshold at 1 % false alarms, of all out-of-fold rows together.
        table: columns id, split, fold and target (missing for the test set, unless its labels are known), score, snr
            (missing where it is not known) and kind: `found`, `missed`, `false alarm` or `rejected` at the threshold,
            empty where the label is unknown.
        roots: data set of each split.
    """

    name: str
    identity: str
    point: OperatingPoint
    table: pd.DataFrame
    roots: dict[str, Path]

    def of(self, root: Path) -> "Ranking":
        """The same cadences in a data set that is elsewhere now."""
        return replace(self, roots=dict.fromkeys(self.roots, root))


def rank_experiment(experiment: Experiment) -> Ranking:
    """Rank the out-of-fold and the predicted cadences of an experiment.

    Raises:
        SetiError: an out-of-fold table is missing or damaged.
    """
    test, test_root = None, None
    try:
        test = predictions.read_probabilities(experiment)
    except SetiError as error:
        log.warning("no test cadences: %s", error)
    if test is not None:
        test_root = Path(files.read_json(experiment.predictions_record)["data"].get("root", ""))
    return rank(experiment.name, experiment, experiment.read_oof(), test, test_root)


def rank(
    name: str, experiment: Experiment, oof: pd.DataFrame, test: pd.DataFrame | None, test_root: Path | None = None
) -> Ranking:
    """Join out-of-fold and test scores, with what is known about each cadence.

    Args:
        name: of what gave the scores.
        experiment: whose data set it is.
        oof: columns id, fold, target, prob.
        test: columns id and prob, missing where a cadence has no score; None: no predictions.
        test_root: data set of the test cadences; None: the experiment's.
    """
    result = experiment.first_result
    root = Path(result.data.root)
    roots = {"train": root, "test": root if test_root is None else test_root}
    point = recall_at(oof["target"].to_numpy(), oof["prob"].to_numpy())
    tables = [oof.rename(columns={"prob": "score"}).assign(split="train")]
    if test is not None:
        tables.append(_tested(test, roots["test"]))
    table = pd.concat(tables, ignore_index=True)
    threshold = float("inf") if point.threshold is None else point.threshold
    high, needle = table["score"] >= threshold, table["target"] == 1
    table["kind"] = ""
    table.loc[needle, "kind"] = MISSED
    table.loc[needle & high, "kind"] = FOUND
    table.loc[table["target"] == 0, "kind"] = REJECTED
    table.loc[(table["target"] == 0) & high, "kind"] = FALSE_ALARM
    known = [read_snrs(one) for one in dict.fromkeys(roots.values())]
    table["snr"] = table["id"].map(pd.concat(known).groupby(level=0).first())
    identity = hashlib.sha256(f"{name}\n{result.data.fingerprint}".encode()).hexdigest()[:16]
    return Ranking(name, identity, point, table, roots)


def read_snrs(root: Path) -> pd.Series:
    """SNR of a data set's signals by id; empty where no table has it."""
    found = []
    for name in ("truth.csv", competition.LABELS):
        try:
            table = pd.read_csv(root / name, dtype=str, keep_default_na=False)
        except (OSError, ValueError):
            continue
        if {"id", SNR} <= set(table.columns):
            found.append(pd.to_numeric(table.set_index("id")[SNR], errors="coerce").dropna())
    return pd.concat(found) if found else pd.Series(dtype=float)


def _tested(test: pd.DataFrame, root: Path) -> pd.DataFrame:
    table = test[["id"]].assign(split="test", score=test["prob"]).dropna(subset="score")
    try:
        known = competition.read_test_labels(root)
    except SetiError:
        known = None
    if known is None:
        return table
    return table.merge(known[["id", "target"]], on="id", how="left")
