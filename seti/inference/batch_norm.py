"""Folding of batch normalisation into convolutions, for faster prediction."""

import copy
import logging

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seti.models.timm_network import use_channels_last

log = logging.getLogger(__name__)


@torch.inference_mode()
def fold_batch_norm(network: nn.Module, images: Tensor) -> nn.Module:
    """Fold every batch normalisation into the convolution that feeds only it.

    The pairs are found by running the network, because timm's forward passes do not follow the order of the modules.
    If the folded network's logits differ from the original's, nothing is folded.

    Args:
        network: a network in evaluation mode, which is not modified.
        images: `(B, C, H, W)` example images on the network's device; one is enough.

    Returns:
        A copy of the network.
    """
    names = {module: name for name, module in network.named_modules()}
    folded = copy.deepcopy(network)
    pairs, expected = _run(network, images)
    for convolution, norm in pairs:
        fused = fuse_conv_bn_eval(convolution, norm)
        folded.set_submodule(names[convolution], fused.requires_grad_(False))
        # timm's BatchNormAct2d includes the activation that follows.
        folded.set_submodule(names[norm], copy.deepcopy(getattr(norm, "act", nn.Identity())))
    use_channels_last(folded)
    found = folded(images)
    if torch.allclose(found, expected, rtol=1e-3, atol=1e-3, equal_nan=True):
        return folded
    log.info("batch normalisation is not folded: logits would change by %.2g", (found - expected).abs().max().item())
    return copy.deepcopy(network)


def _run(network: nn.Module, images: Tensor) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor]:
    """Run the network; return the pairs of layers to fold, and the logits.

    In a pair of convolution and batch normalisation, the norm's input is the convolution's output, and both modules run
    exactly once.
    """
    runs: list[nn.Module] = []
    makers: dict[int, nn.Conv2d] = {}
    outputs: list[Tensor] = []  # kept alive, so that no two of them share an id
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after(module: nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        runs.append(module)
        outputs.append(output)
        makers[id(output)] = module

    def before(module: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        runs.append(module)
        if id(inputs[0]) in makers and module.running_var is not None:
            pairs.append((makers[id(inputs[0])], module))

    hooks = [
        module.register_forward_hook(after)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(before)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        logits = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if all(runs.count(module) == 1 for module in pair)], logits
