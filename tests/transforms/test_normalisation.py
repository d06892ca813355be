import numpy as np
import pytest
import torch

from seti.transforms.normalisation import Normalisation, median, narrow_contrast, remove_spike

ROWS, BINS = 60, 48


def noise_panels(seed: int = 0, batch: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, 6, ROWS, BINS)).astype(np.float32))


def mad(values: np.ndarray) -> float:
    return 1.4826 * np.median(np.abs(values - np.median(values)))


def test_none_changes_nothing_but_the_type():
    panels = noise_panels().half()
    made = Normalisation()(panels)
    assert made.dtype == torch.float32
    assert torch.equal(made, panels.float())
    assert not Normalisation().changes


def test_panel_gives_every_panel_mean_0_and_deviation_1():
    made = Normalisation("panel")(3 * noise_panels() + 7).numpy()
    np.testing.assert_allclose(made.mean(axis=(2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=(2, 3)), 1, rtol=1e-5)


def test_robust_gives_median_0_and_noise_1_whatever_shines():
    panels = 3 * noise_panels() + 7
    panels[:, :, :, 5] += 1000
    made = Normalisation("robust")(panels).numpy()
    for panel in made.reshape(-1, ROWS, BINS):
        assert abs(np.median(panel)) < 0.01
        assert mad(panel) == pytest.approx(1, abs=0.01)
    assert 300 < made[0, 0, :, 5].mean() < 340  # 1000 over a noise of 3, and a little


def test_flatten_takes_off_what_stands_still_and_what_flashes_and_leaves_a_drifting_line():
    panels = noise_panels()
    panels += 2 * torch.arange(6)[:, None, None] * torch.sin(torch.arange(BINS) / 5.0)  # another level in each panel
    panels[:, 2, 10:14] += 80
    drifting = torch.arange(ROWS) * BINS // ROWS
    panels[0, 0, torch.arange(ROWS), drifting] += 20
    made = Normalisation("flatten")(panels).numpy()
    assert made[1].std() == pytest.approx(1, abs=0.1)
    assert abs(made[:, 2, 10:14].mean()) < 0.3
    assert made[0, 0, np.arange(ROWS), drifting.numpy()].mean() == pytest.approx(20, rel=0.1)


def test_whiten_makes_noisy_frequencies_and_rows_as_quiet_as_the_others():
    panels = noise_panels()
    panels[:, :, :, 20] *= 8
    panels[:, :, 7] *= 5
    flat, white = (Normalisation(how)(panels).numpy() for how in ("flatten", "whiten"))
    assert flat[:, :, :, 20].std() > 5
    assert white[:, :, :, 20].std() == pytest.approx(1, abs=0.2)
    assert flat[:, :, 7].std() > 4
    assert white[:, :, 7].std() == pytest.approx(1, abs=0.2)


def test_contrast_keeps_a_steady_signal_of_some_panels_only():
    panels = noise_panels()
    panels[:, ::2, :, 12] += 3  # in the ON panels
    panels[:, :, :, 30] += 3  # in all
    flat, kept = (Normalisation(how)(panels).numpy() for how in ("whiten", "contrast"))
    assert abs(flat[:, :, :, 12].mean()) < 0.3
    assert kept[:, ::2, :, 12].mean() == pytest.approx(3, rel=0.2)
    assert abs(kept[:, 1::2, :, 12].mean()) < 0.5
    assert abs(kept[:, :, :, 30].mean()) < 0.5


def test_contrast_leaves_out_broad_differences():
    levels = torch.zeros(1, 6, 100)
    levels[:, 2] += 5 + torch.arange(100) / 20  # a panel of another gain
    levels[:, 2, 40] += 7
    kept = narrow_contrast(levels)
    assert kept[0, 2, 40] == pytest.approx(7, abs=0.1)
    kept[0, 2, 40] = 0
    assert kept[:, :, 16:-16].abs().max() < 0.1  # the running median moves half a step near the line
    assert kept.abs().max() < 0.8  # at the edges the band is mirrored


@pytest.mark.parametrize("bins", [1, 2, 5, 31, 40])
def test_contrast_takes_bands_of_any_width(bins):
    assert narrow_contrast(torch.randn(2, 6, bins)).shape == (2, 6, bins)


def test_clip_comes_last():
    made = Normalisation("robust", clip=(-1.0, 2.0))(100 * noise_panels())
    assert (made.min(), made.max()) == (-1, 2)


def test_constant_panels_stay_finite():
    for how in ("panel", "robust", "flatten", "whiten", "contrast"):
        assert torch.equal(Normalisation(how)(torch.full((1, 6, 8, 8), 3.0)), torch.zeros(1, 6, 8, 8))


def test_the_input_is_left_as_it_is():
    panels = noise_panels()
    before = panels.clone()
    Normalisation("whiten", (-1.0, 1.0), remove_spike=True)(panels)
    assert torch.equal(panels, before)


def test_median_is_the_lower_middle_one():
    assert median(torch.tensor([[3.0, 1.0, 2.0, 4.0]])).tolist() == [2.0]
    values = torch.randn(3, 101)
    assert torch.equal(median(values), values.median(dim=-1).values)


@pytest.mark.parametrize("place", [0, 1, 17, BINS - 1])
def test_the_dc_bin_is_replaced_by_its_neighbours(place):
    panels = noise_panels()
    clean = panels.clone()
    panels[0, :, :, place] += 15
    made = remove_spike(panels)
    others = [b for b in range(BINS) if b != place]
    assert torch.equal(made[..., others], clean[..., others])
    assert torch.equal(made[1], clean[1])
    neighbours = [clean[0, :, :, b] for b in (place - 1, place + 1) if 0 <= b < BINS]
    if len(neighbours) == 2:
        assert torch.allclose(made[0, :, :, place], sum(neighbours) / 2)
    assert made[0, :, :, place].mean().abs() < 0.3


def test_signals_are_no_dc_bins():
    panels = noise_panels()
    across = torch.exp(-0.5 * ((torch.arange(BINS) - 20.0) / 0.85) ** 2)  # two bins wide at half of its height
    panels[0] += 15 * across  # a decoy that stands still in all panels
    panels[1, :5, :, 30] += 15  # one bin, but not in all panels
    assert torch.equal(remove_spike(panels), panels)


@pytest.mark.parametrize("length", [1, 2, 5, 399, 400, 401])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_median_is_the_lower_of_two_for_lines_of_any_length(length, transposed):
    values = torch.randn(2, length, 3) if transposed else torch.randn(2, 3, length)
    lines = values.transpose(1, 2) if transposed else values
    assert torch.equal(median(lines), lines.median(dim=-1).values)


def test_deterministic_algorithms_are_required_again_after_a_median_of_a_gpu():
    """A GPU's median refuses them, although values do not depend on the order of equal ones."""
    values = torch.empty(2, 3, device="meta")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert median(values).shape == (2,)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
