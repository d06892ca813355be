import numpy as np
import pytest

from seti.backgrounds import matching
from seti.backgrounds.fingerprints import DEAD, REPEATED
from seti.errors import SetiError

COUNT = 30


def keys_of(cadences, seed=0):
    return np.random.default_rng(seed).integers(2, 2**64, (cadences, COUNT), dtype=np.uint64)


def matched(*panels, rows=273):
    ballot = matching.Ballot(len(panels[0]), COUNT, rows)
    for keys in panels:
        ballot.add(keys)
    found = ballot.result()
    return list(zip(found.one.tolist(), found.two.tolist(), found.shift.tolist(), found.votes.tolist(), strict=True))


def test_a_pair_is_found_with_its_shift_and_all_its_votes():
    keys = keys_of(5)
    keys[3, :20] = keys[1, 10:]
    assert matched(keys) == [(1, 3, 10, 20)]
    keys[2, 5:] = keys[4, :25]
    assert matched(keys) == [(2, 4, 5, 25), (1, 3, 10, 20)]


def test_the_shift_may_be_negative():
    keys = keys_of(2)
    keys[0, :20] = keys[1, 10:]
    assert matched(keys) == [(0, 1, -10, 20)]


def test_votes_of_panels_are_added():
    keys = keys_of(3)
    other = keys_of(3, seed=1)
    keys[2, :4] = keys[0, 26:]
    other[2, :4] = other[0, 26:]
    assert matched(keys, other) == [(0, 2, 26, 8)]


def test_one_vote_is_not_enough():
    keys = keys_of(3)
    keys[2, 0] = keys[0, 29]
    assert matched(keys) == []


@pytest.mark.parametrize(("bits", "found"), [((3,), 25), ((40,), 25), ((40, 63), 25), ((3, 40), 0), ((1, 2, 3), 0)])
def test_bits_may_differ_in_one_half(bits, found):
    keys = keys_of(2)
    keys[1, :25] = keys[0, 5:]
    for bit in bits:
        keys[1] ^= np.uint64(1) << np.uint64(bit)
    assert sum(votes for *_, votes in matched(keys)) == found


def test_keys_of_few_rows_are_compared_more_strictly():
    keys = keys_of(2)
    keys[1, :25] = keys[0, 5:] ^ np.uint64(0b11)
    assert matched(keys) == [(0, 1, 5, 25)]
    assert matched(keys, rows=16) == []


def test_dead_and_repeated_keys_match_nothing():
    keys = keys_of(3)
    keys[:, :10], keys[:, 10:20] = DEAD, REPEATED
    assert matched(keys) == []


def test_a_match_within_a_cadence_is_none():
    keys = keys_of(2)
    keys[0, :10] = keys[0, 10:20]
    assert matched(keys) == []


def test_mirrored_noise_gives_few_shifts():
    keys = keys_of(3)
    keys[1] = keys[0, ::-1]
    panels = keys, keys, keys
    assert [found[:2] for found in matched(*panels)] == [(0, 1)] * matching.MOST_SHIFTS
    keys[2, :20] = keys[0, 10:]
    assert matched(keys, keys, keys)[0] == (0, 2, 10, 60)


def test_many_copies_are_chained():
    keys = np.repeat(keys_of(1), 50, axis=0)
    pairs = {(one, two) for one, two, shift, votes in matched(keys) if shift == 0 and votes == COUNT}
    assert {(n, n + 1) for n in range(49)} <= pairs
    assert len(pairs) <= 50 * matching.NEIGHBOURS


def test_blocks_do_not_lose_pairs(monkeypatch):
    keys = keys_of(60)
    keys[30:, :20] = keys[:30, 10:]
    whole = matched(keys)
    assert len(whole) == 30
    monkeypatch.setattr(matching, "BLOCK", 7)
    assert matched(keys) == whole


def test_too_many_keys_are_refused():
    with pytest.raises(SetiError, match="20000000 cadences of 256 bins are too many to be matched at once"):
        matching.Ballot(20_000_000, 255, 273)
