"""Runs interrupted by a signal, which resume as if it had never come. The signal is raised in this process."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import read_json
from unit_helpers import assert_ended

from seti.errors import SetiError
from seti.inference import predict as prediction
from seti.models.classifier import CadenceClassifier
from seti.reports import cross_validation
from seti.training import fold as training
from seti.training.checkpoints import Position
from seti.utils import files, locks, shutdown
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
RECIPE = ("mixup.alpha=0.5", "augment=flips_affine", "trainer.max_epochs=2", "data.batch_size=4")  # 5 steps an epoch


def run_files(fold):
    """Read what an interruption must not change: the history without timings, and the probabilities."""
    return pd.read_csv(fold / "metrics.csv").drop(columns="seconds"), (fold / "oof.csv").read_bytes()


def assert_same_run(one, other):
    (metrics, oof), (expected, expected_oof) = run_files(one), run_files(other)
    pd.testing.assert_frame_equal(metrics, expected, check_exact=True)
    assert oof == expected_oof


@pytest.fixture
def uninterrupted(trained_once):
    """Return a function that trains a fold without a stop, once per set of settings, and returns its folder."""
    return lambda *settings: trained_once(*RECIPE, *settings)


def signal_in(monkeypatch, hook, call, number=signal.SIGTERM):
    """Raise a signal in the given call of a hook of the classifier."""
    original = getattr(CadenceClassifier, hook)
    calls = []

    def raise_once(self, *args):
        calls.append(hook)
        if len(calls) == call:
            signal.raise_signal(number)
        return original(self, *args)

    monkeypatch.setattr(CadenceClassifier, hook, raise_once)


def slow(*values):
    """A moment, or settings, that a case without this mark tries as well."""
    return pytest.param(*values, marks=pytest.mark.slow)


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
    train, fold, uninterrupted, monkeypatch, caplog, hook, call, position, settings
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
    assert_same_run(fold, uninterrupted(*(word for word in settings if "workers" not in word)))
    assert sorted(path.name for path in fold.rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert not [path for path in fold.rglob(".*") if path.is_file()]  # no lock, no part of a file


@pytest.mark.parametrize(("call", "position"), [(1, Position(1, 0)), (2, Position(2, 0))])
def test_a_run_interrupted_at_an_epochs_end_names_the_step(train, fold, uninterrupted, monkeypatch, call, position):
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
    assert_same_run(fold, uninterrupted())


def test_a_run_may_be_terminated_repeatedly(train, fold, uninterrupted, monkeypatch):
    for _ in range(4):
        with monkeypatch.context() as patch:
            signal_in(patch, "training_step", 2)
            with pytest.raises(Interrupted):
                train(*RECIPE)
    train(*RECIPE)
    assert_same_run(fold, uninterrupted())


def test_a_run_terminated_before_its_first_step_saves_nothing(train, fold, uninterrupted, monkeypatch):
    with monkeypatch.context() as patch:
        signal_in(patch, "configure_optimizers", 1)
        with pytest.raises(Interrupted) as ended:
            train(*RECIPE)
    assert str(ended.value) == "terminated: for fold 0 of exp the same command goes on from there"
    assert not list(fold.rglob("*.ckpt"))
    train(*RECIPE)
    assert_same_run(fold, uninterrupted())


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


def test_handlers_are_restored_after_the_block():
    before = [signal.getsignal(number) for number in shutdown.SIGNALS]
    with shutdown.interruptible(), shutdown.deferring():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in shutdown.SIGNALS] == before


def test_a_deferred_signal_is_raised_at_the_end_of_the_block():
    reached = []

    def work():
        with shutdown.interruptible(), shutdown.deferring():
            signal.raise_signal(signal.SIGTERM)
            reached.append("the block's end")

    with pytest.raises(Interrupted, match=r"^terminated: "):
        work()
    assert reached == ["the block's end"]
    with shutdown.interruptible():  # another run in the same process
        assert shutdown.pending() is None


def test_a_signal_during_a_finaliser_is_not_lost(capfd):
    class Freed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def work():
        with shutdown.interruptible():
            Freed()
            time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(Interrupted):
        work()
    assert capfd.readouterr().err == ""
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("block", [shutdown.interruptible, shutdown.deferring])
def test_a_signal_sent_again_while_the_last_one_is_dropped_is_not_lost(monkeypatch, capfd, block):
    class Freed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    class SlowThread(threading.Thread):
        """On a busy machine the thread may have done its work before the hook returns."""

        def start(self):
            super().start()
            time.sleep(0.05)
            signal.raise_signal(signal.SIGTERM)  # a second one

    def work():
        with shutdown.interruptible():
            Freed()
            with block():
                time.sleep(10)

    monkeypatch.setattr(threading, "Thread", SlowThread)
    started = time.monotonic()
    with pytest.raises(Interrupted):
        work()
    assert time.monotonic() - started < 5
    assert capfd.readouterr().err == ""


def test_a_worker_outlives_the_signals_of_its_group_but_not_its_parents():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        shutdown.ignore_signals_in_worker()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # from a process other than the parent
        time.sleep(0.1)
        os.write(writer, b"alive")
        time.sleep(10)
        os._exit(1)
    assert os.read(reader, 5) == b"alive"
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_worker_ends_after_its_parent_even_one_that_died_before_the_worker_started(monkeypatch, late):
    monkeypatch.setattr(shutdown, "ORPHAN_AFTER", 0.05)
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        own = os.getpid()

        def work():
            while late and os.getppid() == own:
                time.sleep(0.01)
            os.write(writer, b"started")
            shutdown.ignore_signals_in_worker()
            time.sleep(20)

        multiprocessing.get_context("fork").Process(target=work).start()
        if not late:
            time.sleep(0.2)
        os._exit(0)
    os.close(writer)
    os.waitpid(parent, 0)
    started = time.monotonic()
    assert os.read(reader, 7) == b"started"
    assert os.read(reader, 1) == b"", "the end of the worker closes the pipe"
    os.close(reader)
    assert time.monotonic() - started < 10


def test_a_forked_process_exits_silently(capfd):
    with shutdown.interruptible():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert capfd.readouterr().err == ""


class Killed(BaseException):
    """Stand-in for SIGKILL that leaves this process alive."""


def kill_at(patch, owner, name, call, done):
    """Raise `Killed` at the given call of a function, before it runs or after it is done."""
    original, calls = getattr(owner, name), []

    def killing(*args, **options):
        calls.append(args)
        if len(calls) == call and not done:
            raise Killed
        value = original(*args, **options)
        if len(calls) == call:
            raise Killed
        return value

    patch.setattr(owner, name, killing)


@pytest.mark.parametrize(
    ("owner", "name", "call", "done"),
    [
        (
            training.AtomicCheckpointIO,
            "save_checkpoint",
            1,
            True,
        ),  # the first epoch's best.ckpt exists, last.ckpt not
        (training.AtomicCheckpointIO, "save_checkpoint", 3, False),
        (training.AtomicCheckpointIO, "save_checkpoint", 3, True),
        (training.files, "write_csv", 1, True),  # oof.csv exists, result.json does not
        (training.files, "write_json", 1, True),  # result.json exists, but the run has not ended
    ],
)
def test_a_run_killed_between_two_files_resumes(train, fold, uninterrupted, monkeypatch, owner, name, call, done):
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, call, done)
        with pytest.raises(Killed):
            train(*RECIPE)
    train(*RECIPE)
    assert_same_run(fold, uninterrupted())
    best, expected = (torch.load(path / "checkpoints/best.ckpt", weights_only=True) for path in (fold, uninterrupted()))
    assert all(torch.equal(weights, expected["state_dict"][name]) for name, weights in best["state_dict"].items())


@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_a_run_killed_while_clearing_an_old_one_starts_again(train, predict, fold, uninterrupted, monkeypatch, number):
    shutil.copytree(uninterrupted(), fold)
    predict()
    with monkeypatch.context() as patch:
        removed = []

        def remove(original, path, **options):
            if "exp" in Path(path).parts and ".part" not in str(path):
                removed.append(path)
                if len(removed) == number:
                    raise Killed
            return original(path, **options)

        unlink, rmtree = Path.unlink, shutil.rmtree
        patch.setattr(Path, "unlink", lambda path, **options: remove(unlink, path, **options))
        patch.setattr(shutil, "rmtree", lambda path, **options: remove(rmtree, path, **options))
        with pytest.raises(Killed):
            train(*RECIPE, "force=true")
    assert number == 1 or not (fold / "result.json").exists()  # a half-deleted fold does not pass for finished
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "INSTANT", 0)
        if number > 1:
            with pytest.raises(SetiError, match="holds no finished fold"):
                predict()
    train(*RECIPE, "force=true")
    assert_same_run(fold, uninterrupted())


@pytest.mark.parametrize(
    ("owner", "name", "call", "done"),
    [(cross_validation.files, "write_json", 1, True), (cross_validation.figures, "save_figure", 2, False)],
)
def test_a_report_that_was_killed_is_written_again(fold, uninterrupted, monkeypatch, owner, name, call, done):
    shutil.copytree(uninterrupted(), fold)
    cross_validation.report(fold.parent)
    expected = {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()}
    for path in expected:
        (fold.parent / path).unlink()
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, call, done)
        with pytest.raises(Killed):
            cross_validation.report(fold.parent)
    (fold.parent / f".gallery.{files._host()}-4194305.part.png").write_text("of a killed run")
    cross_validation.report(fold.parent)
    assert {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()} == expected


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (prediction, "load_folds", 1),
        (prediction, "predict_probabilities", 1),
        (prediction.files, "write_csv", 2),
        (prediction.files, "write_json", 1),
    ],
)
def test_a_terminated_prediction_can_be_repeated(fold, uninterrupted, predict, monkeypatch, capsys, owner, name, call):
    shutil.copytree(uninterrupted(), fold)
    predict()
    expected = {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()}
    for path in expected:
        (fold.parent / path).unlink()
    assert_ended(monkeypatch, owner, name, call, predict, capsys)
    assert not [path for path in fold.parent.iterdir() if path.name[0] == "."]
    predict()
    assert {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()} == expected


def test_a_second_run_of_a_fold_is_refused(start, train, small, fold):
    settings = ("trainer.max_epochs=1000", "trainer.limit_train_batches=1")
    first = start("train.py", *small, *settings)
    first.wait_for(fold / "checkpoints" / "last.ckpt")
    held = (fold / "checkpoints").stat().st_ino
    refusal = rf"{fold} is in use by another run \(training fold 0 of exp, process {first.process.pid} on .* since 2"
    for force in ("false", "true"):
        with pytest.raises(SetiError, match=refusal):
            train(*settings, f"force={force}")
    assert (fold / "checkpoints").stat().st_ino == held  # nothing was cleared
    train("fold=1", "trainer.max_epochs=1", "exp_name=other")  # another experiment is not locked
    first.send(signal.SIGKILL)
    first.finish()
    assert (fold / ".lock").exists()
    with locks.hold(fold, "a test"):  # the killed run's file locks nothing
        assert "a test" in (fold / ".lock").read_text()
    assert not (fold / ".lock").exists()


def test_half_built_objects_are_silent_after_a_signal(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(type(lost.exc_value)))
    shutdown.silence_half_built_objects()

    class HalfBuilt:
        error = AttributeError

        def __del__(self):
            raise self.error

    class Broken(HalfBuilt):
        error = ValueError

    HalfBuilt(), Broken()
    assert reported == [ValueError]


def test_half_built_objects_stay_silent_after_the_surrounding_blocks(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(type(lost.exc_value)))

    class HalfBuilt:
        def __del__(self):
            raise AttributeError

    with shutdown.interruptible():  # the program's, around the one of Hydra's task
        with shutdown.interruptible():
            pass
        shutdown.silence_half_built_objects()
    HalfBuilt()
    assert not reported


def test_dropped_errors_are_reported_until_a_signal_arrives(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(str(lost.exc_value)))

    class Broken:
        def __init__(self, message):
            self.message = message

        def __del__(self):
            raise RuntimeError(self.message)

    def interrupted():
        Broken("before")
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            Broken("a worker is gone")

    with pytest.raises(Interrupted), shutdown.interruptible():
        interrupted()
    assert reported == ["before"]
