"""Values of settings, spelled so that Hydra's grammar reads them as they were typed."""

import os
import re
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException
from omegaconf import grammar_parser
from omegaconf.errors import GrammarParseError

from seti.config import keys
from seti.config.keys import Setting
from seti.errors import SetiError, brief
from seti.utils import hints, spelling

CALL = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag|extend_list|int|float|str|bool|json_str)\s*\(.*\)", re.DOTALL
)  # Hydra's functions
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Z_][A-Z0-9_]*)\})", re.ASCII)  # settings are in lower case
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf", re.IGNORECASE)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # of something on another machine
IMAGE_SIZE = "data.image_size"
NONE = ("null", "none")  # seti.config.conversions reads the second as the first


def spelled(command: str, key: str, setting: Setting, value: str, *, sweep: bool) -> str:
    """Spell a typed value for Hydra, by the type of its setting.

    Args:
        command: whose setting it is.
        key: of the setting.
        setting: its type.
        value: as typed.
        sweep: commas separate jobs.

    Raises:
        SetiError: the value cannot be one of that setting.
    """
    bare = value.strip()
    if CALL.fullmatch(bare) and spelling.unclosed(bare) is None:
        return bare
    if setting.kind in ("text", "texts") and "${" in _without_variable(value):
        _check_interpolation(key, value)
    if setting.kind == "text":
        parts = spelling.split(value) if sweep else [value]
        listed = [setting.either and part.strip().startswith("[") for part in parts]
        read = (_list if one else _text for one in listed)
        return ",".join(one(key, setting, part) for one, part in zip(read, parts, strict=True))
    if setting.kind in ("texts", "numbers"):
        return _lists(key, setting, bare, sweep=sweep)
    if bare.startswith("{") and bare.endswith("}") and setting.kind in ("group", "open"):
        pairs = [pair.partition(":") for pair in spelling.split(bare[1:-1]) if pair]
        return f"{{{','.join(_pair(command, key, name.strip(), part.strip()) for name, _, part in pairs)}}}"
    return value


def _pair(command: str, group: str, name: str, value: str) -> str:
    key = f"{group}.{name}"
    keys.check_known(command, key)
    setting = keys.settings_of(command).get(key)
    return f"{name}:{value if setting is None else spelled(command, key, setting, value, sweep=False)}"


def _lists(key: str, setting: Setting, value: str, *, sweep: bool) -> str:
    """Spell one list, or in a sweep one a job, which may lack its brackets."""
    if value.startswith("(") and value.endswith(")"):
        value = f"[{value[1:-1]}]"
    parts = spelling.split(value)
    if not sweep or len(parts) == 1:
        return _open_list(key, setting, value, parts)
    if not all(part.startswith("[") or part.lower() == "null" for part in parts):
        jobs = ",".join(_open_list(key, setting, part, [part]) for part in parts)
        msg = (
            f"{key}={brief(value)} in a sweep (-m), where commas separate jobs: write {key}=[{','.join(parts)}] "
            f"for one list, or {key}={jobs} for {len(parts)} jobs"
        )
        raise SetiError(msg)
    return ",".join(_list(key, setting, part) for part in parts)


def _open_list(key: str, setting: Setting, value: str, parts: list[str]) -> str:
    """Spell a list that may lack its brackets."""
    if not value or value.startswith("${") or (setting.optional and value.lower() in NONE):
        return value
    if value.startswith("[") or spelling.unclosed(value) is not None:
        return _list(key, setting, value)
    if key == IMAGE_SIZE and len(parts) == 1:  # seti.config.conversions reads 512x256 and more
        return f"[{value},{value}]" if re.fullmatch(r"\d+", value) else value
    return _list(key, setting, f"[{value}]")


def _list(key: str, setting: Setting, value: str) -> str:
    value = value.strip()
    if not (value.startswith("[") and value.endswith("]")):
        return value
    parts = spelling.split(value[1:-1])
    if parts[-1] == "":  # [] and [a,]
        parts.pop()
    if setting.kind == "numbers":
        if not all(NUMBER.fullmatch(part) or part.startswith("${") for part in parts):
            example = "[512,512]" if key == IMAGE_SIZE else "[1,2]"
            msg = f"{key}={brief(','.join(parts))} is not a list of numbers: write it as in {key}={example}"
            raise SetiError(f"{msg}, or null" if setting.optional else msg)
        return f"[{','.join(parts)}]"
    if any(part.startswith("[") for part in parts):
        msg = f"{key}={brief(value)} is a list in a list: write {key}=[a,b]; a name with brackets stands in quotes"
        raise SetiError(msg)
    item = Setting("text", path=setting.path)
    return f"[{','.join(_text(key, item, part) for part in parts)}]"


def _text(key: str, setting: Setting, value: str) -> str:
    """Spell one text for Hydra."""
    bare = value.strip(" \t")
    if setting.path and not bare:
        off = "null switches it off" if setting.optional else ". is the current folder"
        msg = f"{key}= is empty, and a path is needed: {off}"
        raise SetiError(msg)
    if not value or spelling.is_quoted(bare) or (setting.optional and bare.lower() == "null"):
        return value
    if setting.path and ADDRESS.match(bare):
        _refuse_address(key, bare)
    text = _expand(key, value) if setting.path else value
    if "${" not in text:
        text = spelling.unescape(text) if text is value else text
    if setting.path and text == "???":  # Hydra's word for a value that is not set
        text = "./???"
    return next((plain for plain in (value, text) if _reading(plain) == text), None) or spelling.quote(text)


def _refuse_address(key: str, value: str) -> NoReturn:
    scheme, _, rest = value.partition("://")
    msg = f"{key}={brief(value)} is an address, and a path on this machine is needed: "
    here = rest[rest.find("/") :] if "/" in rest else ""
    local = scheme.lower() == "file" and here
    raise SetiError(msg + (f"write {hints.shell(hints.setting(key, here))}" if local else "copy what is there first"))


def _reading(value: str) -> Any:
    """The value that Hydra reads; None where it reads several, or none."""
    try:
        override = OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None
    read = override.value()
    return read if isinstance(read, str) and not isinstance(read, QuotedString) else None


def _expand(key: str, value: str) -> str:
    """Expand a leading `~`, `~user`, `$NAME` or `${NAME}`, as a shell does."""
    if value.startswith("~"):
        user, slash, rest = value.partition("/")
        home = os.path.expanduser(user)  # noqa: PTH111 - Path's raises for an unknown user
        return value if home == user else home + slash + spelling.unescape(rest)
    variable = VARIABLE.match(value)
    if variable is None:
        return value
    name = variable[1] or variable[2]
    if name not in os.environ:
        msg = (
            f"{key}={brief(value)}: there is no environment variable {name}; for a folder of that name write "
            f"{hints.shell(hints.setting(key, './' + value))}"
        )
        raise SetiError(msg)
    return os.environ[name] + spelling.unescape(value[variable.end() :])


def _without_variable(value: str) -> str:
    variable = VARIABLE.match(value)
    return value if variable is None else value[variable.end() :]


def _check_interpolation(key: str, value: str) -> None:
    text = spelling.unquote(value.strip()) if spelling.is_quoted(value.strip()) else value
    if "\\${" in text and (key == "output_dir" or key.startswith("hydra.")):
        msg = f"{key}={brief(value)}: results cannot go to a folder whose name holds '${{': give it another name"
        raise SetiError(msg)
    try:
        grammar_parser.parse(text)
    except GrammarParseError:
        msg = (
            f"{key}={brief(value)}: '${{' begins the name of another setting, as in ${{output_dir}}; for those "
            f"characters write {hints.shell(hints.setting(key, text))}"
        )
        raise SetiError(msg) from None
