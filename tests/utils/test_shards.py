import pytest

from seti.errors import SetiError
from seti.utils.shards import not_done, parse_shard, say_if_empty, shard_of


def test_shards_are_consecutive_and_cover_everything():
    assert parse_shard(None) is None
    for items, count in ((range(10), 4), (range(3), 5), (range(0), 2)):
        parts = [shard_of(tuple(items), parse_shard(f"{number}/{count}")) for number in range(1, count + 1)]
        assert [one for part in parts for one in part] == list(items)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("value", ["0/4", "5/4", "2", "a/b", "1/0", "-1/4", "1.5/4"])
def test_other_shards_are_refused(value):
    with pytest.raises(SetiError) as refused:
        parse_shard(value)
    assert str(refused.value) == f"shard={value} is not a shard: the second of four is shard=2/4"


def test_a_shard_without_work_says_why(capsys):
    say_if_empty((2, 2), [range(20)], "batch", 32, 20)
    assert capsys.readouterr().out == ""
    say_if_empty((1, 2), [range(20)], "batch", 32, 20)
    say_if_empty((1, 4), range(3), "block", 512, 1500)
    assert capsys.readouterr().out.splitlines() == [
        "shard 1/2 has no cadences: shards are whole batches of up to 32, and 20 cadences make 1 batch",
        "shard 1/4 has no cadences: shards are whole blocks of up to 512, and 1500 cadences make 3 blocks",
    ]


def test_shards_with_something_left_are_named():
    assert not_done([True, True], (1, 2)) == ""
    assert not_done([True, False, True, False], (1, 4)) == "not done: shard=2/4, 4/4"
    assert not_done([True, False], (1, 3)) == "not done: shard=3/3"  # the first has nothing to do
    assert not_done([False] * 100, (1, 100)).endswith("8/100 and 92 more")
