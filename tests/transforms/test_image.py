import os
import subprocess
import sys

import numpy as np
import pytest
from unit_helpers import NO_AUGMENT

from seti.transforms.image import ImageMaker
from seti.transforms.layouts import stack_in_time

CASES = [(panels, layout) for panels in ("A", "all") for layout in ("spatial", "channel")]


def numbered(panels: int, rows: int, bins: int) -> np.ndarray:
    """Every value tells its place."""
    return np.arange(panels * rows * bins, dtype=np.float32).reshape(panels, rows, bins)


def image_maker(panels, layout, size=None, interpolation="linear", **augment) -> ImageMaker:
    return ImageMaker(panels, layout, size, interpolation, NO_AUGMENT | augment)


def count(panels: str) -> int:
    return 3 if panels == "A" else 6


@pytest.mark.parametrize(("rows", "bins"), [(273, 256), (16, 40), (5, 3)])
@pytest.mark.parametrize(("panels", "layout"), CASES)
@pytest.mark.parametrize("augment", [{}, {"flip_time": 1.0, "flip_frequency": 1.0, "affine": 1.0, "rotate": 5.0}])
def test_native_shapes(panels, layout, rows, bins, augment):
    n = count(panels)
    made = image_maker(panels, layout, **augment)
    expected = (1, n * rows, bins) if layout == "spatial" else (n, rows, bins)
    result = made(np.ones((n, rows, bins), np.float16), seed=0)
    assert result.shape == expected
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert made.channels == expected[0]


def test_native_stacks_of_the_competitions_panels():
    assert image_maker("A", "spatial")(np.zeros((3, 273, 256), np.float16)).shape == (1, 819, 256)
    assert image_maker("all", "spatial")(np.zeros((6, 273, 256), np.float16)).shape == (1, 1638, 256)


@pytest.mark.parametrize(("panels", "layout"), CASES)
@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("size", [[32, 20], [7, 50], [16, 40]])
def test_resized_shapes_are_height_then_width(panels, layout, interpolation, size):
    n = count(panels)
    result = image_maker(panels, layout, size, interpolation)(np.ones((n, 16, 40), np.float32), seed=1)
    assert result.shape == (1 if layout == "spatial" else n, *size)
    np.testing.assert_allclose(result, 1, rtol=1e-6)


@pytest.mark.parametrize("panels", ["A", "all"])
def test_spatial_stacks_panels_downwards_in_order(panels):
    cadence = numbered(count(panels), 4, 5)
    np.testing.assert_array_equal(image_maker(panels, "spatial")(cadence)[0], np.concatenate(list(cadence), axis=0))


@pytest.mark.parametrize("panels", ["A", "all"])
def test_channel_keeps_panels_apart_in_order(panels):
    cadence = numbered(count(panels), 4, 5)
    np.testing.assert_array_equal(image_maker(panels, "channel")(cadence), cadence)


def test_stack_is_time_downwards():
    np.testing.assert_array_equal(stack_in_time(numbered(2, 2, 3)), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
def test_any_float_becomes_float32_with_its_values(dtype):
    cadence = np.linspace(-5, 30, 3 * 4 * 5).reshape(3, 4, 5).astype(dtype)
    result = image_maker("A", "channel", flip_time=1.0)(cadence, seed=0)
    np.testing.assert_array_equal(result, cadence.astype(np.float32)[:, ::-1])


@pytest.mark.parametrize(("panels", "layout"), CASES)
def test_the_cadence_is_left_as_it_was(panels, layout):
    cadence = numbered(count(panels), 6, 5)
    image_maker(panels, layout, flip_time=1.0, affine=1.0, shift=0.2)(cadence, seed=3)
    np.testing.assert_array_equal(cadence, numbered(count(panels), 6, 5))


@pytest.mark.parametrize("panels", ["A", "all"])
def test_frequency_flip(panels):
    cadence = numbered(count(panels), 4, 5)
    expected = cadence[:, :, ::-1]
    np.testing.assert_array_equal(image_maker(panels, "channel", flip_frequency=1.0)(cadence, 0), expected)
    np.testing.assert_array_equal(
        image_maker(panels, "spatial", flip_frequency=1.0)(cadence, 0)[0], expected.reshape(-1, 5)
    )


def test_time_flip_of_on_panels_turns_the_whole_stack_over():
    cadence = numbered(3, 4, 5)
    np.testing.assert_array_equal(
        image_maker("A", "spatial", flip_time=1.0)(cadence, 0)[0], cadence.reshape(12, 5)[::-1]
    )


def test_time_flip_of_all_panels_keeps_each_at_its_place():
    cadence = numbered(6, 4, 5)
    result = image_maker("all", "spatial", flip_time=1.0)(cadence, 0)[0].reshape(6, 4, 5)
    np.testing.assert_array_equal(result, cadence[:, ::-1])


@pytest.mark.parametrize("panels", ["A", "all"])
def test_time_flip_of_channels_keeps_each_at_its_place(panels):
    cadence = numbered(count(panels), 4, 5)
    np.testing.assert_array_equal(image_maker(panels, "channel", flip_time=1.0)(cadence, 0), cadence[:, ::-1])


@pytest.mark.parametrize("seed", range(20))
def test_no_off_pixel_lands_in_an_on_panels_place(seed):
    cadence = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((15, 20), np.float32)
    made = image_maker(
        "all", "spatial", flip_frequency=0.5, flip_time=0.5, affine=1.0, shift=0.4, scale=0.4, rotate=45.0
    )
    blocks = made(cadence, seed)[0].reshape(6, 15, 20)
    np.testing.assert_allclose(blocks, cadence, atol=1e-5)


def test_resizing_a_stack_of_all_panels_keeps_their_places():
    cadence = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((10, 20), np.float32)
    result = image_maker("all", "spatial", [30, 10], "area")(cadence)[0].reshape(6, 5, 10)
    np.testing.assert_allclose(result, np.broadcast_to(np.arange(6)[:, None, None], (6, 5, 10)), atol=1e-6)


@pytest.mark.parametrize(("panels", "layout"), CASES)
@pytest.mark.parametrize("interpolation", ["linear", "area"])
def test_values_outside_0_to_1_are_not_clipped(panels, layout, interpolation):
    cadence = np.full((count(panels), 16, 16), -5, np.float16)
    cadence[:, :, 8:] = 30
    made = image_maker(
        panels, layout, [12, 12], interpolation, flip_time=1.0, flip_frequency=1.0, affine=1.0, scale=0.05
    )
    result = made(cadence, seed=2)
    assert result.min() == pytest.approx(-5, abs=1e-4)
    assert result.max() == pytest.approx(30, abs=1e-4)


@pytest.mark.parametrize(("panels", "layout"), CASES)
def test_affine_reaches_every_layout(panels, layout):
    cadence = np.random.default_rng(0).normal(size=(count(panels), 20, 20)).astype(np.float32)
    plain = image_maker(panels, layout)(cadence)
    moved = image_maker(panels, layout, affine=1.0, rotate=10.0, shift=0.1, scale=0.1)(cadence, seed=4)
    n = moved.shape[0]
    assert all(np.abs(moved[channel] - plain[channel]).mean() > 0.2 for channel in range(n))


@pytest.mark.parametrize(("panels", "layout"), [("A", "channel"), ("all", "channel"), ("all", "spatial")])
def test_all_panels_get_the_same_transform(panels, layout):
    one = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    cadence = np.stack([one] * count(panels))
    made = image_maker(panels, layout, flip_time=0.5, flip_frequency=0.5, affine=1.0, shift=0.1, scale=0.1, rotate=10.0)
    for seed in range(5):
        result = made(cadence, seed).reshape(count(panels), 20, 24)
        for panel in result[1:]:
            np.testing.assert_allclose(panel, result[0], atol=1e-5)


@pytest.mark.parametrize(("panels", "layout"), CASES)
def test_a_seed_tells_the_image(panels, layout):
    settings = {"flip_time": 0.5, "flip_frequency": 0.5, "affine": 1.0, "shift": 0.1, "scale": 0.1, "rotate": 10.0}
    cadence = np.random.default_rng(0).normal(size=(count(panels), 20, 24)).astype(np.float32)
    made = image_maker(panels, layout, **settings)
    first = [made(cadence, seed) for seed in range(6)]
    other = image_maker(panels, layout, **settings)
    for seed in reversed(range(6)):
        np.testing.assert_array_equal(other(cadence, seed), first[seed])
    assert len({result.tobytes() for result in first}) == 6


@pytest.mark.parametrize("augment", [None, NO_AUGMENT])
def test_nothing_is_drawn_where_nothing_is_wanted(augment):
    cadence = numbered(3, 4, 5)
    made = ImageMaker("A", "channel", None, "linear", augment)
    for seed in (None, *range(10)):
        np.testing.assert_array_equal(made(cadence, seed), cadence)


def test_without_a_seed_the_transforms_are_left_out():
    cadence = numbered(3, 4, 5)
    np.testing.assert_array_equal(image_maker("A", "channel", flip_time=1.0, affine=1.0, shift=0.3)(cadence), cadence)


def test_transforms_come_at_their_rates_and_apart_from_each_other():
    """Seeding every transform with the same number would make them happen together or not at all."""
    cadence = np.random.default_rng(0).normal(size=(3, 20, 20)).astype(np.float32)
    made = image_maker("A", "channel", flip_time=0.3, flip_frequency=0.6, affine=0.5, shift=0.01, scale=0.01)
    upright = [cadence, cadence[:, ::-1], cadence[:, :, ::-1], cadence[:, ::-1, ::-1]]
    drawn = []
    for seed in range(800):
        result = made(cadence, seed)
        match = int(np.argmax([np.corrcoef(result.ravel(), image.ravel())[0, 1] for image in upright]))
        drawn.append((match in (1, 3), match in (2, 3), not np.array_equal(result, upright[match])))
    time, frequency, affine = np.array(drawn).T
    assert time.mean() == pytest.approx(0.3, abs=0.06)
    assert frequency.mean() == pytest.approx(0.6, abs=0.06)
    assert affine.mean() == pytest.approx(0.5, abs=0.06)
    assert (time & frequency).mean() == pytest.approx(0.18, abs=0.05)
    assert (time & affine).mean() == pytest.approx(0.15, abs=0.05)
    assert (frequency & affine).mean() == pytest.approx(0.30, abs=0.05)


def centre(image: np.ndarray) -> tuple[float, float]:
    weight = image / image.sum()
    rows, bins = np.indices(image.shape)
    return (weight * rows).sum(), (weight * bins).sum()


def blobs(rows: int, bins: int, *places: tuple[int, int]) -> np.ndarray:
    """An image of round spots, repeated for three panels."""
    down, right = np.indices((rows, bins))
    image = sum(np.exp(-((down - r) ** 2 + (right - b) ** 2) / 8) for r, b in places)
    return np.stack([image] * 3).astype(np.float32)


def test_affine_comes_at_its_rate():
    cadence = blobs(40, 40, (12, 15))
    made = image_maker("A", "channel", affine=0.5, shift=0.1)
    changed = [not np.array_equal(made(cadence, seed), cadence) for seed in range(400)]
    assert np.mean(changed) == pytest.approx(0.5, abs=0.08)


def test_shifts_fill_their_range_on_both_axes():
    cadence = blobs(120, 200, (60, 100))
    made = image_maker("A", "channel", affine=1.0, shift=0.1)
    before = np.array(centre(cadence[0]))
    moves = np.array([np.array(centre(made(cadence, seed)[0])) - before for seed in range(300)]) / [120, 200]
    assert np.abs(moves).max() <= 0.1 + 1e-3
    assert (np.abs(moves).max(axis=0) > 0.085).all()
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.012)
    np.testing.assert_allclose(moves.std(axis=0), 0.1 / np.sqrt(3), rtol=0.12)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.2


def test_scales_fill_their_range_and_keep_proportions():
    cadence = blobs(80, 80, (25, 40), (55, 40))
    made = image_maker("A", "channel", affine=1.0, scale=0.1)

    def distance(image):
        return centre(image[40:])[0] + 40 - centre(image[:40])[0]

    before = distance(cadence[0])
    factors = np.array([distance(made(cadence, seed)[0]) / before for seed in range(300)])
    turned = np.swapaxes(cadence, 1, 2).copy()
    across = np.array([distance(made(turned, seed)[0].T) / before for seed in range(300)])
    assert 0.89 < factors.min() < 0.92
    assert 1.08 < factors.max() < 1.11
    assert factors.mean() == pytest.approx(1, abs=0.015)
    np.testing.assert_allclose(across, factors, atol=0.02)


def test_turns_fill_their_range():
    cadence = blobs(80, 80, (40, 15), (40, 65))
    made = image_maker("A", "channel", affine=1.0, rotate=10.0)

    def angle(image):
        left, right = centre(image[:, :40]), centre(image[:, 40:])
        return np.degrees(np.arctan2(right[0] - left[0], right[1] + 40 - left[1]))

    angles = np.array([angle(made(cadence, seed)[0]) for seed in range(300)])
    assert -10.3 < angles.min() < -9
    assert 9 < angles.max() < 10.3
    assert angles.mean() == pytest.approx(0, abs=1.2)
    assert angles.std() == pytest.approx(10 / np.sqrt(3), rel=0.12)


def test_edges_are_mirrored_not_filled_with_zeros():
    made = image_maker("A", "spatial", affine=1.0, shift=0.3, rotate=20.0)
    for seed in range(10):
        np.testing.assert_allclose(made(np.full((3, 10, 20), 7, np.float32), seed), 7, rtol=1e-6)


@pytest.mark.parametrize("panels", ["A", "all"])
@pytest.mark.parametrize("layout", ["channel", "spatial"])
def test_area_is_the_exact_mean_of_blocks(panels, layout):
    n = count(panels)
    cadence = np.random.default_rng(1).normal(size=(n, 12, 20)).astype(np.float32)
    size = [4 * n, 5] if layout == "spatial" else [4, 5]
    result = image_maker(panels, layout, size, "area")(cadence)
    expected = cadence.astype(np.float64).reshape(n, 4, 3, 5, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(result.reshape(n, 4, 5), expected, atol=1e-6)


@pytest.mark.parametrize("layout", ["channel", "spatial"])
def test_linear_takes_the_pixels_around_the_centre_alone(layout):
    cadence = np.random.default_rng(1).normal(size=(3, 16, 20)).astype(np.float32)
    size = [12, 5] if layout == "spatial" else [4, 5]
    result = image_maker("A", layout, size, "linear")(cadence).reshape(3, 4, 5)
    # Shrinking by 4, a pixel's centre lies between the second and the third of its four, on both axes.
    blocks = cadence.reshape(3, 4, 4, 5, 4)[:, :, 1:3, :, 1:3]
    np.testing.assert_allclose(result, blocks.mean(axis=(2, 4)), atol=1e-6)


@pytest.mark.parametrize("module", ["image", "warp", "geometric"])
def test_albumentations_is_kept_from_asking_for_a_newer_release(module):
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    code = f"""
import os, sys

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "albumentations":
            print(os.environ.get("NO_ALBUMENTATIONS_UPDATE"))
            sys.exit()

sys.meta_path.insert(0, Spy())
import seti
assert "NO_ALBUMENTATIONS_UPDATE" not in os.environ
import seti.transforms.{module}
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
