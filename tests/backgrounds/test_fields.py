import itertools

import numpy as np
import pytest

from seti.backgrounds.fields import Fields, covered_share, join_links, overlapping_pairs
from seti.backgrounds.matching import Candidates


def links(*rows):
    return Candidates(*(np.array(column, np.int64) for column in zip(*((*row, 9) for row in rows), strict=True)))


def test_a_chain_is_one_field_with_offsets_from_its_left_end():
    fields = Fields(6)
    assert not join_links(fields, links((4, 2, 30), (2, 1, -100), (1, 5, 10))).any()
    number, offset = fields.places()
    assert number.tolist() == [-1, 0, 0, -1, 0, 0]
    assert offset.tolist() == [0, 0, 100, 0, 70, 10]


def test_fields_are_numbered_by_their_first_cadence():
    fields = Fields(6)
    join_links(fields, links((3, 5, 1), (0, 4, -2)))
    number, offset = fields.places()
    assert number.tolist() == [0, -1, -1, 1, 0, 1]
    assert offset.tolist() == [2, 0, 0, 0, 0, 1]


def test_a_link_that_contradicts_is_reported_and_changes_nothing():
    fields = Fields(3)
    contradicts = join_links(fields, links((0, 1, 5), (1, 2, 5), (0, 2, 10), (0, 2, 11), (2, 0, -10), (1, 0, 5)))
    assert contradicts.tolist() == [False, False, False, True, False, True]
    assert fields.places()[1].tolist() == [0, 5, 10]


@pytest.mark.parametrize("seed", range(5))
def test_offsets_are_those_of_the_cuts_in_any_order_of_links(seed):
    rng = np.random.default_rng(seed)
    count = 300
    field, offset = rng.integers(0, 20, count), rng.integers(0, 5000, count)
    rows = []
    for number in range(20):
        own = rng.permutation(np.flatnonzero(field == number))
        rows += [(int(a), int(b), int(offset[b] - offset[a])) for a, b in itertools.pairwise(own)]
    fields = Fields(count)
    assert not join_links(fields, links(*(rows[int(n)] for n in rng.permutation(len(rows))))).any()
    number, found = fields.places()
    for one in range(20):
        own = field == one
        assert len(set(number[own])) == 1
        np.testing.assert_array_equal(found[own], offset[own] - offset[own].min())
    one, two, shift = overlapping_pairs(number, found, 256)
    pairs = set(zip(one.tolist(), two.tolist(), shift.tolist(), strict=True))
    wanted = {
        (a, b, int(offset[b] - offset[a]))
        for a in range(count)
        for b in range(a + 1, count)
        if field[a] == field[b] and abs(offset[a] - offset[b]) <= 252
    }
    assert pairs == wanted


def test_nothing_overlaps_where_all_are_alone():
    number, offset = Fields(4).places()
    assert all(len(column) == 0 for column in overlapping_pairs(number, offset, 256))
    assert len(Fields(0).places()[0]) == 0


def test_copies_of_one_file_have_a_limited_number_of_links():
    count = 1000
    one, _, _ = overlapping_pairs(np.zeros(count, int), np.zeros(count, int), 256)
    assert len(one) == 64 * count - 64 * 65 // 2


def test_covered_share():
    # 1 covers the last 10 bins of 0 (of 40), 2 the first 5; both together 15.
    one, two, shift = np.array([0, 0]), np.array([1, 2]), np.array([30, -35])
    np.testing.assert_allclose(covered_share(one, two, shift, 4, 40), [15 / 40, 10 / 40, 5 / 40, 0])
    # Two partners that cover the same bins count once.
    np.testing.assert_allclose(covered_share(one, two, np.array([30, 20]), 3, 40), [20 / 40, 10 / 40, 20 / 40])
