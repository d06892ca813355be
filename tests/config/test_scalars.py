"""Typed values of the wrong type, and choices that a group does not have."""

import shlex
import sys

import pytest
from omegaconf import OmegaConf
from typed_settings import COMMANDS

from seti.cli.explain import explain
from seti.config import keys
from seti.config.arguments import to_hydra
from seti.config.compose import compose
from seti.errors import SetiError

WANTED = {int: "must be a whole number", float: "must be a number", bool: "must be true or false"}
SCALARS = [
    (command, key, setting)
    for command in COMMANDS
    for key, setting in keys.settings_of(command).items()
    if setting.scalar is not None and not key.startswith("hydra.")
]
RAW = ("Integer", "Float", "valid bool", "Error merging", "type 'str'", "reference_type", "Optional", "FULL")


@pytest.fixture(autouse=True)
def started_as_seti(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seti"])


def refusal(command, word, *, sweep=False):
    with pytest.raises(SetiError) as refused:
        to_hydra(command, [word], sweep=sweep)
    return str(refused.value)


def test_every_number_and_switch_of_every_command_is_refused_in_our_words():
    assert len(SCALARS) > 100
    for command, key, setting in SCALARS:
        off = ", or null" if setting.optional else ""
        for value in ("some", "", "[1]", "{a: 1}", "1 2", "2..3", *(() if setting.optional else ("null", "None"))):
            for prefix in ("", "++"):
                message = refusal(command, f"{prefix}{key}={value}")
                assert message.startswith(f"{prefix}{key}={value} {WANTED[setting.scalar]}{off}"), message
                assert not any(raw in message for raw in RAW), message
        assert refusal(command, f"{key}=7,some", sweep=True).startswith(f"{key}=7,some {WANTED[setting.scalar]}")


def test_the_example_of_a_refusal_can_be_typed():
    for command, key, setting in SCALARS:
        if setting.scalar is not bool:
            example = refusal(command, f"{key}=some").rpartition(", such as ")[2]
            assert example.startswith(f"{key}=")
            assert to_hydra(command, [example]) == [example]


@pytest.mark.parametrize(
    ("typed", "listed"),
    [
        ("0..1", "0,1"),
        ("0...2", "0,1,2"),
        ("0-4", "0,1,2,3,4"),
        ("0:2", "0,1,2"),
        ("[0,1]", "0,1"),
        ("(0, 1)", "0,1"),
        ("0 1 3", "0,1,3"),
        ("0;1", "0,1"),
        ("0/2", "0,2"),
        ("1 to 3", "1,2,3"),
        ("0-99", "range(0,100)"),
    ],
)
def test_several_numbers_for_one_are_spelled_as_a_sweep(typed, listed):
    message = refusal("train", f"fold={typed}")
    start = f"fold={typed} must be a whole number, such as fold=0; several are a sweep, -m "
    assert message.startswith(start)
    (word,) = shlex.split(message.removeprefix(start))
    assert word == f"fold={listed}"
    assert to_hydra("train", [word], sweep=True) == [word]


def test_thousands_with_a_comma_are_named():
    assert refusal("simulate", "test=1,000") == (
        "test=1,000 is several values, one for each job of a sweep: add -m to the command; a number is written "
        "test=1000"
    )
    assert refusal("train", "fold=0,1").endswith("add -m to the command")


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [("seed", "0x10", 16), ("data.balanced", "Yes", True), ("force", "1", True), ("force", "0", False)],
)
def test_what_has_one_meaning_is_read(key, typed, value):
    assert OmegaConf.select(compose("train", f"{key}={typed}"), key) is value or value == 16


@pytest.mark.parametrize(
    ("word", "sweep", "said"),
    [
        ("model=efnet_b1", False, ": did you mean model=effnet_b1?"),
        ("model=resnet18", False, "; any network of timm can be had by model.backbone=<its name>"),
        ("model=null", False, "; any network of timm can be had by model.backbone=<its name>"),
        ("model=effnet_b1,efnet_b2", True, ": did you mean model=effnet_b2?"),
        ("experiment=dem", False, ": did you mean experiment=demo?"),
        ("trainer=x", False, "trainer=x is none of auto, cpu, debug, gpu"),
        ("augment=", False, "augment= is none of flips, flips_affine, none"),
    ],
)
def test_choices_that_a_group_does_not_have_are_refused_with_those_that_it_has(word, sweep, said):
    message = refusal("train", word, sweep=sweep)
    group, name = word.split(",")[-1].rpartition("=")[::2]
    assert message.startswith(f"{group or 'model'}={name} is none of ")
    assert message.endswith(said)


def test_choices_of_a_group_are_read_whatever_their_case():
    words = ["model=EffNet-B1", "experiment=Demo.yaml", "trainer=CPU"]
    assert to_hydra("train", words) == ["model=effnet_b1", "experiment=demo", "trainer=cpu"]
    assert to_hydra("train", ["model=Tiny,effnet_b1"], sweep=True) == ["model=tiny,effnet_b1"]


def test_null_chooses_nothing_where_nothing_is_chosen_by_default():
    assert to_hydra("train", ["experiment=null", "fold=1"]) == ["fold=1"]
    assert to_hydra("simulate", ["preset=None"]) == []
    assert refusal("train", "experiment=null,demo", sweep=True) == (
        "experiment=null,demo: a sweep cannot choose null; start the one without experiment by itself"
    )


def test_choices_of_a_users_own_folder_are_left_to_hydra():
    words = ["hydra.searchpath=[file:///presets]", "experiment=mine"]
    assert to_hydra("train", words) == words


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data=x", "data=x: data is a group of settings, which are set one by one, as in data.root=<value>"),
        ("train_shapes=x", "train_shapes=x: train_shapes is a group of settings, which are set one by one, as in "),
    ],
)
def test_a_group_is_not_one_value(word, said):
    command = "train" if word.startswith("data") else "simulate"
    assert refusal(command, word).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("fold: one\n", "experiment/mine.yaml: fold=one must be a whole number"),
        ("data: x\n", "experiment/mine.yaml: x stands in the place of a group of settings (DataConfig)"),
        ("data: {clip: [a, b]}\n", "experiment/mine.yaml: data.clip[0]=a must be a number"),
        ("data: {n_folds: null}\n", "experiment/mine.yaml: data.n_folds=null must be a whole number"),
        ("data: {foldz: 1}\n", "experiment/mine.yaml: data.foldz is not a setting: did you mean data.folds?"),
        ("data: {clip: abc}\n", "experiment/mine.yaml: data.clip must be a list, such as data.clip=[a,b]"),
        ("force: 2\n", "experiment/mine.yaml: force=2 must be true or false"),
        ("data: {balanced: $x}\n", "experiment/mine.yaml: data.balanced=$x must be true or false"),
        ("epochs: 3\n", "experiment/mine.yaml: epochs is not a setting: --cfg job prints those that there are"),
        ("fold: ${sed}\n", "there is no setting sed, which ${sed} stands for"),
        ("defaults: [/model: huge]\n", "model=huge is none of convnext_nano, "),
    ],
)
def test_values_of_a_preset_are_refused_by_its_name(tmp_path, content, said):
    assert preset_refusal(tmp_path, content).startswith(said)


def test_a_preset_that_is_not_yaml_is_named_with_the_line(tmp_path):
    path = tmp_path / "experiment" / "mine.yaml"
    assert preset_refusal(tmp_path, "fold: 1\nseed: [1\n") == (
        f"{path}, line 4: not YAML (expected ',' or ']', but got '<stream end>'): correct that line"
    )
    assert preset_refusal(tmp_path, "fold: 1\nfold: 2\n").startswith(f"{path}, line 3: not YAML (found duplicate key")
    assert preset_refusal(tmp_path, b"exp_name: \xe9\n").startswith(f"{path}: not UTF-8 text: ")


def preset_refusal(folder, content):
    (folder / "experiment").mkdir(exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "experiment" / "mine.yaml").write_bytes(b"# @package _global_\n" + content)
    with pytest.raises(Exception) as refused:  # noqa: PT011 - of Hydra, of OmegaConf or of YAML
        OmegaConf.resolve(compose("train", f"hydra.searchpath=[file://{folder}]", "experiment=mine"))
    message = explain(refused.value)
    assert message is not None
    assert "\n" not in message
    return message
