"""Small networks for de-Doppler planes that know what a cadence is. Importing this room makes them known to timm.

Every panel's plane goes through the same few convolutions. Then the ON panels' features are held against the OFF
panels', spot by spot: a needle is on the same spot in some or all of the ON planes, and in no OFF plane. What is alike
by the question asked is alike by construction: ON panels may change places, and so may OFF panels.
"""

from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES


class NeedleNet(nn.Module):
    """Planes `(B, panels, drifts, bins)` to logits `(B, num_classes)`.

    Args:
        in_chans: 3, the ON panels, or 6.
        num_classes: of the head; 0 for none.
        width: channels of the panels' own convolutions; behind them there are twice as many.
        depth: convolutions behind the comparison, at half its resolution: so wide apart may its panels' tracks lie,
            where signals do not drift evenly or the gaps between panels are not known.
        drop_rate: of the features before the head.

    Raises:
        ValueError: another number of panels.
    """

    def __init__(
        self, in_chans: int = 6, num_classes: int = 1, width: int = 16, depth: int = 2, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        panels = {len(choice): choice for choice in PANEL_CHOICES.values()}.get(in_chans)
        if panels is None:
            msg = f"a NeedleNet takes one channel a panel, 3 or 6, not {in_chans}: set data.layout=dedoppler or channel"
            raise ValueError(msg)
        places = {panel: place for place, panel in enumerate(panels)}
        self.on = [places[panel] for panel in ON_PANELS]
        self.off = [places[panel] for panel in OFF_PANELS if panel in places]
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = 4 * width
        # A track is a few drift rates and bins wide: the brightest of four neighbours is enough, at a quarter the cost.
        self.stem = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _convolution(1, width), _convolution(width, width))
        compared = (4 if self.off else 2) * width
        self.compare = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _convolution(compared, 2 * width))
        self.trunk = nn.Sequential(*(_convolution(2 * width, 2 * width) for _ in range(depth)))
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.fc

    def reset_classifier(self, num_classes: int) -> None:
        """Put another last layer in."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which layers belong together, for layer-wise learning rates."""
        return {"stem": r"^stem|^compare", "blocks": r"^trunk" if coarse else r"^trunk\.(\d+)"}

    def forward_features(self, planes: Tensor) -> Tensor:
        """Compare the panels: `(B, panels, drifts, bins)` to `(B, 2 width, drifts / 4, bins / 4)`."""
        batch, panels, drifts, bins = planes.shape
        features = self.stem(planes.reshape(batch * panels, 1, drifts, bins)).unflatten(0, (batch, panels))
        compared = []
        for places in filter(None, (self.on, self.off)):
            alike = features[:, places]
            compared += [alike.amax(dim=1), alike.mean(dim=1)]
        return self.trunk(self.compare(torch.cat(compared, dim=1).contiguous(memory_format=torch.channels_last)))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """What stands out most and what is there on average, weighed: to `(B, num_classes)`."""
        pooled = torch.cat([features.amax(dim=(2, 3)), features.mean(dim=(2, 3))], dim=1)
        pooled = self.head_drop(pooled)
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, planes: Tensor) -> Tensor:
        """Give the logits."""
        return self.forward_head(self.forward_features(planes))


def _convolution(channels: int, to: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, to, 3, padding=1, bias=False), nn.BatchNorm2d(to), nn.ReLU(inplace=True))


# Nobody has trained them for others yet: a local weight file can be loaded, the hub has none.
default_cfgs = generate_default_cfgs(
    {name: {"num_classes": 1, "classifier": "fc", "first_conv": None} for name in ("needle_net", "needle_net_wide")}
)


@register_model
def needle_net(pretrained: bool = False, **options: Any) -> NeedleNet:
    """For a CPU: 30,000 parameters."""
    return build_model_with_cfg(NeedleNet, "needle_net", pretrained, **options)


@register_model
def needle_net_wide(pretrained: bool = False, **options: Any) -> NeedleNet:
    """For a GPU: a million parameters."""
    return build_model_with_cfg(NeedleNet, "needle_net_wide", pretrained, **{"width": 64, "depth": 6} | options)
