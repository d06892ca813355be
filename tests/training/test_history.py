from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from seti.experiments.run_identity import RunIdentity
from seti.training.callbacks.history import History, StepSeed

IDENTITY, OTHER = RunIdentity({"lr": 1e-3}, "f", 42), RunIdentity({}, "other")


def finish_epoch(history: History, epoch: int, **metrics) -> None:
    """Tell the callback of an epoch as a Trainer does."""
    lr = 1e-3 / (epoch + 1)
    values = {"val_loss": 0.6, "val_auc": 0.5 + 0.1 * epoch} | metrics
    trainer = SimpleNamespace(
        current_epoch=epoch,
        max_epochs=5,
        accumulate_grad_batches=2,
        callback_metrics={name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 9.0}])],  # the schedule has moved on
    )
    history.on_train_epoch_start(trainer, None)
    for factor in (0.5, 1):  # the rates of the epoch's steps
        history.on_before_optimizer_step(trainer, None, SimpleNamespace(param_groups=[{"lr": factor * lr}]))
    for loss, size in ((0.6 - 0.1 * epoch, 3), (1.0 - 0.1 * epoch, 1)):  # of two batches; their mean is 0.7 - 0.1 epoch
        outputs = {"loss": torch.tensor(loss / 2, dtype=torch.float64)}
        history.on_train_batch_end(trainer, None, outputs, (None, [0] * size, None), 0)
    history.on_train_epoch_end(trainer, None)


def test_a_row_an_epoch_in_the_file_at_once(tmp_path):
    path = tmp_path / "metrics.csv"
    history = History(path, IDENTITY)
    for epoch in range(3):
        finish_epoch(history, epoch)
        table = pd.read_csv(path)
        assert table["epoch"].tolist() == list(range(epoch + 1))
    assert table.columns.tolist() == ["epoch", "train_loss", "val_loss", "val_auc", "lr", "seconds"]
    assert table["train_loss"].tolist() == pytest.approx([0.7, 0.6, 0.5])
    assert table["val_auc"].tolist() == pytest.approx([0.5, 0.6, 0.7])
    assert table["lr"].tolist() == [1e-3, 1e-3 / 2, 1e-3 / 3]


def test_rows_come_back_with_a_checkpoint_and_go_on(tmp_path):
    first = History(tmp_path / "first.csv", IDENTITY)
    finish_epoch(first, 0)
    finish_epoch(first, 1)
    torch.save(first.state_dict(), tmp_path / "state.pt")

    resumed = History(tmp_path / "resumed.csv", OTHER)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.rows == first.rows
    assert resumed.identity == OTHER, "the identity is this run's own"
    finish_epoch(resumed, 2)
    assert pd.read_csv(tmp_path / "resumed.csv")["epoch"].tolist() == [0, 1, 2]


def test_rows_taken_back_are_the_callbacks_own(tmp_path):
    first, second = History(tmp_path / "first.csv", IDENTITY), History(tmp_path / "second.csv", IDENTITY)
    finish_epoch(first, 0)
    second.load_state_dict(first.state_dict())
    finish_epoch(second, 1)
    assert (len(first.rows), len(second.rows)) == (1, 2)


def test_the_identity_is_read_from_a_checkpoint():
    history = History(None, IDENTITY)
    checkpoint = {"callbacks": {"Other": {}, history.state_key: history.state_dict()}}
    assert History.read_identity(checkpoint) == IDENTITY
    assert History.read_identity({"callbacks": {}}) is None
    assert History.read_identity({}) is None
    assert history.state_dict()["origin"] == {"config": {"lr": 1e-3}, "fingerprint": "f", "seed": 42}


def test_a_checkpoint_in_the_middle_of_an_epoch_brings_its_losses(tmp_path):
    def batch(history, loss, size):
        trainer = SimpleNamespace(accumulate_grad_batches=1)
        history.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, (None, [0] * size, None), 0)

    metrics = {"val_loss": torch.tensor(0.6), "val_auc": torch.tensor(0.5)}
    trainer = SimpleNamespace(current_epoch=0, max_epochs=1, callback_metrics=metrics)
    rows = []
    for interrupted in (False, True):
        history = History(tmp_path / "a.csv", IDENTITY)
        history.on_train_epoch_start(trainer, None)
        batch(history, 0.123, 3)
        history.on_before_optimizer_step(trainer, None, SimpleNamespace(param_groups=[{"lr": 0.5}]))
        if interrupted:
            torch.save(history.state_dict(), tmp_path / "state.pt")
            history = History(tmp_path / "a.csv", IDENTITY)
            history.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        batch(history, 0.456, 2)
        history.on_train_epoch_end(trainer, None)
        rows.append({key: value for key, value in history.rows[0].items() if key != "seconds"})
    assert rows[0] == rows[1]
    assert rows[0]["lr"] == 0.5


def numbers(seed: tuple[int, ...], epoch: int, batch: int = 0) -> tuple[float, ...]:
    """Random numbers of torch in a batch, independent of the ones before."""
    torch.rand(epoch + 3)
    StepSeed(seed).on_train_batch_start(SimpleNamespace(current_epoch=epoch), None, None, batch)
    return tuple(torch.rand(4).tolist())


def test_a_batch_draws_the_same_numbers_again():
    assert numbers((42, 0), 3, 7) == numbers((42, 0), 3, 7)


def test_other_batches_epochs_seeds_and_folds_draw_others():
    drawn = [
        numbers((seed, fold), epoch, batch)
        for seed in (41, 42)
        for fold in (0, 1)
        for epoch in range(5)
        for batch in range(5)
    ]
    assert len(set(drawn)) == 100
