import cv2
import numpy as np
import pytest
import torch
from unit_helpers import NO_AUGMENT

from seti.transforms.batch import prepare, to_device
from seti.transforms.image import ImageMaker
from seti.transforms.panels import Panels

CASES = [(panels, layout) for panels in ("A", "all") for layout in ("spatial", "channel")]
RECIPE = NO_AUGMENT | {
    "flip_frequency": 0.5,
    "flip_time": 0.5,
    "affine": 0.8,
    "shift": 0.1,
    "scale": 0.1,
    "rotate": 10.0,
}
CROP = NO_AUGMENT | {"crop": 1.0, "crop_scale": [0.6, 0.9]}
CROPPED = RECIPE | {"crop": 0.7, "crop_scale": [0.6, 0.9]}
ROWS, BINS = 39, 44
SEEDS = tuple(range(8))


def smooth(count: int) -> np.ndarray:
    """A batch of cadences without edges, `(len(SEEDS), count, ROWS, BINS)`, of deviation 1."""
    noise = np.random.default_rng(0).normal(size=(len(SEEDS) * count, ROWS, BINS))
    planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in noise])
    return (planes / planes.std()).reshape(-1, count, ROWS, BINS).astype(np.float16)


def moves_of(maker: ImageMaker, seeds) -> torch.Tensor:
    frame = maker.layout.frame(ROWS, BINS)
    return torch.from_numpy(np.stack([maker.draw_move(seed, ROWS, BINS).source(*frame) for seed in seeds]))


def both(panels, layout, size, interpolation, augment) -> tuple[np.ndarray, np.ndarray]:
    """The host's images and the device's."""
    maker = ImageMaker(panels, layout, size, interpolation, augment)
    cadences = smooth(len(maker.numbers))
    seeds = SEEDS if augment else (None,) * len(SEEDS)
    host = np.stack([maker(cadence, seed) for cadence, seed in zip(cadences, seeds, strict=True)])
    moves = moves_of(maker, seeds) if augment else None
    made = prepare(Panels(torch.from_numpy(cadences), moves), maker)
    assert made.dtype == torch.float32
    return host, made.numpy()


@pytest.mark.parametrize(("panels", "layout"), CASES)
@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("size", [None, [20, 30], [64, 90], [64, 30]])
@pytest.mark.parametrize("augment", [RECIPE, CROP, CROPPED])
def test_moved_images_are_the_hosts(panels, layout, interpolation, size, augment):
    host, made = both(panels, layout, size, interpolation, augment)
    assert made.shape == host.shape
    assert np.abs(made - host).mean() < 0.005
    assert np.corrcoef(made.ravel(), host.ravel())[0, 1] > 0.9995


@pytest.mark.parametrize(("panels", "layout"), CASES)
@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("size", [None, [20, 30], [64, 90], [64, 30]])
@pytest.mark.parametrize("augment", [None, NO_AUGMENT | {"flip_frequency": 0.5, "flip_time": 0.5}])
def test_images_that_are_flipped_or_still_are_the_hosts_to_the_last_bits(panels, layout, interpolation, size, augment):
    host, made = both(panels, layout, size, interpolation, augment)
    np.testing.assert_allclose(made, host, atol=2e-5)


def test_edges_are_mirrored_far_out():
    maker = ImageMaker("A", "channel", None, "linear", NO_AUGMENT | {"affine": 1.0, "shift": 0.9, "rotate": 180.0})
    cadences = smooth(3)
    host = np.stack([maker(cadence, seed) for cadence, seed in zip(cadences, SEEDS, strict=True)])
    moves = moves_of(maker, SEEDS)
    np.testing.assert_allclose(prepare(Panels(torch.from_numpy(cadences), moves), maker), host, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_any_float_becomes_float32_even_where_the_network_computes_in_half(dtype):
    maker = ImageMaker("A", "channel", [7, 9], "area", None)
    panels = torch.from_numpy(smooth(3)).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        made = prepare(Panels(panels, None), maker)
    np.testing.assert_allclose(made, np.stack([maker(cadence.numpy()) for cadence in panels]), atol=2e-6)


def test_images_that_are_ready_come_back():
    ready = torch.zeros(2, 1, 4, 5)
    assert prepare(ready, ImageMaker("A", "spatial", [4, 5], "linear")) is ready


@pytest.mark.parametrize("moves", [None, torch.zeros(2, 2, 3)])
def test_a_batch_goes_to_a_device_whole(moves):
    meta = torch.device("meta")
    moved = to_device(Panels(torch.zeros(2, 3, 4, 5), moves), meta)
    assert isinstance(moved, Panels)
    assert moved.panels.device == meta
    assert moved.moves is None if moves is None else moved.moves.device == meta
    assert to_device(torch.zeros(2), meta).device == meta
