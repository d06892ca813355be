"""Values written in another way have one meaning, on the command line, in a preset and in a call."""

import hydra
import pytest
from conftest import compose
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from seti.config.checks import exact
from seti.config.validation import check_settings
from seti.errors import SetiError
from seti.utils.processes import available_cores

WRITTEN = [
    ("train", "fold", "1.0", 1),
    ("train", "seed", "1e3", 1000),
    ("train", "seed", "1_000", 1000),
    ("train", "data.n_folds", "1e1", 10),
    ("train", "data.num_workers", "auto", available_cores()),
    ("train", "data.num_workers", "Auto", available_cores()),
    ("train", "data.num_workers", "4.0", 4),
    ("predict", "data.num_workers", "auto", available_cores()),
    ("train", "threads", "auto", None),
    ("train", "threads", "None", None),
    ("train", "early_stopping.patience", "3.0", 3),
    ("train", "early_stopping.patience", "none", None),
    ("train", "mixup.alpha", "None", None),
    ("train", "model.pool", "None", None),
    ("train", "model.weights", "None", None),
    ("train", "data.clip", "None", None),
    ("train", "data.balanced", "yes", True),
    ("train", "data.balanced", "off", False),
    ("train", "augment.roll", "5%", 0.05),
    ("train", "data.image_size", "512", [512, 512]),
    ("train", "data.image_size", "512.0", [512, 512]),
    ("train", "data.image_size", "'(512, 256)'", [512, 256]),
    ("train", "data.image_size", "'512,256'", [512, 256]),
    ("train", "data.image_size", "'[512, 256]'", [512, 256]),
    ("train", "data.image_size", "512x256", [512, 256]),
    ("train", "data.image_size", "[5e2,256.0]", [500, 256]),
    ("train", "data.image_size", "None", None),
    ("simulate", "train", "1e3", 1000),
    ("simulate", "train", "10.0", 10),
    ("simulate", "workers", "auto", None),
    ("simulate", "positives", "50%", 0.5),
    ("stack", "n_jobs", "auto", None),
]
SETTLED = [  # by the checks
    ("data.panels", "a", "A"),
    ("data.panels", "ALL", "all"),
    ("data.layout", "Channel", "channel"),
    ("data.layout", "Spatial", "spatial"),
    ("data.normalise", "Whiten", "whiten"),
    ("data.packed", "Auto", "auto"),
    ("data.packed", "true", "true"),
    ("data.packed", "off", "false"),
    ("data.on_error", "SKIP", "skip"),
    ("data.augment_on", "Host", "host"),
    ("data.batch_size", "Auto", "auto"),
    ("data.batch_size", "1e2", 100),
    ("data.batch_size", "8.0", 8),
    ("augment.inject_shapes", "[Line,SINE]", ["line", "sine"]),
    ("schedule.name", "Cosine", "cosine"),
    ("loss.name", "BCE", "bce"),
    ("optimizer.name", "AdamW", "adamw"),
    ("checkpoint.monitor", "val-AUC", "val_auc"),
    ("model.pool", "GeM", "gem"),
    ("model.backbone", "timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
    ("model.backbone", "'hf_hub:timm/resnet18.a1_in1k'", "resnet18.a1_in1k"),
    ("model.stem_stride", "1.0", 1),
    ("model.stem_stride", "1x2", [1, 2]),
    ("model.stem_stride", "'(1,2)'", [1, 2]),
    ("model.stem_stride", "None", None),
]


@pytest.mark.parametrize(("command", "key", "written", "value"), WRITTEN)
def test_a_command_line_may_write_a_value_in_another_way(command, key, written, value):
    assert OmegaConf.select(compose(command, [f"{key}={written}"]), key) == value


@pytest.mark.parametrize(("key", "written", "value"), SETTLED)
def test_the_checks_settle_what_a_word_means(key, written, value):
    cfg = compose("train", ["augment=flips", "augment.inject=0.1", f"{key}={written}"])
    check_settings(cfg)
    assert OmegaConf.select(cfg, key) == value


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("512", [512, 512]),
        ("[512, 256]", [512, 256]),
        ("(512, 256)", [512, 256]),
        ("None", None),
        ("512x256", [512, 256]),
    ],
)
def test_a_preset_may_write_values_in_another_way(tmp_path, written, size):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "seed: 1e3\n"
        "threads: None\n"
        "data:\n"
        f"  image_size: {written}\n"
        "  num_workers: auto\n"
        "  balanced: on\n"
    )
    cfg = compose("train", [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"])
    assert (cfg.seed, cfg.threads, cfg.data.image_size) == (1000, None, size)
    assert (cfg.data.num_workers, cfg.data.balanced) == (available_cores(), True)


def test_a_call_may_write_values_in_another_way():
    cfg = compose("train", [])
    cfg.data.image_size = 96
    cfg.seed = 7.0
    assert (cfg.data.image_size, cfg.seed) == ([96, 96], 7)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (("data.panels=ALL", "data.layout=CHANNEL"), "efficientnet_b1-all-channel-512x512"),
        (("data.panels=a", "data.image_size=96"), "efficientnet_b1-A-spatial-96x96"),
        (("model.backbone='hf_hub:timm/ResNet18.a1_in1k'",), "resnet18-A-spatial-512x512"),
        (("mixup.alpha=None", "data.image_size=None"), "efficientnet_b1-A-spatial-native"),
    ],
)
def test_the_folders_name_is_that_of_the_meaning(written, name):
    cfg = compose("train", list(written))
    assert cfg.exp_name == name  # as Hydra makes the folder
    check_settings(cfg)
    assert cfg.exp_name == name


@pytest.mark.parametrize(
    ("key", "written", "said"),
    [
        ("fold", "1.5", "must be a whole number"),
        ("seed", "x", "must be a whole number"),
        ("seed", "inf", "must be a whole number"),
        ("fold", "auto", "must be a whole number"),
        ("fold", "none", "must be a whole number"),
        ("data.image_size", "2.5", "data.image_size=2.5 is not [height, width] in pixels, nor null for native size"),
        ("augment.roll", "x%", "must be a number"),
    ],
)
def test_a_value_of_no_meaning_is_refused(key, written, said):
    cfg = compose("train", [])
    with pytest.raises(ValidationError) as caught:
        OmegaConf.update(cfg, key, written)
    assert said in str(caught.value)
    with pytest.raises((hydra.errors.ConfigCompositionException, SetiError)):
        compose("train", [f"{key}={written}"])


def test_a_file_of_that_name_is_not_null(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "None").write_text("")
    assert compose("train", ["model.weights=None"]).model.weights == "None"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", -1, "seed=-1 must be between 0 and 4294967295"),
        ("seed", 2**32, "seed=4294967296 must be between 0 and 4294967295"),
        ("data.fold_seed", -1, "data.fold_seed=-1 must be between 0 and 4294967295"),
        ("optimizer.lr", 0.0, "optimizer.lr=0.0 must be at least 1e-12"),
        ("ema.decay", 1.0, "ema.decay=1.0 must be between 1e-06 and 0.999999; null switches it off"),
    ],
)
def test_limits_are_shown_with_all_digits(key, value, said):
    cfg = compose("train", [])
    OmegaConf.update(cfg, key, value)
    with pytest.raises(SetiError) as caught:
        check_settings(cfg)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("number", "written"),
    [(2**32 - 1, "4294967295"), (1e6, "1000000"), (0.1, "0.1"), (-0.5, "-0.5"), (1e-12, "1e-12"), (1e300, "1e+300")],
)
def test_numbers_are_shown_exactly(number, written):
    assert exact(number) == written
