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
        ([], "data.dedoppler.drifts=9", "data.layout=spatial"),
        (["data.image_size=null"], "data.interpolation=area", "data.image_size=null"),
        (["model.weights=w.pth"], "model.pretrained=true", "model.weights=<file>"),
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


def test_every_rule_names_settings_that_exist():
    cfg = compose("train", [])
    for keys, _, _ in idle.RULES:
        for key in keys:
            section = cfg
            for name in key.removesuffix(".*").split("."):
                assert name in section, key
                section = section[name]


def test_a_setting_that_is_given_twice_says_which_one_counts():
    words = ["fold=0", "seed=3", "++fold=1", "seed=3"]
    assert list(idle.idle_settings(compose("train", []), words)) == ["fold=0 does nothing: ++fold=1 comes later"]
