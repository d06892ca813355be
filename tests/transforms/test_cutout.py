import numpy as np
import pytest
import torch

from seti.transforms.cutout import Cutout

HEIGHT, WIDTH = 40, 60


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def images(count: int, channels: int = 2) -> torch.Tensor:
    """Noise of another mean in every channel of every image."""
    return torch.randn(count, channels, HEIGHT, WIDTH) + 10 * torch.randn(count, channels, 1, 1)


def rectangles(hidden: np.ndarray) -> list[tuple[int, int]]:
    """Height and width of what is hidden in each image; it must be one rectangle, or nothing."""
    sizes = []
    for mask in hidden:
        rows, bins = mask.any(axis=1), mask.any(axis=0)
        assert np.array_equal(mask, rows[:, None] & bins[None])
        for side in (rows, bins):
            assert np.abs(np.diff(np.pad(side.astype(int), 1))).sum() in (0, 2)
        sizes.append((int(rows.sum()), int(bins.sum())))
    return sizes


def test_off_by_default_without_a_draw():
    made, state = images(3), torch.get_rng_state()
    assert Cutout()(made) is made
    assert torch.equal(torch.get_rng_state(), state)


def test_one_rectangle_is_filled_with_its_channels_mean():
    made = images(64)
    before = made.clone()
    result = Cutout(1.0, [0.5, 0.25])(made)
    assert torch.equal(made, before), "the batch itself is left as it was"
    hidden = result != before
    assert torch.equal(hidden[:, 0], hidden[:, 1]), "all channels alike"
    for row, (height, width) in enumerate(rectangles(hidden[:, 0].numpy())):
        assert 1 <= height <= HEIGHT / 2
        assert 1 <= width <= WIDTH / 4
        for channel in range(2):
            values = result[row, channel][hidden[row, channel]]
            np.testing.assert_allclose(values, before[row, channel].mean().item(), rtol=1e-4, atol=1e-4)


def test_sides_fill_their_range_evenly_and_lie_anywhere():
    drawn = Cutout(1.0, [0.5, 0.25]).draw(4000, HEIGHT, WIDTH)[:, 0].numpy()
    top, bottom, left, right = drawn.T
    assert top.min() == left.min() == 0
    assert bottom.max() == HEIGHT
    assert right.max() == WIDTH
    for side, largest in ((bottom - top, 20), (right - left, 15)):
        assert sorted(set(side)) == list(range(1, largest + 1))
        assert side.mean() == pytest.approx((1 + largest) / 2, rel=0.05)
    assert (top + bottom).mean() / 2 == pytest.approx(HEIGHT / 2, rel=0.05)
    assert (left + right).mean() / 2 == pytest.approx(WIDTH / 2, rel=0.05)
    assert abs(np.corrcoef(bottom - top, right - left)[0, 1]) < 0.06


def test_images_are_chosen_at_their_rate_each_by_itself():
    result = Cutout(0.3, [0.5, 0.5])(made := images(2000, 1))
    changed = (result != made).flatten(1).any(1).numpy()
    assert changed.mean() == pytest.approx(0.3, abs=0.04)
    assert np.corrcoef(changed[:-1], changed[1:])[0, 1] == pytest.approx(0, abs=0.08)


def test_more_holes_hide_more_up_to_their_overlap():
    def share(holes):
        return (Cutout(1.0, [0.2, 0.2], holes)(made := images(300, 1)) != made).float().mean().item()

    one, four = share(1), share(4)
    expected = (4.5 / HEIGHT) * (6.5 / WIDTH)  # mean sides: 1..8 rows and 1..12 bins
    assert one == pytest.approx(expected, rel=0.15)
    assert 3 * one < four < 4.2 * one


@pytest.mark.parametrize("size", [[1.0, 1.0], [0.001, 0.001]])
def test_the_whole_and_a_single_pixel(size):
    drawn = Cutout(1.0, size, 3).draw(500, HEIGHT, WIDTH)
    assert drawn.shape == (500, 3, 4)
    top, bottom, left, right = drawn.unbind(-1)
    assert ((top >= 0) & (top < bottom) & (bottom <= HEIGHT) & (left >= 0) & (left < right) & (right <= WIDTH)).all()
    if size[0] < 0.01:
        assert ((bottom - top == 1) & (right - left == 1)).all()


def test_what_is_hidden_follows_from_torchs_seed():
    def result(seed):
        made = torch.ones(8, 1, HEIGHT, WIDTH).cumsum(2)
        torch.manual_seed(seed)
        return Cutout(0.5, [0.5, 0.5], 2)(made)

    assert torch.equal(result(1), result(1))
    assert not torch.equal(result(1), result(2))
