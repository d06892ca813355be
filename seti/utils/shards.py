"""Shards: a share of the work for each of several machines, `shard=2/4`."""

import re
from collections.abc import Sequence
from typing import TypeVar

from seti.errors import SetiError, brief

Shard = tuple[int, int]  # number, counted from 1, and how many there are
Item = TypeVar("Item")
NAMED = 8  # shards in a message


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


def say_if_empty(shard: Shard, items: Sequence[object], kind: str, size: int, cadences: int) -> None:
    """Print why a shard has nothing to do, if it has nothing.

    Args:
        shard: of the items.
        items: those of all shards, each of several cadences.
        kind: of one item, such as `batch`.
        size: cadences in an item.
        cadences: number of them in all.
    """
    if not shard_of(items, shard):
        plural = {"batch": "batches"}.get(kind, f"{kind}s")
        made = f"{len(items)} {kind if len(items) == 1 else plural}"
        print(
            f"shard {shard[0]}/{shard[1]} has no cadences: shards are whole {plural} of up to {size}, and {cadences} "
            f"cadences make {made}"
        )


def not_done(done: Sequence[bool], shard: Shard) -> str:
    """Name the shards of a division that have something left to do; empty if none has.

    Args:
        done: of each item, in order.
        shard: any of the division.
    """
    _, count = shard
    left = [f"{number}/{count}" for number in range(1, count + 1) if not all(shard_of(done, (number, count)))]
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    return f"not done: shard={', '.join(left[:NAMED])}{more}" if left else ""
