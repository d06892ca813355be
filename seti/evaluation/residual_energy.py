"""Score of a cadence without a network: the energy that ON panels have over OFF panels.

Where the background was subtracted, only signals are left, and their energy alone tells ON from OFF.
"""

import numpy as np
import torch

from seti.backgrounds.cleaning import flatten, thermal_noise
from seti.backgrounds.fingerprints import as_float32
from seti.data.cadence import OFF_PANELS, ON_PANELS
from seti.transforms.cleaned import covered_bins

FLOOR = 4e-4  # of the thermal noise's energy a pixel: well above what rounding leaves, below the weakest needle
CAP = 20.0  # units of the thermal noise: interference is brighter, and counts no more than that


def residual_energy(cadence: np.ndarray) -> float:
    """Compare the energy of ON and OFF panels.

    In a cleaned cadence the bins that a twin covers are taken; in an untouched one, all bins of the flattened panels.

    Args:
        cadence: `(6, rows, bins)`.

    Returns:
        Mean logarithm of the energy of the ON panels minus that of the OFF panels; 0 without a signal.
    """
    panels = as_float32(np.ascontiguousarray(cadence))
    covered = covered_bins(torch.from_numpy(panels)[None])[0].numpy()
    if covered.any():
        panels = panels[:, :, covered]
    else:
        panels = flatten(panels) / thermal_noise(panels)[:, None, None]
    energy = np.log((np.minimum(np.abs(panels), CAP) ** 2).mean(axis=(1, 2)) + FLOOR)
    return float(energy[list(ON_PANELS)].mean() - energy[list(OFF_PANELS)].mean())
