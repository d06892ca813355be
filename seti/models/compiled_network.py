"""Networks compiled by torch.compile, which fuses what lies between convolutions.

Nothing is stored in a module, so that checkpoints, copies and averages are those of a network that is not compiled. One
compiled function serves all networks of a kind in a process; torch keeps what it compiled on disk for later ones.
"""

import functools
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

KINDS = 64  # networks and sizes of images that a process may compile; torch's own limit is 8
_FAILED: list[str] = []  # why this machine cannot compile


def run_compiled(network: nn.Module, images: Tensor) -> Tensor:
    """Run a network, compiled for this size of batch; where torch cannot compile it, as it is."""
    if not _FAILED:
        try:
            return compiled()(network, images)
        except Exception as error:  # of the compiler, which are of many kinds
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton")):
                raise
            reason = next(iter(str(error).strip().splitlines()), "")[:200]
            _FAILED.append(reason)
            log.warning("torch.compile fails on this machine (%s): the network runs uncompiled", reason)
    return network(images)


@functools.cache
def compiled() -> Callable[[nn.Module, Tensor], Tensor]:
    """Return the function that runs a network on images, compiled when it is first called."""
    from torch import _dynamo  # takes a second, and a CPU does without

    _dynamo.config.recompile_limit = KINDS
    return torch.compile(_run, dynamic=False)


def _run(network: nn.Module, images: Tensor) -> Tensor:
    return network(images)
