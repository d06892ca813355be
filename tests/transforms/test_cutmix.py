import numpy as np
import pytest
import torch

from seti.transforms.mixup import draw_band, paste

BINS = 40


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_the_width_of_the_band_is_what_lambda_leaves(alpha):
    bands = np.array([draw_band(alpha, BINS) for _ in range(3000)])
    low, high = bands.T
    assert low.min() >= 0
    assert high.max() <= BINS
    width = high - low
    assert width.min() >= 0
    beta = np.round((1 - np.random.default_rng(0).beta(alpha, alpha, size=200_000)) * BINS)
    assert width.mean() == pytest.approx(beta.mean(), abs=4 * beta.std() / np.sqrt(len(bands)))
    np.testing.assert_allclose(np.quantile(width, [0.1, 0.5, 0.9]), np.quantile(beta, [0.1, 0.5, 0.9]), atol=2.1)


def test_the_band_lies_anywhere():
    low, high = np.array([draw_band(5.0, BINS) for _ in range(3000)]).T
    place = (low / np.maximum(BINS - (high - low), 1))[high - low < BINS]
    assert place.min() == 0
    assert place.max() == 1
    assert place.mean() == pytest.approx(0.5, abs=0.02)
    assert place.std() == pytest.approx(1 / np.sqrt(12), abs=0.03)  # drawn evenly
    covered = np.zeros(BINS)
    for first, last in zip(low, high, strict=True):
        covered[first:last] += 1
    assert covered.min() > 0


def test_a_band_follows_from_torchs_seed():
    def draws(seed):
        torch.manual_seed(seed)
        return [draw_band(1.0, BINS) for _ in range(5)]

    assert draws(1) == draws(1) != draws(2)


@pytest.mark.parametrize("band", [(0, 3), (2, 7), (9, 12), (0, 12), (5, 5)])
def test_the_partners_bins_span_all_times_and_channels_and_no_others(band):
    low, high = band
    images, partner = torch.randn(6, 3, 5, 12), torch.tensor([3, 0, 2, 1, 5, 4])
    before = images.clone()
    mixed = paste(images, partner, band)
    for row, other in enumerate(partner.tolist()):
        assert torch.equal(mixed[row, :, :, low:high], before[other, :, :, low:high])
        assert torch.equal(mixed[row, :, :, :low], before[row, :, :, :low])
        assert torch.equal(mixed[row, :, :, high:], before[row, :, :, high:])
    assert torch.equal(images, before), "the batch itself is left as it was"
