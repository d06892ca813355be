"""timm networks by name, for images of a size."""

import difflib
from collections.abc import Callable
from itertools import chain
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed
from timm.models import is_model, list_models
from torch import nn

from seti.errors import SettingsError
from seti.models import needle_net  # noqa: F401  (registers its networks with timm)
from seti.models.names import network_name

Size = tuple[int, int]
Stride = int | list[int] | None


def find_network(written: str) -> str:
    """Return timm's name of a network, which may be written as on the hub's page.

    Raises:
        SetiError: timm knows no such network, or no such pretraining tag; the message has similar names.
    """
    name = network_name(written)
    try:
        if is_model(name):
            timm.get_pretrained_cfg(name)
            return name
    except RuntimeError:  # known network, but unknown pretraining tag
        pass
    close = difflib.get_close_matches(name, [*list_models(), *list_models(pretrained=True)], n=3, cutoff=0.5)
    near = f"; similar names: {', '.join(close)}" if close else ""
    msg = f"model.backbone={written} is not a network of timm {timm.__version__}{near}"
    raise SettingsError(msg)


def network_options(name: str, in_channels: int, image_size: Size) -> dict[str, Any]:
    """Return timm's arguments; networks with position embeddings are built for one size."""
    config = timm.get_pretrained_cfg(name)
    size = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    return {"in_chans": in_channels, "num_classes": 1} | size


def builder(name: str, in_channels: int, stem_stride: Stride = None) -> Callable[[Size], nn.Module]:
    """Return a function from a size `(height, width)` to a network with random weights for it.

    A network that is not built for one size is built once, when it is first asked for.
    """
    kept: list[nn.Module] = []

    def build(size: Size) -> nn.Module:
        options = network_options(name, in_channels, size)
        if kept and "img_size" not in options:
            return kept[0]
        network = timm.create_model(name, **options)
        if stem_stride is not None:
            set_stem_stride(network, name, stem_stride)
        kept[:] = [network]
        return network

    return build


def set_stem_stride(network: nn.Module, name: str, stride: int | list[int]) -> None:
    """Set the stride of the first convolution, or of several parallel ones.

    Raises:
        SetiError: the network has no such convolution.
    """
    config = network.pretrained_cfg
    stems = config.get("first_conv") or ()
    try:
        found = [network.get_submodule(stem) for stem in ((stems,) if isinstance(stems, str) else stems)]
    except AttributeError:
        found = []
    # Position embeddings have the size that the original stride gives.
    patches = config.get("fixed_input_size") or any(isinstance(module, PatchEmbed) for module in network.modules())
    if patches or not found or not all(isinstance(stem, nn.Conv2d) for stem in found):
        msg = (
            f"model.stem_stride={stride}: model.backbone={name} has no first convolution whose stride can be changed; "
            "set model.stem_stride=null"
        )
        raise SettingsError(msg)
    for stem in found:
        stem.stride = (stride, stride) if isinstance(stride, int) else tuple(stride)


def use_channels_last(network: nn.Module) -> nn.Module:
    """Store weights with channels innermost, in place, and return the network.

    Those of three-dimensional convolutions keep their order: `Module.to(memory_format=...)` refuses such networks.
    """
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return network
