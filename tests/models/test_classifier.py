"""Training steps of the classifier: rates, losses, scores, optimiser."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from small_classifier import (
    DIV_FACTOR,
    MAX_LR,
    MODEL,
    PCT_START,
    SIZE,
    SPEC,
    Watch,
    batches,
    classifier,
    fit,
    ten_epochs,
)

from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.transforms.cutout import Cutout
from seti.transforms.mixup import Mixing


def one_cycle(step: int, total: int) -> float:
    """Compute the one-cycle rate with cosine flanks at a step, independently from its formula."""
    start, end = MAX_LR / DIV_FACTOR, MAX_LR / DIV_FACTOR / 1e4
    peak = PCT_START * total - 1
    if step <= peak:
        return MAX_LR + (start - MAX_LR) * (1 + math.cos(math.pi * step / peak)) / 2
    return end + (MAX_LR - end) * (1 + math.cos(math.pi * (step - peak) / (total - 1 - peak))) / 2


@pytest.fixture
def run():
    """Ten epochs of four steps, trained once."""
    return ten_epochs()


def test_the_one_cycle_policy_sets_the_rate_of_every_step(run):
    rates = run[0].rates
    assert len(rates) == 40
    np.testing.assert_allclose(rates, [one_cycle(step, 40) for step in range(40)], rtol=1e-9)
    assert rates[0] == pytest.approx(MAX_LR / 6)
    assert int(np.argmax(rates)) == 3, "the last step of the first tenth"
    assert rates[3] == pytest.approx(MAX_LR)
    assert rates[-1] == pytest.approx(MAX_LR / 6 / 1e4)
    assert (np.diff(rates[3:]) < 0).all()


def test_gradient_accumulation_makes_fewer_steps():
    watch = Watch()
    fit(classifier(), watch, epochs=10, train_count=32, accumulate_grad_batches=2)
    np.testing.assert_allclose(watch.rates, [one_cycle(step, 40) for step in range(40)], rtol=1e-9)


@pytest.mark.parametrize(("epochs", "count", "pct_start"), [(5, 8, 0.1), (1, 20, 0.2), (1, 4, 1.0), (1, 4, 0.0)])
def test_short_runs_have_a_schedule(epochs, count, pct_start):
    """torch's own schedule divides by zero if the rise is a single step."""
    watch = Watch()
    fit(classifier(pct_start=pct_start), watch, epochs, count)
    assert len(watch.rates) == epochs * count // 4
    assert watch.rates[-1] == pytest.approx(MAX_LR / 6 / 1e4, rel=1e-4)
    if len(watch.rates) > 1:
        assert watch.rates[0] == pytest.approx(MAX_LR, rel=1e-4)


def test_the_validation_auc_equals_scikit_learns_in_every_epoch(run):
    watch = run[0]
    assert len(watch.aucs) == 10
    np.testing.assert_allclose(watch.aucs, watch.expected, atol=1e-6)
    assert len(set(watch.aucs)) > 1


def test_the_validation_loss_averages_over_cadences_not_batches(run):
    np.testing.assert_allclose(run[0].losses, run[0].expected_losses, rtol=1e-4)


def test_the_auc_of_logits_that_look_like_probabilities():
    """Only some batches lie in 0..1, so the sigmoid must be applied to all batches or to none."""
    module = classifier()
    logits = torch.tensor([[0.2, 0.9], [-4.0, 3.0], [0.1, 0.6], [0.5, 2.0]])
    targets = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    answers = iter(logits)
    module.forward = lambda images: next(answers)
    module.log = lambda *args, **options: None
    for row in targets:
        module.validation_step((torch.zeros(2, 1, *SIZE), row, torch.arange(2)), 0)
    assert module.val_auc.compute().item() == pytest.approx(roc_auc_score(targets.ravel(), logits.ravel()))


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_refused(loss):
    trainer = SimpleNamespace(callback_metrics={"val_loss": torch.tensor(loss)}, current_epoch=3)
    module = classifier()
    module.trainer = trainer
    with pytest.raises(SetiError, match=f"validation loss is {loss} in epoch 3"):
        module.on_validation_epoch_end()
    trainer.callback_metrics["val_loss"] = torch.tensor(1e30)
    module.on_validation_epoch_end()


def test_a_network_that_diverged_stops_the_run():
    class Diverge(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.backbone.head.bias.fill_(math.nan)

        def on_validation_start(self, trainer, pl_module):
            self.on_train_epoch_end(trainer, pl_module)

    with pytest.raises(SetiError) as caught:
        fit(classifier(), Diverge(), epochs=3)
    message = str(caught.value)
    assert "epoch 0" in message
    assert "optimizer.lr=0.0006" in message
    assert "\n" not in message


def test_adamw_gets_the_configured_rate_and_decay(run):
    optimizer = run[2].optimizers[0]
    assert type(optimizer) is torch.optim.AdamW
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.03]
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999), "OneCycle leaves momentum alone"
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(run[1].parameters()))


def test_the_optimiser_of_a_frozen_backbone_holds_only_its_head():
    watch, module = Watch(), classifier(freeze_backbone=True)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer = fit(module, watch, epochs=1)
    assert sum(len(group["params"]) for group in trainer.optimizers[0].param_groups) == 2
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"backbone.network.fc.weight", "backbone.network.fc.bias"}


def logged_loss(module: CadenceClassifier, batch) -> tuple[float, dict[str, float]]:
    logged = {}
    module.log = lambda name, value, **options: logged.update({name: value.item()})
    return module.training_step(batch, 0).item(), logged


def test_training_loss_without_mixup():
    module, batch = classifier().eval(), next(iter(batches(8, size=8)))
    loss, logged = logged_loss(module, batch)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    assert loss == pytest.approx(bce(module(batch[0]), batch[1]).item(), rel=1e-6)
    assert logged == {"loss": loss, "train_loss": loss}


def test_training_loss_with_mixup():
    """It is the lambda-weighted loss of both parts, to float rounding."""
    module, (images, targets, indices) = classifier(mixup={"alpha": 1.0}).eval(), next(iter(batches(8, size=8)))
    torch.manual_seed(5)
    loss, _ = logged_loss(module, (images, targets, indices))
    torch.manual_seed(5)
    share = torch.distributions.Beta(1.0, 1.0).sample().item()
    share = max(share, 1 - share)
    partner = torch.randperm(8)
    logits = module(share * images + (1 - share) * images[partner])
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = share * bce(logits, targets) + (1 - share) * bce(logits, targets[partner])
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    assert loss != pytest.approx(bce(module(images), targets).item(), rel=1e-3)


def test_training_uses_the_configured_loss_and_validation_cross_entropy():
    settings = classifier().hparams
    module = CadenceClassifier(
        SPEC, MODEL, settings["optimizer"], settings["schedule"], None, loss={"name": "bce", "pos_weight": 4.0}
    ).eval()
    batch = next(iter(batches(8, size=8)))
    logits, targets = module(batch[0]), batch[1]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    loss, logged = logged_loss(module, batch)
    assert loss == pytest.approx(bce(logits, targets, pos_weight=torch.tensor(4.0)).item(), rel=1e-5)
    module.log = lambda name, value, **options: logged.update({name: value})
    module.validation_step(batch, 0)
    assert logged["val_loss"].item() == pytest.approx(bce(logits, targets).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("epoch", "max_epochs", "mixed"), [(0, 10, True), (7, 10, True), (8, 10, False), (9, 10, False), (50, -1, True)]
)
def test_the_last_epochs_of_the_trainer_are_not_mixed(epoch, max_epochs, mixed):
    module, batch = classifier(mixup={"alpha": 5.0, "off_last": 0.2}).eval(), next(iter(batches(8, size=8)))
    module.trainer = SimpleNamespace(current_epoch=epoch, max_epochs=max_epochs)
    loss, _ = logged_loss(module, batch)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    plain = bce(module(batch[0]), batch[1]).item()
    assert (loss == pytest.approx(plain, rel=1e-6)) is not mixed


def test_cutout_comes_before_mixing():
    cutout = {"probability": 1.0, "size": [0.5, 0.5], "holes": 2}
    module = classifier(mixup={"cutmix": 1.0, "label": "union"}, cutout=cutout).eval()
    images, targets, indices = next(iter(batches(8, size=8)))
    fed = []
    module.backbone.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    torch.manual_seed(5)
    loss, _ = logged_loss(module, (images, targets, indices))
    torch.manual_seed(5)
    expected, soft = Mixing(cutmix=1.0, label="union")(Cutout(**cutout)(images), targets)
    torch.testing.assert_close(fed[0], expected, rtol=0, atol=0)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    assert loss == pytest.approx(bce(module(expected), soft).item(), rel=1e-6)


def test_validation_uses_neither_mixing_nor_cutout():
    cutout = {"probability": 1.0, "size": [0.5, 0.5], "holes": 2}
    module, batch = classifier(mixup={"alpha": 1.0}, cutout=cutout).eval(), next(iter(batches(8, size=8)))
    logged = {}
    module.log = lambda name, value, **options: logged.update({name: value})
    module.validation_step(batch, 0)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    assert logged["val_loss"].item() == pytest.approx(bce(module(batch[0]), batch[1]).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("panels", "layout", "channels"), [("A", "spatial", 1), ("A", "channel", 3), ("all", "channel", 6)]
)
def test_the_network_has_the_channels_of_the_spec(panels, layout, channels):
    settings = classifier().hparams
    module = CadenceClassifier(
        SPEC | {"panels": panels, "layout": layout}, MODEL, settings["optimizer"], settings["schedule"], None
    ).eval()
    assert module(torch.randn(2, channels, *SIZE)).shape == (2,)


@pytest.mark.parametrize(
    ("clip", "precision", "fused"),
    [
        (None, "32-true", True),
        (0.5, "32-true", True),
        (0.5, "bf16-mixed", False),
        (None, "16-mixed", True),
        (0.5, "16-mixed", False),
    ],
)
def test_the_optimiser_is_fused_unless_mixed_precision_gradients_are_clipped(clip, precision, fused):
    module = classifier()
    module._trainer = SimpleNamespace(
        gradient_clip_val=clip,
        precision=precision,
        estimated_stepping_batches=10,
        max_epochs=1,
        num_training_batches=10,
        accumulate_grad_batches=1,
    )
    assert module.configure_optimizers()["optimizer"].defaults["fused"] is fused
