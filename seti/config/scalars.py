"""Refusal of typed values: numbers, true or false, and the choices of groups.

OmegaConf would refuse them, too, but in its own words, and in a sweep not before the job that meets one.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from omegaconf import BooleanNode, FloatNode, IntegerNode, OmegaConf, ValidationError
from omegaconf.nodes import ValueNode

from seti.config import conversions, keys
from seti.config.checks import plain_choice
from seti.config.keys import Setting
from seti.errors import SetiError, brief
from seti.utils import hints, spelling

NODES: dict[type, type[ValueNode]] = {bool: BooleanNode, int: IntegerNode, float: FloatNode}
EXAMPLES = {bool: "true", int: "1", float: "0.5"}
SEVERAL = re.compile(r"[\[(]?\s*(\d+)((?:\s*(?:\.\.+|[-:;,–|/ ]|to)\s*\d+)+)\s*[\])]?")  # 0..4, 0-4, [0,1], 0 1
RANGE = re.compile(r"\s*(?:\.\.+|[-:–]|to)\s*(\d+)")
ALIKE = 0.75  # smallest similarity of a suggested choice: resnet18 does not mean hrnet_w18
MOST = 20  # numbers of a range that are written out
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def check(command: str, override: Override, key: str, setting: Setting, typed: str) -> None:
    """Refuse a value of another type than its setting's.

    Args:
        command: whose setting it is.
        override: as Hydra has read it.
        key: of the setting, with the signs that add or force it.
        setting: its type.
        typed: the value as typed.

    Raises:
        SetiError: with the right spelling.
    """
    name = key.lstrip("+")
    if setting.kind in ("group", "open") and name in keys.settings_of(command):
        _check_group(command, override, key, name, typed)
    if setting.scalar is None:
        return
    for value in values_of(override):
        if isinstance(value, str) and ("${" in value or value == "???"):
            continue
        if not _fits(setting, name.rpartition(".")[2], value):
            raise SetiError(refusal(command, key, setting, typed))


def refusal(command: str, key: str, setting: Setting, typed: str) -> str:
    """Message that a value is not of its setting's type, with the right spelling."""
    reason = conversions.wrong_type(NODES[setting.scalar], setting.optional)
    return f"{key}={brief(typed)} {reason}{_spelling(command, key.lstrip('+'), setting, typed)}"


def several(key: str, typed: str) -> str:
    """A hint for a number with commas, as people write thousands; empty for anything else."""
    return f"; a number is written {key}={typed.replace(',', '')}" if THOUSANDS.fullmatch(typed.strip()) else ""


def chosen(command: str, group: str, value: str, *, sweep: bool) -> str:
    """Return a group's choices as their files are named, whatever their case.

    Raises:
        SetiError: there is no such choice.
    """
    parts = spelling.split(value) if sweep else [value]
    if len(parts) > 1 and any(part.lower() in conversions.NONE for part in parts):
        msg = f"{group}={brief(value)}: a sweep cannot choose null; start the one without {group} by itself"
        raise SetiError(msg)
    return ",".join(_chosen(command, group, part) for part in parts)


def _chosen(command: str, group: str, value: str) -> str:
    choices = keys.groups_of(command)[group]
    name = value.strip().strip("'\"").removesuffix(".yaml")
    found = plain_choice(name, choices)
    if found in choices:
        return found
    if not re.fullmatch(r"[\w.-]*", name):
        return value  # a function, or an interpolation
    near = difflib.get_close_matches(found, choices, 1, ALIKE)
    msg = f"{group}={brief(name)} is none of {', '.join(choices)}"
    if near:
        msg += f": did you mean {group}={near[0]}?"
    elif group == "model":
        msg += "; any network of timm can be had by model.backbone=<its name>"
    raise SetiError(msg)


def _values(override: Override) -> Iterator[Any]:
    value = override.value()
    if isinstance(value, ChoiceSweep):
        yield from (one.text if isinstance(one, QuotedString) else one for one in value.list)
    elif not override.is_sweep_override():
        yield value


def values_of(override: Override) -> Iterator[Any]:
    """Yield the value of an override, or those of a sweep's jobs; none for a range or a pattern."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        yield from (one.text if isinstance(one, QuotedString) else one for one in value.list)
    elif not override.is_sweep_override():
        yield value


def _fits(setting: Setting, name: str, value: Any) -> bool:
    try:
        NODES[setting.scalar](value, key=name, is_optional=setting.optional)
    except ValidationError:
        return False
    return isinstance(value, str | int | float | None)


def _spelling(command: str, key: str, setting: Setting, typed: str) -> str:
    default = OmegaConf.select(keys.written(command), key)
    example = EXAMPLES[setting.scalar] if default is None or isinstance(default, str) else str(default).lower()
    said = "" if setting.scalar is bool else f", such as {key}={example}"
    numbers = SEVERAL.fullmatch(typed.strip()) if setting.scalar is int else None
    if numbers is None:
        return said
    first, rest = int(numbers[1]), numbers[2]
    to = RANGE.fullmatch(rest)
    found = list(range(first, int(to[1]) + 1)) if to else [first, *map(int, re.findall(r"\d+", rest))]
    listed = ",".join(map(str, found)) if 0 < len(found) <= MOST else f"range({found[0]},{found[-1] + 1})"
    return f"{said}; several are a sweep, -m {hints.shell(f'{key}={listed}')}"


def _check_group(command: str, override: Override, key: str, name: str, typed: str) -> None:
    value = override.value()
    if isinstance(value, dict) or override.is_sweep_override() or (isinstance(value, str) and "${" in value):
        return
    settings = keys.settings_of(command)
    inner = next((one for one in settings if one.startswith(f"{name}.")), None)
    inner = inner or f"{name}.{next(iter(keys.members(command, name)), '<name>')}"
    msg = f"{key}={brief(typed)}: {name} is a group of settings, which are set one by one, as in {inner}=<value>"
    raise SetiError(msg)
