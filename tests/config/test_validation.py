import math
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from seti.config.validation import check_settings
from seti.errors import SetiError
from seti.models import optimiser

CONF = Path(__file__).parents[2] / "conf"


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


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("data.panels", "B", "none of A, all"),
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
        ("exp_name", "stack", "it is the stack's own folder; use another name"),
        ("exp_name", "mlruns", "it is the folder of logger=mlflow; use another name"),
        ("exp_name", "wandb", "it is the folder of logger=wandb; use another name"),
        ("exp_name", "WandB", "it is the folder of logger=wandb; use another name"),
        ("fold", -1, "none of the 5 folds"),
        ("fold", 5, "use 0..4"),
        ("data.n_folds", 1, "at least 2"),
        ("data.image_size", [512], "[height, width]"),
        ("data.image_size", [], "[height, width]"),
        ("data.image_size", [1, 2, 3], "[height, width]"),
        ("data.image_size", [0, 512], "[height, width]"),
        ("data.image_size", [512, -1], "[height, width]"),
        ("data.batch_size", 0, "at least 1, or auto"),
        ("data.batch_size", "many", "must be a whole number of at least 1, or auto"),
        ("data.batch_size", "", "must be a whole number of at least 1, or auto"),
        ("data.batch_size", 1.5, "must be a whole number of at least 1, or auto"),
        ("data.batch_size", True, "must be a whole number of at least 1, or auto"),
        ("data.batch_size", None, "must be a whole number of at least 1, or auto"),
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
        ("augment.crop", 1.1, "between 0 and 1"),
        ("augment.crop_scale", [0.9, 0.2], "[low, high]"),
        ("augment.crop_scale", [0.5], "[low, high]"),
        ("augment.crop_scale", [0.0, 0.5], "in 0.01..1"),
        ("augment.crop_scale", [0.5, 1.2], "in 0.01..1"),
        ("augment.crop_scale", [math.nan, 1.0], "in 0.01..1"),
        ("augment.cutout", -0.1, "between 0 and 1"),
        ("augment.cutout_size", [0.2], "[height, width]"),
        ("augment.cutout_size", [0.0, 0.2], "above 0 and up to 1"),
        ("augment.cutout_size", [0.2, 1.1], "above 0 and up to 1"),
        ("augment.cutout_holes", 0, "at least 1; augment.cutout=0 switches"),
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
        ("schedule.name", "linear", "none of onecycle, cosine"),
        ("schedule.warmup_epochs", -1.0, "at least 0"),
        ("schedule.final_factor", 1.5, "between 0 and 1"),
        ("optimizer.layer_decay", 0.0, "null gives all layers one rate"),
        ("optimizer.layer_decay", 1.0, "between 0.001 and 0.999"),
        ("loss.name", "hinge", "none of bce, focal"),
        ("loss.smoothing", 1.0, "between 0 and 0.99"),
        ("loss.smoothing", -0.1, "between 0 and 0.99"),
        ("loss.pos_weight", 0.0, "null weighs both classes the same"),
        ("loss.pos_weight", math.inf, "finite"),
        ("ema.decay", 0.0, "null switches it off"),
        ("ema.decay", 1.0, "null switches it off"),
        ("model.pool", "max", "none of gem; null keeps the network's own"),
        ("model.drop_rate", 1.0, "between 0 and 0.99; null leaves it to timm"),
        ("model.drop_path", -0.1, "between 0 and 0.99; null leaves it to timm"),
        ("model.stem_stride", 3, "none of 1, 2, [1,2] (time, frequency), [2,1]; null keeps"),
        ("model.head_epochs", -1, "at least 0"),
        ("threads", 0, "at least 1; null leaves the choice to torch"),
        ("mixup.alpha", 0.0, "null switches mixup off"),
        ("mixup.alpha", -1.0, "null switches mixup off"),
        ("mixup.cutmix", 0.0, "null switches cutmix off"),
        ("mixup.cutmix", math.inf, "finite"),
        ("mixup.label", "sum", "none of interpolate, union"),
        ("mixup.off_last", 1.1, "between 0 and 1"),
        ("mixup.off_last", -0.1, "between 0 and 1"),
        ("early_stopping.patience", 0, "null switches it off"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(defaults, key, value, wanted):
    message = refusal(changed(defaults, **{key.replace(".", "__"): value}))
    said = repr(value) if key == "exp_name" else "null" if value is None else str(value)
    said = said.lower() if isinstance(value, bool) else said
    assert f"{key}={said} " in message
    assert wanted in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data__panels", "all"),
        ("data__layout", "channel"),
        ("data__interpolation", "area"),
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
        ("model__pool", "gem"),
        ("model__drop_rate", 0.0),
        ("model__drop_path", 0.99),
        ("model__stem_stride", 1),
        ("model__head_epochs", 9),
        ("optimizer__layer_decay", 0.999),
        ("optimizer__name", "radam"),
        ("loss__smoothing", 0.99),
        ("loss__pos_weight", 1e-6),
        ("ema__decay", 0.9999),
        ("threads", 1),
        ("mixup__alpha", 1e-6),
        ("mixup__alpha", 100.0),
        ("mixup__cutmix", 1e-6),
        ("augment__crop", 1.0),
        ("augment__crop_scale", [0.01, 0.01]),
        ("augment__crop_scale", [1.0, 1.0]),
        ("augment__cutout", 1.0),
        ("augment__cutout_size", [1.0, 1e-3]),
        ("early_stopping__patience", 1),
    ],
)
def test_a_setting_at_the_edge_of_its_range_passes(defaults, key, value):
    check_settings(changed(defaults, **{key: value}))


def test_either_monitor_goes_with_its_own_mode(defaults):
    check_settings(changed(defaults, checkpoint__monitor="val_loss", checkpoint__mode="min"))
    check_settings(changed(defaults, checkpoint__monitor="val_auc", checkpoint__mode="max"))


def test_yaml_reads_on_as_true_and_the_message_says_so():
    assert "YAML reads a bare `on` as true" in refusal(composed("data.panels=on"))
    assert "YAML" not in refusal(composed("data.panels=B"))


@pytest.mark.parametrize("name", ["alpha", "cutmix"])
def test_mixing_needs_two_cadences_a_batch(defaults, name):
    message = refusal(changed(defaults, **{f"mixup__{name}": 0.1}, data__batch_size=1))
    assert message.startswith(f"mixup.{name} mixes the cadences of a batch, and data.batch_size=1 holds one")
    assert f"mixup.{name}=null" in message
    check_settings(changed(defaults, **{f"mixup__{name}": 0.1}, data__batch_size="auto"))


@pytest.mark.parametrize("on", [{"alpha": 0.5}, {"cutmix": 1.0}, {"alpha": 0.5, "cutmix": 1.0}])
def test_mixing_that_is_off_in_all_epochs_is_a_contradiction(defaults, on):
    values = {f"mixup__{name}": value for name, value in on.items()}
    message = refusal(changed(defaults, **values, mixup__off_last=1.0))
    assert message.startswith("mixup.off_last=1 leaves no epoch for mixup.")
    for name, value in on.items():
        assert f"mixup.{name}={value:g}" in message
        assert f"mixup.{name}=null" in message
    check_settings(changed(defaults, **values, mixup__off_last=0.99))


@pytest.mark.parametrize(
    ("name", "value", "back"),
    [("label", "union", "interpolate"), ("restandardise", True, "false"), ("off_last", 0.2, "0.0")],
)
def test_how_to_mix_says_nothing_where_nothing_is_mixed(defaults, name, value, back):
    message = refusal(changed(defaults, **{f"mixup__{name}": value}))
    assert message.startswith(f"mixup.{name}={str(value).lower()} does nothing while mixup.alpha and mixup.cutmix are")
    assert message.endswith(f"or mixup.{name}={back}")
    for on in ("alpha", "cutmix"):
        check_settings(changed(defaults, **{f"mixup__{name}": value, f"mixup__{on}": 1.0}))


def test_a_crop_that_keeps_everything_is_a_contradiction(defaults):
    message = refusal(changed(defaults, augment__crop=0.5, augment__crop_scale=[1.0, 1.0]))
    assert "augment.crop=0.5" in message
    assert "augment.crop_scale=[1.0, 1.0]" in message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model__head_epochs": 10}, ("model.head_epochs=10", "trainer.max_epochs=10")),
        (
            {"model__head_epochs": 1, "trainer__max_epochs": 1},
            ("model.head_epochs=1", "set model.head_epochs=0, raise"),
        ),
        ({"model__head_epochs": 2, "model__freeze_backbone": True}, ("model.head_epochs=2", "freeze_backbone=true")),
        ({"model__drop_path": 0.1, "model__freeze_backbone": True}, ("model.drop_path=0.1", "freeze_backbone=true")),
        ({"model__drop_rate": 0.1, "model__freeze_backbone": True}, ("model.drop_rate=0.1", "freeze_backbone=true")),
        ({"optimizer__layer_decay": 0.8, "model__freeze_backbone": True}, ("layer_decay=0.8", "freeze_backbone=true")),
        ({"optimizer__layer_decay": 0.8, "lr_range_test": True}, ("optimizer.layer_decay=0.8", "lr_range_test=true")),
        (
            {"schedule__name": "cosine", "schedule__warmup_epochs": 10},
            ("schedule.warmup_epochs=10", "trainer.max_epochs=10"),
        ),
        ({"schedule__warmup_epochs": 1}, ("schedule.warmup_epochs=1", "schedule.name=onecycle")),
        ({"schedule__final_factor": 0.1}, ("schedule.final_factor=0.1", "schedule.name=onecycle")),
        ({"loss__gamma": 2.0}, ("loss.gamma=2", "loss.name=bce")),
        ({"checkpoint__mode": "min"}, ("checkpoint.mode=min", "checkpoint.monitor=val_auc", "checkpoint.mode=max")),
        ({"checkpoint__monitor": "val_loss"}, ("checkpoint.mode=max", "checkpoint.monitor=val_loss", "mode=min")),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(defaults, values, said):
    message = refusal(changed(defaults, **values))
    assert all(part in message for part in said)
    assert any(word in message for word in ("set ", "lower it"))


@pytest.mark.parametrize(
    ("name", "near"), [("radm", "radam"), ("adamww", "adamw"), ("adahessian", "adan"), ("lookahead_adma", "adamax")]
)
def test_an_unknown_optimiser_gets_the_nearest(defaults, name, near):
    message = refusal(changed(defaults, optimizer__name=name))
    assert f"optimizer.name={name} is not a first-order optimiser of timm" in message
    assert near in message.split("similar names: ")[1].split(", ")


def test_an_optimiser_that_this_machine_lacks_is_refused(defaults, monkeypatch):
    def fail(*args, **options):
        msg = "package\nis missing"
        raise ImportError(msg)

    monkeypatch.setattr(optimiser, "create_optimizer_v2", fail)
    message = refusal(changed(defaults, optimizer__name="lamb"))
    assert message.startswith("optimizer.name=lamb cannot be created on this machine (package is missing)")


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


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data__layout": "dedoppler"}, ("data.layout=dedoppler", "data.normalise=none", "whiten")),
        (
            {"data__layout": "dedoppler", "data__normalise": "whiten"},  # the reference's augmentations
            ("augment.affine=0.5", "data.layout=dedoppler", "augment.roll"),
        ),
        ({"augment__inject": 0.6, "augment__inject_decoys": 0.5}, ("augment.inject=0.6", "augment.inject_decoys=0.5")),
        ({"augment__inject_decoys": 0.1}, ("augment.inject_decoys=0.1", "data.panels=A", "data.panels=all")),
        ({"augment__shuffle_off": 1.0}, ("augment.shuffle_off=1", "data.panels=A")),
        ({"augment__inject_shapes": ["line", "spiral"]}, ("augment.inject_shapes=spiral", "wiggle")),
        ({"augment__inject_snr": [50, 10]}, ("augment.inject_snr=[50", "[lowest, highest]")),
        ({"data__clip": [1, -1]}, ("data.clip=[1", "[lowest, highest]")),
        ({"data__clip": [5, 5]}, ("data.clip=[5", "leaves one value", "null")),
        ({"data__dedoppler__max_drift": 1e9}, ("data.dedoppler.max_drift=1000000000.0", "1000, bins a panel")),
        ({"data__dedoppler__gap": [0, 1e12]}, ("data.dedoppler.gap=[0", "from 0 to 1000")),
        ({"augment__inject_drift": 1e9}, ("augment.inject_drift=1000000000.0", "1000, bins a panel")),
        ({"augment__inject_gap": [0, 1e12]}, ("augment.inject_gap=[0", "from 0 to 1000")),
        ({"data__normalise": "mad"}, ("data.normalise=mad", "robust")),
        ({"data__dedoppler__gap": [-1, 2]}, ("data.dedoppler.gap=[-1", "rows between two panels")),
        ({"augment__roll": 0.6}, ("augment.roll=0.6", "0.5")),
    ],
)
def test_inputs_that_cannot_work_are_refused_with_a_way_out(defaults, values, said):
    message = refusal(changed(defaults, **values))
    assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("+augment.swap_of=0.5", "augment.swap_of is not a setting: did you mean augment.swap_off?"),
        ("+data.dedoppler.drift=3", "data.dedoppler.drift is not a setting: did you mean data.dedoppler.drifts?"),
        ("+zeal=1", "zeal is not a setting: --cfg job prints those that there are"),
    ],
)
def test_settings_that_nothing_reads_are_refused(added, message):
    assert refusal(composed(added)) == message
    check_settings(composed("+trainer.limit_val_batches=3"))  # Lightning's own
