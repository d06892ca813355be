"""Settings that were typed and do nothing are named; defaults and presets are not."""

import pytest
from conftest import compose

from seti.config import idle
from seti.config.validation import check_settings


def lines(*overrides: str) -> list[str]:
    cfg = compose("train", list(overrides))
    check_settings(cfg)
    return list(idle.idle_settings(cfg, overrides))


@pytest.mark.parametrize(
    ("other", "typed", "because"),
    [
        (["schedule.name=cosine"], "schedule.pct_start=0.2", "schedule.name=cosine"),
        (["schedule.name=Cosine"], "++schedule.pct_start=0.2", "schedule.name=cosine"),
        ([], "schedule.warmup_epochs=0", "schedule.name=onecycle"),
        ([], "schedule.final_factor=0", "schedule.name=onecycle"),
        ([], "augment.inject_snr=[5,9]", "augment.inject=0 and augment.inject_decoys=0"),
        ([], "augment.inject_shapes=[sine]", "augment.inject=0 and augment.inject_decoys=0"),
        ([], "augment.inject_drift=3", "augment.inject=0 and augment.inject_decoys=0"),
        ([], "augment.inject_gap=[1,2]", "augment.inject=0 and augment.inject_decoys=0"),
        (["augment=flips"], "augment.rotate=5", "augment.affine=0"),
        (["augment=flips"], "augment.affine=0.5", "augment.shift=0, augment.scale=0 and augment.rotate=0"),
        ([], "augment.crop_scale=[0.5,1]", "augment.crop=0"),
        ([], "augment.cutout_size=[0.1,0.1]", "augment.cutout=0"),
        ([], "augment.cutout_holes=3", "augment.cutout=0"),
        ([], "mixup.label=interpolate", "mixup.alpha=null and mixup.cutmix=null"),
        ([], "loss.gamma=null", "loss.name=bce"),
        ([], "early_stopping.min_delta=0.01", "early_stopping.patience=null"),
        (["watch.after=null"], "watch.auc_margin=0.1", "watch.after=null"),
        (["data.packed=no"], "data.pack_dir=packs", "data.packed=false"),
        ([], "data.uncleaned=0.5", "data.root=data is not of seti twins clean=<folder>"),
        ([], "data.dedoppler.drifts=9", "data.layout=spatial"),
        (["data.image_size=null"], "data.interpolation=area", "data.image_size=null"),
        (["model.weights=w.pth"], "model.pretrained=true", "model.weights=<file>"),
        (["model.freeze_backbone=true"], "model.compile=true", "model.freeze_backbone=true"),
        ([], "lr_range.steps=50", "lr_range_test=false"),
        (["lr_range_test=true"], "optimizer.lr=1e-3", "lr_range_test=true"),
        (["lr_range_test=true"], "schedule.div_factor=3", "lr_range_test=true"),
        (["lr_range_test=true"], "ema.decay=0.9", "lr_range_test=true"),
        (["lr_range_test=true"], "trainer.max_epochs=3", "lr_range_test=true"),
        (["lr_range_test=true"], "retries=3", "lr_range_test=true"),
    ],
)
def test_a_typed_setting_without_effect_is_named_with_the_reason(other, typed, because):
    assert lines(*other, typed) == [f"{typed.lstrip('+')} does nothing: {because}"]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["schedule.pct_start=0.2"],
        ["schedule.name=cosine", "schedule.warmup_epochs=1"],
        ["experiment=best_cpu", "schedule.name=cosine"],  # its pct_start was not typed
        ["experiment=best_clean_cpu"],  # as is its data.uncleaned
        ["experiment=best_cpu", "augment.inject=0", "augment.inject_decoys=0"],
        ["augment.inject=0.1", "augment.inject_snr=[5,9]"],
        ["augment.rotate=5"],
        ["mixup.cutmix=1", "mixup.label=union"],
        ["lr_range_test=true", "lr_range.steps=50", "optimizer.weight_decay=0", "mixup.alpha=1", "data.batch_size=8"],
        ["experiment=scratch_cpu", "data.dedoppler.drifts=9", "fold=1"],
        ["model.weights=w.pth", "model.pretrained=false"],
        ["data.pack_dir=packs"],
        ["data.image_size=64", "data.interpolation=area"],
    ],
)
def test_what_works_and_what_was_not_typed_is_not_named(overrides):
    assert lines(*overrides) == []


@pytest.mark.parametrize("command", idle.RULES)
def test_every_rule_names_settings_that_exist(command):
    cfg = compose(command, ["preset=cadence"] if command == "simulate" else [])
    for keys, _, _ in idle.RULES[command]:
        for key in keys:
            section = cfg
            for name in key.removesuffix(".*").split("."):
                assert name in section, key
                section = section[name]


def test_a_setting_that_is_given_twice_says_which_one_counts():
    words = ["fold=0", "seed=3", "++fold=1", "seed=3"]
    assert list(idle.idle_settings(compose("train", []), words)) == ["fold=0 does nothing: ++fold=1 comes later"]


@pytest.mark.parametrize(
    ("command", "typed", "line"),
    [
        ("predict", ["device=cpu", "data.num_workers=3"], "data.num_workers=3 does nothing: device=cpu"),
        ("predict", ["data.packed=false", "data.pack_dir=p"], "data.pack_dir=p does nothing: data.packed=false"),
        ("predict", ["data.pack_dir=p", "data.num_workers=3"], None),
        ("predict", ["average=mean", "average=rank"], "average=mean does nothing: average=rank comes later"),
        ("baseline", ["out=x"], "out=x does nothing: score=brightness"),
        ("baseline", ["data.n_folds=3"], "data.n_folds=3 does nothing: score=brightness"),
        ("baseline", ["score=residual", "data.n_folds=3", "out=x"], None),
        (
            "baseline",
            ["score=residual", "data.folds=column", "data.groups=auto"],
            "data.groups=auto does nothing: data.folds=column",
        ),
        ("show", ["ckpt_dir=a", "out=x"], "out=x does nothing: ids=[] and labels=null"),
        ("show", ["ids=[a]", "out=x"], None),
        ("inject", ["decoy_snr=[3,4]"], "decoy_snr=[3,4] does nothing: decoys=0"),
        ("inject", ["needles=0", "snr=[3,4]"], "snr=[3,4] does nothing: needles=0"),
        ("simulate", ["cadence.rows=8"], "cadence.rows=8 does nothing: product=snippets"),
        ("simulate", ["observation.rows=8"], "observation.rows=8 does nothing: product=snippets"),
        ("simulate", ["preset=cadence", "train=8"], "train=8 does nothing: product=cadence"),
        ("simulate", ["preset=cadence", "decoys.off_only=0"], "decoys.off_only=0 does nothing: product=cadence"),
        ("simulate", ["product=Cadence", "train=8"], "train=8 does nothing: product=cadence"),
        ("simulate", ["preset=observation", "complete=1"], "complete=1 does nothing: product=observation"),
        ("simulate", ["preset=cadence", "cadence.rows=8", "snr=[5,6]", "seed=3"], None),
        ("simulate", ["preset=observation", "observation.rows=8", "train=8"], None),
        ("simulate", ["shared_backgrounds=0", "fields.rfi=2"], "fields.rfi=2 does nothing: shared_backgrounds=0"),
        ("simulate", ["fields.rfi=2", "train=8", "decoys.off_only=0"], None),
        ("stack", ["seed=3", "seed=4"], "seed=3 does nothing: seed=4 comes later"),
    ],
)
def test_other_commands_name_them_too(command, typed, line):
    found = list(idle.idle_settings(compose(command, typed), typed, command))
    assert found == ([] if line is None else [line])


def test_settings_of_sweeps_do_nothing_without_one():
    words = ["hydra/launcher=ray", "hydra.launcher.n_jobs=2", "+hydra.launcher.x=1", "hydra.sweep.dir=a"]
    assert list(idle.idle_without_sweep([*words, "hydra.run.dir=b", "hydra.verbose=true"])) == [
        f"{word} does nothing without -m" for word in words
    ]
