"""Errors of Hydra and OmegaConf about settings, in this program's words."""

import re
from collections.abc import Sequence
from dataclasses import is_dataclass

from hydra.errors import MissingConfigException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from seti.errors import brief

ADVICE = "set env var HYDRA_FULL_ERROR=1"  # Hydra's, in messages that end with a colon or a comma before it
PLACE = re.compile(r"In '([^']+)'")  # the file that Hydra composes
MERGED = re.compile(r"Merge error: \S+ is not a subclass of (\w+)\. value: (.*)")
UNKNOWN = re.compile(r"Key '([^']+)' (?:is )?not in")


def describe(error: Exception, causes: Sequence[BaseException]) -> str:
    """Describe an error of Hydra or OmegaConf in one line.

    Args:
        error: that was raised.
        causes: those that it came from, the nearest first.
    """
    place = PLACE.match(str(error))
    where = "" if place is None or "/" not in place[1] else f"{place[1]}.yaml: "
    for one in (error, *causes):
        if isinstance(one, MissingMandatoryValue):
            return f"{one.full_key} is not set: add {one.full_key}=<value> to the command"
        if isinstance(one, MissingConfigException) and one.options:
            return _no_choice(one)
        if isinstance(one, ConfigAttributeError | ConfigKeyError):
            said = _unknown(one)
            if said:
                return f"{where}{said}"
        if isinstance(one, ValidationError):
            said = _wrong_type(one)
            if said:
                return f"{where}{said}"
    return _cleaned(error)


def _no_choice(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    return f"{group}={name} is none of {', '.join(error.options)}"


def _unknown(error: ConfigAttributeError | ConfigKeyError) -> str:
    from seti.config.schema import unknown

    key = UNKNOWN.match(str(error))
    if not is_dataclass(error.object_type) or not (error.full_key or key):
        return ""
    return unknown(error.full_key or key[1], error.object_type)


def _wrong_type(error: ValidationError) -> str:
    from seti.config.conversions import WrongTypeError

    said, key = str(error).splitlines()[0], error.full_key
    if isinstance(error, WrongTypeError):
        return said
    if "is not Optional" in said:
        return f"{key}=null, and a value is needed: leave it out, or set one"
    if not key:  # while a file is merged
        group = MERGED.match(said)
        return "" if group is None else f"{brief(group[2])} stands in the place of a group of settings ({group[1]})"
    if "is not a subclass of" in said or "Cannot assign" in said:
        return f"{key} is a group of settings: set them one by one, as in {key}.<name>=<value>"
    if "is not a ListConfig" in said:
        return f"{key} must be a list, such as {key}=[a,b]"
    return ""


def _cleaned(error: Exception) -> str:
    """Hydra's words, as one line without its advice."""
    said, cause = str(error), error.__cause__
    if isinstance(cause, OmegaConfBaseException) and str(cause) not in said:
        said += f"\n{cause}"
    said = said.split("Config search path:")[0].split(ADVICE)[0].rstrip(" ,:\n")
    lines = (line.strip().removesuffix(".") for line in said.splitlines())
    return "; ".join(
        line for line in lines if line and not line.startswith(("full_key:", "object_type=", "reference_type="))
    )
