import pytest
from observation_fakes import CHANNELS, FOFF, WIDTH, frequency

from seti.data.observation import open_observation
from seti.errors import SetiError
from seti.search.selection import (
    channel_range,
    parse_ranges,
    select,
    within,
)


@pytest.fixture(scope="module")
def header(observations):
    with open_observation(sorted(observations.iterdir())[0]) as observation:
        return observation.header


def test_ranges_are_pairs_lists_of_pairs_or_names():
    assert parse_ranges("scan.exclude", None) == ()
    assert parse_ranges("scan.exclude", []) == ()
    assert parse_ranges("scan.exclude", [1400, 1427.5]) == ((1400.0, 1427.5),)
    assert parse_ranges("scan.exclude", [[2, 3], [1, 2]]) == ((1.0, 2.0), (2.0, 3.0))
    assert parse_ranges("scan.exclude", "gbt_notches") == ((1200.0, 1341.2), (2300.0, 2360.0))
    assert parse_ranges("scan.exclude", [[1, 2], "gbt_s_notch"]) == ((1.0, 2.0), (2300.0, 2360.0))


@pytest.mark.parametrize(
    "value", [[[2, 1]], [[1]], "gbt", 1400, [[1, "x"]], [[1, float("nan")]], [[True, 2]], [[1, 2, 3]]]
)
def test_other_ranges_are_refused(value):
    with pytest.raises(
        SetiError, match=r"^scan.exclude=.* is not a range of frequencies: give MHz, .*, or gbt_l_notch"
    ):
        parse_ranges("scan.exclude", value)


def test_the_range_of_a_channel_reaches_to_the_edges_of_its_bins(header):
    low, high = channel_range(header, CHANNELS - 1)  # the lowest: frequencies fall in the files
    assert low == pytest.approx(frequency(-0.5), abs=1e-10)
    assert high == pytest.approx(frequency(WIDTH - 0.5), abs=1e-10)
    assert high - low == pytest.approx(WIDTH * -FOFF, rel=1e-9)


def test_channels_are_chosen_by_frequency_and_left_out_by_exclusion(header):
    second_lowest = channel_range(header, 2)
    inside = [(second_lowest[0] + 1e-4, second_lowest[1] - 1e-4)]
    assert select(header, None, [], []).search == (0, 1, 2, 3)
    assert select(header, None, inside, []).search == (2,)
    assert select(header, "0-2", [(frequency(0), frequency(1100))], []).search == (2,)
    # A channel that only overlaps an excluded range is searched.
    assert select(header, None, [], inside).search == (0, 1, 2, 3)
    whole = select(header, None, [], [(second_lowest[0] - 1e-4, second_lowest[1] + 1e-4)])
    assert (whole.search, whole.excluded) == ((0, 1, 3), (2,))


def test_a_selection_of_nothing_is_refused(header):
    cover = "no coarse channel is left to search: the files cover 8421.375 to 8421.387 MHz, and "
    with pytest.raises(SetiError) as refused:
        select(header, None, [(1400.0, 1427.0)], [])
    assert str(refused.value) == f"{cover}scan.frequencies and scan.channels name none of them"
    with pytest.raises(SetiError) as refused:
        select(header, [1], [], [(8000.0, 9000.0)])
    assert str(refused.value) == f"{cover}scan.exclude covers all of them"


def test_frequencies_within_ranges_are_marked():
    assert list(within([1.0, 2.0, 3.0, 4.0], [(2.0, 3.0)])) == [False, True, True, False]
    assert not within([1.0], []).any()
