import numpy as np
import pytest
import torch

from seti.transforms.mixup import blend, draw_lambda

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


def test_blends_follow_the_formula():
    images, partner = torch.randn(BATCH, 2, 3, 4), torch.randperm(BATCH)
    before = images.clone()
    blended = blend(images, partner, 0.7)
    for row, other in enumerate(partner.tolist()):
        expected = 0.7 * before[row].double() + 0.3 * before[other].double()
        np.testing.assert_allclose(blended[row].numpy(), expected.numpy(), atol=1e-6)
    assert torch.equal(images, before), "the batch itself is left as it was"
    assert torch.equal(blend(images, partner, 1.0), before)
