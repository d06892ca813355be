import numpy as np
import pytest
import torch

from seti.transforms.dedoppler import Dedoppler

ROWS, BINS = 48, 64
ALL = torch.arange(6)
ON = [0, 2, 4]


def line(drift: float, place: float, gap: float = 0.0, level: float = 1.0, panels=ON) -> torch.Tensor:
    """A cadence with a track that crosses `drift` bins a panel and `place` in the middle of the cadence."""
    cadence = np.zeros((6, ROWS, BINS), np.float32)
    for panel in panels:
        since = (panel - 2.5) * (ROWS + gap) + np.arange(ROWS) + 0.5 - ROWS / 2
        at = place + drift * since / ROWS
        cadence[panel] = level * np.exp(-0.5 * (np.arange(BINS) - at[:, None]) ** 2)
    return torch.from_numpy(cadence)[None]


def peak(plane: torch.Tensor) -> tuple[int, int]:
    return divmod(int(plane.argmax()), plane.shape[1])


@pytest.mark.parametrize("gap", [0.0, 12.0])
@pytest.mark.parametrize(("drift", "place"), [(0.0, 20), (4.0, 30), (-6.0, 40)])
def test_a_needle_falls_on_one_spot_in_every_on_plane(drift, place, gap):
    fan = Dedoppler(8, 17, (gap, gap))
    planes = fan(line(drift, place, gap), ALL)[0]
    for panel in ON:
        row, column = peak(planes[panel])
        assert (row - 8, column) == (drift, place)
        # Along the track every row counts whole: the sum over the rows' root, but for what the rows summed
        # beforehand smear.
        assert planes[panel].max() == pytest.approx(np.sqrt(ROWS), rel=0.02)
    assert planes[[1, 3, 5]].abs().max() < 1e-5


def test_rates_between_those_of_the_fan_lose_little():
    fan = Dedoppler(8, 17, (0, 0))
    planes = fan(line(2.5, 30.5), ALL)[0]
    assert planes[0].max() > 0.85 * np.sqrt(ROWS)


def test_noise_keeps_its_deviation():
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 6, ROWS, BINS)).astype(np.float32))
    planes = Dedoppler(1, 3, (0, 0))(noise, ALL)
    assert planes.shape == (8, 6, 3, BINS)
    # Middle panels move little, so no edge is in reach.
    assert planes[:, 2:4, :, 8:-8].std() == pytest.approx(1, abs=0.05)


def test_it_is_the_sum_along_shifted_rows():
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 6, ROWS, BINS)).astype(np.float32))
    fan = Dedoppler(ROWS, 3, (0, 0))  # a bin a row: whole shifts but for half a row
    planes = fan(noise, ALL)[0]
    panel = 2  # its middle is half a panel before the cadence's
    for row, drift in ((0, -1), (1, 0), (2, 1)):
        at = drift * (-ROWS / 2 + np.arange(ROWS) + 0.5 - ROWS / 2)
        # Shifts by half a bin are done by phases: compare with the same interpolation.
        expected = np.zeros(BINS)
        length = 8 * BINS
        spectra = np.fft.rfft(noise[0, panel].numpy(), length)
        turns = np.exp(2j * np.pi * np.fft.rfftfreq(length)[None, :] * at[:, None])
        expected = np.fft.irfft((spectra * turns).sum(axis=0), length)[:BINS] / np.sqrt(ROWS)
        inner = slice(0, BINS)
        if drift == 0:
            np.testing.assert_allclose(planes[panel, row, inner], expected[inner], atol=1e-4)
        else:  # rings of the half bins differ with the length of the transform
            assert np.corrcoef(planes[panel, row].numpy(), expected)[0, 1] > 0.98


def test_what_leaves_the_band_does_not_come_in_on_the_other_side():
    fan = Dedoppler(20, 3, (0, 0))
    panels = torch.zeros(1, 6, ROWS, BINS)
    panels[..., 0] = 1.0  # the lowest bin
    planes = fan(panels, ALL)[0]
    assert planes[5, 0, :].abs().max() > 0.1  # falling rates look for it above ...
    assert planes[0, 0, : BINS // 2].abs().max() < 0.1  # ... or below the band: nothing comes round


def test_panels_are_aligned_by_their_numbers_wherever_they_are():
    fan = Dedoppler(8, 17, (6, 6))
    cadence, order = line(4.0, 30, 6.0), torch.tensor([4, 3, 0, 5, 2, 1])
    planes, moved = fan(cadence, ALL), fan(cadence[:, order], order[None])
    assert torch.allclose(moved, planes[:, order], atol=1e-5)


def test_gaps_are_each_cadences_own():
    fan = Dedoppler(8, 17, (0, 24))
    cadences = torch.cat([line(5.0, 30, 0.0), line(5.0, 30, 20.0)])
    planes = fan(cadences, ALL, torch.tensor([0.0, 20.0]))
    assert [peak(plane) for plane in planes[:, 0]] == [(13, 30), (13, 30)]
    assert [peak(plane) for plane in planes[:, 4]] == [(13, 30), (13, 30)]
    usual = fan(cadences, ALL)  # 12 rows
    assert torch.allclose(usual, fan(cadences, ALL, torch.full((2,), 12.0)), atol=1e-5)


def test_gaps_are_drawn_within_their_limits():
    drawn = [Dedoppler(8, 17, (3, 9)).draw_gap(seed) for seed in range(50)]
    assert 3 <= min(drawn) < 4.5
    assert 7.5 < max(drawn) <= 9


def test_few_rows_will_do():
    planes = Dedoppler(8, 5, (0, 0))(torch.ones(1, 3, 2, 16), torch.tensor(ON))
    assert planes.shape == (1, 3, 5, 16)
    assert torch.isfinite(planes).all()
