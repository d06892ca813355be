from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from seti.history import EpochSeed, History

ORIGIN = {"config": {"lr": 1e-3}, "fingerprint": "f"}


def finish_epoch(history: History, epoch: int, **metrics) -> None:
    """Tell the callback of an epoch as a Trainer does."""
    lr = 1e-3 / (epoch + 1)
    values = {"train_loss": 0.7 - 0.1 * epoch, "val_loss": 0.6, "val_auc": 0.5 + 0.1 * epoch} | metrics
    trainer = SimpleNamespace(
        current_epoch=epoch,
        max_epochs=5,
        callback_metrics={name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 9.0}])],  # the schedule has moved on
    )
    history.on_train_epoch_start(trainer, None)
    for factor in (0.5, 1):  # the rates of the epoch's steps
        history.on_before_optimizer_step(trainer, None, SimpleNamespace(param_groups=[{"lr": factor * lr}]))
    history.on_train_epoch_end(trainer, None)


def test_a_row_an_epoch_in_the_file_at_once(tmp_path):
    path = tmp_path / "metrics.csv"
    history = History(path, ORIGIN)
    for epoch in range(3):
        finish_epoch(history, epoch)
        table = pd.read_csv(path)
        assert table["epoch"].tolist() == list(range(epoch + 1))
    assert table.columns.tolist() == ["epoch", "train_loss", "val_loss", "val_auc", "lr", "seconds"]
    assert table["train_loss"].tolist() == [0.7, 0.7 - 0.1, 0.7 - 0.2]
    assert table["val_auc"].tolist() == pytest.approx([0.5, 0.6, 0.7])
    assert table["lr"].tolist() == [1e-3, 1e-3 / 2, 1e-3 / 3]


def test_rows_come_back_with_a_checkpoint_and_go_on(tmp_path):
    first = History(tmp_path / "first.csv", ORIGIN)
    finish_epoch(first, 0)
    finish_epoch(first, 1)
    torch.save(first.state_dict(), tmp_path / "state.pt")

    resumed = History(tmp_path / "resumed.csv", {"config": {}, "fingerprint": "other"})
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.rows == first.rows
    assert resumed.origin == {"config": {}, "fingerprint": "other"}, "the origin is this run's own"
    finish_epoch(resumed, 2)
    assert pd.read_csv(tmp_path / "resumed.csv")["epoch"].tolist() == [0, 1, 2]


def test_rows_taken_back_are_the_callbacks_own(tmp_path):
    first, second = History(tmp_path / "first.csv", ORIGIN), History(tmp_path / "second.csv", ORIGIN)
    finish_epoch(first, 0)
    second.load_state_dict(first.state_dict())
    finish_epoch(second, 1)
    assert (len(first.rows), len(second.rows)) == (1, 2)


def test_origin_is_read_from_a_checkpoint():
    history = History(None, ORIGIN)
    checkpoint = {"callbacks": {"Other": {}, history.state_key: history.state_dict()}}
    assert History.read_origin(checkpoint) == ORIGIN
    assert History.read_origin({"callbacks": {}}) is None
    assert History.read_origin({}) is None


def numbers(seed: tuple[int, ...], epoch: int) -> tuple[float, ...]:
    """What torch draws in an epoch, whatever it drew before."""
    torch.rand(epoch + 3)
    EpochSeed(seed).on_train_epoch_start(SimpleNamespace(current_epoch=epoch), None)
    return tuple(torch.rand(4).tolist())


def test_an_epoch_draws_the_same_numbers_again():
    assert numbers((42, 0), 3) == numbers((42, 0), 3)


def test_other_epochs_seeds_and_folds_draw_others():
    drawn = [numbers((seed, fold), epoch) for seed in (41, 42) for fold in (0, 1) for epoch in range(10)]
    assert len(set(drawn)) == 40
