"""Runs that a limit of steps or of time ends."""

import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import read_json
from unit_helpers import assert_same_run, losses

from seti.config.trainer_checks import time_limit
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.training import fold as training
from seti.training.callbacks import save_on_signal
from seti.utils.shutdown import Interrupted

STEPS = 3  # of an epoch: 20 cadences in batches of 8


@pytest.fixture
def steps(monkeypatch) -> list[tuple[int, float]]:
    """Epoch and rate of every step that is made."""
    made, step = [], CadenceClassifier.training_step

    def note(self, batch, batch_idx):
        made.append((self.current_epoch, self.trainer.optimizers[0].param_groups[0]["lr"]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CadenceClassifier, "training_step", note)
    return made


@pytest.mark.parametrize(
    ("limit", "epochs", "more"),
    [
        (2, [0, 0], ()),
        (3, [0, 0, 0], ()),
        (4, [0, 0, 0, 1], ()),
        (5, [0, 0, 0, 1, 1], ("ema.decay=0.9", "early_stopping.patience=5")),
        (6, [0, 0, 0, 1, 1, 1], ()),
        (100, [0, 0, 0, 1, 1, 1, 2, 2, 2], ()),
    ],
)
def test_a_limit_of_steps_ends_an_epoch_that_is_validated(train, fold, steps, limit, epochs, more):
    auc = train("trainer.max_epochs=3", f"trainer.max_steps={limit}", *more)
    assert [epoch for epoch, _ in steps] == epochs
    table, oof = losses(fold), pd.read_csv(fold / "oof.csv")
    assert table["epoch"].tolist() == sorted(set(epochs))
    best = table.loc[table["val_auc"].idxmax()]
    assert auc == pytest.approx(best["val_auc"], abs=1e-3)
    assert len(oof) == 20
    last = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == len(epochs)
    assert len(table) == len({(row.val_loss, row.val_auc) for row in table.itertuples()}), "each row was measured"


def test_a_partial_epochs_row_is_that_of_its_own_weights(train, outputs, fold):
    """The row of one step in the second epoch, against that network's out-of-fold predictions."""
    train("trainer.max_epochs=3", "trainer.max_steps=4", "checkpoint.monitor=val_loss", "checkpoint.mode=min")
    result, table = read_json(fold / "result.json"), losses(fold)
    best = table.iloc[result["best_epoch"]]
    assert result["scores"]["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert result["scores"]["auc"] == pytest.approx(best["val_auc"], abs=1e-6)
    assert table["val_loss"][0] != table["val_loss"][1]


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_the_schedule_spans_the_steps_that_are_made(train, outputs, steps, schedule):
    settings = (f"schedule.name={schedule}", "optimizer.lr=0.01", "schedule.pct_start=0.2", "trainer.max_epochs=5")
    train(*settings, "trainer.max_steps=6")
    limited = [rate for _, rate in steps]
    steps.clear()
    train(*settings, "trainer.max_epochs=2", "exp_name=short")
    assert limited == [rate for _, rate in steps]
    assert_same_run(outputs / "exp" / "fold_0", outputs / "short" / "fold_0")


def test_warmup_takes_its_epochs_of_a_limited_training(train, steps):
    settings = ("schedule.name=cosine", "schedule.warmup_epochs=1", "optimizer.lr=0.01", "schedule.div_factor=10")
    train(*settings, "trainer.max_epochs=5", "trainer.max_steps=5")
    rates = [rate for _, rate in steps]
    assert int(np.argmax(rates)) == STEPS  # after an epoch
    assert rates[0] == pytest.approx(0.001)
    assert rates[STEPS] == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["model.head_epochs", "schedule.warmup_epochs"])
def test_settings_of_epochs_must_fit_into_the_steps(train, fold, name):
    with pytest.raises(SetiError) as refused:
        train("trainer.max_epochs=5", "trainer.max_steps=4", f"{name}=2", "schedule.name=cosine")
    assert str(refused.value) == (
        f"{name}=2 takes all of trainer.max_steps=4, which ends in epoch 2 at 3 steps an epoch: lower it, or raise "
        "trainer.max_steps"
    )
    assert not list(fold.rglob("*.ckpt"))


def test_steps_are_those_of_the_optimiser(train, fold, steps):
    train("trainer.max_epochs=5", "trainer.max_steps=3", "trainer.accumulate_grad_batches=2")  # 2 steps an epoch
    assert [epoch for epoch, _ in steps] == [0, 0, 0, 1, 1]
    assert torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.parametrize("stop", [("training_step", 4), ("training_step", 5), ("validation_step", 4)])
def test_a_limited_run_that_was_stopped_ends_with_the_same_steps(train, fold, outputs, monkeypatch, stop):
    settings = ("trainer.max_epochs=5", "trainer.max_steps=5", "mixup.alpha=0.5")
    hook, call = stop
    original, calls = getattr(CadenceClassifier, hook), []

    def signalled(self, *args):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(CadenceClassifier, hook, signalled)
        with pytest.raises(Interrupted):
            train(*settings)
    train(*settings)
    train(*settings, "exp_name=whole")
    assert_same_run(fold, outputs / "whole" / "fold_0")


def test_a_limited_run_killed_before_its_result_is_not_trained_further(train, fold, monkeypatch):
    settings = ("trainer.max_epochs=5", "trainer.max_steps=4")

    def fail(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(training, "predict_held_out", fail)
        with pytest.raises(InterruptedError):
            train(*settings)
    before = losses(fold)
    train(*settings)
    pd.testing.assert_frame_equal(losses(fold), before)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second with each training step, in place of the real one."""
    seconds, step = [0.0], CadenceClassifier.training_step

    def tick(self, *args):
        seconds[0] += 1
        return step(self, *args)

    monkeypatch.setattr(CadenceClassifier, "training_step", tick)
    monkeypatch.setattr(save_on_signal.time, "monotonic", lambda: seconds[0])
    return seconds


@pytest.mark.parametrize("more", [(), ("ema.decay=0.9", "trainer.accumulate_grad_batches=2"), ("data.num_workers=1",)])
def test_a_run_out_of_time_is_unfinished_and_goes_on_with_any_limit(
    train, fold, outputs, trained_once, clock, caplog, more
):
    settings = ("trainer.max_epochs=3", "mixup.alpha=0.5", *more)
    last, said = fold / "checkpoints" / "last.ckpt", []
    for limit in ("00:00:00:04", "00:00:00:04", "{seconds: 3}"):
        with pytest.raises(Interrupted) as ended:
            train(*settings, f"trainer.max_time={limit}")
        said.append(str(ended.value))
        assert ended.value.code == 142
        assert last.exists()
        assert not (fold / "result.json").exists()
        if len(said) == 2:
            break
    assert said[0] == (
        "out of time: trainer.max_time=00:00:00:04 is over, the fold is unfinished: saved 1 epoch and "
        f"{2 if 'trainer.accumulate_grad_batches=2' in more else 1} batch{'es' * ('acc' in str(more))} done in {last}; "
        "for fold 0 of exp the same command goes on from there"
    )
    train(*settings)
    whole = trained_once(*[word for word in settings if "workers" not in word])
    assert_same_run(fold, whole)
    assert train(*settings, "trainer.max_time=00:09:00:00") >= 0  # finished, whatever the limit


def test_time_that_is_over_lets_a_run_make_a_step(train, fold, clock):
    """Or the same command would never get further."""
    # With all batches done it ends in the validation, which the next run makes before its own first step.
    for done in ("0 epochs and 1 batch", "0 epochs and 2 batches", "0 epochs and 3 batches", "1 epoch and 1 batch"):
        with pytest.raises(Interrupted, match=f"saved {done} done"):
            train("trainer.max_epochs=2", "trainer.max_time=00:00:00:01")
    for done in ("1 epoch and 2 batches", "1 epoch and 3 batches"):
        with pytest.raises(Interrupted, match=f"saved {done} done"):
            train("trainer.max_epochs=2", "trainer.max_time=00:00:00:01")
    assert train("trainer.max_epochs=2", "trainer.max_time=00:00:00:01") >= 0


def test_time_that_is_over_after_the_last_step_of_all_lets_the_fold_finish(train, fold, clock):
    train("trainer.max_epochs=1", f"trainer.max_time=00:00:00:{STEPS + 1:02}")
    assert (fold / "result.json").exists()


def test_time_runs_for_all_attempts_of_a_fold(train, monkeypatch):
    begun = []
    build = training.build_callbacks
    monkeypatch.setattr(training, "build_callbacks", lambda *args: begun.append(args[4]) or build(*args))
    before = time.monotonic()
    train("trainer.max_epochs=1", "trainer.max_time=00:01:00:00")
    assert before <= begun[0] <= time.monotonic()


@pytest.mark.parametrize("multirun", [False, True])
def test_the_program_says_that_time_is_over(run, small, fold, multirun):
    words = ("-m", "fold=0,1") if multirun else ()
    settings = ("trainer.max_epochs=5000", "watch.after=null", "trainer.max_time={milliseconds: 600}")
    done = run("train.py", *words, *small, *settings)
    assert done.code == 142
    lines = done.err.splitlines()
    assert lines[-1].startswith("out of time: trainer.max_time={'milliseconds': 600} is over, the fold is unfinished: ")
    assert lines[-1].endswith(
        f" done in {fold / 'checkpoints' / 'last.ckpt'}; for fold 0 of exp the same command goes on from there"
    )
    assert "finished: AUC" not in done.out
    assert not (fold / "result.json").exists()
    assert not (fold.parent / "fold_1" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("00:00:00:05", 5),
        ("01:02:03:04", 93784),
        ("100:00:00:00", 8_640_000),
        ("08:30:00", 30600),
        ({"hours": 9}, 32400),
        ({"weeks": 1, "minutes": 0.5}, 604830),
        (None, None),
    ],
)
def test_time_is_read_in_its_forms(value, seconds):
    assert time_limit({"max_time": value}) == seconds
