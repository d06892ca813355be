import pytest

from seti.data.coarse_channels import parse_channels
from seti.errors import SetiError


def test_channels_are_numbers_and_spans():
    assert parse_channels(None, 3) == (0, 1, 2)
    assert parse_channels(3, 5) == (3,)
    assert parse_channels("1-3", 5) == (1, 2, 3)
    assert parse_channels([4, "0-1", 1], 5) == (0, 1, 4)
    assert parse_channels("0, 2-3", 5) == (0, 2, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([5], "scan.channels=5 is outside of the files, which have coarse channels 0 to 4"),
        ([1, "3-7"], "scan.channels=3-7 is outside of the files, which have coarse channels 0 to 4"),
        ([], "scan.channels=[] names no coarse channel: name some, or null for all"),
    ],
)
def test_other_channels_are_refused(value, message):
    with pytest.raises(SetiError) as refused:
        parse_channels(value, 5, "scan.channels")
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "item"), [(["3-1"], "3-1"), ([-1], "-1"), (0.5, "0.5"), ([[1, 2]], "[1, 2]"), ("", "")]
)
def test_what_is_no_channel_is_named(value, item):
    with pytest.raises(SetiError) as refused:
        parse_channels(value, 5)
    assert str(refused.value) == (
        f"channels={item} is not a coarse channel: give numbers from 0 to 4, or spans of them: channels=[0,10-19]"
    )
