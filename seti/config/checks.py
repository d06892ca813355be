"""Checks of single values, each with a message of one line."""

import math
import sys

from seti.errors import SetiError


def check_choice(name: str, value: str, hint: str = "") -> None:
    """Refuse a word that is none of a setting's choices.

    Args:
        name: the setting, with the names of its groups.
        value: it has.
        hint: ends the message.

    Raises:
        SetiError: naming the setting, its value and its choices.
    """
    from seti.config.choices import CHOICES  # imports torch, which ranges do without

    if value not in CHOICES[name]:
        if name == "data.panels" and value.lower() in ("true", "on"):
            hint = " (YAML reads a bare `on` as true)"
        msg = f"{name}={value} is none of {', '.join(CHOICES[name])}{hint}"
        raise SetiError(msg)


def check_range(name: str, value: float, low: float, high: float | None, hint: str = "") -> None:
    """Refuse a number outside of `low..high`, infinity and NaN; `high=None` leaves it open.

    Raises:
        SetiError: naming the setting, its value and the range.
    """
    if not (low <= value < math.inf and (high is None or value <= high)):  # also catches NaN
        wanted = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        if value == math.inf:
            wanted += " and finite"
        msg = f"{name}={value} must be {wanted}{hint}"
        raise SetiError(msg)


def check_limits(
    name: str, values: list[float], hint: str = "", low: float = -math.inf, high: float = sys.float_info.max
) -> None:
    """Refuse anything but `[lowest, highest]` with `low <= lowest <= highest <= high`.

    Raises:
        SetiError: naming the setting and its value.
    """
    given = list(values)
    if len(given) != 2 or not low <= given[0] <= given[1] <= high:  # also catches NaN
        msg = f"{name}={given} is not [lowest, highest]{hint}"
        raise SetiError(msg)
