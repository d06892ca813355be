import numpy as np
import pytest
from unit_helpers import NO_AUGMENT

from seti.transforms.panel_augmentation import PanelAugmentation

ROWS, BINS, SIX = 4, 10, tuple(range(6))
CADENCE = (np.arange(6)[:, None, None] * 100 + np.arange(BINS) + np.zeros((6, ROWS, BINS))).astype(np.float16)


def augmented(seed: int, target: float = 1.0, cadence=CADENCE, numbers=SIX, **settings):
    return PanelAugmentation.of(NO_AUGMENT | settings)(cadence, numbers, target, seed)


def panel_of(made: np.ndarray) -> list[int]:
    """Number of the panel in each place, by its values."""
    return (made.min(axis=(1, 2)) // 100).astype(int).tolist()


def test_nothing_is_done_where_nothing_is_asked_for():
    assert not PanelAugmentation.of(NO_AUGMENT).changes
    made, now, target = augmented(0)
    assert made is CADENCE
    assert now.tolist() == list(SIX)
    assert target == 1


def test_shuffled_panels_stay_on_their_side_and_bring_their_numbers():
    orders = set()
    for seed in range(60):
        made, now, target = augmented(seed, shuffle_on=1.0, shuffle_off=1.0)
        assert panel_of(made) == now.tolist()
        assert sorted(now[[0, 2, 4]]) == [0, 2, 4]
        assert sorted(now[[1, 3, 5]]) == [1, 3, 5]
        assert target == 1
        orders.add(tuple(now))
    assert len(orders) > 25  # of 36


def test_each_side_is_shuffled_by_itself():
    for seed in range(10):
        assert augmented(seed, shuffle_on=1.0)[1][[1, 3, 5]].tolist() == [1, 3, 5]
        assert augmented(seed, shuffle_off=1.0)[1][[0, 2, 4]].tolist() == [0, 2, 4]


def test_swapped_cadences_are_negatives_with_off_panels_in_the_places_of_on_panels():
    made, now, target = augmented(3, swap_off=1.0)
    assert now.tolist() == [1, 0, 3, 2, 5, 4]
    assert panel_of(made) == now.tolist()
    assert target == 0


def test_negatives_are_not_swapped_for_a_decoy_in_off_panels_would_come_out_as_a_needle():
    _, now, target = augmented(3, 0.0, swap_off=1.0)
    assert now.tolist() == list(SIX)
    assert target == 0


def test_probabilities_are_those_asked_for():
    swapped = [augmented(seed, swap_off=0.3)[2] == 0 for seed in range(400)]
    assert np.mean(swapped) == pytest.approx(0.3, abs=0.07)


def test_only_swapping_needs_off_panels():
    assert PanelAugmentation.of(NO_AUGMENT | {"swap_off": 0.1}).needs_off
    assert not PanelAugmentation.of(NO_AUGMENT | {"shuffle_on": 1.0, "inject": 0.5, "roll": 0.5}).needs_off


def test_rolling_moves_all_panels_by_the_same_bins_and_loses_none():
    shifts = set()
    for seed in range(60):
        made, _, _ = augmented(seed, roll=0.5)
        shift = int(made[0, 0].argmin())
        np.testing.assert_array_equal(made, np.roll(CADENCE, shift, axis=-1))
        shifts.add(shift)
    assert len(shifts) == BINS
    assert max(int(augmented(seed, roll=0.1)[0][0, 0].argmin() + 1) % BINS for seed in range(20)) <= 2


def test_on_panels_alone_can_be_shuffled():
    made, now, _ = augmented(1, cadence=CADENCE[[0, 2, 4]], numbers=(0, 2, 4), shuffle_on=1.0, shuffle_off=1.0)
    assert panel_of(made) == now.tolist()
    assert sorted(now) == [0, 2, 4]


def test_injection_comes_first_so_that_swapped_needles_are_negatives():
    noise = np.random.default_rng(0).normal(size=(6, 40, 32)).astype(np.float16)
    made, now, target = augmented(5, 0.0, noise, inject=1.0, swap_off=1.0)
    assert target == 0
    assert now.tolist() == [1, 0, 3, 2, 5, 4]
    np.testing.assert_array_equal(made[[0, 2, 4]], noise[[1, 3, 5]])
    assert not np.array_equal(made[[1, 3, 5]], noise[[0, 2, 4]])


def test_the_seed_decides_everything():
    settings = {"shuffle_on": 0.5, "shuffle_off": 0.5, "roll": 0.5, "swap_off": 0.5}
    once, again = ([augmented(seed, **settings) for seed in range(20)] for _ in range(2))
    for (one, order, target), (other, same_order, same_target) in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert order.tolist() == same_order.tolist()
        assert target == same_target
