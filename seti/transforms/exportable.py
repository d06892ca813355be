"""Preparation of panels as one module without complex numbers, for other runtimes."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from seti.transforms import dedoppler
from seti.transforms.input_spec import InputSpec
from seti.transforms.panels import Panels


class PanelsToImages(nn.Module):
    """Images from panels, as `seti.transforms.batch.prepare` makes them.

    Args:
        spec: the network's input.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        maker = spec.image_maker()
        self.numbers = list(maker.numbers)
        self.normalisation = maker.normalisation
        self.interpolation = maker.interpolation
        _, *self.size = maker.shape(spec.rows, spec.bins)
        self.layout = maker.layout
        self.fan = _RealDedoppler(self.layout.dedoppler, self.numbers, spec) if self.layout.integrates else None
        # Resizing keeps its weights after the first run; they are then constants of the exported program.
        self(torch.zeros(1, 6, spec.rows, spec.bins))

    def forward(self, panels: Tensor) -> Tensor:
        """Map panels `(B, 6, rows, bins)` float32 to images `(B, channels, height, width)`."""
        panels = panels[:, self.numbers]
        if self.normalisation.changes:
            panels = self.normalisation(panels)
        layout = self.layout if self.fan is None else replace(self.layout, dedoppler=self.fan)
        return layout.images(Panels(panels), tuple(self.size), self.interpolation)


class _RealDedoppler(nn.Module):
    """`seti.transforms.dedoppler.Dedoppler` of the mean gap by real matrix products.

    The Fourier transforms are products with matrices of cosines and sines.
    """

    def __init__(self, fan: dedoppler.Dedoppler, numbers: list[int], spec: InputSpec) -> None:
        super().__init__()
        plan = dedoppler.plan_of(fan, spec.rows, spec.bins, torch.device("cpu"))
        self.drifts, self.group, self.scale = fan.drifts, plan.group, spec.rows**-0.5
        angles = 2 * torch.pi / plan.length * torch.outer(torch.arange(spec.bins), torch.arange(plan.length // 2 + 1))
        angles = angles.double()
        forward = torch.cat([angles.cos(), -angles.sin()], dim=1)  # real parts, then imaginary ones
        # A real signal's negative frequencies repeat the positive ones, but not the first and the last.
        twice = torch.full((plan.length // 2 + 1,), 2.0, dtype=torch.float64)
        twice[[0, -1]] = 1.0
        backward = torch.cat([angles.cos() * twice, -angles.sin() * twice], dim=1).T / plan.length
        inside = torch.cat(
            [
                torch.cat([plan.inside.real, -plan.inside.imag], dim=2),
                torch.cat([plan.inside.imag, plan.inside.real], dim=2),
            ],
            dim=1,
        )
        away = (1 + sum(fan.gap) / 2 / spec.rows) * (torch.tensor(numbers, dtype=torch.float32) - dedoppler.MIDDLE)
        turns = away[:, None, None] * plan.turn
        for name, values in (("forward_", forward), ("backward_", backward), ("inside", inside)):
            self.register_buffer(name, values.float(), persistent=False)
        self.register_buffer("cosine", turns.cos(), persistent=False)
        self.register_buffer("sine", turns.sin(), persistent=False)

    def forward(self, panels: Tensor, numbers: Tensor, gaps: Tensor | None) -> Tensor:
        """Map panels `(B, P, rows, bins)` to planes; numbers and gaps are fixed."""
        spectra = dedoppler.sum_rows(panels, self.group) @ self.forward_  # (B, P, R, 2 K)
        batch, count, rows, twice = spectra.shape
        # (K, 2 D, 2 R) x (K, 2 R, B P), as in the complex transform.
        spectra = spectra.reshape(batch * count, rows, 2, twice // 2).permute(3, 2, 1, 0)
        turned = self.inside @ spectra.reshape(twice // 2, 2 * rows, batch * count)
        turned = turned.reshape(twice // 2, 2, self.drifts, batch, count).permute(3, 4, 1, 2, 0)
        real, imaginary = turned[:, :, 0], turned[:, :, 1]
        moved = torch.cat(
            [real * self.cosine - imaginary * self.sine, real * self.sine + imaginary * self.cosine], dim=-1
        )
        return moved @ self.backward_ * self.scale
