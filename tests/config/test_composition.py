"""Composition of training: choices of every group, presets, and names."""

import pytest
from omegaconf import OmegaConf
from test_validation import CONF, composed
from unit_helpers import NO_AUGMENT

from seti.config.schema import default_exp_name, job_suffix, plain
from seti.config.validation import check_settings

OPTIMIZER = {"name": "adamw", "lr": 6e-4, "weight_decay": 1e-2, "layer_decay": None}
SCHEDULE = {"name": "onecycle", "pct_start": 0.1, "div_factor": 6.0, "warmup_epochs": 0.0, "final_factor": 0.0}
OFF = {"pool": None, "drop_rate": None, "drop_path": None, "stem_stride": None, "head_epochs": 0}
NO_MIXING = {"alpha": None, "label": "interpolate", "cutmix": None, "restandardise": False, "off_last": 0.0}
GROUPS = {
    group: sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in ("model", "augment", "trainer", "experiment")
}


@pytest.fixture(scope="module")
def defaults():
    return composed()


@pytest.mark.parametrize(("group", "choice"), [(group, choice) for group in GROUPS for choice in GROUPS[group]])
def test_every_choice_of_every_group_composes_and_passes(group, choice):
    # Released networks know the images of their presets alone.
    preset = ["experiment=fine_tune"] if choice == "needle_net_released" else []
    cfg = composed(*preset, f"{group}={choice}")
    assert plain(cfg)["exp_name"]
    assert not OmegaConf.missing_keys(cfg)
    check_settings(cfg)


def test_the_groups_hold_what_they_promise():
    assert set(GROUPS["model"]) >= {"effnet_b1", "tiny"}
    assert set(GROUPS["augment"]) >= {"none", "flips", "flips_affine"}
    assert set(GROUPS["trainer"]) >= {"auto", "cpu", "gpu", "debug"}
    assert set(GROUPS["experiment"]) >= {"reference_b1", "reference_b1_mixup"}


def test_prediction_needs_its_experiment_alone():
    assert OmegaConf.missing_keys(composed(name="predict")) == {"ckpt_dir"}


def test_defaults_are_the_references_numbers(defaults):
    settings = plain(defaults)
    assert settings["schedule"] == SCHEDULE
    assert settings["optimizer"] == OPTIMIZER
    assert settings["data"]["n_folds"] == 5
    assert settings["mixup"] == NO_MIXING
    assert settings["loss"] == {"name": "bce", "gamma": None, "smoothing": 0.0, "pos_weight": None}
    assert settings["ema"] == {"decay": None}
    assert {key: settings["model"][key] for key in OFF} == OFF
    assert settings["data"]["fold_seed"] == settings["seed"]


@pytest.mark.parametrize(("preset", "alpha"), [("reference_b1", None), ("reference_b1_mixup", 0.1)])
@pytest.mark.parametrize("other", [(), ("model=tiny", "augment=none")])
def test_reference_presets_carry_its_recipe_whatever_was_chosen_before(preset, alpha, other):
    settings = plain(composed(f"experiment={preset}"))
    assert settings["exp_name"] == preset
    assert settings["model"]["backbone"] == "efficientnet_b1.ft_in1k"
    assert settings["model"]["pretrained"] is True
    assert settings["model"]["freeze_backbone"] is False
    assert {key: settings["model"][key] for key in OFF} == OFF
    data = {key: settings["data"][key] for key in ("panels", "layout", "image_size", "batch_size", "n_folds")}
    assert data == {"panels": "A", "layout": "spatial", "image_size": [512, 512], "batch_size": 32, "n_folds": 5}
    assert settings["augment"] == NO_AUGMENT | {
        "flip_frequency": 0.5,
        "flip_time": 0.5,
        "affine": 0.5,
        "shift": 0.1,
        "scale": 0.1,
        "rotate": 10.0,
    }
    assert settings["trainer"]["max_epochs"] == 10
    assert settings["optimizer"] == OPTIMIZER
    assert settings["schedule"] == SCHEDULE
    assert settings["mixup"] == NO_MIXING | {"alpha": alpha}


def test_a_preset_gives_way_to_the_command_line():
    cfg = composed("experiment=reference_b1_mixup", "mixup.alpha=0.4", "data.batch_size=8", "exp_name=mine")
    assert (cfg.mixup.alpha, cfg.data.batch_size, cfg.exp_name) == (0.4, 8, "mine")


def test_trainer_choices_differ_where_they_say():
    trainers = {choice: plain(composed(f"trainer={choice}"))["trainer"] for choice in ("auto", "cpu", "gpu", "debug")}
    assert [trainers[choice]["accelerator"] for choice in trainers] == ["auto", "cpu", "gpu", "cpu"]
    assert trainers["debug"]["max_epochs"] == 1
    assert trainers["auto"]["max_epochs"] == 10
    assert trainers["gpu"]["precision"] == "16-mixed"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("efficientnet_b1.ft_in1k", "A", "spatial", [512, 512], 0.1), "efficientnet_b1-A-spatial-512x512-mixup0.1"),
        (("test_resnet", "all", "channel", None, None), "test_resnet-all-channel-native"),
        (("a.b.c", "A", "spatial", [96, 128], 1.0), "a-A-spatial-96x128-mixup1"),
    ],
)
def test_default_exp_name(arguments, name):
    assert default_exp_name(*arguments) == name


def test_exp_name_follows_the_settings():
    cfg = composed("model=tiny", "data.panels=all", "data.layout=channel", "data.image_size=[64,32]", "mixup.alpha=0.2")
    assert cfg.exp_name == "test_resnet-all-channel-64x32-mixup0.2"
    assert composed("data.image_size=null").exp_name == "efficientnet_b1-A-spatial-native"


@pytest.mark.parametrize(
    ("lr_range_test", "overrides", "suffix"),
    [
        (False, "data.batch_size=16", ""),
        (True, "", "/lr_range/default"),
        (True, "data.batch_size=16__optimizer.lr=1e-3", "/lr_range/data.batch_size=16__optimizer.lr=1e-3"),
        (True, "a=[1,2] b/../c", "/lr_range/a=_1,2__b_.._c"),
    ],
)
def test_job_suffix(lr_range_test, overrides, suffix):
    assert job_suffix(lr_range_test, overrides) == suffix


def test_long_job_suffixes_fit_into_a_folders_name_and_stay_apart():
    suffixes = [job_suffix(True, "x" * 300 + end) for end in ("a", "b")]
    assert suffixes[0] != suffixes[1]
    assert all(len(suffix.rsplit("/", 1)[1]) < 256 for suffix in suffixes)


def test_plain_is_plain():
    settings = plain(composed("data.image_size=[8,9]"))

    def check(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    check(settings)
    assert settings["data"]["image_size"] == [8, 9]
