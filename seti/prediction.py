"""A folder of folds over a test set: every cadence is read once, every fold looks at it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.table import Table
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from seti import catalog, crossval, files
from seti.cadence import PANEL_CHOICES
from seti.classifier import CadenceClassifier, load_classifier
from seti.config import check_reading
from seti.console import cadence_progress, console
from seti.damage import open_usable
from seti.dataset import CadenceDataset, loader
from seti.device import autocast, choose_device, choose_precision
from seti.errors import SetiError
from seti.experiment import Experiment, open_experiment
from seti.preparation import prepare, to_device

log = logging.getLogger(__name__)


def predict(cfg: Any) -> float:
    """Predict the test set with every finished fold's best checkpoint; write `predictions.csv` and `submission.csv`.

    Args:
        cfg: `conf/predict.yaml`.

    Returns:
        Test AUC where the test set's labels are known (simulated data), else NaN.

    Raises:
        SetiError: no experiment, a damaged checkpoint, missing or damaged test cadences.
    """
    experiment = open_experiment(Path(cfg.ckpt_dir))
    folds = experiment.finished_folds()
    root = Path(cfg.data.root if cfg.data.root is not None else experiment.results[folds[0]]["data"]["root"])
    device = choose_device(cfg.device)
    precision = choose_precision(cfg.precision, device)
    if cfg.data.batch_size < 1 or cfg.data.num_workers < 0:
        msg = (
            f"data.batch_size={cfg.data.batch_size} must be at least 1, "
            f"data.num_workers={cfg.data.num_workers} at least 0"
        )
        raise SetiError(msg)

    check_reading(cfg.data)
    ids = catalog.read_test_ids(root)
    classifiers = load_folds(experiment)
    spec = classifiers[0].spec
    reading = {"packed": cfg.data.packed, "pack_dir": cfg.data.pack_dir}
    _, skipped = open_usable(root, "test", ids, PANEL_CHOICES[spec.panels], on_error=cfg.data.on_error, **reading)
    scored = ids[~ids.isin(skipped)].reset_index(drop=True)
    missing = experiment.missing_folds()
    if missing:
        log.warning(
            "folds %s of %s are not finished: predicting with folds %s alone; the rest is trained by: %s",
            _list(missing),
            experiment.name,
            _list(folds),
            experiment.train_command(missing),
        )
    dataset = CadenceDataset(root, "test", scored.to_numpy(), None, spec, **reading)
    batches = loader(dataset, cfg.data.batch_size, cfg.data.num_workers)
    probs = predict_probabilities(classifiers, batches, device, precision, f"{experiment.name}: {len(folds)} folds")

    table = pd.DataFrame({"id": scored})
    for column, fold in enumerate(folds):
        table[f"fold_{fold}"] = probs[:, column]
    table["prob"] = probs.mean(axis=1)
    table = pd.DataFrame({"id": ids}).merge(table, how="left", on="id")  # a skipped cadence has an empty score
    files.write_csv(experiment.predictions_path, table)
    target = table["prob"]
    if skipped:
        target = target.fillna(_prior(experiment))
        log.warning(
            "%d of %d test cadences are damaged: empty in %s, the training prior %.4g in %s",
            len(skipped),
            len(ids),
            experiment.predictions_path,
            _prior(experiment),
            experiment.submission_path,
        )
    files.write_csv(experiment.submission_path, pd.DataFrame({"id": ids, "target": target}))
    if cfg.data.root is None and experiment.is_finished():
        crossval.draw_gallery(experiment)  # which shows the test set's highest scores from now on
    log.info("%d cadences: wrote %s and %s", len(ids), experiment.predictions_path, experiment.submission_path)
    return _report_test_auc(root, table)


def load_folds(experiment: Experiment) -> list[CadenceClassifier]:
    """Load the best checkpoint of every finished fold, in order.

    Raises:
        SetiError: one is missing or damaged, or they take in different pictures.
    """
    classifiers = [
        load_classifier(experiment.fold_path(fold) / result["checkpoint"])
        for fold, result in experiment.results.items()
    ]
    for fold, classifier in zip(experiment.results, classifiers, strict=True):
        if classifier.spec != classifiers[0].spec:
            msg = (
                f"{experiment.path}: the checkpoint of fold {fold} takes in {classifier.spec}, the first one "
                f"{classifiers[0].spec}: train that fold again with force=true"
            )
            raise SetiError(msg)
    return classifiers


@torch.inference_mode()
def predict_probabilities(
    classifiers: Sequence[CadenceClassifier],
    batches: DataLoader,
    device: torch.device,
    precision: str,
    label: str,
) -> np.ndarray:
    """Run every classifier over every batch, each cadence being read once.

    Args:
        classifiers: networks that take in the same pictures.
        batches: of `CadenceDataset`, in any order: the rows are placed by the indices that come with them.
        device: where the networks run; they are moved there and left in evaluation mode.
        precision: one of `seti.device.AUTOCAST`.
        label: of the progress bar.

    Returns:
        `(N, K)` float64 probabilities, a row a cadence of the dataset, a column a classifier.

    Raises:
        SetiError: a probability is not a number.
    """
    for classifier in classifiers:
        classifier.to(device).eval()
    probs = np.full((len(batches.dataset), len(classifiers)), np.nan)
    with cadence_progress() as progress, autocast(precision, device):
        task = progress.add_task(label, total=len(probs))
        for inputs, _, indices in batches:
            pictures = prepare(to_device(inputs, device), batches.dataset.picture)
            for column, classifier in enumerate(classifiers):
                probs[indices.numpy(), column] = classifier(pictures).float().sigmoid().cpu().numpy()
            progress.advance(task, len(indices))
    bad = int((~np.isfinite(probs)).any(axis=1).sum())
    if bad:
        msg = (
            f"{label}: the network gives no number for {bad} of {len(probs)} cadences: its weights diverged; "
            "train it again with a lower optimizer.lr"
        )
        raise SetiError(msg)
    return probs


def _prior(experiment: Experiment) -> float:
    """Share of positives among the cadences that the folds were trained on."""
    data = next(iter(experiment.results.values()))["data"]
    return data["positives"] / data["cadences"]


def _report_test_auc(root: Path, table: pd.DataFrame) -> float:
    labels = catalog.read_test_labels(root)
    if labels is None:
        return float("nan")
    table = table.dropna(subset="prob")
    joined = table.merge(labels, on="id", validate="one_to_one")
    if len(joined) != len(table) or joined["target"].nunique() < 2:
        log.warning("%s does not label every test cadence with both classes: no test AUC", root / catalog.TEST_LABELS)
        return float("nan")
    report = Table("prediction", "test AUC")
    columns = [column for column in table.columns if column != "id"]
    scores = {column: float(roc_auc_score(joined["target"], joined[column])) for column in columns}
    for column, score in scores.items():
        report.add_row("mean of folds" if column == "prob" else column, f"{score:.4f}")
    console().print(report)
    return scores["prob"]


def _list(folds: Sequence[int]) -> str:
    return ",".join(map(str, folds))
