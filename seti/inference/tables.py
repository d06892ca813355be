"""Tables of predictions: writing them, and the AUC of cadences whose label is known."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.table import Table
from sklearn.metrics import roc_auc_score

from seti.evaluation.ranks import rank_mean
from seti.experiments.experiment import Experiment
from seti.utils import files
from seti.utils.console import console
from seti.utils.wording import count

log = logging.getLogger(__name__)

AVERAGE_NAMES = {"mean": "mean of folds", "rank": "mean of ranks in folds"}


def average_folds(probs: np.ndarray, average: str) -> np.ndarray:
    """Average probabilities or ranks over the folds.

    Args:
        probs: `(N, folds)` probabilities.
        average: `mean`; or `rank`, the mean rank scaled to (0, 1], which weighs all folds equally however confident
            their networks are. A mean rank is not a probability.

    Returns:
        `(N,)` scores.
    """
    return probs.mean(axis=1) if average == "mean" else rank_mean(pd.DataFrame(probs)).to_numpy()


def join(
    ids: pd.Series, usable: np.ndarray, folds: Sequence[int], probs: np.ndarray, scores: np.ndarray
) -> pd.DataFrame:
    """Make the table of predictions; a cadence that was not scored has empty columns.

    Args:
        ids: `(N,)` of all cadences.
        usable: `(M,)` ids of those that were scored.
        folds: numbers of the networks' folds.
        probs: `(M, folds)` probabilities.
        scores: `(M,)`, their average.

    Returns:
        N rows; columns `id`, `fold_<k>` and `prob`.
    """
    table = pd.DataFrame({"id": usable})
    for column, fold in enumerate(folds):
        table[f"fold_{fold}"] = probs[:, column]
    table["prob"] = scores
    return pd.DataFrame({"id": ids}).merge(table, how="left", on="id")


def write(
    target: Experiment,
    ids: pd.Series,
    usable: np.ndarray,
    folds: Sequence[int],
    probs: np.ndarray,
    average: str,
    prior: float,
    prior_name: str = "training prior",
    of: str = "test cadence",
) -> pd.DataFrame:
    """Write `predictions.csv` and `submission.csv`; return the predictions as a table.

    A damaged cadence has no score in `predictions.csv`. In `submission.csv` it gets the prior or, with averaged ranks,
    the rank of a cadence with that probability.

    Args:
        target: folder of the tables.
        ids: `(N,)` of all cadences.
        usable: `(M,)` ids of those that were scored.
        folds: numbers of the networks' folds.
        probs: `(M, folds)` probabilities.
        average: as for `average_folds`.
        prior: share of needles that is expected.
        prior_name: its name, for messages.
        of: a cadence, for messages.
    """
    submitted = prior if average == "mean" else float((probs.mean(axis=1) <= prior).mean())
    table = join(ids, usable, folds, probs, average_folds(probs, average))
    files.write_csv(target.predictions_path, table)
    submission = pd.DataFrame({"id": ids, "target": table["prob"].fillna(submitted)})
    files.write_csv(target.submission_path, submission)
    if len(usable) < len(ids):
        log.warning(
            "%d of %s %s damaged: empty in %s, the %s %.4g in %s",
            len(ids) - len(usable),
            count(len(ids), of),
            "is" if len(ids) - len(usable) == 1 else "are",
            target.predictions_path,
            prior_name if average == "mean" else f"rank of the {prior_name} {prior:.4g},",
            submitted,
            target.submission_path,
        )
    log.info("%s: wrote %s and %s", count(len(ids), "cadence"), target.predictions_path, target.submission_path)
    return table


def report_auc(name: str, source: str, table: pd.DataFrame, labels: pd.DataFrame | None, average: str) -> float:
    """Print the AUC of every fold and of their mean over the labelled cadences.

    Args:
        name: heads the table.
        source: of the cadences, for messages.
        table: from `write`.
        labels: columns `id` and `target`; None where there are none.
        average: as for `average_folds`.

    Returns:
        AUC of the mean; NaN without labels of both classes.
    """
    if labels is None:
        return float("nan")
    joined = table.dropna(subset="prob").merge(labels, on="id", validate="one_to_one")
    if joined["target"].nunique() < 2:  # damaged cadences have no score
        log.warning("the test cadences of %s that can be read are of one class: no test AUC", source)
        return float("nan")
    report = Table(name, "test AUC")
    columns = [column for column in table.columns if column != "id"]
    scores = {column: float(roc_auc_score(joined["target"], joined[column])) for column in columns}
    for column, score in scores.items():
        report.add_row(f"prob, the {AVERAGE_NAMES[average]}" if column == "prob" else column, f"{score:.4f}")
    console().print(report)
    return scores["prob"]
