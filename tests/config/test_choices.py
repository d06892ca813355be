"""Every choice of a setting is accepted, and the implementations know all of them."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seti.config.checks import check_choice
from seti.config.choices import CHOICES
from seti.errors import SetiError
from seti.transforms.warp import INTERPOLATIONS

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_accepted_and_other_words_are_refused_by_name(name):
    for value in CHOICES[name]:
        check_choice(name, value)
    with pytest.raises(SetiError, match=rf"^{name}=nonsense is none of {', '.join(CHOICES[name])}$"):
        check_choice(name, "nonsense")


@pytest.mark.parametrize("name", sorted(set(CHOICES) - {"augment.inject_shapes", "data.folds", "model.pool"}))
def test_defaults_are_among_the_choices(name):
    groups = {"model": OmegaConf.load(CONF / "model" / "effnet_b1.yaml")}
    files = [OmegaConf.merge(OmegaConf.load(CONF / "train.yaml"), groups), OmegaConf.load(CONF / "predict.yaml")]
    default = next(value for file in files if (value := OmegaConf.select(file, name)) is not None)
    assert str(default) in CHOICES[name]


def test_interpolations_are_those_of_the_transform():
    assert CHOICES["data.interpolation"] == tuple(INTERPOLATIONS)
