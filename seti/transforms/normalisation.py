"""Normalisation of panels: backgrounds subtracted and scales divided out, a batch at once.

The competition's panels have mean 0 and deviation 1, but one bright bin or burst holds most of that deviation. Noise
then has another scale in every panel; the choices here bring it back to one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from seti.transforms.cleaned import covered_bins, merge

TO_DEVIATION = 1.4826  # a Gaussian's deviation over its median absolute deviation
# Rows of a panel that suffice for its scale. Medians that are subtracted need all rows: sums over rows bring out their
# errors.
ENOUGH = 91
SHORT = 400  # values of a line up to which numpy sorts it faster than it finds the middle
BROAD = 31  # bins; broader structure is background
LEAST = 0.3  # smallest divisor of a frequency or a row, relative to the panel's noise
SPIKE_SNR = 10.0  # least height of a spike in every panel, relative to the scatter from bin to bin
SPIKE_SHARE = 0.2  # largest height of its neighbours, relative to its own; 0.5 in a signal two bins wide


@dataclass(frozen=True)
class Normalisation:
    """Scaling of panels before the network sees them.

    Attributes:
        how: `none` leaves panels as they are; `panel` gives each mean 0 and deviation 1; `robust` median 0 and, by the
            median absolute deviation, 1; `flatten` subtracts each row's median, then each frequency's in its panel, and
            divides each panel as `robust` does; `whiten` then also divides each frequency of the cadence and
            each row by its own median absolute deviation, because bright frequencies and flickering rows are noisier (a
            radiometer's noise grows with its power). `flatten` and `whiten` remove signals that do not drift, which
            searches take for terrestrial. `contrast` is `whiten`, but subtracts of each frequency only the level that
            the panels share, and broad structure: slow signals stay that only some panels hold. `cleaned` is for data
            sets of `seti twins clean=<folder>`: bins that hold a difference from a twin stay as they are, untouched
            cadences are scaled by `contrast`.
        clip: `[lowest, highest]` value afterwards, or None.
        remove_spike: replace the DC bin, where there is one, by its neighbours, before everything else.
    """

    how: str = "none"
    clip: tuple[float, float] | None = None
    remove_spike: bool = False

    @property
    def changes(self) -> bool:
        """True unless panels are left as they are."""
        return self.how != "none" or self.clip is not None or self.remove_spike

    def __call__(self, panels: Tensor) -> Tensor:
        """Normalise a batch; the input is left as it is.

        Args:
            panels: `(B, panels, rows, bins)`, any floating-point type.

        Returns:
            float32 of the same shape.
        """
        if panels.device.type != "cpu" or torch.compiler.is_exporting():
            return self._in_place(panels.to(torch.float32, copy=True))
        # One by one, so that each cadence stays in the processor's cache: 4 times as fast as all at once.
        out = torch.from_numpy(np.empty(panels.shape, np.float32))
        for cadence, place in zip(panels.split(1), out.split(1), strict=True):
            place.copy_(cadence)
            self._in_place(place)
        return out

    def _in_place(self, panels: Tensor) -> Tensor:
        if self.remove_spike:
            panels.copy_(remove_spike(panels))
        if self.how == "panel":
            panels -= panels.mean(dim=(2, 3), keepdim=True)
            panels /= _usable(panels.square().mean(dim=(2, 3), keepdim=True).sqrt())
        elif self.how == "robust":
            panels -= median(panels.flatten(2))[..., None, None]
            panels /= noise(panels)
        elif self.how == "cleaned":
            panels.copy_(_keep_differences(panels))
        elif self.how in ("flatten", "whiten", "contrast"):
            panels -= median(panels)[..., None]
            levels = median(panels.transpose(2, 3))
            panels -= levels[:, :, None, :]
            scale = noise(panels)
            panels /= scale
            if self.how != "flatten":
                uneven = (TO_DEVIATION * _by_frequency(panels)[:, None, None, :]).clamp_(min=LEAST)
                panels /= uneven
                if self.how == "contrast":
                    panels += narrow_contrast(levels)[:, :, None, :] / (scale * uneven)
                panels /= (TO_DEVIATION * median(panels.abs())[..., None]).clamp_(min=LEAST)
        return panels if self.clip is None else panels.clamp_(*self.clip)


def narrow_contrast(levels: Tensor) -> Tensor:
    """Narrow structure in which the panels of a cadence differ, `(B, panels, bins)`.

    It is each panel's level above the one that all share, less a running median over `BROAD` bins.

    A signal in some or all ON panels is in three of six at most, so that the lower median over the panels lacks it.

    Args:
        levels: `(B, panels, bins)`, of each frequency.
    """
    above = levels - median(levels.transpose(1, 2))[:, None]
    reach = min(BROAD // 2, levels.shape[-1] - 1)
    wide = torch.cat([above[..., 1 : reach + 1].flip(-1), above, above[..., -reach - 1 : -1].flip(-1)], dim=-1)
    around = [wide[..., first : first + levels.shape[-1]] for first in range(2 * reach + 1)]
    return above - median(torch.stack(around, dim=-1))


def _keep_differences(panels: Tensor) -> Tensor:
    """Scale untouched cadences by `contrast`; in cleaned ones, the bins without a difference."""
    covered = covered_bins(panels)
    contrast = Normalisation("contrast")
    if panels.device.type == "cpu" and not covered.any():
        return contrast._in_place(panels)
    scale = (TO_DEVIATION * _by_frequency(panels)).clamp_(min=LEAST)
    scaled = panels if panels.device.type == "cpu" and len(panels) == 1 else contrast._in_place(panels.clone())
    return merge(panels, scaled, covered, scale)


def _by_frequency(panels: Tensor) -> Tensor:
    """Median deviation from 0 of each frequency over the panels, `(B, bins)`."""
    return median(_enough(panels).abs().flatten(1, 2).transpose(1, 2))


def median(values: Tensor) -> Tensor:
    """Median over the last axis, the lower of two where N is even: `(..., N)` to `(...)`."""
    middle = (values.shape[-1] - 1) // 2
    if torch.compiler.is_exporting():  # ONNX has no median
        return values.topk(middle + 1, largest=False).values[..., middle]
    if values.device.type != "cpu":
        with _any_order():
            return values.median(dim=-1).values
    # numpy partitions, or sorts with vector instructions; torch takes 10 times as long.
    lines = _lines(values.numpy())
    ordered = np.sort(lines, axis=-1) if lines.shape[-1] <= SHORT else np.partition(lines, middle, axis=-1)
    return torch.from_numpy(ordered[..., middle])


@contextmanager
def _any_order() -> Iterator[None]:
    """Allow a GPU's medians with `trainer.deterministic=true`.

    Their values do not differ from run to run, but the places of equal ones may, so that torch refuses them.
    """
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)


def _lines(values: np.ndarray) -> np.ndarray:
    """Copy to C order where needed; transposed images by OpenCV, 8 times as fast."""
    columns = values.swapaxes(-1, -2) if values.ndim > 1 else values
    if values.flags.c_contiguous or not columns.flags.c_contiguous or values.dtype != np.float32:
        return np.ascontiguousarray(values)
    out = np.empty(values.shape, np.float32)
    images = columns.reshape(-1, *columns.shape[-2:])
    for image, place in zip(images, out.reshape(-1, *values.shape[-2:]), strict=True):
        cv2.transpose(image, place)
    return out


def noise(panels: Tensor) -> Tensor:
    """Noise of a panel, by the median absolute deviation about 0, robust to bright signals.

    Args:
        panels: `(B, panels, rows, bins)` of median 0.

    Returns:
        `(B, panels, 1, 1)`; where half of a panel is constant, its plain deviation, or 1 where all of it is.
    """
    flat = _enough(panels).flatten(2)
    scale = TO_DEVIATION * median(flat.abs())
    return _usable(torch.where(scale > 0, scale, flat.square().mean(-1).sqrt()))[..., None, None]


def remove_spike(panels: Tensor) -> Tensor:
    """Replace the DC bin by the mean of its neighbours.

    The DC bin is one bin wide and bright in every panel, all the time. It is found as a bin whose mean is, in every
    panel, `SPIKE_SNR` times the scatter between neighbouring bins above its surroundings, unlike its neighbours.

    Args:
        panels: `(B, panels, rows, bins)`; with fewer than 5 bins, returned unchanged.
    """
    if panels.shape[-1] < 5:
        return panels
    profile = panels.mean(dim=2)
    # At the edges, the two bins on the inner side replace the missing ones.
    wide = torch.cat([profile[..., 3:5], profile, profile[..., -5:-3]], dim=-1)
    around = torch.stack([wide[..., :-4], wide[..., 4:]]).mean(dim=0)
    near = torch.stack([wide[..., 1:-3], wide[..., 3:-1]])
    height = profile - around
    scatter = _usable(median((profile[..., 1:] - profile[..., :-1]).abs())[..., None])
    rises = (near - around).abs().amax(dim=0)
    spike = ((height > SPIKE_SNR * scatter) & (rises < SPIKE_SHARE * height)).all(dim=1)
    columns = torch.cat([panels[..., 2:3], panels, panels[..., -3:-2]], dim=-1)
    return torch.where(spike[:, None, None, :], (columns[..., :-2] + columns[..., 2:]) / 2, panels)


def _enough(panels: Tensor) -> Tensor:
    return panels[:, :, :: max(1, panels.shape[2] // ENOUGH)]


def _usable(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
