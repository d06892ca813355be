"""Where the network runs, and in which precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from seti.errors import SetiError

# Lightning's names, and the type that autocast computes in; None computes in float32 throughout.
AUTOCAST = {
    "32": None,
    "32-true": None,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; `auto` is the GPU where there is one.

    Raises:
        SetiError: the name is unknown, or a GPU is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"device={name} is unknown to torch: use auto, cpu or cuda"
        raise SetiError(msg) from error
    if device.type == "meta":
        msg = f"device={name} computes nothing: use auto, cpu or cuda"
        raise SetiError(msg)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"{count} GPU{'s'[: count > 1]}" if count else "no GPU"
        msg = f"device={name}, but torch finds {found} on this machine: use device=auto or device=cpu"
        raise SetiError(msg)
    return device


def choose_precision(name: str | int, device: torch.device) -> str:
    """Turn `auto` into one of Lightning's precisions; check the others.

    `auto` is 16-mixed on a GPU, bf16-mixed on a CPU that computes in bfloat16, and 32 elsewhere: a CPU that has to
    emulate bfloat16 is slower with it.

    Raises:
        SetiError: the name is none of those supported.
    """
    name = str(name)
    if name == "auto":
        if device.type == "cuda":
            return "16-mixed"
        native = device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return "bf16-mixed" if native else "32"
    if name not in AUTOCAST:
        msg = f"precision={name} is none of auto, {', '.join(AUTOCAST)}"
        raise SetiError(msg)
    if name == "16-mixed" and device.type == "cpu":
        return "bf16-mixed"  # what Lightning does on a CPU, which has no float16 autocast worth its name
    return name


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Compute in the precision's type, for inference outside a Trainer."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def copy_to_device(drawn: Tensor, device: torch.device) -> Tensor:
    """Move what was drawn on the processor to the training device, without waiting for its queue to run empty."""
    if device.type == "cuda":
        drawn = drawn.pin_memory()  # else the copy would wait
    return drawn.to(device, non_blocking=True)


@contextmanager
def memory_errors(settings: str) -> Iterator[None]:
    """Say which settings to lower where a device has too little memory.

    Args:
        settings: as the message names them, such as `data.batch_size=32 or data.image_size`.

    Raises:
        SetiError: the device's memory is full.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        # The processor's allocator has no type of its own: `DefaultCPUAllocator: can't allocate memory`.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        msg = f"the device is out of memory: lower {settings}"
        raise SetiError(msg) from error


def configure_gpu() -> None:
    """Let a GPU compute float32 products in TensorFloat-32 and pick the fastest convolutions: sizes never change."""
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
