"""Width and choice of coarse channels, the outputs of a polyphase filter bank."""

import re
from pathlib import Path
from typing import Any

from seti.errors import SetiError, brief

FINE_PRODUCT = 1 << 20  # fine channels in a coarse channel of Breakthrough Listen's high-resolution product
GBT_WIDTH_MHZ = 2.9296875  # 187.5 MHz / 64
GBT = 6  # telescope_id


def coarse_width(path: Path, attributes: dict[str, Any], channels: int, given: int | None) -> int:
    """Find the number of fine channels in a coarse channel.

    In this order: the width that the user gives, `nfpc` of the header, 2^20, the 2.9296875 MHz of the Green Bank
    Telescope.

    Args:
        path: for the error.
        attributes: header of the file.
        channels: number of fine channels.
        given: `coarse_width` of the configuration; None to find it.

    Raises:
        SetiError: none of these widths divides the band; the message names the key.
    """
    if given is not None:
        if given < 1 or channels % given:
            msg = (
                f"coarse_width={given} does not divide the {channels} fine channels of {path}: "
                "set it to the number of fine channels in a coarse channel"
            )
            raise SetiError(msg)
        return int(given)
    resolution = abs(float(attributes["foff"]))
    by_gbt = round(GBT_WIDTH_MHZ / resolution)
    exact = abs(by_gbt * resolution - GBT_WIDTH_MHZ) < 0.01 * resolution
    candidates = [int(attributes.get("nfpc", 0) or 0), FINE_PRODUCT]
    if exact and attributes.get("telescope_id") == GBT:
        candidates.append(by_gbt)
    for width in candidates:
        if width > 0 and channels % width == 0:
            return width
    msg = (
        f"{path} does not say how wide its coarse channels are ({channels} fine channels of {resolution * 1e6:.6g} Hz)"
        f": set coarse_width to the number of fine channels in one, or to {channels} to search the file as one"
    )
    raise SetiError(msg)


def parse_channels(value: Any, count: int, name: str = "channels") -> tuple[int, ...]:
    """Read numbers of coarse channels.

    Args:
        value: a number, a span such as `10-19`, which includes both ends, or a list of these (`0,10-19` too); None for
            all.
        count: coarse channels of the files.
        name: of the setting.

    Returns:
        Numbers in ascending order, each once.

    Raises:
        SetiError: something is not a number or span, or is outside of the files.
    """
    if value is None:
        return tuple(range(count))
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    found: set[int] = set()
    for item in items:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(item).strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            msg = (
                f"{name}={brief(item)} is not a coarse channel: give numbers from 0 to {count - 1}, or spans of them: "
                f"{name}=[0,10-19]"
            )
            raise SetiError(msg)
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= count:
            msg = f"{name}={item} is outside of the files, which have coarse channels 0 to {count - 1}"
            raise SetiError(msg)
        found.update(range(first, last + 1))
    if not found:
        msg = f"{name}=[] names no coarse channel: name some, or null for all"
        raise SetiError(msg)
    return tuple(sorted(found))
