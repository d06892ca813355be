"""Errors of Hydra and OmegaConf about settings, in this program's words."""

import re
from collections.abc import Sequence
from dataclasses import is_dataclass

from hydra.errors import MissingConfigException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    InterpolationValidationError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from seti.errors import brief

ADVICE = "set env var HYDRA_FULL_ERROR=1"  # Hydra's, in messages that end with a colon or a comma before it
PLACE = re.compile(r"In '([^']+)'")  # the file that Hydra composes
MERGED = re.compile(r"Merge error: \S+ is not a subclass of (\w+)\. value: (.*)")
UNKNOWN = re.compile(r"Key '([^']+)' (?:is )?not in")
NO_SETTING = re.compile(r"Interpolation key '(.+)' not found")
NO_VARIABLE = re.compile(r".*Environment variable '(.+)' not found")
RESOLVING = re.compile(r"\w+ raised while resolving interpolation: ")
ITSELF = "Recursive interpolation detected"
NO_FUNCTION = re.compile(r".*Unsupported interpolation type (\S+)")
# Hydra's words about a word of the command line, and this program's.
REFUSED = (
    (
        re.compile(r"Could not append to config. An item is already at '(.+?)'"),
        r"\1 has a value already: leave out the +, as in \1=<value>",
    ),
    (re.compile(r"Multiple values for (\S+?)\. "), r"\1 is chosen already: leave out the +, as in \1=<name>"),
    (
        re.compile(r"(\S+) appears more than once in the final defaults list"),
        r"\1 is chosen twice: give it once, without a +",
    ),
    (
        re.compile(r"Could not override '(.+?)'\.\s+No match in the defaults list"),
        r"\1 is not a group of this configuration: leave out \1=<name>",
    ),
    (
        re.compile(r"Cannot find primary config '(.+?)'"),
        r"there is no \1.yaml in the folder of configurations: leave out --config-path and --config-name",
    ),
    (
        re.compile(r"Could not delete from config. '(.+?)' does not exist"),
        r"~\1: there is no such setting to remove: leave it out",
    ),
    (
        re.compile(r"Error merging override ~([^\s=]+)\S*\s.*does not support deletion", re.DOTALL),
        r"\1 cannot be removed: set it to another value, or leave out ~\1",
    ),
)


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
        if isinstance(one, InterpolationValidationError):
            return f"{where}{_unfit(one, causes)}"
        if isinstance(one, ValidationError):
            said = _wrong_type(one)
            if said:
                return f"{where}{said}"
        elif isinstance(one, InterpolationResolutionError):
            return f"{where}{_unresolved(one)}"
    return _refused(error) or _cleaned(error)


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
        return said.replace("$FULL_KEY", str(key or "a setting"))  # OmegaConf has not filled it in
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


def _unfit(error: InterpolationValidationError, causes: Sequence[BaseException]) -> str:
    """Name the setting whose `${...}` stands for a value of another type."""
    from seti.config.conversions import WrongTypeError

    reasons = (str(one).splitlines()[0].removeprefix("$FULL_KEY=") for one in causes if isinstance(one, WrongTypeError))
    reason = next(reasons, "")
    return f"{error.full_key or 'a setting'}: its ${{...}} does not fit" + (f": {reason}" if reason else "")


def _unresolved(error: InterpolationResolutionError) -> str:
    """Name the setting whose `${...}` stands for nothing, and what it lacks."""
    said = str(error).splitlines()[0]
    # Hydra's own settings repeat the words of the command, of whatever setting they are.
    setting = f"{error.full_key}: " if error.full_key and not error.full_key.startswith("hydra.") else ""
    key, variable, function = NO_SETTING.match(said), NO_VARIABLE.match(said), NO_FUNCTION.match(said)
    if ITSELF in said:
        return f"{setting}its ${{...}} stands for itself: write a value"
    if function:
        return (
            f"{setting}there is no ${{{function[1]}:...}}: write ${{<setting>}} for the value of a setting, or "
            "${oc.env:<NAME>} for that of an environment variable"
        )
    if key:
        return f"{setting}there is no setting {key[1]}, which ${{{key[1]}}} stands for"
    if variable:
        name = variable[1]
        return (
            f"{setting}there is no environment variable {name}: set it, or write ${{oc.env:{name},<value without it>}}"
        )
    if isinstance(error, InterpolationToMissingValueError):
        return f"{setting}it stands for a setting that has no value: {RESOLVING.sub('', said)}"
    return f"{setting}its ${{...}} cannot be read: {RESOLVING.sub('', said)}"


def _refused(error: Exception) -> str:
    said = str(error) if error.__cause__ is None else f"{error}\n{error.__cause__}"
    return next((found.expand(own) for hydras, own in REFUSED if (found := hydras.match(said))), "")


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
