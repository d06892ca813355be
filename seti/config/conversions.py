"""Values written in another way, which are read as what they can only mean.

`train=1e3` is the number 1000, `data.image_size=512` is `[512, 512]`, `threads=None` is null. OmegaConf, which holds
the settings and their types, refuses them, on the command line and in a preset. It has no hook, so its nodes are
wrapped here, once, when this module is imported. What has no meaning is refused in the words of `wrong_type`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import BooleanNode, FloatNode, IntegerNode, ListConfig, StringNode, ValidationError
from omegaconf.nodes import ValueNode

from seti.errors import brief
from seti.utils.processes import available_cores

CORES = ("threads", "workers", "n_jobs")  # null is one per core, and so is auto
SIDES = re.compile(r"[\[(]?\s*(\d+)\s*[,x×\s]\s*(\d+)\s*,?\s*[\])]?", re.IGNORECASE)
NONE = ("none", "null")
PERCENT = re.compile(r"([+-]?[\d.]+)\s*%")
BASED = re.compile(r"0[xob][0-9a-f]+", re.IGNORECASE)  # 0x10
WANTED = {IntegerNode: "a whole number", FloatNode: "a number", BooleanNode: "true or false", StringNode: "a text"}


class WrongTypeError(ValidationError):
    """Value that is none of its setting's type; the message is one line that names the setting."""


def number(value: Any) -> Any:
    """Return a whole number as an integer, whatever it is written as; anything else as it is."""
    if isinstance(value, str):
        try:
            value = int(value, 0) if BASED.fullmatch(value.strip()) else int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def sides(value: Any) -> Any:
    """Return the number or the two numbers that `2`, `2.0`, `1x2` or `(1, 2)` mean.

    Anything else is returned as it is.
    """
    if isinstance(value, list | ListConfig):
        return [number(side) for side in value]
    if isinstance(value, str) and value.strip().lower() in NONE:
        return None
    match = SIDES.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return number(value)
    return [int(side) for side in match.groups()]


def _convert(node: ValueNode, value: Any) -> Any:
    """Convert a value on its way into a node, whose type says what it can only mean."""
    if not isinstance(node, BooleanNode | FloatNode | IntegerNode | StringNode):  # of no type
        return value
    key = node._key()
    none = isinstance(value, str) and value.strip().lower() in NONE
    if none and node._is_optional() and not (isinstance(node, StringNode) and Path(value).exists()):
        return None
    if isinstance(node, IntegerNode):
        if isinstance(value, str) and value.strip().lower() == "auto":
            return None if key in CORES else available_cores() if key == "num_workers" else value
        return number(value)
    if isinstance(node, FloatNode) and isinstance(value, str) and PERCENT.fullmatch(value.strip()):
        return f"{PERCENT.fullmatch(value.strip())[1]}e-2"
    return value


def wrong_type(kind: type[ValueNode], optional: bool) -> str:
    """Reason to refuse a value of another type than its setting's; empty for any type."""
    wanted = next((words for one, words in WANTED.items() if issubclass(kind, one)), "")
    return f"must be {wanted}" + (", or null" if optional else "") if wanted else ""


def _checked(original: Callable[[ValueNode, Any], Any]) -> Callable[[ValueNode, Any], Any]:
    """Wrap the conversion of a node's value: read other ways to write it, refuse the rest."""

    def convert(node: ValueNode, value: Any) -> Any:
        try:
            converted = _convert(node, value)
            if isinstance(node, BooleanNode) and type(converted) is int and converted not in (0, 1):
                raise ValidationError
            return original(node, converted)
        except ValidationError as error:
            reason = wrong_type(type(node), node._is_optional())
            if not reason:
                raise
            said = "null" if value is None else brief(value)
            # OmegaConf puts the key there, and would take other dollars for more of its own.
            msg = f"$FULL_KEY={said.replace('$', '$$')} {reason}"
            raise WrongTypeError(msg) from error

    return convert


def _with_lists_read(original: Callable[..., None]) -> Callable[..., None]:
    def set_value(node: ListConfig, value: Any, *args: Any, **options: Any) -> None:
        original(node, _convert_list(node, value), *args, **options)

    return set_value


def _convert_list(node: ListConfig, value: Any) -> Any:
    value = value._value() if isinstance(value, ValueNode) else value  # as files hold them
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "${" in value):
        return value
    if isinstance(value, str) and value.strip().lower() in NONE and node._is_optional():
        return None
    if node._key() == "image_size":
        size = sides(value)
        if type(size) is int:
            return [size, size]
        if not isinstance(size, list):
            msg = f"data.image_size={brief(value)} is not [height, width] in pixels, nor null for native size"
            raise WrongTypeError(msg)
        return size
    return value


ValueNode.validate_and_convert = _checked(ValueNode.validate_and_convert)
ListConfig._set_value = _with_lists_read(ListConfig._set_value)
