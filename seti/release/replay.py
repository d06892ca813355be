"""Recent cadences on the device, drawn again and moved at random."""

import torch
from torch import Tensor

from seti.data.cadence import PANEL_LETTERS
from seti.transforms.dedoppler import Dedoppler, compress
from seti.transforms.normalisation import Normalisation

PANELS = len(PANEL_LETTERS)
NOISE_SHARE = 0.1  # of the cadences that get more noise
NOISE = 0.5  # deviation of the most noise that is added, relative to a cadence's own
GAP_SHARE = 0.5  # of the specified gaps' range, that planes are aligned for
LOWEST_CLIP = 5.0  # deviations; the upper limit of the values is drawn between this one and the specification's


class Replay:
    """Ring of normalised cadences on the device, in float16.

    Args:
        capacity: cadences that it holds; the oldest gives way to the newest.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0  # cadences that were ever added
        self.panels: Tensor | None = None

    def add(self, panels: Tensor, targets: Tensor, folds: Tensor) -> None:
        """Add cadences `(B, ..., rows, bins)` with their targets and folds `(B,)`."""
        if self.panels is None:
            size = (self.capacity, *panels.shape[1:])
            self.panels = torch.empty(size, dtype=torch.float16, device=panels.device)
            self.targets, self.folds = (part.new_empty(self.capacity) for part in (targets, folds))
        places = (self.count + torch.arange(len(panels), device=panels.device)) % self.capacity
        self.panels[places] = panels.half()
        self.targets[places], self.folds[places] = targets, folds
        self.count += len(panels)

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw cadences at random, with replacement: panels in float16, targets, folds."""
        there = min(self.count, self.capacity)
        places = torch.randint(there, (size,), generator=generator, device=generator.device)
        return self.panels[places], self.targets[places], self.folds[places]


def move(panels: Tensor, generator: torch.Generator, highest: float) -> tuple[Tensor, Tensor]:
    """Move normalised cadences at random, in ways that keep their targets.

    Each is mirrored in frequency and in time with probability 1/2, rolled along frequency by any number of bins, and
    clipped at another height; some get more noise.

    Args:
        panels: float32 `(B, 6, rows, bins)`.
        generator: on the same device.
        highest: value at which the panels were clipped.

    Returns:
        The panels, and `(B, 6)` the number of the panel in each place: mirrored in time, the last one comes first.
    """
    batch, _, _, bins = panels.shape
    device = panels.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, 1, 1, generator=generator, device=device)

    at = torch.arange(bins, device=device)
    shift = torch.randint(bins, (batch, 1), generator=generator, device=device)
    mirrored = uniform(0, 1)[:, :, 0, 0] < 0.5
    source = (torch.where(mirrored, at.flip(0), at) + shift) % bins
    panels = panels.gather(3, source[:, None, None, :].expand_as(panels))
    late_first = uniform(0, 1) < 0.5
    panels = torch.where(late_first, panels.flip(2), panels)
    numbers = torch.arange(PANELS, dtype=torch.float32, device=device)
    numbers = torch.where(late_first[:, :, 0, 0], PANELS - 1 - numbers, numbers)
    amount = NOISE * uniform(0, 1) * (uniform(0, 1) < NOISE_SHARE)
    noise = torch.randn(panels.shape, generator=generator, device=device)
    panels = panels.addcmul_(noise, amount) / (1 + amount.square()).sqrt()
    return panels.minimum(uniform(min(LOWEST_CLIP, highest), highest)), numbers


class Planes:
    """Whitened panels, and their de-Doppler planes, which all members share.

    Args:
        spec: the fields of `InputSpec`.
    """

    def __init__(self, spec: dict) -> None:
        self.normalisation = Normalisation(spec["normalise"], tuple(spec["clip"]), spec["remove_spike"])
        dedoppler = spec["dedoppler"]
        self.dedoppler = Dedoppler(dedoppler["max_drift"], dedoppler["drifts"], tuple(dedoppler["gap"]))
        self.numbers = torch.arange(PANELS, dtype=torch.float32)

    def usual(self, panels: Tensor) -> Tensor:
        """Planes of panels as they were read, as prediction makes them."""
        return self.of(self.normalisation(panels), self.numbers)

    def moved(self, panels: Tensor, generator: torch.Generator) -> Tensor:
        """Planes of normalised panels, moved at random and aligned for a random gap."""
        panels, numbers = move(panels, generator, self.normalisation.clip[1])
        # Around the usual gap: the stream draws the true ones.
        low, high = self.dedoppler.gap
        away = GAP_SHARE * (torch.rand(len(panels), generator=generator, device=panels.device) - 0.5)
        gaps = (low + high) / 2 + away * (high - low)
        return self.of(panels, numbers, gaps)

    def of(self, panels: Tensor, numbers: Tensor, gaps: Tensor | None = None) -> Tensor:
        """Planes of normalised panels `(B, 6, rows, bins)`: `(B, 6, drifts, bins)`."""
        # Spectra need more than half precision, whatever the networks compute in.
        with torch.autocast(panels.device.type, enabled=False):
            return compress(self.dedoppler(panels, numbers, gaps))
