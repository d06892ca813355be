"""Score of a cadence without a network: the energy that ON panels have over OFF panels.

Where the background was subtracted, only signals are left, and their energy shows the panels that they are in.
"""

import numpy as np
import torch

from seti.backgrounds.cleaning import flatten, thermal_noise
from seti.backgrounds.fingerprints import as_float32
from seti.data.cadence import OFF_PANELS, ON_PANELS
from seti.transforms.cleaned import covered_bins

FLOOR = 1e-4  # of the thermal noise's energy a pixel: above what rounding leaves, below the weakest needle
CAP = 20.0  # units of the thermal noise: interference is brighter, and counts no more than that


def residual_energy(cadence: np.ndarray) -> float:
    """Compare the energy of ON and OFF panels.

    In a cleaned cadence the bins that a twin covers are taken; in an untouched one, all bins of the flattened panels.

    Args:
        cadence: `(6, rows, bins)`.

    Returns:
        Logarithm of the ON panels' energy over that of the OFF panels; about 0 without a signal.
    """
    panels = as_float32(np.ascontiguousarray(cadence))
    covered = covered_bins(torch.from_numpy(panels)[None])[0].numpy()
    level = panels[:, :, covered] if covered.any() else flatten(panels) / thermal_noise(panels)[:, None, None]
    energy = (np.minimum(np.abs(level), CAP) ** 2).mean(axis=(1, 2))
    on, off = (energy[list(panels)].mean() + FLOOR for panels in (ON_PANELS, OFF_PANELS))
    return float(np.log(on / off))
