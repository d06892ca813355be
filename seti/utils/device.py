"""Device and precision that the network runs with."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from seti.errors import SetiError
from seti.utils.precision_names import PRECISIONS, precision_name

# Lightning's precision names and the dtype that autocast uses; None means float32 throughout.
AUTOCAST = dict(zip(PRECISIONS, (None, None, torch.bfloat16, torch.float16), strict=True))


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:1` to a device; `auto` is the GPU if there is one.

    Raises:
        SetiError: the name is unknown, or the machine lacks the requested GPU.
    """
    name = name.strip().lower()
    name = "cuda" if name == "gpu" else name
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
    """Resolve `auto` to one of Lightning's precisions, and check any other name.

    `auto` is 16-mixed on a GPU, bf16-mixed on a CPU with native bfloat16, and 32 otherwise, because emulated bfloat16
    is slower than float32.

    Raises:
        SetiError: the precision is not supported.
    """
    name = precision_name(name)
    if name == "auto":
        if device.type == "cuda":
            return "16-mixed"
        native = device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return "bf16-mixed" if native else "32"
    if name not in AUTOCAST:
        msg = f"precision={name} is none of auto, {', '.join(AUTOCAST)}"
        raise SetiError(msg)
    if name == "16-mixed" and device.type == "cpu":
        return "bf16-mixed"  # as Lightning does: CPUs have no usable float16 autocast
    return name


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Autocast to the precision's dtype, for inference outside a Trainer."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def copy_to_device(drawn: Tensor, device: torch.device) -> Tensor:
    """Copy random draws from the host to the device without waiting for its queue to drain."""
    if device.type == "cuda":
        drawn = drawn.pin_memory()  # a copy from pageable memory would block
    return drawn.to(device, non_blocking=True)


@contextmanager
def memory_errors(settings: str) -> Iterator[None]:
    """Turn out-of-memory errors into an error that names the settings to lower.

    Args:
        settings: the settings as named in the message, such as `data.batch_size=32 or data.image_size`.

    Raises:
        SetiError: the device is out of memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        # The CPU allocator raises a plain RuntimeError: `DefaultCPUAllocator: can't allocate memory`.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        msg = f"the device is out of memory: lower {settings}"
        raise SetiError(msg) from error


def configure_gpu() -> None:
    """Allow TensorFloat-32 products on a GPU, and let cuDNN search for the fastest convolutions."""
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # one search is enough, because the input size never changes
