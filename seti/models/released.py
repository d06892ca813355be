"""Networks of a release, ready to score cadences."""

from pathlib import Path

from seti.errors import SetiError, brief
from seti.models.classifier import CadenceClassifier
from seti.models.release_files import Release, read_release, read_weights
from seti.transforms.input_spec import InputSpec

DEFAULT = "needle_net"


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


def _build(release: Release, fold: int) -> tuple[CadenceClassifier, InputSpec]:
    weights = read_weights(release, fold)
    try:
        classifier = CadenceClassifier(
            spec=release.spec,
            model={"backbone": release.backbone, "pretrained": False, "weights": None, "freeze_backbone": False},
            optimizer={"lr": 1e-3, "weight_decay": 0.0},
            schedule={},
            mixup=None,
        )
        classifier.backbone.network.load_state_dict(weights)
    except SetiError as error:
        msg = f"release {release.folder}: {error}"
        raise SetiError(msg) from error
    except Exception as error:  # a record of another program can fail anywhere in the network
        msg = (
            f"the weights of {release.folds[fold]} do not fit {release.backbone} ({brief(error, 150)}): "
            "they belong to another version or program"
        )
        raise SetiError(msg) from error
    return classifier.eval(), classifier.spec
