from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from unit_helpers import BINS, NO_AUGMENT, ROWS, files_dataset, make_cadences, quiet_trainer

from seti.config.validation import check_settings
from seti.dataloading.loader import make_loader
from seti.inference.ensemble import predict_probabilities
from seti.models.classifier import CadenceClassifier
from seti.transforms import layouts
from seti.transforms.batch import prepare
from seti.transforms.dedoppler import Dedoppler
from seti.transforms.input_spec import InputSpec
from seti.transforms.layout_names import INTEGRATES
from seti.transforms.layouts import LAYOUTS, DrawnLayout, make_layout, move_and_resize, with_moves

SIX = tuple(range(6))
DRIFTS = Dedoppler(4.0, 5, (0.0, 2.0))
IDS = [f"{number}{number}" for number in range(6)]
FLIPS = NO_AUGMENT | {"flip_frequency": 0.5, "flip_time": 0.5}


@dataclass(frozen=True)
class Contrast:
    """A toy: one channel, the mean of the ON panels minus that of the OFF panels. Nothing of it is drawn by OpenCV."""

    integrates: ClassVar[bool] = False
    channels: ClassVar[int] = 1
    mirrors_time: ClassVar[bool] = True
    mirrors_frequency: ClassVar[bool] = True
    panels: tuple[int, ...]

    def size(self, rows, bins):
        return rows, bins

    frame = size

    def hand_over(self, cadences, moves, stack):
        return with_moves(cadences, moves, self.frame, stack)

    def images(self, inputs, size, interpolation):
        on, off = inputs.panels[:, ::2].mean(1, keepdim=True), inputs.panels[:, 1::2].mean(1, keepdim=True)
        return move_and_resize(on - off, inputs.moves, size, interpolation)


@pytest.fixture
def spec(monkeypatch) -> InputSpec:
    monkeypatch.setitem(layouts.LAYOUTS, "contrast", Contrast)
    monkeypatch.setitem(INTEGRATES, "contrast", Contrast.integrates)
    return InputSpec("all", "contrast", None, "linear", ROWS, BINS)


@pytest.mark.parametrize("on_device", [False, True])
def test_a_new_layout_needs_a_class_and_a_name(tmp_path, spec, on_device):
    cadences = make_cadences(tmp_path, "train", IDS).astype(np.float32)
    expected = cadences[:, ::2].mean(1, keepdims=True) - cadences[:, 1::2].mean(1, keepdims=True)
    dataset = files_dataset(tmp_path, "train", IDS, np.arange(6) % 2, spec, on_device=on_device)
    inputs, _, _ = dataset.__getitems__(list(range(6)))
    assert isinstance(inputs, torch.Tensor) != on_device
    np.testing.assert_allclose(prepare(inputs, dataset.image_maker), expected, atol=1e-6)
    moving = files_dataset(tmp_path, "train", IDS, np.arange(6) % 2, spec, FLIPS, on_device=on_device)
    items = list(enumerate(range(40, 46)))
    seen = prepare(moving.__getitems__(items)[0], moving.image_maker).numpy()
    mirrored = (expected, expected[..., ::-1], expected[..., ::-1, :], expected[..., ::-1, ::-1])
    for number, image in enumerate(seen):
        assert min(np.abs(image - view[number]).max() for view in mirrored) < 1e-4
    assert not np.allclose(seen, expected, atol=0.1), "some are mirrored"

    model = {"backbone": "test_resnet", "pretrained": False, "weights": None, "freeze_backbone": False}
    schedule = {"pct_start": 0.3, "div_factor": 10.0}
    classifier = CadenceClassifier(spec.plain(), model, {"lr": 1e-3, "weight_decay": 0.0}, schedule, None)
    before = [weight.detach().clone() for weight in classifier.parameters()]
    quiet_trainer(max_epochs=1).fit(classifier, make_loader(moving, 3, 0, sampler=items))
    assert any(not torch.equal(old, new) for old, new in zip(before, classifier.parameters(), strict=True))
    batches = make_loader(dataset, 4, 0)
    straight, flipped = (
        predict_probabilities([classifier], batches, torch.device("cpu"), "32", "", flips=flips)
        for flips in (False, True)
    )
    assert straight.shape == (6, 1)
    assert not np.allclose(straight, flipped)


def test_names_tell_which_layouts_integrate_without_their_classes():
    assert {name: layout.integrates for name, layout in LAYOUTS.items()} == INTEGRATES


def test_a_new_layout_is_a_choice_of_the_settings(spec):
    from conftest import compose

    choice = ["data.panels=all", "model=tiny"]
    check_settings(compose("train", [*choice, "data.layout=contrast"]))
    with pytest.raises(Exception, match="none of " + ", ".join(layouts.LAYOUTS)):
        check_settings(compose("train", [*choice, "data.layout=contrats"]))


@pytest.mark.parametrize("name", list(LAYOUTS))
@pytest.mark.parametrize("panels", [(0, 2, 4), SIX])
def test_every_layout_makes_images_of_the_size_and_channels_that_it_states(name, panels):
    layout = make_layout(name, panels, DRIFTS)
    inputs = layouts.Panels(torch.randn(2, len(panels), ROWS, BINS))
    for size in (layout.size(ROWS, BINS), (7, 9)):
        assert layout.images(inputs, size, "linear").shape == (2, layout.channels, *size)
    assert isinstance(layout, DrawnLayout) == (not layout.integrates)


@pytest.mark.parametrize("name", list(LAYOUTS))
@pytest.mark.parametrize("panels", [(0, 2, 4), SIX])
def test_where_flipping_an_image_mirrors_the_cadence_both_give_the_same(name, panels):
    layout = make_layout(name, panels, DRIFTS)
    inputs = layouts.Panels(torch.randn(2, len(panels), ROWS, BINS))
    size = layout.size(ROWS, BINS)

    def images(inputs):
        return layout.images(inputs, size, "linear")

    time, frequency = inputs.mirrored_in_time(panels), inputs.mirrored_in_frequency()
    if panels == (0, 2, 4) and name == "spatial":  # the stack is turned over as a whole
        time = time._replace(panels=time.panels.flip(1))
    for mirrored, axis, holds in ((time, -2, layout.mirrors_time), (frequency, -1, layout.mirrors_frequency)):
        assert torch.equal(images(mirrored), images(inputs).flip(axis)) == holds


def test_only_a_stack_without_off_panels_is_moved_as_a_whole():
    assert make_layout("spatial", (0, 2, 4), None).frame(ROWS, BINS) == (3 * ROWS, BINS)
    assert make_layout("spatial", SIX, None).frame(ROWS, BINS) == (ROWS, BINS)
