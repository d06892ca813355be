import random

import albumentations as A
import cv2
import numpy as np
import pytest
from unit_helpers import NO_AUGMENT

from seti.transforms.geometric import CropSides, geometric_transforms
from seti.transforms.image import ImageMaker
from seti.transforms.warp import SingleWarp

RECIPE = NO_AUGMENT | {
    "flip_frequency": 0.5,
    "flip_time": 0.5,
    "affine": 1.0,
    "shift": 0.1,
    "scale": 0.1,
    "rotate": 10.0,
}
CROP = NO_AUGMENT | {"crop": 1.0, "crop_scale": [0.6, 0.9]}
CROPPED = RECIPE | {"crop": 0.7, "crop_scale": [0.6, 0.9]}
FLIPS = NO_AUGMENT | {"flip_frequency": 0.5, "flip_time": 0.5}
ROWS, BINS = 120, 90


def smooth(rows: int = ROWS, bins: int = BINS, channels: int = 1, sigma: float = 3) -> np.ndarray:
    """An image without edges, `(rows, bins, channels)`, of deviation 1: interpolation tells little of it."""
    noise = np.random.default_rng(0).normal(size=(channels, rows, bins)).astype(np.float32)
    planes = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in noise], axis=-1)
    return planes / planes.std()


def seeded(transform: A.Compose, seed: int) -> A.Compose:
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return transform


def separately(augment: dict, image: np.ndarray, seed: int, size=None, interpolation: str = "linear") -> np.ndarray:
    """The ordinary chain: every transform by itself, then the resizing."""
    moved = seeded(A.Compose(geometric_transforms(augment)), seed)(image=image)["image"]
    return (
        moved
        if size is None
        else A.Resize(*size, interpolation=getattr(cv2, f"INTER_{interpolation.upper()}"))(image=moved)["image"]
    )


@pytest.mark.parametrize("augment", [RECIPE, RECIPE | {"affine": 0.5}, RECIPE | {"flip_time": 0.0}, FLIPS, CROP])
def test_a_seed_draws_the_parameters_of_the_separate_transforms(augment):
    image, warp, chain = smooth(), SingleWarp(geometric_transforms(augment)), A.Compose(geometric_transforms(augment))
    for seed in range(40):
        seeded(chain, seed)(image=image)
        move = seeded(warp, seed).draw(ROWS, BINS)
        drawn = {type(transform): transform.get_applied_params() for transform in chain.transforms}
        assert move.flip_frequency == bool(drawn.get(A.HorizontalFlip))
        assert move.flip_time == bool(drawn.get(A.VerticalFlip))
        if drawn.get(CropSides):
            top, bottom, left, right = drawn[CropSides]["part"]
            # The part's edges, half a pixel outside of its outer pixels, go to those of the image.
            ends = np.array([[left - 0.5, top - 0.5, 1], [right - 0.5, bottom - 0.5, 1]]).T
            moved = np.reshape(move.affine, (2, 3)) @ ends
            np.testing.assert_allclose(moved.T, [[-0.5, -0.5], [BINS - 0.5, ROWS - 0.5]], atol=1e-9)
        elif drawn.get(A.Affine):
            np.testing.assert_allclose(move.affine, drawn[A.Affine]["matrix"][:2].ravel(), atol=1e-9)
        else:
            assert move.affine is None
        assert warp.py_random.random() == chain.py_random.random(), "as many draws"


@pytest.mark.parametrize("augment", [RECIPE, CROPPED])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "interpolation"),
    [(None, "linear"), ((75, 80), "linear"), ((110, 180), "linear"), ((30, 30), "area"), ((75, 180), "area")],
)
def test_one_warp_draws_the_image_of_the_separate_steps(channels, size, interpolation, augment):
    image = smooth(channels=channels)
    warp = SingleWarp(geometric_transforms(augment), size, interpolation)
    for seed in range(25):
        steps = separately(augment, image, seed, size, interpolation)
        once = seeded(warp, seed)(image=image)["image"]
        assert once.shape == steps.shape
        assert once.dtype == np.float32
        assert np.abs(once - steps).mean() < (0.02 if augment is RECIPE else 0.03)  # three interpolations, not two
        assert np.corrcoef(once.ravel(), steps.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("seed", range(12))
def test_a_crop_is_a_slice_that_is_resized(seed):
    image, warp = smooth(), SingleWarp(geometric_transforms(CROP))
    transform = seeded(warp, seed).transforms[0]
    warp.py_random.random()  # the composition's own
    top, bottom, left, right = transform.draw(ROWS, BINS)
    assert 0.6 * ROWS - 0.5 <= bottom - top <= 0.9 * ROWS + 0.5
    assert 0.6 * BINS - 0.5 <= right - left <= 0.9 * BINS + 0.5
    expected = cv2.resize(image[top:bottom, left:right], (BINS, ROWS), interpolation=cv2.INTER_LINEAR)
    once = seeded(warp, seed)(image=image)["image"][:, :, 0]
    np.testing.assert_allclose(once[1:-1, 1:-1], expected[1:-1, 1:-1], atol=0.01)  # of deviation 1
    assert np.abs(once - expected).max() < 0.2  # resizing a part does not use pixels around it
    np.testing.assert_allclose(CropSides((0.6, 0.9)).apply(image, (top, bottom, left, right))[:, :, 0], expected)


def test_crops_fill_their_range_on_each_side_by_itself_and_lie_anywhere():
    transform = CropSides(scale=(0.5, 0.8))
    drawn = np.array([transform.draw(1000, 500) for _ in range(3000)])
    top, bottom, left, right = drawn.T
    for start, end, length in ((top, bottom, 1000), (left, right, 500)):
        share = (end - start) / length
        assert 0.5 <= share.min() < 0.505
        assert 0.795 < share.max() <= 0.8
        assert share.mean() == pytest.approx(0.65, abs=0.006)
        place = start / (length - (end - start))
        assert place.min() < 0.01
        assert place.max() > 0.99
        assert place.mean() == pytest.approx(0.5, abs=0.025)
    assert abs(np.corrcoef(bottom - top, right - left)[0, 1]) < 0.06


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 50)])
def test_a_crop_keeps_a_pixel_at_least(size):
    transform = CropSides(scale=(0.01, 0.01))
    for _ in range(20):
        top, bottom, left, right = transform.draw(*size)
        assert 0 <= top < bottom <= size[0]
        assert 0 <= left < right <= size[1]


def test_a_transform_of_probability_0_is_not_built_and_draws_nothing():
    assert [type(one) for one in geometric_transforms(RECIPE)] == [A.HorizontalFlip, A.VerticalFlip, A.Affine]
    assert [type(one) for one in geometric_transforms(CROP)] == [CropSides]
    assert geometric_transforms(NO_AUGMENT) == []


def test_a_far_move_mirrors_as_often_as_the_separate_steps():
    far = NO_AUGMENT | {"affine": 1.0, "shift": 0.9, "scale": 0.9, "rotate": 180.0}
    image = smooth(40, 30)
    for seed in range(25):
        once = seeded(SingleWarp(geometric_transforms(far)), seed)(image=image)["image"]
        np.testing.assert_allclose(once, separately(far, image, seed), atol=0.1)


@pytest.mark.parametrize("size", [None, (75, 80), (110, 180)])
@pytest.mark.parametrize("interpolation", ["linear", "area"])
def test_flips_are_exact(size, interpolation):
    image = np.random.default_rng(1).normal(size=(ROWS, BINS, 1)).astype(np.float32)
    warp = SingleWarp(geometric_transforms(FLIPS), size, interpolation)
    for seed in range(12):
        once = seeded(warp, seed)(image=image)["image"]
        np.testing.assert_array_equal(once, separately(FLIPS, image, seed, size, interpolation))


@pytest.mark.parametrize("panels", ["A", "all"])
@pytest.mark.parametrize("layout", ["spatial", "channel"])
@pytest.mark.parametrize("interpolation", ["linear", "area"])
@pytest.mark.parametrize("augment", [RECIPE, CROPPED])
def test_the_networks_image_is_that_of_the_separate_steps(panels, layout, interpolation, augment):
    count, size = 3 if panels == "A" else 6, [60, 50]
    cadence = np.ascontiguousarray(smooth(40, 44, count).transpose(2, 0, 1))
    made = ImageMaker(panels, layout, size, interpolation, augment)
    for seed in range(10):
        if layout == "channel" or panels == "all":
            moved = separately(augment, cadence.transpose(1, 2, 0), seed).transpose(2, 0, 1)
            planes = moved if layout == "channel" else moved.reshape(1, -1, 44)
        else:
            planes = separately(augment, cadence.reshape(-1, 44, 1), seed).transpose(2, 0, 1)
        flag = getattr(cv2, f"INTER_{interpolation.upper()}")
        expected = np.stack([cv2.resize(plane, size[::-1], interpolation=flag) for plane in planes])
        result = made(cadence, seed)
        assert np.abs(result - expected).mean() < 0.03  # the stack's seams are edges
        assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.998


def test_a_image_is_drawn_into_the_place_that_is_given():
    cadence = np.random.default_rng(0).normal(size=(3, 20, 24)).astype(np.float16)
    made = ImageMaker("A", "channel", [10, 12], "linear", RECIPE)
    batch = np.full((2, 3, 10, 12), np.nan, np.float32)
    assert made(cadence, 5, batch[1]).base is batch
    np.testing.assert_array_equal(batch[1], made(cadence, 5))
    assert np.isnan(batch[0]).all()
