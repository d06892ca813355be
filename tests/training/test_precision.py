import random

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import read_json

from seti.config.schema import plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.training import lr_range, precision
from seti.training.build import build_classifier
from seti.training.compiling import count_steps
from seti.training.fold import train

AUTO = "trainer.precision=auto"


@pytest.fixture
def native(monkeypatch):
    """A CPU with bfloat16 instructions, whatever this one has."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(precision, "WORTHWHILE", 1)


@pytest.fixture
def used(monkeypatch) -> list[str]:
    """Precisions of the Trainers that trained."""
    seen, fit = [], pl.Trainer.fit

    def watch(self, *args, **kwargs):
        seen.append(self.precision)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(pl.Trainer, "fit", watch)
    return seen


def steps_take(monkeypatch, single, half) -> list[int]:
    """Let training steps take that many seconds in float32 and in bfloat16; gives the batches that were timed."""
    timed = []

    def time_steps(classifier, batch):
        timed.append(batch)
        return {"32": single, "bf16-mixed": half}

    monkeypatch.setattr(precision, "time_steps", time_steps)
    return timed


@pytest.mark.parametrize(
    ("single", "half", "chosen"),
    [(0.041, 0.048, "32-true"), (0.048, 0.041, "bf16-mixed"), (0.0401, 0.04, "32-true")],
)
def test_the_faster_precision_trains_every_fold(
    config, outputs, native, used, monkeypatch, caplog, single, half, chosen
):
    timed = steps_take(monkeypatch, single, half)
    caplog.set_level("INFO")
    train(config(AUTO))
    steps_take(monkeypatch, half, single)  # the next fold asks the record
    train(config(AUTO, "fold=1"))
    assert timed == [8]
    assert used == [chosen, chosen]
    record = read_json(outputs / "exp" / "precision.json")
    assert record["milliseconds"] == {"32": round(1000 * single, 2), "bf16-mixed": round(1000 * half, 2)}
    said = f"trainer.precision=auto: {record['precision']} (a step takes {1000 * single:.3g} ms in 32 and"
    assert said in caplog.text
    assert ("in bf16-mixed, which is too close; precision.json)" in caplog.text) == (single > half > single / 1.03)


def test_a_short_fold_is_not_timed(config, outputs, native, used, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setattr(precision, "WORTHWHILE", 7)  # two epochs of three batches
    timed = steps_take(monkeypatch, 1, 2)
    train(config(AUTO))
    assert (timed, used) == ([], ["bf16-mixed"])
    assert "trainer.precision=auto: bf16-mixed, for a fold of fewer than 7 steps is not timed" in caplog.text
    assert not (outputs / "exp" / "precision.json").exists()


@pytest.mark.parametrize("settings", [("trainer.precision=bf16",), ("trainer.precision=32",)])
def test_a_precision_that_is_given_is_not_timed(config, outputs, native, monkeypatch, settings):
    timed = steps_take(monkeypatch, 1, 2)
    train(config(*settings))
    assert timed == []


def test_a_cpu_without_bfloat16_trains_in_float32_whatever_the_record_says(config, native, used, monkeypatch):
    steps_take(monkeypatch, 2, 1)
    train(config(AUTO))
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    train(config(AUTO, "fold=1"))
    assert used == ["bf16-mixed", "32-true"]


def test_other_settings_are_timed_again(config, outputs, native, used, monkeypatch):
    steps_take(monkeypatch, 1, 2)
    train(config(AUTO))
    timed = steps_take(monkeypatch, 2, 1)
    train(config(AUTO, "data.batch_size=4", "force=true"))
    assert (timed, used) == ([4], ["32-true", "bf16-mixed"])
    assert read_json(outputs / "exp" / "precision.json")["config"]["data"]["batch_size"] == 4


def test_an_interrupted_fold_goes_on_as_it_began(config, outputs, fold, native, used, monkeypatch):
    steps_take(monkeypatch, 1, 2)
    train(config(AUTO))
    (fold / "result.json").unlink()
    timed = steps_take(monkeypatch, 2, 1)
    train(config(AUTO))
    assert (timed, used) == ([], ["32-true", "32-true"])
    # Begun by a version that timed nothing.
    (fold / "result.json").unlink()
    (outputs / "exp" / "precision.json").unlink()
    train(config(AUTO))
    assert (timed, used[2:]) == ([], ["bf16-mixed"])


def test_a_range_test_runs_as_the_training_did_and_times_nothing(config, outputs, fold, native, used, monkeypatch):
    timed = steps_take(monkeypatch, 1, 2)
    chosen = []
    whole = lr_range.build_trainer
    watch = lambda *args, **options: chosen.append(options.get("precision")) or whole(*args, **options)  # noqa: E731
    monkeypatch.setattr(lr_range, "build_trainer", watch)
    settings = (AUTO, "lr_range_test=true", "lr_range.steps=5")
    lr_range.run(config(*settings), fold / "lr_range" / "curve")
    assert timed == []
    train(config(AUTO))
    lr_range.run(config(*settings), fold / "lr_range" / "curve")
    assert (timed, chosen) == ([8], [None, "32"])


def test_a_damaged_record_is_an_error(config, outputs, native):
    (outputs / "exp").mkdir(parents=True)
    (outputs / "exp" / "precision.json").write_text('{"precision": "8"}')
    with pytest.raises(SetiError, match=r"precision\.json holds no precision: delete it, and the next run times both"):
        train(config(AUTO))


def test_folds_that_start_at_the_same_time_wait_for_one_that_times(config, outputs, native, monkeypatch):
    cfg = config(AUTO)
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    experiment = Experiment(outputs / "exp")
    (outputs / "exp").mkdir(parents=True)
    timed = steps_take(monkeypatch, 1, 2)
    real = precision.locks.hold

    def hold(*args, **options):
        with monkeypatch.context() as patch:  # another fold, while this one waits
            patch.setattr(precision.locks, "hold", real)
            assert precision.settle(cfg, experiment, datamodule) == "32"
        return real(*args, **options)

    monkeypatch.setattr(precision.locks, "hold", hold)
    assert precision.settle(cfg, experiment, datamodule) == "32"
    assert timed == [8]


def test_timing_runs_both_precisions_and_leaves_random_numbers_alone(config, outputs, native, monkeypatch):
    cfg = config(AUTO)
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    classifier = build_classifier(plain(cfg), datamodule, fetch_weights=False)
    before = {name: value.clone() for name, value in classifier.named_parameters()}
    kinds = []
    classifier.backbone.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    seconds = precision.time_steps(classifier, 8)
    assert kinds == [torch.float32, torch.bfloat16] * (precision.ROUNDS + 1)
    assert list(seconds) == ["32", "bf16-mixed"]
    assert min(seconds.values()) > 0
    assert all(torch.equal(value, before[name]) for name, value in classifier.named_parameters())

    (outputs / "exp").mkdir(parents=True)
    state = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert precision.settle(cfg, Experiment(outputs / "exp"), datamodule) in ("32", "bf16-mixed")
    assert state == (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002


@pytest.mark.parametrize(
    ("trainer", "steps"),
    [
        ({"max_epochs": 2}, 6),
        ({"max_epochs": 2, "limit_train_batches": 1.0}, 6),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 2),
        ({"max_epochs": 2, "limit_train_batches": 1}, 2),
        ({"max_epochs": 2, "max_steps": 5}, 5),
        ({"max_epochs": -1, "max_steps": 5}, 5),
        ({"max_epochs": -1}, 0),
    ],
)
def test_steps_of_a_fold(config, trainer, steps):
    cfg = config()  # 20 cadences in batches of 8
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    assert count_steps(trainer, datamodule) == steps
