"""Folds that learn nothing, and their second tries."""

import json

import pandas as pd
import pytest
import torch
from conftest import read_json

from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.training import fold as training
from seti.training.callbacks.dead_fold import DeadFoldError
from seti.training.callbacks.history import History

EPOCHS = ("trainer.max_epochs=8", "watch.auc_margin=0.5", "watch.after=0.7")  # an AUC is always that near


@pytest.fixture
def fold(outputs):
    return outputs / "exp" / "fold_0"


def make_constant(monkeypatch, when=lambda seed: True):
    """Give every image the same logit, in runs with certain seeds."""
    forward = CadenceClassifier.forward
    seed_everything = training.pl.seed_everything
    seeds = []

    def remember(seed, **options):
        seeds.append(seed)
        return seed_everything(seed, **options)

    def constant(self, images):
        logits = forward(self, images)
        return logits * 0.0 + 0.3 if seeds and when(seeds[-1]) else logits

    monkeypatch.setattr(training.pl, "seed_everything", remember)
    monkeypatch.setattr(CadenceClassifier, "forward", constant)


def test_an_auc_that_never_leaves_a_half_stops_the_fold(train, fold, caplog):
    message = (
        r"^fold 0 of exp does not learn: its AUC is 0\.\d{4} in epoch 6 and was within 0\.5 of 0\.5 in every epoch; "
    )
    with pytest.raises(DeadFoldError, match=message) as caught:
        train(*EPOCHS)
    assert "\n" not in str(caught.value)
    assert not (fold / "result.json").exists()
    assert not (fold / "checkpoints").exists()
    assert len(pd.read_csv(fold / "metrics_seed_42.csv")) == 6
    # The same command would only see it die again; it says so at once.
    again = r"does not learn: .* \(tried with seed 42, by an earlier run\): retries=1 tries another seed, force=true"
    with pytest.raises(SetiError, match=again):
        train(*EPOCHS)
    train(*EPOCHS, "watch.after=null")  # is not asked to judge
    assert read_json(fold / "result.json")["attempts"][0]["seed"] == 42
    assert not (fold / "attempts.json").exists()


def test_an_auc_that_left_it_once_is_no_dead_fold(train, fold, monkeypatch):
    epoch_end = History.on_train_epoch_end

    def leave(self, trainer, module):
        epoch_end(self, trainer, module)
        self.rows[-1]["val_auc"] = 0.54 if trainer.current_epoch == 2 else 0.5

    monkeypatch.setattr(History, "on_train_epoch_end", leave)
    train("trainer.max_epochs=6")
    assert read_json(fold / "result.json")["epochs"] == 6


def test_short_runs_are_not_judged(train, fold):
    train("trainer.max_epochs=4", "watch.auc_margin=0.5", "watch.after=0")
    assert read_json(fold / "result.json")["epochs"] == 4


def test_a_constant_output_stops_the_fold(train, monkeypatch):
    make_constant(monkeypatch)
    with pytest.raises(DeadFoldError, match="every held-out cadence gets the same probability in epoch 5; lower"):
        train("trainer.max_epochs=6", "watch.auc_margin=0")


def test_a_loss_that_is_no_number_stops_the_fold_and_spoils_no_checkpoint(train, fold, monkeypatch):
    step = CadenceClassifier.training_step

    def diverge(self, batch, batch_idx):
        return step(self, batch, batch_idx) * (float("nan") if self.current_epoch == 2 else 1)

    saved = []
    monkeypatch.setattr(CadenceClassifier, "training_step", diverge)
    monkeypatch.setattr(training.Attempts, "set_aside", lambda self, seed: saved.extend(fold.rglob("*.ckpt")))
    message = "^fold 0 of exp: the training loss is nan in epoch 3: training diverged; lower optimizer.lr=0.0006"
    with pytest.raises(DeadFoldError, match=message):
        train("trainer.max_epochs=4")
    assert len(saved) == 2
    for path in saved:
        weights = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_retry_takes_another_seed_and_both_are_told(train, fold, monkeypatch, caplog):
    settings = ("trainer.max_epochs=6", "retries=2")
    with monkeypatch.context() as patch:
        make_constant(patch, when=lambda seed: seed == 42)
        train(*settings)
    result = read_json(fold / "result.json")
    dead, alive = result["attempts"]
    assert (dead["seed"], alive["seed"], result["seed"], result["config"]["seed"]) == (42, 1042, 1042, 42)
    assert dead["epoch"] == 4
    assert "the same probability" in dead["reason"]
    assert alive == {"seed": 1042, "epoch": result["best_epoch"], "auc": result["scores"]["auc"], "reason": None}
    assert "starting over with seed 1042" in caplog.text
    assert len(pd.read_csv(fold / "metrics_seed_42.csv")) == 5
    assert len(pd.read_csv(fold / "metrics.csv")) == 6
    # As a run with that seed on the same folds.
    train("trainer.max_epochs=6", "seed=1042", "data.fold_seed=42", "exp_name=other")
    other = fold.parents[1] / "other" / "fold_0"
    assert (fold / "oof.csv").read_bytes() == (other / "oof.csv").read_bytes()


@pytest.mark.parametrize("cleared", [True, False])
def test_a_run_killed_in_its_second_try_goes_on_with_that_seed(train, fold, monkeypatch, cleared):
    settings = ("trainer.max_epochs=6", "retries=1")

    def kill(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        make_constant(patch, when=lambda seed: seed == 42)
        if cleared:  # killed as the second try ends
            patch.setattr(training, "predict_held_out", kill)
        else:  # killed before the first one's files were put aside
            patch.setattr(training.Attempts, "set_aside", kill)
        with pytest.raises(InterruptedError):
            train(*settings)
    assert len(read_json(fold / "attempts.json")["attempts"]) == 1
    train(*settings)
    assert [attempt["seed"] for attempt in read_json(fold / "result.json")["attempts"]] == [42, 1042]
    assert len(pd.read_csv(fold / "metrics.csv")) == 6


def test_attempts_of_other_settings_do_not_count(train, fold):
    with pytest.raises(DeadFoldError):
        train(*EPOCHS)
    with pytest.raises(DeadFoldError):  # not the earlier run's refusal
        train(*EPOCHS, "optimizer.lr=0.001")
    train("trainer.max_epochs=1", "force=true")
    assert not list(fold.glob("*_seed_*"))


@pytest.mark.parametrize(
    "attempts", [None, {}, [1], [{"seed": 42}], [{"seed": "x", "epoch": 1, "auc": 0.5, "reason": "r"}]]
)
def test_a_damaged_record_of_attempts_is_refused(train, fold, monkeypatch, attempts):
    settings = ("trainer.max_epochs=6", "retries=1")
    with monkeypatch.context() as patch:
        make_constant(patch)
        with pytest.raises(SetiError):
            train(*settings)
    path = fold / "attempts.json"
    path.write_text(json.dumps(read_json(path) | {"attempts": attempts}))
    with pytest.raises(
        SetiError, match=r"attempts.json holds no sensible attempts \(.*\): delete it, or set force=true"
    ):
        train(*settings)
