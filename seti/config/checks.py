"""Checks of single values, each with a message of one line."""

import math
import sys
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from seti.config.choices import CHOICES
from seti.errors import SetiError

YES, NO = ("yes", "on", "y", "1"), ("no", "off", "n", "0")  # as other settings take true and false


def settle_choices(cfg: DictConfig) -> None:
    """Write the words of every setting that takes one of several as they are defined, in place.

    `data.panels=ALL` means `all`, and `data.layout=channel-dedoppler` means `channel_dedoppler`. Other words stay.
    """
    for name, choices in CHOICES.items():
        value = OmegaConf.select(cfg, name)
        if isinstance(value, str):
            OmegaConf.update(cfg, name, choice(value, choices))
        elif isinstance(value, ListConfig):
            OmegaConf.update(cfg, name, [choice(one, choices) for one in value])


def choice(value: Any, choices: Collection[str]) -> Any:
    """Return the choice that a word means whatever its case; a word that means none stays."""
    if not isinstance(value, str) or value in choices:
        return value
    plain = value.strip().lower().replace("-", "_")
    plain = "true" if plain in YES else "false" if plain in NO else plain
    return plain_choice(plain, choices, value)


def plain_choice(word: str, choices: Collection[str], otherwise: str | None = None) -> str:
    """Return the choice that a word means whatever its case; else `otherwise`, or the word."""
    plain = word.strip().lower().replace("-", "_")
    return next((one for one in choices if one.lower() == plain), word if otherwise is None else otherwise)


def exact(number: float) -> str:
    """Write a number with all of its digits, and a whole one without a point."""
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else f"{number:.15g}"


def check_choice(name: str, value: str, hint: str = "") -> None:
    """Refuse a word that is none of a setting's choices.

    Args:
        name: the setting, with the names of its groups.
        value: it has.
        hint: ends the message.

    Raises:
        SetiError: naming the setting, its value and its choices.
    """
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
        wanted = f"at least {exact(low)}" if high is None else f"between {exact(low)} and {exact(high)}"
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
