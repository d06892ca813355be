"""De-Doppler transform: panels integrated along drift rates, aligned across the cadence.

A needle drifts: in a panel of hundreds of rows its power lies along a slanted line, at about one deviation of the noise
in each pixel. Summed along that line, it stands out. Searches for narrow signals have always done so (Taylor 1974,
A&AS 15, 367; Enriquez et al. 2017, ApJ 849, 104, turboSETI). Here it is a shear and a sum in Fourier space: a shift by
any fraction of a bin is a phase, so one matrix product a frequency computes all drift rates of a batch.

Each panel gives a plane (drift rate, frequency), the frequency being that at the middle of the whole cadence. So a
needle falls on the same spot in the planes of all ON panels, and is absent from those of the OFF panels.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seti.data.cadence import PANEL_LETTERS

MIDDLE = (len(PANEL_LETTERS) - 1) / 2  # of the cadence, in panels
SMEAR = 0.5  # bins that the fastest track may cross in rows that are summed beforehand


@dataclass(frozen=True)
class Dedoppler:
    """Integration of panels along a range of drift rates.

    Attributes:
        max_drift: bins that the fastest track crosses in one panel, either way.
        drifts: number of drift rates, evenly spaced from `-max_drift` to `max_drift`.
        gap: rows that pass unobserved between two panels, `[fewest, most]`: drawn while training, their mean otherwise.
    """

    max_drift: float
    drifts: int
    gap: tuple[float, float]

    def shape(self, panels: int, bins: int) -> tuple[int, int, int]:
        """Planes, drift rates and bins of the transform of a cadence."""
        return panels, self.drifts, bins

    def draw_gap(self, seed: int) -> float:
        """Draw the rows between two panels of a training cadence."""
        return float(np.random.default_rng(seed).uniform(*self.gap))

    def __call__(self, panels: Tensor, numbers: Tensor, gaps: Tensor | None = None) -> Tensor:
        """Transform a batch.

        Args:
            panels: float32 `(B, panels, rows, bins)`, of median 0 and noise 1 (`seti.transforms.normalisation`).
            numbers: `(B, panels)` or `(panels,)`: number, 0 to 5, of each panel in its cadence.
            gaps: `(B,)` rows between two panels; None for the mean of `gap`.

        Returns:
            float32 `(B, panels, drifts, bins)`, in deviations of the noise. Drift rates rise downwards; what lies
            beyond the band's edges counts as 0.
        """
        batch, count, rows, bins = panels.shape
        plan = plan_of(self, rows, bins, panels.device)
        spectra = torch.fft.rfft(sum_rows(panels, plan.group), plan.length)
        # (K, drifts, rows) x (K, rows, B P): one matrix product a frequency k for all drift rates.
        spectra = (plan.inside @ spectra.flatten(0, 1).permute(2, 1, 0)).permute(2, 1, 0).unflatten(0, (batch, count))
        gap = torch.full((1,), sum(self.gap) / 2, device=panels.device) if gaps is None else gaps
        # Distance of each panel's middle from the cadence's, in panels.
        away = (1 + gap[:, None] / rows) * (torch.atleast_2d(numbers).to(panels.device, torch.float32) - MIDDLE)
        turns = away[:, :, None, None] * plan.turn
        planes = torch.fft.irfft(spectra * torch.polar(torch.ones_like(turns), turns), plan.length)
        return planes[..., :bins] / math.sqrt(rows)


def compress(planes: Tensor) -> Tensor:
    """Inverse hyperbolic sine: brings strong needles near weak ones, and keeps signs.

    By the logarithm, which torch computes 10 times as fast on a CPU.
    """
    strength = torch.log(planes.abs() + (planes.square() + 1).sqrt())
    return (
        strength * planes.sign() if torch.compiler.is_exporting() else strength.copysign(planes)
    )  # ONNX has no copysign


@dataclass(frozen=True)
class Plan:
    """Constants of the transform for one size of panels.

    Attributes:
        group: rows summed beforehand.
        length: bins, zero padding for the longest shift included.
        inside: complex `(K, D, R)`: phases that take each group of rows to the panel's middle.
        turn: `(D, K)`: radians by which a shift of one panel at each drift rate turns each frequency.
    """

    group: int
    length: int
    inside: Tensor
    turn: Tensor


@functools.lru_cache(maxsize=8)
def plan_of(dedoppler: Dedoppler, rows: int, bins: int, device: torch.device) -> Plan:
    """Make the constants of the transform for panels of one size, on a device."""
    # Rows within which even the fastest track hardly moves are summed beforehand, but never to less than 4 groups.
    group = max(1, min(int(SMEAR * rows / max(dedoppler.max_drift, 1e-9)), rows // 4))
    groups = math.ceil(rows / group)
    reach = dedoppler.max_drift * (MIDDLE * (1 + dedoppler.gap[1] / rows) + 0.5)
    length = _round_up(bins + math.ceil(reach))
    drifts = torch.linspace(-dedoppler.max_drift, dedoppler.max_drift, dedoppler.drifts, dtype=torch.float64)
    frequencies = 2 * math.pi * torch.arange(length // 2 + 1, dtype=torch.float64) / length
    turn = drifts[:, None] * frequencies  # a shift to the left by as many bins
    # Middles of the groups of rows, in panels from the panel's middle.
    at = ((torch.arange(groups, dtype=torch.float64) + 0.5) * group - rows / 2) / rows
    phases = turn.T[:, :, None] * at
    inside = torch.polar(torch.ones_like(phases), phases)
    return Plan(group, length, inside.to(device, torch.complex64), turn.to(device, torch.float32))


def sum_rows(panels: Tensor, group: int) -> Tensor:
    """Sum groups of consecutive rows: `(B, P, rows, F)` to `(B, P, groups, F)`."""
    left = panels.shape[2] % group
    whole = panels[:, :, : panels.shape[2] - left].unflatten(2, (-1, group)).sum(dim=3)
    return torch.cat([whole, panels[:, :, -left:].sum(dim=2, keepdim=True)], dim=2) if left else whole


def _round_up(length: int) -> int:
    """Next length for which Fourier transforms are fast: even, with factors 2, 3 and 5 only."""
    length += length % 2
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 2
