"""Coarse channels of a scan, by number or frequency, and excluded ranges."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seti.data.coarse_channels import parse_channels
from seti.data.observation import Header
from seti.errors import SetiError, brief

Range = tuple[float, float]  # lowest and highest frequency, MHz

# Notch filters of the Green Bank Telescope's L-band and S-band receivers, MHz: Price et al. 2020, AJ 159, 86.
NAMED_RANGES: dict[str, tuple[Range, ...]] = {
    "gbt_l_notch": ((1200.0, 1341.2),),
    "gbt_s_notch": ((2300.0, 2360.0),),
    "gbt_notches": ((1200.0, 1341.2), (2300.0, 2360.0)),
}


@dataclass(frozen=True)
class Selection:
    """Coarse channels of a scan, counted from 0 in the files' order.

    Attributes:
        search: channels to search.
        excluded: channels that lie in an excluded range as a whole, and are not searched.
    """

    search: tuple[int, ...]
    excluded: tuple[int, ...]


def parse_ranges(name: str, value: Any) -> tuple[Range, ...]:
    """Read frequency ranges in MHz, as a setting gives them.

    Args:
        name: of the setting.
        value: `[low, high]`, or a list of such pairs and of names of `NAMED_RANGES`, or one name; None for no range.

    Returns:
        Ranges in ascending order.

    Raises:
        SetiError: something is neither a pair of frequencies nor a name.
    """
    if value is None:
        return ()
    items = [value] if isinstance(value, str) or _is_pair(value) else value
    if not isinstance(items, Iterable):
        raise SetiError(_no_range(name, value))
    found: list[Range] = []
    for item in items:
        if isinstance(item, str) and item in NAMED_RANGES:
            found += NAMED_RANGES[item]
        elif _is_pair(item) and item[0] < item[1]:
            found.append((float(item[0]), float(item[1])))
        else:
            raise SetiError(_no_range(name, item))
    return tuple(sorted(set(found)))


def select(header: Header, channels: Any, frequencies: Sequence[Range], exclude: Sequence[Range]) -> Selection:
    """Choose the coarse channels of a scan.

    Args:
        header: of one of the files.
        channels: as `coarse_channels.parse_channels` takes them.
        frequencies: MHz; channels that overlap none of these are left out. None of them: no limit.
        exclude: MHz; channels that lie in one of these as a whole are not searched.

    Raises:
        SetiError: no channel is left.
    """
    wanted = parse_channels(channels, header.coarse_channels, "scan.channels")
    if frequencies:
        wanted = [k for k in wanted if any(_overlap(channel_range(header, k), one) for one in frequencies)]
    excluded = [k for k in wanted if any(_inside(channel_range(header, k), one) for one in exclude)]
    search = [k for k in wanted if k not in set(excluded)]
    if not search:
        low, _ = channel_range(header, 0 if header.ascending else header.coarse_channels - 1)
        _, high = channel_range(header, header.coarse_channels - 1 if header.ascending else 0)
        why = "scan.exclude covers all of them" if excluded else "scan.frequencies and scan.channels name none of them"
        msg = f"no coarse channel is left to search: the files cover {low:.3f} to {high:.3f} MHz, and {why}"
        raise SetiError(msg)
    return Selection(tuple(search), tuple(excluded))


def channel_range(header: Header, k: int) -> Range:
    """Return the lowest and the highest frequency of a coarse channel in MHz, bins' edges."""
    ends = [
        header.fch1_mhz + (k * header.coarse_width - 0.5 + n * header.coarse_width) * header.foff_mhz for n in (0, 1)
    ]
    return min(ends), max(ends)


def within(frequency_mhz: np.ndarray, ranges: Sequence[Range]) -> np.ndarray:
    """Mark frequencies that lie in one of some ranges, ends included."""
    frequency_mhz = np.asarray(frequency_mhz, float)
    marked = np.zeros(frequency_mhz.shape, bool)
    for low, high in ranges:
        marked |= (frequency_mhz >= low) & (frequency_mhz <= high)
    return marked


def _is_pair(value: Any) -> bool:
    return (
        not isinstance(value, str)
        and isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value)
    )


def _no_range(name: str, value: Any) -> str:
    return f"{name}={brief(value)} is not a range of frequencies: give MHz, {name}=[[1200,1341.2],[2300,2360]]" + (
        f", or {', '.join(NAMED_RANGES)}" if name == "scan.exclude" else ""
    )


def _overlap(one: Range, other: Range) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _inside(one: Range, other: Range) -> bool:
    return other[0] <= one[0] and one[1] <= other[1]
