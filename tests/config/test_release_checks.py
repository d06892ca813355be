"""A training that starts from a release gets the images that the release knows."""

import pytest
from conftest import compose

from seti.config.validation import check_settings
from seti.errors import SetiError
from seti.models.release_files import read_release

START = ["experiment=fine_tune"]
END = " (experiment=best_cpu sets all of them), or model.weights=null for random weights"


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["model.weights=pretrained/needle_net"],
        ["data.dedoppler.gap=[0,3]", "augment.inject=0", "optimizer.lr=1e-3", "data.batch_size=8"],
        ["data.interpolation=area"],  # nothing is resized
        ["data.clip=[-4.0,10.0]", "data.panels=ALL"],
    ],
)
def test_settings_of_anything_but_the_images_are_free(more):
    check_settings(compose("train", [*START, *more]))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["data.panels=A"], "data.panels=all"),
        (["data.layout=channel"], "data.layout=dedoppler"),
        (["data.image_size=[64,64]"], "data.image_size=null"),
        (["data.normalise=flatten"], "data.normalise=contrast"),
        (["data.clip=null"], "data.clip=[-4,10]"),
        (["data.clip=[-4,30]"], "data.clip=[-4,10]"),
        (["data.remove_spike=true"], "data.remove_spike=false"),
        (["data.dedoppler.max_drift=16"], "data.dedoppler.max_drift=32"),
        (["data.dedoppler.drifts=65", "data.panels=A"], "data.panels=all data.dedoppler.drifts=33"),
    ],
)
def test_other_images_than_the_release_knows_are_refused_with_what_to_set(more, words):
    with pytest.raises(SetiError) as error:
        check_settings(compose("train", [*START, *more]))
    line = f"model.weights=pretrained knows other images than these settings make: set {words}{END}"
    assert str(error.value) == line


def test_weights_of_another_backbone_are_refused():
    with pytest.raises(SetiError) as error:
        check_settings(compose("train", ["model.weights=pretrained"]))
    assert str(error.value) == (
        "model.weights=pretrained are weights of needle_net_swift, not of model.backbone=efficientnet_b1.ft_in1k: set "
        "model.backbone=needle_net_swift (model=needle_net_released sets both)"
    )


def test_the_preset_names_the_backbone_of_the_release():
    assert compose("train", ["model=needle_net_released"]).model.backbone == read_release("needle_net").backbone


def test_an_unknown_release_is_refused():
    with pytest.raises(SetiError, match=r"^pretrained/none is not a release of this package, which has pretrained/"):
        check_settings(compose("train", [*START, "model.weights=pretrained/none"]))


def test_options_that_change_the_network_are_refused():
    with pytest.raises(SetiError) as error:
        check_settings(compose("train", [*START, "model.weights=pretrained", "model.pool=gem"]))
    assert str(error.value) == (
        "model.pool=gem changes the network that model.weights=pretrained belongs to: set model.pool=null"
    )
