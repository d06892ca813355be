"""Optimiser, layer-wise learning rates and learning-rate schedule."""

import difflib
import math
from collections import defaultdict
from typing import Any

import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from seti.errors import SettingsError


def check_optimizer(name: str) -> None:
    """Refuse an optimiser that is unknown or cannot be created on this machine.

    Raises:
        SetiError: the message suggests similar names.
    """
    known = [known for known in list_optimizers() if not get_optimizer_info(known).second_order]
    base = name.removeprefix("lookahead_")  # a wrapper around any of them
    if base not in known:
        close = difflib.get_close_matches(base.lower(), known, n=3, cutoff=0.5)
        near = f"; similar names: {', '.join(close)}" if close else "; use adamw"
        msg = f"optimizer.name={name} is not a first-order optimiser of timm{near}"
        raise SettingsError(msg)
    try:
        create_optimizer_v2([nn.Parameter(torch.zeros(1))], name, lr=1e-3)
    except Exception as error:  # some wrap other packages, each with errors of its own
        reason = " ".join(str(error).split())[:150]
        msg = f"optimizer.name={name} cannot be created on this machine ({reason}): use adamw, or another one"
        raise SettingsError(msg) from error


def make_optimizer(network: nn.Module, settings: dict[str, Any], fused: bool) -> Optimizer:
    """Create the optimiser for all trainable parameters, with weight decay on all of them.

    Args:
        network: a timm network.
        settings: the `optimizer` settings.
        fused: let AdamW update all tensors in one kernel.

    Raises:
        SetiError: `layer_decay` is set, but the network does not define layers.
    """
    name, rates = settings.get("name", "adamw"), {"lr": settings["lr"], "weight_decay": settings["weight_decay"]}
    decay = settings.get("layer_decay")
    if decay is None:
        trained: list = [parameter for parameter in network.parameters() if parameter.requires_grad]
    else:
        trained = layer_groups(network, settings["lr"], decay)
    if name == "adamw":
        return torch.optim.AdamW(trained, fused=fused, **rates)
    return create_optimizer_v2(trained, name, **rates)


def layer_groups(network: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
    """Split the parameters into one group per layer, with layer-wise decayed learning rates.

    Layer `l` of `L` has the rate `lr * decay^(L - l)`, the head being layer `L`, as in the fine-tuning of BEiT (Bao et
    al. 2021, arXiv:2106.08254). Layers are those defined by timm.

    Returns:
        One group per layer, head first, so that the first group's rate is `lr`.

    Raises:
        SetiError: the network does not define layers.
    """
    matcher = getattr(network, "group_matcher", None)  # every timm network should have one
    layers = group_parameters(network, matcher(coarse=False), reverse=True) if matcher else {}
    last = max(layers.values(), default=0)
    if last == 0:
        name = getattr(network, "pretrained_cfg", {}).get("architecture", type(network).__name__)
        msg = (
            f"optimizer.layer_decay={decay:g} needs a network that defines layers, unlike model.backbone={name}: "
            "set optimizer.layer_decay=null, or use another model.backbone"
        )
        raise SettingsError(msg)
    groups = defaultdict(list)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[layers[name]].append(parameter)
    return [{"params": groups[layer], "lr": lr * decay ** (last - layer)} for layer in sorted(groups, reverse=True)]


def make_schedule(optimizer: Optimizer, settings: dict[str, Any], steps: int, epochs: float) -> LRScheduler:
    """Create the schedule, stepped every batch, with the optimiser's rates as its maximum.

    Args:
        optimizer: all of its groups follow the same curve, scaled to their own rates.
        settings: the `schedule` settings: `onecycle` (Smith & Topin 2017, arXiv:1708.07120) or `cosine`.
        steps: total number of training steps.
        epochs: total number of epochs; below 1 if training is limited by steps only.
    """
    if settings.get("name", "onecycle") == "cosine":
        warmup = round(steps * settings["warmup_epochs"] / epochs) if epochs > 0 else 0
        start, final = 1 / settings["div_factor"], settings["final_factor"]
        # Not torch's cosine schedule, whose minimum rate is the same for every group.
        return LambdaLR(optimizer, lambda step: cosine_factor(step, steps, warmup, start, final))
    pct_start = settings["pct_start"]
    if pct_start * steps == 1:  # the peak is at the first step, and torch would divide by a rise of length zero
        pct_start *= 1 - 1e-6
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=pct_start,
        div_factor=settings["div_factor"],
        anneal_strategy="cos",
        cycle_momentum=False,
    )


def cosine_factor(step: int, steps: int, warmup: int, start: float, final: float) -> float:
    """Compute the factor on the maximum rate at a step of linear warmup and cosine decay.

    The factor rises linearly from `start` to 1 over `warmup` steps, then follows a cosine to `final` at the last step
    (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if step < warmup:
        return start + (1 - start) * step / warmup
    done = min((step - warmup) / max(steps - 1 - warmup, 1), 1.0)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
