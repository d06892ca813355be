import math
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from seti.config import check_settings, default_exp_name, job_suffix, plain
from seti.errors import SetiError

CONF = Path(__file__).parents[1] / "conf"
GROUPS = {
    group: sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in ("model", "augment", "trainer", "experiment")
}


def composed(*overrides: str, name: str = "train"):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def refusal(cfg) -> str:
    with pytest.raises(SetiError) as caught:
        check_settings(cfg)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def defaults():
    return composed()


def changed(cfg, **values):
    """A copy with other values under dotted keys, written with __ for the dot."""
    copy = cfg.copy()
    for key, value in values.items():
        OmegaConf.update(copy, key.replace("__", "."), value)
    return copy


@pytest.mark.parametrize(("group", "choice"), [(group, choice) for group in GROUPS for choice in GROUPS[group]])
def test_every_choice_of_every_group_composes_and_passes(group, choice):
    cfg = composed(f"{group}={choice}")
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
    assert settings["schedule"] == {"pct_start": 0.1, "div_factor": 6.0}
    assert settings["optimizer"] == {"lr": 6e-4, "weight_decay": 1e-2}
    assert settings["data"]["n_folds"] == 5
    assert settings["mixup"] == {"alpha": None}
    assert settings["data"]["fold_seed"] == settings["seed"]


@pytest.mark.parametrize(("preset", "alpha"), [("reference_b1", None), ("reference_b1_mixup", 0.1)])
@pytest.mark.parametrize("other", [(), ("model=tiny", "augment=none")])
def test_reference_presets_carry_its_recipe_whatever_was_chosen_before(preset, alpha, other):
    settings = plain(composed(f"experiment={preset}"))
    assert settings["exp_name"] == preset
    assert settings["model"]["backbone"] == "efficientnet_b1.ft_in1k"
    assert settings["model"]["pretrained"] is True
    assert settings["model"]["freeze_backbone"] is False
    data = {key: settings["data"][key] for key in ("panels", "layout", "image_size", "batch_size", "n_folds")}
    assert data == {"panels": "A", "layout": "spatial", "image_size": [512, 512], "batch_size": 32, "n_folds": 5}
    assert settings["augment"] == {
        "flip_frequency": 0.5,
        "flip_time": 0.5,
        "affine": 0.5,
        "shift": 0.1,
        "scale": 0.1,
        "rotate": 10.0,
    }
    assert settings["trainer"]["max_epochs"] == 10
    assert settings["optimizer"] == {"lr": 6e-4, "weight_decay": 1e-2}
    assert settings["schedule"] == {"pct_start": 0.1, "div_factor": 6.0}
    assert settings["mixup"] == {"alpha": alpha}


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


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("data.panels", "B", "none of A, all"),
        ("data.panels", "a", "none of A, all"),
        ("data.layout", "stacked", "none of spatial, channel"),
        ("data.interpolation", "cubic", "none of linear, area"),
        ("checkpoint.mode", "best", "none of min, max"),
        ("checkpoint.monitor", "auc", "none of val_auc, val_loss"),
        ("exp_name", "", "cannot name a folder"),
        ("exp_name", "..", "cannot name a folder"),
        ("exp_name", ".hidden", "cannot name a folder"),
        ("exp_name", "a/b", "cannot name a folder"),
        ("exp_name", "a b", "cannot name a folder"),
        ("exp_name", "a\n", "cannot name a folder"),
        ("exp_name", "stack", "cannot name a folder"),
        ("fold", -1, "none of the 5 folds"),
        ("fold", 5, "use 0..4"),
        ("data.n_folds", 1, "at least 2"),
        ("data.image_size", [512], "[height, width]"),
        ("data.image_size", [], "[height, width]"),
        ("data.image_size", [1, 2, 3], "[height, width]"),
        ("data.image_size", [0, 512], "[height, width]"),
        ("data.image_size", [512, -1], "[height, width]"),
        ("data.batch_size", 0, "at least 1, or auto"),
        ("data.batch_size", "many", "at least 1, or auto"),
        ("data.batch_size", "Auto", "at least 1, or auto"),
        ("data.batch_size", 1.5, "at least 1, or auto"),
        ("data.batch_size", True, "at least 1, or auto"),
        ("data.batch_size", None, "at least 1, or auto"),
        ("data.num_workers", -1, "at least 0"),
        ("augment.flip_frequency", 1.1, "between 0 and 1"),
        ("augment.flip_time", -0.1, "between 0 and 1"),
        ("augment.affine", math.nan, "between 0 and 1"),
        ("augment.shift", 1.5, "between 0 and 1"),
        ("augment.shift", -0.1, "between 0 and 1"),
        ("augment.scale", 1.0, "between 0 and 0.99"),
        ("augment.scale", -0.1, "between 0 and 0.99"),
        ("augment.rotate", 181.0, "between 0 and 180"),
        ("augment.rotate", -1.0, "between 0 and 180"),
        ("optimizer.lr", 0.0, "at least 1e-12"),
        ("optimizer.lr", -1e-3, "at least 1e-12"),
        ("optimizer.lr", math.nan, "at least 1e-12"),
        ("optimizer.lr", math.inf, "finite"),
        ("optimizer.weight_decay", -0.1, "at least 0"),
        ("optimizer.weight_decay", math.nan, "at least 0"),
        ("optimizer.weight_decay", math.inf, "finite"),
        ("schedule.pct_start", 1.1, "between 0 and 0.99"),
        ("schedule.pct_start", -0.1, "between 0 and 0.99"),
        ("schedule.div_factor", 0.5, "at least 1"),
        ("threads", 0, "at least 1; null leaves the choice to torch"),
        ("mixup.alpha", 0.0, "null switches mixup off"),
        ("mixup.alpha", -1.0, "null switches mixup off"),
        ("early_stopping.patience", 0, "null switches it off"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(defaults, key, value, wanted):
    message = refusal(changed(defaults, **{key.replace(".", "__"): value}))
    said = repr(value) if key == "exp_name" else str(value)
    assert f"{key}={said} " in message
    assert wanted in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data__panels", "all"),
        ("data__layout", "channel"),
        ("data__interpolation", "area"),
        ("checkpoint__mode", "min"),
        ("checkpoint__monitor", "val_loss"),
        ("exp_name", "a-b_c.d+e=f,g"),
        ("fold", 4),
        ("data__n_folds", 2),
        ("data__image_size", None),
        ("data__image_size", [1, 1]),
        ("data__batch_size", 1),
        ("data__batch_size", "auto"),
        ("data__num_workers", 0),
        ("augment__flip_time", 1.0),
        ("augment__shift", 1.0),
        ("augment__scale", 0.99),
        ("augment__rotate", 180.0),
        ("optimizer__weight_decay", 0.0),
        ("schedule__pct_start", 0.0),
        ("schedule__pct_start", 0.99),
        ("schedule__div_factor", 1.0),
        ("threads", 1),
        ("mixup__alpha", 1e-6),
        ("early_stopping__patience", 1),
    ],
)
def test_a_setting_at_the_edge_of_its_range_passes(defaults, key, value):
    check_settings(changed(defaults, **{key: value}))


def test_yaml_reads_on_as_true_and_the_message_says_so():
    assert "YAML reads a bare `on` as true" in refusal(composed("data.panels=on"))
    assert "YAML" not in refusal(composed("data.panels=B"))


def test_mixup_needs_two_cadences_a_batch(defaults):
    message = refusal(changed(defaults, mixup__alpha=0.1, data__batch_size=1))
    assert "mixup.alpha" in message
    assert "data.batch_size=1" in message
    check_settings(changed(defaults, mixup__alpha=0.1, data__batch_size="auto"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lr_range__steps": 4}, "lr_range.steps=4 "),
        ({"lr_range__min_lr": 0.0}, "lr_range.min_lr=0.0 "),
        ({"lr_range__min_lr": 0.1, "lr_range__max_lr": 0.01}, "lr_range.min_lr=0.1 "),
        ({"lr_range__max_lr": math.inf}, "lr_range.max_lr=inf "),
        ({"lr_range__max_lr": math.nan}, "lr_range.max_lr=nan "),
    ],
)
def test_the_range_tests_settings_matter_when_it_runs(defaults, values, said):
    assert said in refusal(changed(defaults, lr_range_test=True, **values))
    check_settings(changed(defaults, **values))


@pytest.mark.parametrize(
    "override", ["data.n_folds=many", "fold=1.5", "seed=x", "optimizer.lr=fast", "data.bins=3", "batch_size=3"]
)
def test_wrong_types_and_unknown_keys_are_refused_when_composing(override):
    with pytest.raises(ConfigCompositionException):
        composed(override)
