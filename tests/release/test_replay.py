import pytest
import torch

from seti.release.replay import Planes, Replay, move
from seti.release.settings import SPEC
from seti.transforms.batch import prepare
from seti.transforms.input_spec import InputSpec
from seti.transforms.panels import Panels


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_newest_cadences_replace_the_oldest():
    replay = Replay(4)
    for first in (0, 3):
        numbers = torch.arange(first, first + 3)
        replay.add(torch.zeros(3, 6, 2, 4) + numbers[:, None, None, None], numbers.float(), numbers % 5)
    assert sorted(replay.targets.tolist()) == [2, 3, 4, 5]
    panels, targets, folds = replay.draw(50, generator())
    assert set(targets.tolist()) == {2, 3, 4, 5}
    assert torch.equal(panels[:, 0, 0, 0].float(), targets)
    assert torch.equal(folds, targets.long() % 5)


def test_only_what_was_added_is_drawn():
    replay = Replay(10)
    replay.add(torch.ones(2, 6, 2, 4), torch.ones(2), torch.ones(2))
    assert replay.draw(20, generator())[1].min() == 1


def test_moves_keep_a_cadence_as_it_is_but_for_place_and_direction():
    panels = torch.zeros(64, 6, 5, 16)
    for number in range(6):
        panels[:, number, :, 3] = (number + 1) / 2  # one line, brighter in later panels
    moved, numbers = move(panels.clone(), generator(), 100.0)
    assert {tuple(row) for row in numbers.tolist()} == {(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0)}
    quiet = [number for number in range(64) if moved[number].count_nonzero() == 30]
    assert len(quiet) > 30  # the others have more noise
    for number in quiet:
        line = moved[number, 0, 0].argmax()
        assert torch.equal(moved[number, :, :, line].mean(dim=1), torch.arange(1.0, 7) / 2)


def test_moves_mirror_in_frequency_and_time():
    panels = torch.zeros(64, 6, 4, 32)
    panels[..., torch.arange(4), torch.arange(4) + 8] = 9.0  # drifts upwards
    moved, numbers = move(panels, generator(), 100.0)
    slopes = set()
    for cadence, order in zip(moved, numbers, strict=True):
        at = cadence[0].argmax(dim=1)
        slopes.add((int((at[1] - at[0] + 16) % 32 - 16), bool(order[0] == 0)))
    assert slopes == {(1, True), (-1, True), (-1, False), (1, False)}


def test_values_are_clipped_no_lower_than_five():
    moved, _ = move(torch.full((64, 6, 2, 8), 10.0), generator(), 10.0)
    highest = moved.amax(dim=(1, 2, 3))
    assert highest.min() >= 5
    assert highest.max() <= 10
    assert len(set(highest.tolist())) > 32


def test_usual_planes_are_those_of_prediction():
    panels = torch.randn(2, 6, 273, 256).half()
    spec = InputSpec(**SPEC)
    torch.testing.assert_close(Planes(SPEC).usual(panels), prepare(Panels(panels), spec.image_maker()))


def test_moved_planes_follow_the_generator():
    planes, panels = Planes(SPEC), torch.randn(2, 6, 273, 256)
    first, same = (planes.moved(panels.clone(), generator(1)) for _ in range(2))
    assert torch.equal(first, same)
    assert first.shape == (2, 6, 33, 256)
    assert not torch.equal(first, planes.moved(panels.clone(), generator(2)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_planes_on_a_gpu_are_those_on_the_host():
    panels, planes = torch.randn(2, 6, 273, 256).half(), Planes(SPEC)
    torch.testing.assert_close(planes.usual(panels.cuda()).cpu(), planes.usual(panels), atol=1e-3, rtol=1e-3)
