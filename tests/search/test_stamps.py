import numpy as np
import pandas as pd
import pytest
from small_channels import add, noise, search

from seti.search.flatten import expand, flatten
from seti.search.stamps import straightened_stamps, unmask


def test_stamps_hold_the_track_in_the_middle_column():
    planes = noise()
    add(planes, 8000.3, -2.2, 90.0)
    result = search(planes, stamp_bins=48)
    assert result.stamps.shape == (len(result.candidates), 6, 16, 48)
    profile = result.stamps[0, [0, 2, 4]].mean((0, 1))
    assert profile.argmax() in (23, 24, 25)
    off = result.stamps[0, [1, 3, 5]]
    assert off.std() == pytest.approx(1, abs=0.1)
    assert abs(off.mean()) < 0.2


def test_a_stamp_of_a_straight_track_of_one_bin_is_a_cut():
    planes = np.random.default_rng(0).normal(size=(6, 16, 400)).astype(np.float32)
    candidates = pd.DataFrame({"p0": [200.0], "p1": [0.0], "p2": [0.0], "width": [1.3]})
    stamps = straightened_stamps(planes, candidates, np.linspace(-1, 1, 96).reshape(6, 16), 64)
    np.testing.assert_allclose(stamps[0], planes[:, :, 168:232], atol=1e-4)


def test_unmask_gives_values_back():
    planes = np.random.default_rng(0).normal(size=(6, 16, 400)).astype(np.float32)
    masked = planes.copy()
    masked[2, 3, 10:90] -= 1000
    unmask(masked)
    np.testing.assert_allclose(masked, planes, atol=1e-4)


def test_flattened_noise_is_the_unit_and_strong_values_can_be_expanded():
    panel = noise()[0]
    panel[4, 500] = 100.0
    flat = flatten(panel)
    assert np.median(flat) == pytest.approx(0, abs=0.02)
    assert (np.percentile(flat, 75) - np.percentile(flat, 25)) / 1.349 == pytest.approx(1, abs=0.02)
    assert expand(flat)[4, 500] == pytest.approx(99 * np.sqrt(51), rel=0.1)


@pytest.mark.parametrize(("rows", "width"), [(1, 40), (16, 100), (3, 511), (16, 1000)])
def test_narrow_panels_are_flattened_in_place_and_nothing_beside_them(rows, width):
    memory = np.full((rows + 2, width), 7, np.float32)
    panel = memory[1:-1]
    panel[:] = np.random.default_rng(3).standard_gamma(50, (rows, width))
    assert flatten(panel) is panel
    assert (memory[[0, -1]] == 7).all()
    assert abs(np.median(panel)) < 0.2
    assert 0.5 < panel.std() < 1.5


def test_values_that_are_not_finite_are_0_when_flattened():
    panel = np.random.default_rng(4).standard_gamma(50, (16, 4096)).astype(np.float32)
    panel[3] = np.nan
    panel[5, 100:1500] = np.inf
    panel[7, 2000:2010] = np.nan
    flat = flatten(panel)
    assert np.isfinite(flat).all()
    assert (flat[3] == 0).all()
    assert (flat[7, 2000:2010] == 0).all()
