"""Generalised-mean pooling in place of a network's global average pool."""

import torch
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from seti.errors import SetiError

AVERAGES = ("avg", "fast", "fastavg")  # timm's names of the global average


class GeM(nn.Module):
    """Generalised mean over a feature map, `(mean x^p)^(1/p)` (Radenovic et al. 2018, arXiv:1711.02512).

    `p = 1` is the average, and the larger `p`, the nearer the maximum: a line in a corner of the image is not
    averaged away. `p` is learned. Features below `eps` count as `eps`.

    Args:
        dims: the two axes to pool over.
        keepdim: keep them, with length 1.
        p: what the exponent starts at.
        eps: the least feature.
    """

    def __init__(self, dims: tuple[int, int], keepdim: bool, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.dims, self.keepdim, self.eps = dims, keepdim, eps
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor) -> Tensor:
        """Pool `(B, C, H, W)`, or `(B, H, W, C)`, to a number a channel."""
        # In float32: cubes of float16 features overflow at 40.
        powers = features.float().clamp(min=self.eps).pow(self.p)
        return powers.mean(self.dims, keepdim=self.keepdim).pow(1 / self.p).to(features.dtype)


def use_gem(network: nn.Module, name: str) -> None:
    """Put `GeM` where a timm network takes its global average, in place.

    Raises:
        SetiError: there is no such place, or more than one.
    """
    places = [
        module
        for module in network.modules()
        if isinstance(module, SelectAdaptivePool2d) and module.pool_type in AVERAGES
    ]
    if len(places) != 1:
        msg = f"model.pool=gem: model.backbone={name} has no global average pool to replace; set model.pool=null"
        raise SetiError(msg)
    average = places[0].pool
    # Height and width stand in front of the channels in some networks, and some pools flatten by themselves.
    places[0].pool = GeM(tuple(getattr(average, "dim", (2, 3))), keepdim=not getattr(average, "flatten", False))
    places[0].pool_type = "gem"
