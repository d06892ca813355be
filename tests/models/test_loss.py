import math

import pytest
import torch
from torch.nn import functional as F

from seti.models.loss import training_loss

LOGITS = torch.tensor([-3.0, -0.5, 0.0, 1.2, 40.0, -40.0])
TARGETS = torch.tensor([0.0, 1.0, 0.3, 1.0, 1.0, 0.0])


def by_hand(logits, targets, gamma=0.0, weight=1.0) -> float:
    """Compute the loss of each cadence from its formula in plain Python."""
    losses = []
    for z, y in zip(logits.tolist(), targets.tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        losses.append(-weight * y * (1 - p) ** gamma * math.log(p) - (1 - y) * p**gamma * math.log(1 - p))
    return sum(losses) / len(losses)


def test_cross_entropy_equals_torchs_to_the_last_bit():
    assert torch.equal(training_loss(LOGITS, TARGETS), F.binary_cross_entropy_with_logits(LOGITS, TARGETS))


def test_focal_loss_by_hand():
    # p = 0.9 for a needle: 0.1^2 * -log 0.9; for a cadence without one: 0.9^2 * -log 0.1.
    logit = torch.tensor([math.log(9.0)])
    focal = [training_loss(logit, torch.tensor([y]), name="focal").item() for y in (1.0, 0.0)]
    assert focal == pytest.approx([0.01 * 0.105360516, 0.81 * 2.302585093], rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weight", [None, 3.0])
def test_focal_loss_of_soft_targets(gamma, weight):
    found = training_loss(LOGITS[:4], TARGETS[:4], name="focal", gamma=gamma, pos_weight=weight)
    assert found.item() == pytest.approx(by_hand(LOGITS[:4], TARGETS[:4], gamma, weight or 1.0), rel=1e-5)


@pytest.mark.parametrize("weight", [None, 3.0])
def test_focal_loss_with_gamma_zero_is_cross_entropy(weight):
    given = {"pos_weight": weight, "smoothing": 0.1}
    focal = training_loss(LOGITS, TARGETS, name="focal", gamma=0.0, **given)
    torch.testing.assert_close(focal, training_loss(LOGITS, TARGETS, **given))


def test_the_positive_weight_equals_torchs():
    expected = F.binary_cross_entropy_with_logits(LOGITS, TARGETS, pos_weight=torch.tensor(2.5))
    torch.testing.assert_close(training_loss(LOGITS, TARGETS, pos_weight=2.5), expected)


def test_label_smoothing_moves_targets_towards_one_half():
    expected = F.binary_cross_entropy_with_logits(LOGITS[:2], torch.tensor([0.05, 0.95]))
    torch.testing.assert_close(training_loss(LOGITS[:2], TARGETS[:2], smoothing=0.1), expected)
    # A target of one half stays.
    half = torch.full((2,), 0.5)
    torch.testing.assert_close(
        training_loss(LOGITS[:2], half, smoothing=0.4), F.binary_cross_entropy_with_logits(LOGITS[:2], half)
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"smoothing": 0.2}, {"pos_weight": 4.0}, {"name": "focal"}, {"name": "focal", "gamma": 1.0, "smoothing": 0.1}],
)
def test_the_loss_of_mixed_targets_is_the_mixture_of_the_losses(settings):
    first, second, share = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([1.0, 1.0, 0.0]), 0.7
    logits = LOGITS[1:4]
    blended = training_loss(logits, share * first + (1 - share) * second, **settings)
    parts = [training_loss(logits, targets, **settings) for targets in (first, second)]
    torch.testing.assert_close(blended, share * parts[0] + (1 - share) * parts[1])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_is_finite_however_confident_the_network_is(gamma):
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    loss = training_loss(logits, torch.tensor([0.0, 1.0, 1.0, 0.0]), name="focal", gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
