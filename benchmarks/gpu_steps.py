"""Steps of EfficientNet-B1 on a GPU, plain and compiled: training and prediction.

    python benchmarks/gpu_steps.py [--side 512] [--batch 64]

Images are random and on the device before: this is what the GPU alone can do. `make bench-gpu` times this project as a
whole. First steps depend on what torch has compiled before: TORCHINDUCTOR_CACHE_DIR=<empty folder> starts with none.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

from seti.inference.batch_norm import fold_batch_norm
from seti.models.compiled_network import run_compiled
from seti.models.timm_network import use_channels_last

FOLDS = 5


def timed(name: str, step: Callable[[], object], cadences: int, repeats: int = 10, rounds: int = 3) -> None:
    """Print the first step's seconds, and the median rate of some rounds of later ones."""
    started = time.perf_counter()
    step()
    torch.cuda.synchronize()
    first = time.perf_counter() - started
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(repeats):
            step()
        torch.cuda.synchronize()
        rates.append(repeats * cadences / (time.perf_counter() - started))
    memory = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    print(f"{name}: {statistics.median(rates):,.0f} cadences/s, first step {first:.1f} s, {memory:.1f} GiB", flush=True)


def network() -> nn.Module:
    """Make EfficientNet-B1 with random weights on the GPU."""
    return use_channels_last(timm.create_model("efficientnet_b1", num_classes=1, in_chans=1)).cuda()


def training_step(made: nn.Module, images: Tensor, run: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[], None]:
    """Return a step in float16 with scaled gradients, as the Trainer does it."""
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-4, fused=True)
    scaler = torch.amp.GradScaler("cuda")
    targets = (torch.rand(len(images), device="cuda") > 0.5).float()

    def step() -> None:
        with torch.autocast("cuda", torch.float16):
            logits = run(made, images).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def plain(made: nn.Module, images: Tensor) -> Tensor:
    """Run a network as it is."""
    return made(images)


def train(images: Tensor) -> None:
    """Time training: plain, compiled, and another network that finds the first one's code."""
    made = network().train()
    timed("training, plain", training_step(made, images, plain), len(images))
    made = network().train()
    timed("training, compiled", training_step(made, images, run_compiled), len(images))
    made = network().train()
    timed("training, compiled, next fold", training_step(made, images, run_compiled), len(images))


@torch.inference_mode()
def predict(side: int) -> None:
    """Time five folds in turn, plain and compiled, and all at once with stacked weights."""
    image = torch.randn(1, 1, side, side, device="cuda")
    folded = [fold_batch_norm(network().eval(), image).half().requires_grad_(False) for _ in range(FOLDS)]
    for batch in (64, 256, 512):
        images = _images(batch, side).half()
        timed(f"prediction in batches of {batch}", lambda x=images: [made(x) for made in folded], batch, 2)
    images = _images(256, side).half()
    timed("prediction, compiled", lambda: [run_compiled(made, images) for made in folded], 256, 2)
    images = images[:64]
    weights, buffers = torch.func.stack_module_state(folded)
    shell = copy.deepcopy(folded[0])

    def one(weights: dict, buffers: dict) -> Tensor:
        return torch.func.functional_call(shell, (weights, buffers), (images,))

    timed("prediction, weights stacked by torch.vmap", lambda: torch.vmap(one)(weights, buffers), 64, 2)


def _images(batch: int, side: int) -> Tensor:
    return torch.randn(batch, 1, side, side, device="cuda").contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Parse the command line, and time everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "error: there is no GPU on this machine\n")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    torch.backends.cudnn.benchmark = True
    train(_images(given.batch, given.side))
    torch.backends.cudnn.benchmark = False
    predict(given.side)


if __name__ == "__main__":
    main()
