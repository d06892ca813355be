"""Networks of a release, ready to score cadences."""

from pathlib import Path

from torch import nn

from seti.errors import SetiError, brief
from seti.models.classifier import CadenceClassifier
from seti.models.release_files import Release, read_release, read_weights
from seti.models.release_names import DEFAULT
from seti.transforms.input_spec import InputSpec


def load_released(release: str | Path = DEFAULT) -> list[tuple[CadenceClassifier, InputSpec]]:
    """Load the networks of a release.

    A network's logit is calibrated: the mean of the networks' probabilities estimates how often a cadence like this one
    holds a needle, where a tenth of all do.

    Args:
        release: a name in `seti.models.release_files.released_names`, or a folder.

    Returns:
        Every fold's network in evaluation mode, with the specification of its input.

    Raises:
        SetiError: the release is unknown, damaged, or not one of this program.
    """
    found = read_release(release)
    return [_build(found, fold) for fold in found.folds]


def start_from(release: str | Path, fold: int, network: nn.Module) -> tuple[int, int]:
    """Load a member's weights into a network that is to be trained.

    Args:
        release: a name in `seti.models.release_files.released_names`, or a folder.
        fold: number of the fold that the network will not train on; beyond the last member, it starts over.
        network: of the release's kind, which is changed.

    Returns:
        Number of the member's fold, and number of members.

    Raises:
        SetiError: the release is damaged, or does not fit the network.
    """
    found = read_release(release)
    member = list(found.folds)[fold % len(found.folds)]
    _fill(found, member, network)
    return member, len(found.folds)


def _fill(release: Release, fold: int, network: nn.Module) -> None:
    weights = read_weights(release, fold)
    try:
        network.load_state_dict(weights)
    except Exception as error:  # a record of another program can hold anything
        raise SetiError(_no_fit(release, fold, error)) from error


def _no_fit(release: Release, fold: int, error: Exception) -> str:
    return (
        f"the weights of {release.folds[fold]} do not fit {release.backbone} ({brief(error, 150)}): "
        "they belong to another version or program"
    )


def _build(release: Release, fold: int) -> tuple[CadenceClassifier, InputSpec]:
    try:
        classifier = CadenceClassifier(
            spec=release.spec,
            model={"backbone": release.backbone, "pretrained": False, "weights": None, "freeze_backbone": False},
            optimizer={"lr": 1e-3, "weight_decay": 0.0},
            schedule={},
            mixup=None,
        )
    except SetiError as error:
        msg = f"release {release.folder}: {error}"
        raise SetiError(msg) from error
    except Exception as error:  # a record of another program can fail anywhere in the network
        raise SetiError(_no_fit(release, fold, error)) from error
    _fill(release, fold, classifier.backbone.network)
    return classifier.eval(), classifier.spec
