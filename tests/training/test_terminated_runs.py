"""Runs interrupted by a signal, which resume as if it had never come. The signal is raised in this process."""

import shutil
import signal

import pytest
import torch
from conftest import read_json
from interruptions import RECIPE, signal_in
from unit_helpers import assert_ended, assert_same_run

from seti.inference import predict as prediction
from seti.models.classifier import CadenceClassifier
from seti.training.checkpoints import Position
from seti.utils.shutdown import Interrupted

EVERYTHING = (
    "mixup.cutmix=1",  # in addition to RECIPE's mixup
    "mixup.label=union",
    "mixup.restandardise=true",
    "mixup.off_last=0.5",
    "augment.crop=0.5",
    "augment.cutout=0.5",
    "augment.cutout_holes=2",
)
AVERAGED = ("ema.decay=0.9", "model.head_epochs=1")
OTHER_OPTIONS = (
    *AVERAGED,
    "model.pool=gem",
    "model.drop_path=0.3",
    "optimizer.name=lookahead_radam",
    "optimizer.layer_decay=0.7",
    "schedule.name=cosine",
    "loss.name=focal",
)


def slow(*values):
    """A moment, or settings, that a case without this mark tries as well."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("hook", "call", "position", "settings"),
    [
        # Head only, then everything; and validations, in which the average replaces the weights.
        ("training_step", 3, Position(0, 3), AVERAGED),
        slow("training_step", 7, Position(1, 2), AVERAGED),
        slow("training_step", 5, Position(0, 5), AVERAGED),
        slow("validation_step", 2, Position(0, 5), AVERAGED),
        ("validation_step", 7, Position(1, 5), AVERAGED),
        ("training_step", 3, Position(0, 4), (*AVERAGED, "trainer.accumulate_grad_batches=2")),
        ("training_step", 8, Position(1, 3), OTHER_OPTIONS),
        slow("training_step", 3, Position(0, 3), ()),
        ("training_step", 7, Position(1, 2), ("data.num_workers=2",)),
        ("training_step", 5, Position(0, 5), ()),  # the last step of the epoch: stops in the validation
        ("validation_step", 2, Position(0, 5), ()),
        slow("validation_step", 7, Position(1, 5), ("data.num_workers=1",)),
        # Between two batches that share an optimiser step: the second one is finished first.
        slow("training_step", 3, Position(0, 4), ("trainer.accumulate_grad_batches=2", "trainer.precision=bf16-mixed")),
        ("training_step", 6, Position(1, 1), ("data.balanced=true", "+trainer.limit_val_batches=2")),
        ("training_step", 2, Position(0, 2), ("trainer.limit_train_batches=3",)),
        ("training_step", 3, Position(0, 3), EVERYTHING),
        slow("training_step", 7, Position(1, 2), (*EVERYTHING, "data.num_workers=1")),  # in the epoch without mixing
        ("training_step", 3, Position(0, 3), (*EVERYTHING, "data.augment_on=device")),
    ],
)
def test_a_terminated_run_is_saved_and_resumes_from_that_step(
    train, fold, trained_once, monkeypatch, caplog, hook, call, position, settings
):
    with monkeypatch.context() as patch:
        signal_in(patch, hook, call)
        with pytest.raises(Interrupted) as ended:
            train(*RECIPE, *settings)
    last = fold / "checkpoints" / "last.ckpt"
    assert ended.value.code == 143
    assert (
        str(ended.value)
        == f"terminated: saved {position} in {last}; for fold 0 of exp the same command goes on from there"
    )
    assert Position.of(torch.load(last, weights_only=True)) == position
    assert not (fold / "result.json").exists()
    with caplog.at_level("INFO"):
        train(*RECIPE, *settings)
    assert f"resuming from {last} ({position})" in caplog.text
    assert_same_run(fold, trained_once(*RECIPE, *(word for word in settings if "workers" not in word)))
    assert sorted(path.name for path in fold.rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert not [path for path in fold.rglob(".*") if path.is_file()]  # no lock, no part of a file


@pytest.mark.parametrize(("call", "position"), [(1, Position(1, 0)), (2, Position(2, 0))])
def test_a_run_interrupted_at_an_epochs_end_names_the_step(train, fold, trained_once, monkeypatch, call, position):
    with monkeypatch.context() as patch:
        signal_in(patch, "on_validation_epoch_end", call, signal.SIGINT)
        with pytest.raises(Interrupted) as ended:
            train(*RECIPE)
    last = fold / "checkpoints" / "last.ckpt"
    assert (
        str(ended.value)
        == f"interrupted: saved {position} in {last}; for fold 0 of exp the same command goes on from there"
    )
    assert Position.of(torch.load(last, weights_only=True)) == position
    train(*RECIPE)
    assert_same_run(fold, trained_once(*RECIPE))


def test_a_run_may_be_terminated_repeatedly(train, fold, trained_once, monkeypatch):
    for _ in range(4):
        with monkeypatch.context() as patch:
            signal_in(patch, "training_step", 2)
            with pytest.raises(Interrupted):
                train(*RECIPE)
    train(*RECIPE)
    assert_same_run(fold, trained_once(*RECIPE))


def test_a_run_terminated_before_its_first_step_saves_nothing(train, fold, trained_once, monkeypatch):
    with monkeypatch.context() as patch:
        signal_in(patch, "configure_optimizers", 1)
        with pytest.raises(Interrupted) as ended:
            train(*RECIPE)
    assert str(ended.value) == "terminated: for fold 0 of exp the same command goes on from there"
    assert not list(fold.rglob("*.ckpt"))
    train(*RECIPE)
    assert_same_run(fold, trained_once(*RECIPE))


def test_a_second_signal_stops_the_run_at_once(train, fold, monkeypatch):
    with monkeypatch.context() as patch:
        signal_in(patch, "training_step", 2)
        signal_in(patch, "backward", 2, signal.SIGINT)  # of the same step
        with pytest.raises(Interrupted) as ended:
            train(*RECIPE)
    assert ended.value.code == 130
    assert not list(fold.rglob("*.ckpt"))


def test_weights_that_are_not_finite_are_not_saved(train, fold, monkeypatch):
    with monkeypatch.context() as patch:
        step = CadenceClassifier.training_step
        patch.setattr(CadenceClassifier, "training_step", lambda *args: step(*args) * float("nan"))
        signal_in(patch, "training_step", 2)
        with pytest.raises(Interrupted):
            train(*RECIPE)
    assert not list(fold.rglob("*.ckpt"))


def test_an_interrupted_forced_run_advises_to_drop_force(train, fold, monkeypatch):
    train("trainer.max_epochs=1")
    with monkeypatch.context() as patch:
        signal_in(patch, "training_step", 2)
        with pytest.raises(Interrupted, match="the same command without force=true goes on from there"):
            train(*RECIPE, "force=true")
    train(*RECIPE)
    assert read_json(fold / "result.json")["epochs"] == 2


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (prediction, "load_folds", 1),
        (prediction, "predict_probabilities", 1),
        (prediction.files, "write_csv", 2),
        (prediction.files, "write_json", 1),
    ],
)
def test_a_terminated_prediction_can_be_repeated(fold, trained_once, predict, monkeypatch, capsys, owner, name, call):
    shutil.copytree(trained_once(*RECIPE), fold)
    predict()
    expected = {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()}
    for path in expected:
        (fold.parent / path).unlink()
    assert_ended(monkeypatch, owner, name, call, predict, capsys)
    assert not [path for path in fold.parent.iterdir() if path.name[0] == "."]
    predict()
    assert {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()} == expected
