import pytest

from seti.errors import SetiError
from seti.utils.shards import parse_shard, shard_of


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
