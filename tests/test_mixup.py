import numpy as np
import pytest
import torch
from scipy.special import expit

from seti.mixup import draw_lambda, mixup, mixup_loss

BATCH = 16


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 5.0])
def test_lambda_is_the_larger_share_of_a_beta_draw(alpha):
    drawn = np.array([draw_lambda(alpha) for _ in range(4000)])
    beta = np.random.default_rng(0).beta(alpha, alpha, size=200_000)
    expected = np.maximum(beta, 1 - beta)
    assert drawn.min() >= 0.5
    assert drawn.max() <= 1.0
    error = expected.std() / np.sqrt(len(drawn))
    assert drawn.mean() == pytest.approx(expected.mean(), abs=4 * error)
    np.testing.assert_allclose(np.quantile(drawn, [0.25, 0.5]), np.quantile(expected, [0.25, 0.5]), atol=0.03)


def test_small_alphas_blend_little():
    means = [np.mean([draw_lambda(alpha) for _ in range(1000)]) for alpha in (0.05, 0.5, 10.0)]
    assert means[0] > means[1] > means[2]


def test_lambda_follows_from_torchs_seed():
    def draws(seed):
        torch.manual_seed(seed)
        return [draw_lambda(0.4) for _ in range(5)]

    assert draws(1) == draws(1) != draws(2)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures full of their own number, and targets that tell it too."""
    numbers = torch.arange(BATCH, dtype=torch.float32)
    return numbers[:, None, None, None].expand(BATCH, 2, 3, 4).clone(), 100 + numbers


@pytest.mark.parametrize("seed", range(5))
def test_blends_follow_the_formula_with_the_same_partner_for_picture_and_target(seed):
    torch.manual_seed(seed)
    pictures, targets = batch()
    blended, first, second, share = mixup(pictures, targets, 1.0)
    assert blended.shape == pictures.shape
    torch.testing.assert_close(first, targets)
    partner = (second - 100).numpy()
    assert sorted(partner) == list(range(BATCH))
    expected = share * np.arange(BATCH) + (1 - share) * partner
    np.testing.assert_allclose(
        blended.numpy(), np.broadcast_to(expected[:, None, None, None], (BATCH, 2, 3, 4)), rtol=1e-5
    )
    assert 0.5 <= share <= 1


def test_partners_are_shuffled_anew():
    pictures, targets = batch()
    partners = {tuple(mixup(pictures, targets, 0.4)[2].tolist()) for _ in range(10)}
    assert len(partners) == 10


def test_the_batch_itself_is_left_as_it_was():
    pictures, targets = batch()
    mixup(pictures, targets, 1.0)
    torch.testing.assert_close(pictures, batch()[0])
    torch.testing.assert_close(targets, batch()[1])


@pytest.mark.parametrize("share", [0.5, 0.7, 1.0])
def test_loss_is_the_weighted_cross_entropy(share):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=20)
    first, second = rng.integers(2, size=(2, 20))

    def entropy(targets):
        prob = expit(logits)
        return -(targets * np.log(prob) + (1 - targets) * np.log(1 - prob)).mean()

    tensors = (torch.tensor(values, dtype=torch.float64) for values in (logits, first, second))
    loss = mixup_loss(*tensors, share)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(share * entropy(first) + (1 - share) * entropy(second), rel=1e-10)


def test_loss_equals_cross_entropy_with_soft_targets():
    logits, first, second = torch.randn(8), torch.ones(8), torch.zeros(8)
    soft = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full((8,), 0.7))
    torch.testing.assert_close(mixup_loss(logits, first, second, 0.7), soft)
