from itertools import pairwise

import pandas as pd
import pytest
import torch

from seti.training import fold as training
from seti.training.callbacks.history import History

HEAD = {"backbone.network.fc.weight", "backbone.network.fc.bias"}


@pytest.fixture
def fold(outputs):
    return outputs / "exp" / "fold_0"


def states(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """Weights and buffers before the first epoch and after each one."""
    kept = []

    def keep(module):
        kept.append({name: value.detach().clone() for name, value in module.state_dict().items()})

    start, end = History.on_fit_start, History.on_train_epoch_end

    def on_fit_start(self, trainer, module):
        keep(module)
        start(self, trainer, module)

    def on_train_epoch_end(self, trainer, module):
        keep(module)
        end(self, trainer, module)

    monkeypatch.setattr(History, "on_fit_start", on_fit_start)
    monkeypatch.setattr(History, "on_train_epoch_end", on_train_epoch_end)
    return kept


def changed(one, other) -> set[str]:
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "radam"])
def test_the_head_comes_first_and_everything_after_it(train, fold, monkeypatch, optimizer):
    kept = states(monkeypatch)
    train("model.head_epochs=2", "trainer.max_epochs=4", f"optimizer.name={optimizer}")
    assert len(kept) == 5
    assert changed(kept[0], kept[1]) == changed(kept[1], kept[2]) == HEAD
    for before, after in pairwise(kept[2:]):
        assert changed(before, after) == set(kept[0]), "weights, running means and variances, counts of batches"


def test_the_schedule_runs_over_the_whole_training(train, outputs):
    train("model.head_epochs=1", "trainer.max_epochs=3")
    train("trainer.max_epochs=3", "exp_name=without")
    rates = [pd.read_csv(outputs / name / "fold_0" / "metrics.csv")["lr"] for name in ("exp", "without")]
    assert rates[0].equals(rates[1])


def test_a_network_without_a_head_is_refused_before_anything_is_written(train, outputs, monkeypatch):
    import timm

    def fail(self, **_):
        return torch.nn.Identity()

    monkeypatch.setattr(timm.models.resnet.ResNet, "get_classifier", fail)
    with pytest.raises(training.SetiError, match=r"model\.head_epochs train only the head"):
        train("model.head_epochs=1")
    assert not list(outputs.rglob("*.ckpt"))
