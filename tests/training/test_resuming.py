"""A fold that was stopped, killed, finished or forced, and trained again."""

import re
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import read_json
from unit_helpers import assert_same_run, losses

from seti.data.competition import read_labels
from seti.errors import SetiError, SettingsError
from seti.experiments import swept_folds
from seti.experiments.experiment import Experiment
from seti.models.classifier import CadenceClassifier
from seti.training import fold as training
from seti.training.callbacks.history import History

RECIPE = ("mixup.alpha=0.5", "augment=flips_affine", "trainer.max_epochs=3")


@pytest.fixture
def uninterrupted(trained_once):
    """The folder of a fold with mixup and affine transforms, three epochs without a stop."""
    return trained_once(*RECIPE)


def stop_in_epoch(monkeypatch, number):
    """Fail as the given epoch starts, in the middle of everything."""
    original = History.on_train_epoch_start

    def fail(self, trainer, module):
        original(self, trainer, module)
        if trainer.current_epoch == number:
            raise InterruptedError

    monkeypatch.setattr(History, "on_train_epoch_start", fail)


def test_the_seed_decides_and_the_workers_do_not(train, outputs, uninterrupted):
    train(*RECIPE, "data.num_workers=2")
    assert_same_run(outputs / "exp" / "fold_0", uninterrupted)
    train(*RECIPE, "exp_name=again")
    assert_same_run(outputs / "again" / "fold_0", uninterrupted)
    # The same folds, so that the same rows are compared.
    train(*RECIPE, "exp_name=other", "seed=43", "data.fold_seed=42")
    oof = [pd.read_csv(path / "oof.csv") for path in (outputs / "other" / "fold_0", uninterrupted)]
    assert list(oof[0]["id"]) == list(oof[1]["id"])
    assert (oof[0]["prob"] - oof[1]["prob"]).abs().max() > 1e-4


@pytest.mark.parametrize(("epoch", "workers"), [(1, 0), (2, 0), (1, 2)])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    train, fold, uninterrupted, monkeypatch, caplog, epoch, workers
):
    recipe = (*RECIPE, f"data.num_workers={workers}")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(InterruptedError):
            train(*recipe)
    assert not (fold / "result.json").exists()
    assert not (fold / "oof.csv").exists()
    assert len(losses(fold)) == epoch
    with caplog.at_level("INFO"):
        train(*recipe)
    assert f"({epoch} epoch{'s' * (epoch > 1)} done)" in caplog.text
    assert list(losses(fold)["epoch"]) == [0, 1, 2]
    assert_same_run(fold, uninterrupted)


@pytest.mark.parametrize("stopped", [None, 1, 3])
def test_the_last_epochs_train_on_cadences_as_they_are(train, monkeypatch, stopped):
    settings, mixed = ("mixup.alpha=5", "mixup.off_last=0.5", "trainer.max_epochs=4"), []
    step = CadenceClassifier.training_step

    def note(self, batch, batch_idx):
        fed = []
        with self.backbone.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0])):
            loss = step(self, batch, batch_idx)
        mixed.append((self.current_epoch, not torch.equal(fed[0], batch[0])))
        return loss

    monkeypatch.setattr(CadenceClassifier, "training_step", note)
    if stopped is not None:
        with monkeypatch.context() as patch:
            stop_in_epoch(patch, stopped)
            with pytest.raises(InterruptedError):
                train(*settings)
    train(*settings)
    assert mixed == [(epoch, epoch < 2) for epoch in range(4) for _ in range(3)]  # 3 steps an epoch


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_stopped_run_brings_its_average_and_its_frozen_backbone_along(train, fold, outputs, monkeypatch, epoch):
    recipe = (*RECIPE, "ema.decay=0.9", "model.head_epochs=1")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(InterruptedError):
            train(*recipe)
    train(*recipe)
    train(*recipe, "exp_name=whole")
    whole = outputs / "whole" / "fold_0"
    assert_same_run(fold, whole)
    for name in ("best", "last"):
        one, other = (torch.load(path / f"checkpoints/{name}.ckpt", weights_only=True) for path in (fold, whole))
        for part in ("state_dict", "current_model_state", "averaging_state"):
            assert all(torch.equal(value, other[part][key]) for key, value in one[part].items())


def test_a_killed_run_goes_on_as_if_it_had_not_been_killed(start, small, train, fold, outputs):
    recipe = (*RECIPE, "trainer.max_epochs=10", "trainer.limit_train_batches=2")  # long enough to be caught
    program = start("train.py", *small, *recipe)
    program.wait_for(fold / "checkpoints" / "last.ckpt")
    program.send(signal.SIGKILL)
    assert program.finish().code == -signal.SIGKILL
    assert not (fold / "result.json").exists()
    train(*recipe)
    assert list(losses(fold)["epoch"]) == list(range(10))
    train(*recipe, "exp_name=whole")
    assert_same_run(fold, outputs / "whole" / "fold_0")


@pytest.mark.parametrize("more", [(), ("ema.decay=0.5", "model.head_epochs=1")])
def test_a_run_killed_before_its_result_is_not_trained_further(train, fold, monkeypatch, more):
    settings = ("trainer.max_epochs=6", "early_stopping.patience=1", "early_stopping.min_delta=1000", *more)

    def fail(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(training, "predict_held_out", fail)
        with pytest.raises(InterruptedError):
            train(*settings)
    before = losses(fold)
    assert len(before) == 2
    train(*settings)
    pd.testing.assert_frame_equal(losses(fold), before)
    assert read_json(fold / "result.json")["epochs"] == 2


def test_going_on_with_other_settings_is_refused(train, fold, own_data, monkeypatch):
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 1)
        with pytest.raises(InterruptedError):
            train()
    last = (fold / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(SetiError, match=r"other settings \(optimizer.lr: 0.0006 -> 0.001\): .*exp_name, or force=true"):
        train("optimizer.lr=1e-3")
    labels = pd.read_csv(own_data / "train_labels.csv", dtype={"id": str})
    labels.iloc[1:].to_csv(own_data / "train_labels.csv", index=False)
    with pytest.raises(SetiError, match=r"data.root: .* -> .*own_data, with other labelled cadences"):
        train(f"data.root={own_data}")
    assert (fold / "checkpoints" / "last.ckpt").read_bytes() == last
    (fold / "checkpoints" / "last.ckpt").write_bytes(last[:1000])
    with pytest.raises(SetiError, match=r"last.ckpt cannot be loaded \(.*\): force=true trains this fold from"):
        train()
    (fold / "checkpoints" / "last.ckpt").unlink()
    torch.save({"state_dict": {}}, fold / "checkpoints" / "last.ckpt")
    with pytest.raises(SetiError, match="was not written by this program"):
        train()


def test_a_finished_fold_is_left_alone_until_forced(train, fold, own_data, caplog):
    auc = train()
    stamps = {path: path.stat().st_mtime_ns for path in fold.rglob("*") if path.is_file()}
    oof = (fold / "oof.csv").read_bytes()
    with caplog.at_level("INFO"):
        # The same cadences elsewhere, and what does not change the outcome, are the same run.
        assert train("trainer.log_every_n_steps=1", "data.num_workers=1", f"data.root={own_data}") == auc
    assert f"fold 0 of exp is finished (AUC {auc:.4f}): not trained again; force=true does" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in fold.rglob("*") if path.is_file()} == stamps
    with pytest.raises(SetiError, match=r"fold_0 was trained with other settings \(data.fold_seed: 42 -> 1; mix"):
        train("mixup.alpha=0.2", "seed=1")
    labels = pd.read_csv(own_data / "train_labels.csv", dtype={"id": str})
    labels["target"] = 1 - labels["target"]
    labels.to_csv(own_data / "train_labels.csv", index=False)
    with pytest.raises(SetiError, match=r"\(data.root: .* -> .*own_data, with other labelled"):
        train(f"data.root={own_data}")
    assert {path: path.stat().st_mtime_ns for path in fold.rglob("*") if path.is_file()} == stamps

    assert train("force=true") == auc
    assert (fold / "oof.csv").read_bytes() == oof
    assert all(path.stat().st_mtime_ns > stamps[path] for path in fold.rglob("checkpoints/*"))
    train("force=true", "trainer.max_epochs=1")
    assert len(pd.read_csv(fold / "metrics.csv")) == 1


def test_a_fold_unlike_its_finished_siblings_is_refused_before_it_is_trained(train, outputs):
    train("trainer.max_epochs=1")
    with pytest.raises(SetiError, match=r"fold_0 was trained with other settings \(optimizer.lr: 0.0006 -> 0.01\)"):
        train("trainer.max_epochs=1", "fold=1", "optimizer.lr=0.01")
    assert not (outputs / "exp" / "fold_1" / "checkpoints").exists()
    train("trainer.max_epochs=1", "fold=1")


def test_force_replaces_no_fold_that_would_disagree_with_finished_ones(train, fold, outputs, data_root, tmp_path):
    groups = tmp_path / "groups.csv"
    labels = read_labels(data_root)
    pd.DataFrame({"id": labels["id"], "group": np.arange(len(labels)) // 2}).to_csv(groups, index=False)
    for number in (0, 1):
        train("trainer.max_epochs=1", f"fold={number}")
    before = {path: path.read_bytes() for path in (outputs / "exp").rglob("*") if path.is_file()}
    other = {
        f"data.groups={groups}": "folds that keep no groups together, as data.groups=none",
        "optimizer.lr=0.01": r"optimizer\.lr: 0\.0006 -> 0\.01",
        "data.n_folds=4": r"data\.n_folds: 2 -> 4",
    }
    for word, difference in other.items():
        with pytest.raises(SettingsError) as error:
            train("trainer.max_epochs=1", "force=true", word)
        assert re.fullmatch(
            rf".*exp/fold_1 was trained with other settings \({difference}\), and force=true would replace fold 0 "
            r"alone, "
            r"which then disagrees: give another exp_name, or replace every fold with "
            r"seti train -m fold=0,1 exp_name=exp force=true",
            str(error.value),
        )
    assert {path: path.read_bytes() for path in (outputs / "exp").rglob("*") if path.is_file()} == before
    for number, advice in (
        (0, "replace every fold with seti train -m fold=0,1 exp_name=exp force=true"),
        (0, "force=true to replace that fold"),
        (1, "replace every fold with seti train -m fold=0,1 exp_name=exp force=true"),
    ):
        with pytest.raises(SettingsError) as error:
            train("trainer.max_epochs=1", "optimizer.lr=0.01", f"fold={number}")
        assert str(error.value).endswith(f"lr: 0.0006 -> 0.01): give another exp_name, or {advice}")
        shutil.rmtree(outputs / "exp" / "fold_1", ignore_errors=True)  # then fold 0 is alone
    assert train("trainer.max_epochs=1", "force=true") == read_json(fold / "result.json")["scores"]["auc"]


def test_force_in_a_sweep_replaces_every_fold(train, outputs):
    for number in (0, 1):
        train("trainer.max_epochs=1", f"fold={number}")
    swept_folds.announce({0, 1})
    try:
        train("trainer.max_epochs=1", "force=true", "optimizer.lr=0.01")
    finally:
        swept_folds.forget()
    # Folds disagree now, as after a sweep that was stopped: each may be replaced.
    train("trainer.max_epochs=1", "force=true", "optimizer.lr=0.01", "fold=1")
    assert Experiment(outputs / "exp").finished_folds() == [0, 1]


def test_force_that_is_refused_takes_nothing_away(train, outputs):
    train("trainer.max_epochs=1")
    before = (outputs / "exp" / "fold_0" / "oof.csv").read_bytes()
    with pytest.raises(SetiError, match="nothing_like_it"):
        train("trainer.max_epochs=1", "force=true", "model.backbone=nothing_like_it")
    assert (outputs / "exp" / "fold_0" / "oof.csv").read_bytes() == before
    assert (outputs / "exp" / "fold_0" / "result.json").exists()


def test_a_fold_trained_again_takes_its_old_predictions_along(train, predict, outputs):
    train("trainer.max_epochs=1")
    predict()
    train("trainer.max_epochs=1", "force=true", "seed=7", "data.fold_seed=42")
    assert not (outputs / "exp" / "predictions.csv").exists()
    assert not (outputs / "exp" / "submission.csv").exists()
