from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from seti.transforms.mixup import Mixing, soft_targets

BATCH, BINS = 16, 40


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Images full of their own number, and a needle in every third of them."""
    numbers = torch.arange(BATCH, dtype=torch.float32)
    return numbers[:, None, None, None].expand(BATCH, 2, 6, BINS).clone(), (numbers % 3 == 0).float()


def standardised(count: int = BATCH) -> torch.Tensor:
    """Skewed images of mean 0 and deviation 1 in every channel."""
    images = torch.rand(count, 3, 30, BINS).exp() ** 3
    mean, deviation = images.mean((2, 3), keepdim=True), images.std((2, 3), correction=0, keepdim=True)
    return (images - mean) / deviation


def pairs(mixed: torch.Tensor) -> tuple[list[float], list[int], np.ndarray]:
    """Of a CutMix of `batch()`: how much the first counts, the partners, and which bins are the partner's `(B, W)`."""
    numbers = mixed.numpy()
    assert (numbers == numbers[:, :1, :1]).all(), "every channel and every row alike"
    foreign = numbers[:, 0, 0] != np.arange(BATCH)[:, None]
    rows = enumerate(zip(numbers[:, 0, 0], foreign, strict=True))
    partners = [int(row[mask][0]) if mask.any() else number for number, (row, mask) in rows]
    return [1 - mask.mean() for mask in foreign], partners, foreign


def test_off_by_default():
    assert not Mixing().mixes(0, 10)
    assert not Mixing(label="union", restandardise=True).mixes(0, 10)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0), (0.5, 0.5, 0.75)]
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_needles_add_up_in_a_union_whatever_lambda(first, second, expected, share):
    first, second = torch.tensor([float(first)]), torch.tensor([float(second)])
    assert soft_targets(first, second, share, "union").tolist() == [expected]


@pytest.mark.parametrize("share", [0.5, 0.731, 0.99, 1.0])
def test_interpolated_targets_give_the_lambda_weighted_loss(share):
    logits, first, second = 3 * torch.randn(64), torch.randint(2, (64,)).float(), torch.randint(2, (64,)).float()
    once = bce(logits, soft_targets(first, second, share, "interpolate"))
    twice = share * bce(logits, first) + (1 - share) * bce(logits, second)
    assert once.item() == pytest.approx(twice.item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("label", ["interpolate", "union"])
def test_mixup_blends_images_and_targets_of_the_same_pairs(seed, label):
    torch.manual_seed(seed)
    images, targets = batch()
    mixed, soft = Mixing(alpha=1.0, label=label)(images, targets)
    torch.manual_seed(seed)  # the draws of ever: lambda, then the partners
    share = torch.distributions.Beta(1.0, 1.0).sample().item()
    share, partner = max(share, 1 - share), torch.randperm(BATCH)
    torch.testing.assert_close(mixed, share * images + (1 - share) * images[partner], rtol=0, atol=0)
    if label == "union":
        assert torch.equal(soft, torch.maximum(targets, targets[partner]))
    else:
        torch.testing.assert_close(soft, share * targets + (1 - share) * targets[partner])
    assert torch.equal(images, batch()[0])
    assert torch.equal(targets, batch()[1])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("label", ["interpolate", "union"])
def test_cutmix_takes_one_band_of_bins_and_its_share_of_the_target(seed, label):
    torch.manual_seed(seed)
    images, targets = batch()
    mixed, soft = Mixing(cutmix=1.0, label=label)(images, targets)
    assert mixed.shape == images.shape
    shares, partners, foreign = pairs(mixed)
    assert sorted(partners) == list(range(BATCH))
    moved = [row for row in range(BATCH) if partners[row] != row]
    assert moved
    for row in moved:
        assert np.array_equal(foreign[row], foreign[moved[0]]), "the same band for all"
        edges = np.diff(np.pad(foreign[row].astype(int), 1))
        assert np.abs(edges).sum() <= 2, "contiguous"
        first, second = targets[row].item(), targets[partners[row]].item()
        expected = max(first, second) if label == "union" else shares[row] * first + (1 - shares[row]) * second
        assert soft[row].item() == pytest.approx(expected, abs=1e-7)
    assert torch.equal(images, batch()[0])


def test_partners_are_shuffled_for_every_batch():
    partners = {tuple(Mixing(alpha=5.0)(*batch())[0][:, 0, 0, 0].tolist()) for _ in range(10)}
    assert len(partners) == 10


def test_with_both_on_each_comes_half_of_the_time():
    images, targets = batch()
    both = Mixing(alpha=5.0, cutmix=5.0)
    cut = [bool((both(images, targets)[0] % 1 == 0).all()) for _ in range(600)]
    assert np.mean(cut) == pytest.approx(0.5, abs=0.08)
    runs = 1 + sum(one != other for one, other in pairwise(cut))
    assert runs == pytest.approx(300, abs=50)  # by chance, not by turns


def test_everything_follows_from_torchs_seed():
    def draws(seed):
        torch.manual_seed(seed)
        return torch.stack([Mixing(alpha=1.0, cutmix=1.0)(*batch())[0] for _ in range(4)])

    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))


@pytest.mark.parametrize("settings", [{"alpha": 5.0}, {"cutmix": 1.0}])
def test_standardised_parts_give_a_standardised_mix(settings):
    images, targets = standardised(), torch.zeros(BATCH)
    for _ in range(5):
        state = torch.get_rng_state()
        plain, _ = Mixing(**settings)(images, targets)
        torch.set_rng_state(state)
        mixed, _ = Mixing(**settings, restandardise=True)(images, targets)
        np.testing.assert_allclose(mixed.mean((2, 3)).numpy(), 0, atol=1e-5)
        np.testing.assert_allclose(mixed.std((2, 3), correction=0).numpy(), 1, atol=1e-4)
        for one, other in zip(mixed.flatten(0, 1), plain.flatten(0, 1), strict=True):  # nothing else is changed
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(1, abs=1e-5)
    if "alpha" in settings:
        assert plain.std((2, 3)).mean() < 0.9, "which mixing alone loses"


def test_parts_of_another_scale_give_a_mix_of_theirs():
    """Validation images that resizing left with a deviation of 0.4 are not to be met by training images of 1."""
    scale = torch.rand(BATCH, 3) + 0.5
    images = scale[:, :, None, None] * (0.4 * standardised() + 2)
    torch.manual_seed(3)
    mixed, _ = Mixing(alpha=5.0, restandardise=True)(images, torch.zeros(BATCH))
    torch.manual_seed(3)
    share = torch.distributions.Beta(5.0, 5.0).sample().item()
    share, partner = max(share, 1 - share), torch.randperm(BATCH)
    expected = share * scale + (1 - share) * scale[partner]
    torch.testing.assert_close(mixed.std((2, 3), correction=0), 0.4 * expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(mixed.mean((2, 3)), 2 * expected, rtol=1e-4, atol=0)


def test_flat_channels_stay_flat():
    images = torch.full((4, 2, 5, BINS), 3.0)
    images[:, 1] = torch.randn(4, 5, BINS)
    mixed, _ = Mixing(alpha=1.0, restandardise=True)(images, torch.zeros(4))
    torch.testing.assert_close(mixed[:, 0], images[:, 0])
    assert mixed.isfinite().all()


@pytest.mark.parametrize(
    ("off_last", "epochs", "mixed"),
    [
        (0.0, 10, 10),
        (0.2, 10, 8),
        (0.7, 10, 3),  # 0.7 * 10 is a little more than 7
        (0.1, 30, 27),
        (0.21, 10, 7),  # rounded up
        (0.01, 10, 9),
        (0.99, 10, 1),
        (0.5, 1, 1),  # the first one is always mixed
        (0.5, -1, 20),  # a range test
        (0.5, None, 20),
    ],
)
def test_the_last_epochs_are_not_mixed(off_last, epochs, mixed):
    mixing = Mixing(cutmix=1.0, off_last=off_last)
    known = epochs if epochs and epochs > 0 else 20
    assert [mixing.mixes(epoch, epochs) for epoch in range(known)] == [True] * mixed + [False] * (known - mixed)
