"""The optimiser, the rate of each layer, and how the rates move from batch to batch."""

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

from seti.errors import SetiError


def check_optimizer(name: str) -> None:
    """Refuse an optimiser that cannot be made on this machine.

    Raises:
        SetiError: naming it, and those near it.
    """
    known = [known for known in list_optimizers() if not get_optimizer_info(known).second_order]
    base = name.removeprefix("lookahead_")  # a wrapper around any of them
    if base not in known:
        close = difflib.get_close_matches(base.lower(), known, n=3, cutoff=0.5)
        near = f"; near it: {', '.join(close)}" if close else "; take adamw"
        msg = f"optimizer.name={name} is no optimiser of timm that works on first derivatives{near}"
        raise SetiError(msg)
    try:
        create_optimizer_v2([nn.Parameter(torch.zeros(1))], name, lr=1e-3)
    except Exception as error:  # some wrap other packages, and complain in as many ways
        reason = " ".join(str(error).split())[:150]
        msg = f"optimizer.name={name} cannot be made on this machine ({reason}): take adamw, or another one"
        raise SetiError(msg) from error


def make_optimizer(network: nn.Module, settings: dict[str, Any], fused: bool) -> Optimizer:
    """Make the optimiser of everything that is trained; weight decay is for all of it, whatever the optimiser.

    Args:
        network: of timm.
        settings: the `optimizer` settings.
        fused: let AdamW step all tensors in one kernel.

    Raises:
        SetiError: layers are to have rates of their own, and the network does not tell them apart.
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
    """Parameter groups with a rate a layer: `lr * decay^(L - l)` for layer `l` of `L`, the head being layer `L`.

    As in BEiT's fine-tuning (Bao et al. 2021, arXiv:2106.08254), with the layers that timm counts.

    Returns:
        A group a layer, the head first: whoever looks at the first group alone sees `lr`.

    Raises:
        SetiError: the network does not tell its layers apart.
    """
    matcher = getattr(network, "group_matcher", None)  # timm's networks have one; others may not
    layers = group_parameters(network, matcher(coarse=False), reverse=True) if matcher else {}
    last = max(layers.values(), default=0)
    if last == 0:
        name = getattr(network, "pretrained_cfg", {}).get("architecture", type(network).__name__)
        msg = (
            f"optimizer.layer_decay={decay:g} needs a network whose layers timm tells apart, and model.backbone={name} "
            "is none: set optimizer.layer_decay=null, or take another model.backbone"
        )
        raise SetiError(msg)
    groups = defaultdict(list)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[layers[name]].append(parameter)
    return [{"params": groups[layer], "lr": lr * decay ** (last - layer)} for layer in sorted(groups, reverse=True)]


def make_schedule(optimizer: Optimizer, settings: dict[str, Any], steps: int, epochs: int) -> LRScheduler:
    """Make the schedule of the rates, stepped every batch; the optimiser's rates are the highest ones.

    Args:
        optimizer: each of its groups goes the same way, at its own height.
        settings: the `schedule` settings: `onecycle` (Smith & Topin 2017, arXiv:1708.07120) or `cosine`.
        steps: of the whole training.
        epochs: of the whole training; below 1 for a training that is counted in steps alone.
    """
    if settings.get("name", "onecycle") == "cosine":
        warmup = round(steps * settings["warmup_epochs"] / epochs) if epochs > 0 else 0
        start, final = 1 / settings["div_factor"], settings["final_factor"]
        # Not torch's own: its lowest rate is the same for every group.
        return LambdaLR(optimizer, lambda step: cosine_factor(step, steps, warmup, start, final))
    pct_start = settings["pct_start"]
    if pct_start * steps == 1:  # the first step is the peak; torch would divide by the length of the rise, zero
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
    """Share of the highest rate at a step: a line from `start` to 1 over `warmup` steps, then a cosine to `final`.

    The cosine is Loshchilov & Hutter's (2017, arXiv:1608.03983), without restarts; the last step is at `final`.
    """
    if step < warmup:
        return start + (1 - start) * step / warmup
    done = min((step - warmup) / max(steps - 1 - warmup, 1), 1.0)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
