import itertools

import pandas as pd
import pytest
import torch
from conftest import read_json

from seti.experiments.run_identity import RunIdentity
from seti.training import fold as training
from seti.training.build import build_callbacks
from seti.training.callbacks.freeze_backbone import FreezeBackbone
from seti.training.callbacks.save_on_signal import SaveOnSignal
from seti.training.callbacks.weight_averaging import MovingAverage


def weights_after_steps(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """Keeps the trained weights and buffers after every step."""
    kept, original = [], SaveOnSignal.on_train_batch_end

    def keep(self, trainer, module, *rest):
        kept.append({name: value.detach().clone() for name, value in module.state_dict().items()})
        return original(self, trainer, module, *rest)

    monkeypatch.setattr(SaveOnSignal, "on_train_batch_end", keep)
    return kept


@pytest.mark.parametrize(("decay", "caps"), [(0.3, 3), (0.999, 0)])
def test_the_average_by_hand(train, fold, monkeypatch, decay, caps):
    kept = weights_after_steps(monkeypatch)
    train(f"ema.decay={decay}", "trainer.max_epochs=2", "optimizer.lr=0.01")
    assert len(kept) == 6
    last = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(1, 6)]
    assert sum(value == decay for value in decays) == caps
    for name, found in last["state_dict"].items():
        expected = kept[0][name].double()
        for d, weights in zip(decays, kept[1:], strict=True):
            expected = d * expected + (1 - d) * weights[name].double()
        if name.endswith("num_batches_tracked"):
            assert found == kept[-1][name] == 6
        else:
            torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
            assert torch.equal(last["current_model_state"][name], kept[-1][name])
    moving = [name for name in last["state_dict"] if "running_mean" in name or name.endswith("conv1.weight")]
    assert all(not torch.equal(last["state_dict"][name], kept[-1][name]) for name in moving)


def test_the_average_is_validated_kept_and_predicted_with(train, fold, monkeypatch, data_root):
    from unit_helpers import forward

    train("ema.decay=0.5", "trainer.max_epochs=2", "optimizer.lr=0.01")
    oof, metrics = pd.read_csv(fold / "oof.csv", dtype={"id": str}), pd.read_csv(fold / "metrics.csv")
    # `forward` takes the weights that stand under state_dict.
    best = fold / "checkpoints" / "best.ckpt"
    probs = forward(best, data_root, "train", oof["id"])
    assert abs(oof["prob"] - probs).max() < 1e-5
    result = read_json(fold / "result.json")
    assert metrics["val_auc"].max() == pytest.approx(result["scores"]["auc"], abs=1e-6)
    assert metrics["val_loss"][result["best_epoch"]] == pytest.approx(result["scores"]["loss"], abs=1e-5)
    stored = torch.load(best, weights_only=True)
    torch.save(stored | {"state_dict": stored["current_model_state"]}, fold / "trained.ckpt")
    assert abs(oof["prob"] - forward(fold / "trained.ckpt", data_root, "train", oof["id"])).max() > 1e-4


def test_training_itself_does_not_see_the_average(train, outputs, monkeypatch):
    kept = weights_after_steps(monkeypatch)
    train("ema.decay=0.5")
    train("exp_name=without")
    half = len(kept) // 2
    for one, other in zip(kept[:half], kept[half:], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [pd.read_csv(outputs / name / "fold_0" / "metrics.csv")["train_loss"] for name in ("exp", "without")]
    assert losses[0].equals(losses[1])


def test_accumulated_batches_are_averaged_once_a_step(train, fold):
    train("ema.decay=0.5", "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2")
    last = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["averaging_state"]["n_averaged"] == last["global_step"] == 4


def test_the_average_stands_before_those_that_save(config):
    cfg = config("ema.decay=0.9", "model.head_epochs=1")
    folder = training.Experiment(training.Path("x")).fold(0)
    kinds = [type(callback) for callback in build_callbacks(cfg, folder, RunIdentity({}, "", 1), "fold 0")]
    assert kinds.index(MovingAverage) < kinds.index(SaveOnSignal)
    off = [type(callback) for callback in build_callbacks(config(), folder, RunIdentity({}, "", 1), "fold 0")]
    assert not {MovingAverage, FreezeBackbone} & set(off)
    assert len(list(itertools.chain(kinds))) == len(off) + 2
