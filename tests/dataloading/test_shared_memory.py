import gc
import mmap
import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from unit_helpers import files_dataset

from seti.data.cadence import read_format
from seti.dataloading import loader, shared_memory
from seti.dataloading.loader import make_loader
from seti.dataloading.shared_memory import HELD, SharedSlots
from seti.transforms.input_spec import InputSpec

SHAPE = (2, 8, 16)


@pytest.fixture
def slots() -> SharedSlots:
    return SharedSlots(workers=2, each=2, size=4 * 2 * 8 * 16)


def fill(slots: SharedSlots, value: float, worker: int = 0) -> object:
    """Fill a slot as a worker does, and return its message."""
    tensor = slots.take(worker, SHAPE, torch.float32)
    tensor.fill_(value)
    return slots.hand_over(tensor)


def received(sent: object) -> torch.Tensor:
    """Unpickle a message, as the training process does."""
    function, given = sent.__reduce__()
    return function(*given)


def test_a_batch_arrives_as_it_was_written(slots):
    first, second = received(fill(slots, 1)), received(fill(slots, 2))
    assert first.dtype == second.dtype == torch.float32
    assert first.shape == second.shape == SHAPE
    assert (first == 1).all()
    assert (second == 2).all()


def test_a_slot_is_not_written_to_while_any_part_of_its_batch_is_held(slots):
    part = received(fill(slots, 1))[0, :, ::2].numpy()[1:]
    other = received(fill(slots, 2))
    gc.collect()
    assert slots.take(0, SHAPE, torch.float32) is None
    assert (part == 1).all()
    del part
    assert (received(fill(slots, 3)) == 3).all()
    assert (other == 2).all()


def test_workers_have_slots_of_their_own(slots):
    held = [received(fill(slots, 10 * worker + n, worker)) for worker in (0, 1) for n in (0, 1)]
    assert [int(tensor[0, 0, 0]) for tensor in held] == [0, 1, 10, 11]
    assert slots.take(1, SHAPE, torch.float32) is None


def test_what_fits_in_no_slot_gets_none(slots):
    assert slots.take(0, (9, 8, 16), torch.float32) is None  # 4,608 bytes, and a page has 4,096
    assert slots.take(0, (9, 8, 16), torch.float16).shape == (9, 8, 16)


def test_a_batch_that_failed_gives_its_slot_to_the_next_one(slots):
    for _ in range(5):
        assert slots.take(0, SHAPE, torch.float32) is not None
    assert (received(fill(slots, 4)) == 4).all()


def test_small_tensors_go_by_value_and_others_as_torch_sends_them(slots):
    small, large = torch.arange(7), torch.zeros(mmap.PAGESIZE)
    assert torch.equal(received(slots.hand_over(small)), small)
    assert slots.hand_over(large) is large
    assert slots.hand_over(None) is None


def test_a_forked_process_that_forgets_a_batch_does_not_free_its_slot(slots):
    held = received(fill(slots, 1))
    child = os.fork()
    if child == 0:
        del held
        os._exit(0)
    os.waitpid(child, 0)
    assert slots._taken[0] == 1


def test_without_memory_there_are_no_slots():
    assert SharedSlots.for_batches(workers=4, size=2**60) is None


class Numbers(Dataset):
    """Batches that say which they are, made in the workers' slots."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, indices: list[int]) -> tuple:
        images = shared_memory.new_tensor((len(indices), 4, 4), torch.float32)
        images.copy_(torch.tensor(indices, dtype=torch.float32)[:, None, None].expand_as(images))
        return images, torch.tensor(indices, dtype=torch.float32), torch.tensor(indices)

    most_bytes = 64


@pytest.mark.parametrize("keep", [0, 1, HELD, 10])
def test_no_batch_is_overwritten_however_many_are_held(keep):
    held: list[torch.Tensor] = []
    batches = make_loader(Numbers(), 2, num_workers=2)
    for _ in range(3):  # the workers stay from epoch to epoch
        for images, targets, indices in batches:
            held = [*held, (images, targets, indices)][-keep:] if keep else []
            for image, target, index in held or [(images, targets, indices)]:
                assert torch.equal(image[:, 0, 0], target)
                assert torch.equal(index.float(), target)


def test_a_loader_that_nothing_else_holds_gives_its_batches():
    assert [int(indices[0]) for _, _, indices in make_loader(Numbers(), 20, num_workers=1)] == [0, 20, 40]


def test_the_same_memory_is_used_again():
    batches = make_loader(Numbers(), 2, num_workers=1)
    places = {images.data_ptr() for images, _, _ in batches}
    assert len(places) <= 2 + HELD


def test_workers_make_the_same_batches_as_this_process(data_root):
    (rows, bins), _ = read_format(next(data_root.glob("train/*/*.npy")))
    spec = InputSpec("A", "spatial", [24, 32], "area", rows, bins)
    ids = np.array(sorted(path.stem for path in data_root.glob("train/*/*.npy")))[:12]
    for on_device in (False, True):
        cadences = files_dataset(data_root, "train", ids, np.arange(12) % 2, spec, on_device=on_device)
        for (a, *rest), (b, *others) in zip(make_loader(cadences, 4, 2), make_loader(cadences, 4, 0), strict=True):
            made, wanted = (a.panels, b.panels) if on_device else (a, b)
            assert made.dtype == wanted.dtype
            assert torch.equal(made, wanted)
            assert all(torch.equal(one, other) for one, other in zip(rest, others, strict=True))


def test_spawned_workers_go_without_slots(monkeypatch):
    monkeypatch.setattr(loader, "get_start_method", lambda: "spawn")
    made: DataLoader = make_loader(Numbers(), 2, num_workers=1)
    assert made.collate_fn is loader._unchanged
