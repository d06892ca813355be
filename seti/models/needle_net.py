"""Small networks for de-Doppler planes that compare ON with OFF panels.

The same few convolutions run on the plane of each panel. The features of the ON panels are then compared with those of
the OFF panels at each position: a needle is at the same position in some or all of the ON planes, and in no OFF plane.
By construction the output does not change if ON panels are swapped with each other, or OFF panels with each other.

Importing this module registers the networks with timm.
"""

from collections.abc import Sequence
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES


class NeedleNet(nn.Module):
    """Network from de-Doppler planes `(B, panels, drifts, bins)` to logits `(B, num_classes)`.

    Args:
        in_chans: 3, the ON panels, or 6, all panels.
        num_classes: number of outputs; 0 removes the head.
        width: channels of the convolutions on single panels; later layers have twice as many.
        depth: number of convolutions after the comparison, at half its resolution. More of them tolerate larger offsets
            between the panels' tracks, where drift is uneven or the gaps between panels are unknown.
        drop_rate: dropout probability before the head.
        early: halve the planes before the second convolution instead of after it: the same size from there on, at less
            than half the time on a CPU.
        dilations: of the convolutions after the comparison, one each; None for none. Dilated ones see panels' tracks
            that lie farther apart.

    Raises:
        ValueError: `in_chans` is neither 3 nor 6.
    """

    def __init__(
        self,
        in_chans: int = 6,
        num_classes: int = 1,
        width: int = 16,
        depth: int = 2,
        drop_rate: float = 0.0,
        early: bool = False,
        dilations: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        panels = {len(choice): choice for choice in PANEL_CHOICES.values()}.get(in_chans)
        if panels is None:
            msg = f"NeedleNet takes one channel per panel, 3 or 6, not {in_chans}: set data.layout=dedoppler or channel"
            raise ValueError(msg)
        places = {panel: place for place, panel in enumerate(panels)}
        self.on = [places[panel] for panel in ON_PANELS]
        self.off = [places[panel] for panel in OFF_PANELS if panel in places]
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = 4 * width
        # A track is several drift rates and bins wide, so max pooling loses nothing and costs a quarter.
        second = _convolution(width, width)
        if early:
            second = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), second)
        self.stem = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _convolution(1, width), second)
        compared = (4 if self.off else 2) * width
        halve = nn.Identity() if early else nn.MaxPool2d(2, ceil_mode=True)
        self.compare = nn.Sequential(halve, _convolution(compared, 2 * width))
        self.trunk = nn.Sequential(
            *(_convolution(2 * width, 2 * width, dilation=dilation) for dilation in dilations or (1,) * depth)
        )
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""
        return self.fc

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return the patterns that group parameters into layers, for layer-wise learning rates."""
        return {"stem": r"^stem|^compare", "blocks": r"^trunk" if coarse else r"^trunk\.(\d+)"}

    def forward_features(self, planes: Tensor) -> Tensor:
        """Compare the panels: `(B, panels, drifts, bins)` to `(B, 2 width, drifts / 4, bins / 4)`."""
        batch, panels, drifts, bins = planes.shape
        planes = planes.reshape(batch * panels, 1, drifts, bins)
        # On a CPU the plain layers take as long as the convolutions. Gradients of equal maxima need them.
        plain = torch.is_grad_enabled() or planes.device.type != "cpu"
        pooled = self.stem[0](planes) if plain else _halve(planes)
        features = self.stem[2](self.stem[1](pooled)).unflatten(0, (batch, panels))
        compared = []
        for places in filter(None, (self.on, self.off)):
            group = features[:, places] if plain else [features[:, place] for place in places]
            compared += [group.amax(dim=1), group.mean(dim=1)] if plain else _maximum_and_mean(group)
        return self.trunk(self.compare(torch.cat(compared, dim=1).contiguous(memory_format=torch.channels_last)))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool maximum and mean of the features and apply the last layer: `(B, num_classes)`."""
        pooled = torch.cat([features.amax(dim=(2, 3)), features.mean(dim=(2, 3))], dim=1)
        pooled = self.head_drop(pooled)
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, planes: Tensor) -> Tensor:
        """Compute the logits."""
        return self.forward_head(self.forward_features(planes))


def _halve(planes: Tensor) -> Tensor:
    """Max pooling of 2 x 2 pixels with `ceil_mode`, 10 times as fast on a CPU."""
    odd = [size % 2 for size in planes.shape[-2:]]
    if any(odd):
        planes = nn.functional.pad(planes, (0, odd[1], 0, odd[0]), value=-torch.inf)
    rows = torch.maximum(planes[..., 0::2, :], planes[..., 1::2, :])
    return torch.maximum(rows[..., 0::2], rows[..., 1::2])


def _maximum_and_mean(group: Sequence[Tensor]) -> list[Tensor]:
    """Maximum and mean of three tensors, bit by bit those of `amax` and `mean` of a stack."""
    first, second, third = group
    total = first.float() + second + third  # in half precision, `mean` adds in float32, too
    return [torch.maximum(torch.maximum(first, second), third), (total / 3).to(first.dtype)]


def _convolution(channels: int, to: int, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, to, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(to), nn.ReLU(inplace=True))


NAMES = ("needle_net", "needle_net_wide", "needle_net_swift", "needle_net_broad")
# The hub has no pretrained weights for them; a local weight file can be loaded.
default_cfgs = generate_default_cfgs(
    {name: {"num_classes": 1, "classifier": "fc", "first_conv": None} for name in NAMES}
)


@register_model
def needle_net(pretrained: bool = False, **options: Any) -> NeedleNet:
    """Create the network for CPUs, with 40,000 parameters."""
    return build_model_with_cfg(NeedleNet, "needle_net", pretrained, **options)


@register_model
def needle_net_wide(pretrained: bool = False, **options: Any) -> NeedleNet:
    """Create the network for GPUs, with a million parameters."""
    return build_model_with_cfg(NeedleNet, "needle_net_wide", pretrained, **{"width": 64, "depth": 6} | options)


@register_model
def needle_net_swift(pretrained: bool = False, **options: Any) -> NeedleNet:
    """Create a network for CPUs, deeper than `needle_net` at less than half the time."""
    defaults = {"width": 16, "early": True, "dilations": (1, 2, 4, 1)}
    return build_model_with_cfg(NeedleNet, "needle_net_swift", pretrained, **defaults | options)


@register_model
def needle_net_broad(pretrained: bool = False, **options: Any) -> NeedleNet:
    """Create a network for GPUs that is small enough to come with the package."""
    defaults = {"width": 40, "early": True, "dilations": (1, 2, 4, 1, 2, 1)}
    return build_model_with_cfg(NeedleNet, "needle_net_broad", pretrained, **defaults | options)
