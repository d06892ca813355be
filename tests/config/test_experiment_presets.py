"""Every recipe of `conf/experiment`: its settings hold together, and it takes a step."""

from pathlib import Path

import pytest
from conftest import compose

from seti.config.schema import plain
from seti.config.validation import check_settings
from seti.training import fold

PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "experiment").glob("*.yaml"))
# Of the same family, with all that can be set on it.
SMALL = {
    "place1_nfnet": "test_nfnet",
    "place2_b5": "test_efficientnet",
    "place3_b4": "test_efficientnet",
    "place4_regnet": "test_nfnet",
    "place5_nfnet": "test_nfnet",
    "reference_b1": "test_efficientnet",
    "reference_b1_mixup": "test_efficientnet",
}
ONE_STEP = (
    "model.pretrained=false",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=1",
    "trainer.accumulate_grad_batches=1",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.precision=32",
    "data.n_folds=2",
    "data.num_workers=0",
    "data.batch_size=4",
    "threads=1",
)


def overrides(preset: str, data_root, outputs) -> list[str]:
    cfg = compose("train", [f"experiment={preset}"])
    planes = ["data.dedoppler.drifts=9"] if cfg.data.layout == "dedoppler" else ["data.image_size=[64,64]"]
    planes = [] if cfg.model.weights else planes  # the released networks know one size
    planes += ["schedule.warmup_epochs=0"] if cfg.schedule.warmup_epochs else []
    return [f"experiment={preset}", *ONE_STEP, *planes, f"data.root={data_root}", f"output_dir={outputs}"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_together(preset):
    cfg = compose("train", [f"experiment={preset}"])
    check_settings(cfg)
    assert cfg.exp_name == preset or preset == "demo"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_takes_a_step(preset, data_root, outputs):
    small = [f"model.backbone={SMALL[preset]}"] if preset in SMALL else []
    assert 0 <= fold.train(compose("train", [*overrides(preset, data_root, outputs), *small])) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("preset", SMALL)
def test_a_preset_takes_a_step_with_its_own_network(preset, data_root, outputs):
    assert 0 <= fold.train(compose("train", overrides(preset, data_root, outputs))) <= 1


def test_what_the_winners_published():
    first, second, third = (
        plain(compose("train", [f"experiment={name}"])) for name in ("place1_nfnet", "place2_b5", "place3_b4")
    )
    assert first["model"]["backbone"].startswith("eca_nfnet_l2")
    assert first["mixup"] == {
        "alpha": 5.0,
        "label": "union",
        "cutmix": None,
        "restandardise": True,
        "off_last": 0.0,
    }
    assert (first["model"]["pool"], first["model"]["stem_stride"], first["data"]["image_size"]) == ("gem", [1, 2], None)
    assert (second["optimizer"]["name"], second["model"]["head_epochs"], second["data"]["panels"]) == (
        "radam",
        1,
        "all",
    )
    assert (second["mixup"]["off_last"], second["augment"]["cutout_holes"]) == (0.2, 5)
    assert (third["optimizer"]["name"], third["loss"]["gamma"], third["data"]["image_size"]) == (
        "madgrad",
        0.5,
        [768, 768],
    )
