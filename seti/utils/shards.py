"""Shards: a share of the work for each of several machines, `shard=2/4`."""

import re
from collections.abc import Sequence
from typing import TypeVar

from seti.errors import SetiError, brief

Shard = tuple[int, int]  # number, counted from 1, and how many there are
Item = TypeVar("Item")


def parse_shard(value: str | None) -> Shard | None:
    """Read `i/n`: the i-th of n shards, counted from 1.

    Raises:
        SetiError: it is not of that form.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", str(value).strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        msg = f"shard={brief(value)} is not a shard: the second of four is shard=2/4"
        raise SetiError(msg)
    return int(match[1]), int(match[2])


def shard_of(items: Sequence[Item], shard: Shard | None) -> tuple[Item, ...]:
    """Return the items of a shard: consecutive, and about as many in every shard."""
    if shard is None:
        return tuple(items)
    number, count = shard
    return tuple(items[len(items) * (number - 1) // count : len(items) * number // count])
