"""Cadences of which a repeated background was subtracted: recognised, left in their scale, and injected into."""

import numpy as np
import pytest
import torch

from seti.transforms.cleaned import covered_bins, is_cleaned
from seti.transforms.injection import Injection
from seti.transforms.normalisation import Normalisation

ROWS, BINS = 64, 48


def flattened(seed: int = 0) -> torch.Tensor:
    noise = torch.randn(1, 6, ROWS, BINS, generator=torch.Generator().manual_seed(seed))
    return noise - noise.median(dim=2, keepdim=True).values


def cleaned(covered: slice = slice(10, 40)) -> torch.Tensor:
    """A cadence in units of its noise, with differences of rounding noise in some bins and a needle in one of them."""
    panels = flattened()
    rest = 0.002 * torch.randn(1, 6, ROWS, BINS, generator=torch.Generator().manual_seed(1))
    panels[..., covered] = rest[..., covered].clamp(min=0)
    panels[0, 0, torch.arange(ROWS), 15 + torch.arange(ROWS) // 8] += 3
    return panels


def test_bins_that_hold_differences_are_recognised():
    found = covered_bins(cleaned())
    assert found[0].tolist() == [10 <= place < 40 for place in range(BINS)]
    assert covered_bins(cleaned().half())[0].tolist() == found[0].tolist()
    assert covered_bins(cleaned()[:, [0, 2, 4]])[0].tolist() == found[0].tolist()
    assert not covered_bins(flattened()).any()
    assert not covered_bins(flattened() + 5).any()
    assert not covered_bins(cleaned(slice(10, 13))).any()  # shorter than any overlap


def test_differences_stay_as_they_are_and_untouched_cadences_get_contrast():
    how, contrast = Normalisation("cleaned", (-4, 10)), Normalisation("contrast", (-4, 10))
    batch = torch.cat([cleaned(), flattened(3) * 7 + 2])
    made = how(batch)
    assert torch.equal(made[0][..., 10:40], batch[0][..., 10:40])
    assert made[0, 0, 20, 17] == pytest.approx(3, abs=0.01)
    spread = made[0][..., :10].std()
    assert 0.8 < spread < 1.2
    assert torch.equal(made[1], contrast(batch)[1])
    # The same at once as one by one, as a device does it.
    assert torch.allclose(how._in_place(batch.clone()), made)


@pytest.mark.parametrize("panels", [(0, 1, 2, 3, 4, 5), (0, 2, 4)])
def test_signals_are_injected_in_units_of_the_noise(panels):
    cadence = cleaned()[0].numpy()[list(panels)]
    assert is_cleaned(torch.from_numpy(cadence))
    options = {"needles": 1.0, "snr": (40.0, 40.0), "drift": 0.0, "shapes": ("line",), "complete": 1.0}
    made, target = Injection(**options, cleaned=True)(cadence, panels, 0.0, np.random.default_rng(3))
    assert target == 1
    added = made - cadence
    assert added.min() >= 0  # nothing is rescaled
    height = added[0].max(axis=1)
    assert np.sqrt((height**2).mean()) == pytest.approx(40 / np.sqrt(ROWS), rel=0.2)
    # Measured, the noise would be that of rounding.
    weak, _ = Injection(**options)(cadence, panels, 0.0, np.random.default_rng(3))
    assert np.abs(weak - cadence).max() < height.max() / 2


def test_untouched_cadences_are_injected_into_as_before():
    cadence, numbers = (3 * flattened()[0] + 1).numpy(), tuple(range(6))
    made, one = (
        Injection(needles=1.0, cleaned=cleaned)(cadence, numbers, 0.0, np.random.default_rng(5))[0]
        for cleaned in (True, False)
    )
    assert (made == one).all()
