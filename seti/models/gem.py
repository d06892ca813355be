"""Generalised-mean pooling, a replacement for a network's global average pool."""

import torch
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from seti.errors import SettingsError

AVERAGES = ("avg", "fast", "fastavg")  # timm's names for global average pooling


class GeM(nn.Module):
    """Generalised mean over a feature map, `(mean x^p)^(1/p)`.

    `p = 1` is the average, and the limit of large `p` is the maximum, so that a line in a corner of the image is not
    averaged away. `p` is learned. Radenovic et al. 2018, arXiv:1711.02512.

    Args:
        dims: the two axes to pool over.
        keepdim: keep these axes, with length 1.
        p: initial exponent.
        eps: lower bound that features are clamped to.
    """

    def __init__(self, dims: tuple[int, int], keepdim: bool, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.dims, self.keepdim, self.eps = dims, keepdim, eps
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor) -> Tensor:
        """Pool `(B, C, H, W)` or `(B, H, W, C)` to one number per channel."""
        # In float32, because the cube of a float16 feature overflows at 40.
        powers = features.float().clamp(min=self.eps).pow(self.p)
        return powers.mean(self.dims, keepdim=self.keepdim).pow(1 / self.p).to(features.dtype)


def use_gem(network: nn.Module, name: str) -> None:
    """Replace a timm network's global average pool by `GeM`, in place.

    Raises:
        SetiError: the network has no global average pool, or more than one.
    """
    places = [
        module
        for module in network.modules()
        if isinstance(module, SelectAdaptivePool2d) and module.pool_type in AVERAGES
    ]
    if len(places) != 1:
        msg = f"model.pool=gem: model.backbone={name} has no global average pool to replace; set model.pool=null"
        raise SettingsError(msg)
    average = places[0].pool
    # Some networks are channels-last, and some pools flatten their output.
    places[0].pool = GeM(tuple(getattr(average, "dim", (2, 3))), keepdim=not getattr(average, "flatten", False))
    places[0].pool_type = "gem"
