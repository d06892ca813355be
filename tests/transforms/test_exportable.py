import numpy as np
import pytest
import torch

from seti.transforms.batch import prepare
from seti.transforms.exportable import PanelsToImages
from seti.transforms.input_spec import InputSpec
from seti.transforms.panels import Panels

FAN = {"max_drift": 8, "drifts": 9, "gap": [0, 6]}


@pytest.mark.parametrize("rows", [5, 16, 40])
@pytest.mark.parametrize(
    ("layout", "panels", "normalise", "size", "interpolation"),
    [
        ("spatial", "A", "none", [24, 20], "linear"),
        ("spatial", "all", "panel", [24, 20], "area"),
        ("channel", "all", "robust", None, "linear"),
        ("channel", "A", "flatten", [12, 12], "area"),
        ("dedoppler", "all", "whiten", None, "linear"),
        ("dedoppler", "A", "flatten", [16, 16], "linear"),
        ("channel_dedoppler", "all", "whiten", None, "linear"),
    ],
)
def test_images_are_those_of_prediction(rows, layout, panels, normalise, size, interpolation):
    fan = FAN if "dedoppler" in layout else {}
    spec = InputSpec(panels, layout, size, interpolation, rows, 32, normalise, [-4, 10], layout == "channel", fan)
    cadences = torch.from_numpy(np.random.default_rng(rows).normal(size=(3, 6, rows, 32)).astype(np.float32))
    cadences[:, :, :, 7] += 30
    maker = spec.image_maker()
    expected = prepare(Panels(cadences[:, list(maker.numbers)]), maker)
    made = PanelsToImages(spec)
    torch.testing.assert_close(made(cadences), expected, atol=1e-4, rtol=1e-4)
    program = torch.export.export(made, (cadences[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(cadences), expected, atol=1e-4, rtol=1e-4)
