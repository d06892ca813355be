"""An earlier experiment that a fold learns from, by its predictions or its weights."""

from pathlib import Path

import pandas as pd

from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError, brief
from seti.experiments.experiment import Experiment
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.models.release_names import find_release
from seti.utils.wording import count


def check_never_saw(experiment: Experiment, fold: int, labels: pd.DataFrame, what: str) -> None:
    """Refuse a network that has seen labels of the cadences that are held out now.

    Args:
        experiment: whose network of the same fold is used.
        fold: that is held out.
        labels: columns id, target and fold, as they are divided now.
        what: the setting, for the message.

    Raises:
        SetiError: that network was trained on some of them, or cannot be shown not to have been.
    """
    held_out = labels[labels["fold"] == fold]
    oof = experiment.read_oof().set_index("id")
    earlier = oof.reindex(held_out["id"])
    saw = (earlier["fold"].notna() & (earlier["fold"] != fold)).to_numpy()
    if saw.any():
        msg = (
            f"{what}: fold {fold} of {experiment.name} saw {int(saw.sum())} of the {len(held_out)} cadences "
            f"that are held out here, first {earlier.index[saw][0]}: give both the same data.n_folds, data.fold_seed, "
            "data.folds and data.groups"
        )
        raise SetiError(msg)
    unknown = earlier["fold"].isna().to_numpy()
    missing = experiment.missing_folds()  # cadences that all of its folds left out were seen by none
    if unknown.any() and missing:
        folds = ", ".join(map(str, missing))
        msg = (
            f"{what}: fold {fold} of {experiment.name} may have seen {int(unknown.sum())} of the {len(held_out)} "
            f"cadences that are held out here, first {earlier.index[unknown][0]}: its fold {folds} would show it: "
            f"train it with {experiment.train_command(missing)}"
        )
        raise SetiError(msg)
    both = earlier["target"].notna().to_numpy()
    if not both.any():
        msg = (
            f"{what}: {experiment.name} was trained on another data set: it held out none of the cadences of fold "
            f"{fold}"
        )
        raise SetiError(msg)
    other = earlier["target"].to_numpy()[both] != held_out["target"].to_numpy()[both]
    if other.any():
        first = held_out["id"].to_numpy()[both][other][0]
        msg = (
            f"{what}: {experiment.name} was trained on another data set: {int(other.sum())} of the cadences of fold "
            f"{fold} have other targets there, first {first}"
        )
        raise SetiError(msg)


def find_earlier_checkpoint(weights: str | None, datamodule: CadenceDataModule) -> tuple[Path, bool] | None:
    """Find the checkpoint of an experiment that a fold starts from.

    Args:
        weights: `model.weights`; a folder is an experiment's.
        datamodule: of the fold that is trained; it starts from the weights of the same fold.

    Returns:
        The checkpoint, and whether its experiment is honest; None where `weights` is not an experiment's folder.

    Raises:
        SetiError: the folder is not that of an experiment, its fold is not finished, or the network saw the held-out
            cadences.
    """
    if weights is None or find_release(weights) is not None or not Path(weights).is_dir():
        return None
    experiment, fold = Experiment(Path(weights)), datamodule.fold
    if fold not in experiment.results:
        msg = (
            f"model.weights={weights} has no finished fold {fold} (fold_{fold}/result.json) to start from: give an "
            "experiment's folder with that fold, a weight file, or null"
        )
        raise SetiError(msg)
    check_never_saw(experiment, fold, datamodule.labels, f"model.weights={weights}")
    return experiment.checkpoint(fold), experiment.is_honest


def load_start(classifier: CadenceClassifier, checkpoint: Path) -> None:
    """Load the weights of an earlier round's network, in place.

    Raises:
        SetiError: the checkpoint is damaged, or of another network.
    """
    earlier = load_classifier(checkpoint).backbone
    own, found = classifier.backbone.state_dict(), earlier.state_dict()
    other = [
        name
        for name in sorted(own.keys() | found.keys())
        if name not in own or name not in found or own[name].shape != found[name].shape
    ]
    if other:
        msg = (
            f"model.weights: {checkpoint} is of {earlier.name} for images {_size(earlier)}, and this fold trains "
            f"{classifier.backbone.name} for {_size(classifier.backbone)}: {count(len(other), 'tensor')} "
            f"differ{'s' * (len(other) == 1)}, first {brief(other[0])}; give both the same model and data settings"
        )
        raise SetiError(msg)
    classifier.backbone.load_state_dict(found)


def _size(backbone: object) -> str:
    return " x ".join(map(str, backbone.image_shape))
