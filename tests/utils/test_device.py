import pytest
import torch

from seti.errors import SetiError
from seti.utils.device import AUTOCAST, autocast, choose_device, choose_precision, memory_errors

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(params=[0, 1, 2])
def gpus(request, monkeypatch) -> int:
    """Pretend that the machine has this many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


def set_bfloat16(monkeypatch, native: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})


def test_auto_is_the_gpu_if_there_is_one(gpus):
    assert choose_device("auto").type == ("cuda" if gpus else "cpu")


def test_cpu_is_the_cpu_everywhere(gpus):
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(("name", "needed"), [("cuda", 1), ("cuda:0", 1), ("cuda:1", 2)])
def test_a_missing_gpu_is_refused(gpus, name, needed):
    if gpus >= needed:
        assert choose_device(name) == torch.device(name)
        return
    with pytest.raises(SetiError, match=f"device={name}, but torch finds .* on this machine") as caught:
        choose_device(name)
    assert "device=cpu" in str(caught.value)


def test_gpu_is_another_name_of_cuda(gpus):
    if gpus:
        assert choose_device("gpu") == torch.device("cuda")
        return
    with pytest.raises(SetiError, match="device=cuda, but torch finds no GPU on this machine"):
        choose_device("gpu")


@pytest.mark.parametrize("name", ["", "cuda:x", "cpu0", "tpu", "meta"])
def test_other_names_are_refused_in_one_line(name):
    with pytest.raises(SetiError) as caught:
        choose_device(name)
    assert str(caught.value).startswith(f"device={name} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32")])
def test_auto_precision(monkeypatch, native, precision):
    set_bfloat16(monkeypatch, native)
    assert choose_precision("auto", CPU) == precision
    assert choose_precision("auto", GPU) == "16-mixed"
    assert choose_precision("auto", torch.device("mps")) == "32"


def test_a_cpu_that_does_not_report_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert choose_precision("auto", CPU) == "32"


@pytest.mark.parametrize("name", ["32", "32-true", "bf16-mixed", "16-mixed"])
def test_precisions_by_name(name):
    assert choose_precision(name, GPU) == name
    assert choose_precision(name, CPU) == ("bf16-mixed" if name == "16-mixed" else name)


def test_a_precision_may_be_a_number():
    assert choose_precision(32, CPU) == "32"


@pytest.mark.parametrize("name", ["16", 16, "bf16", "BF16-mixed"])
def test_short_names_of_precisions_are_read(name):
    assert choose_precision(name, CPU) == "bf16-mixed"


@pytest.mark.parametrize("name", ["64", "8", "fp16", "", "none"])
def test_other_precisions_are_refused_with_the_choices(name):
    with pytest.raises(SetiError, match=f"precision={name} is none of auto, 32, 32-true, bf16-mixed, 16-mixed"):
        choose_precision(name, CPU)


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_autocast_computes_in_the_precisions_dtype(precision, dtype):
    a = torch.ones(2, 2)
    with autocast(precision, CPU):
        assert (a @ a).dtype == dtype
    assert (a @ a).dtype == torch.float32


def test_every_precision_has_its_dtype():
    types = {name: AUTOCAST[name] for name in AUTOCAST}
    assert types == {"32": None, "32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes"),
    ],
)
def test_an_out_of_memory_error_names_the_settings_to_lower(error):
    with (
        pytest.raises(SetiError, match=r"out of memory: lower data\.batch_size=8 or"),
        memory_errors("data.batch_size=8 or data.image_size"),
    ):
        raise error


def test_other_errors_are_not_taken_for_out_of_memory():
    with pytest.raises(RuntimeError, match="shape mismatch"), memory_errors("x"):
        raise RuntimeError("shape mismatch")
