r"""Words of a command line, rewritten so that Hydra's grammar reads them as they were typed.

Hydra reads `exp_name=1.10` as the number 1.1, and `data.root=a (1)` not at all. The type of every setting is known
here, so a value that is text gets the quotes that it needs; what Hydra reads right stays as it is. In a sweep (`-m`)
commas separate jobs. docs/settings.md describes the rules for users.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import grammar_parser
from omegaconf.errors import GrammarParseError

from seti.config import keys
from seti.config.keys import Setting
from seti.errors import SetiError, brief
from seti.utils import hints, spelling

WORD = re.compile(r"(\+{0,2}|~)([^=]*)=(.*)", re.DOTALL)
CALL = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag|extend_list|int|float|str|bool|json_str)\s*\(.*\)", re.DOTALL
)  # Hydra's functions
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Z_][A-Z0-9_]*)\})", re.ASCII)  # settings are in lower case
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
SIZE = re.compile(r"(\d+) ?[x×*] ?(\d+)", re.IGNORECASE)
IMAGE_SIZE = "data.image_size"
EXTRA = {"joblib": "hydra_joblib_launcher", "submitit": "hydra_submitit_launcher"}


def to_hydra(command: str, words: list[str], *, sweep: bool = False, known: bool = True) -> list[str]:
    """Rewrite settings for Hydra's grammar.

    Args:
        command: whose settings they are.
        words: such as `data.root=a (1)`.
        sweep: commas separate jobs.
        known: refuse settings that the command's own configuration does not have.

    Raises:
        SetiError: a word is not a setting, a setting does not exist, or its value cannot be read.
    """
    return [_word(command, word, sweep=sweep, known=known) for word in words]


def retyped(command: str, overrides: list[str]) -> list[str]:
    """Spell overrides that Hydra has read, from a record of a run, as words of a command line."""
    return [_retyped(command, override) for override in overrides]


def _retyped(command: str, override: str) -> str:
    try:
        if _word(command, override, sweep=True, known=False) == override:
            return override
        parsed = OverridesParser.create().parse_override(override)
    except (SetiError, HydraException):  # of another version, or of no command
        return override
    # Recorded before text reached the program as it was typed: exp_name=1.10 named the folder 1.1.
    value = parsed.value()
    values = ",".join(spelling.spell(str(one)) for one in value) if isinstance(value, list) else None
    start = override.partition("=")[0]
    return hints.setting(start, str(value)) if values is None else f"{start}=[{values}]"


def _word(command: str, word: str, *, sweep: bool, known: bool) -> str:
    matched = WORD.fullmatch(word)
    if matched is None or matched[1] == "~":
        if matched is None and not word.startswith("~"):
            _refuse_bare(command, word)
        return word
    prefix, key, value = matched[1], matched[2].strip(), matched[3]
    if not key:
        msg = f"{brief(word)!r} begins with '=': write <setting>=<value>, without blanks around the ="
        raise SetiError(msg)
    setting = keys.settings_of(command).get(key)
    if known and not prefix:
        _check_known(command, key)
    if key == "hydra/launcher":
        _check_launcher(value)
    if setting is not None:
        value = _value(command, key, setting, value, sweep=sweep)
    _check_grammar(f"{prefix}{key}", setting, value, sweep=sweep)
    return f"{prefix}{key}={value}"


def _value(command: str, key: str, setting: Setting, value: str, *, sweep: bool) -> str:
    bare = value.strip()
    if CALL.fullmatch(bare) and spelling.unclosed(bare) is None:
        return bare
    if setting.kind in ("text", "texts") and "${" in _without_variable(value):
        _check_interpolation(key, value)
    if setting.kind == "text":
        if setting.either and bare.startswith("["):
            return _list(key, setting, bare)
        if not sweep:
            return _text(key, setting, value)
        return ",".join(_text(key, setting, part) for part in spelling.split(value))
    if setting.kind in ("texts", "numbers"):
        return _lists(key, setting, bare, sweep=sweep)
    if setting.kind == "group" and bare.startswith("{") and bare.endswith("}"):
        pairs = (pair.partition(":") for pair in spelling.split(bare[1:-1]) if pair)
        return f"{{{','.join(_pair(command, key, name.strip(), part.strip()) for name, _, part in pairs)}}}"
    return value


def _pair(command: str, group: str, name: str, value: str) -> str:
    setting = keys.settings_of(command).get(f"{group}.{name}")
    return f"{name}:{value if setting is None else _value(command, f'{group}.{name}', setting, value, sweep=False)}"


def _lists(key: str, setting: Setting, value: str, *, sweep: bool) -> str:
    if setting.kind == "numbers" and spelling.is_quoted(value):
        value = spelling.unquote(value).strip()
    if setting.optional and value.lower() in ("null", "none"):
        return "null"
    if value.startswith("(") and value.endswith(")"):
        value = f"[{value[1:-1]}]"
    parts = spelling.split(value)
    if sweep and len(parts) > 1:
        if not all(part.startswith("[") or part.lower() == "null" for part in parts):
            jobs = ",".join(_lists(key, setting, part, sweep=False) for part in parts)
            msg = (
                f"{key}={brief(value)} in a sweep (-m), where commas separate jobs: write {key}=[{','.join(parts)}] "
                f"for one list, or {key}={jobs} for {len(parts)} jobs"
            )
            raise SetiError(msg)
        return ",".join(_list(key, setting, part) for part in parts)
    if not value or value.startswith(("[", "{", "${")):
        return _list(key, setting, value) if value.startswith("[") else value
    size = SIZE.fullmatch(value)
    if key == IMAGE_SIZE and size is not None:
        return f"[{size[1]},{size[2]}]"
    if key == IMAGE_SIZE and NUMBER.fullmatch(value):
        return f"[{value},{value}]"
    if setting.kind == "numbers" and not all(NUMBER.fullmatch(part) for part in parts):
        example = "[512,512]" if key == IMAGE_SIZE else "[1,2]"
        msg = f"{key}={brief(value)} is not a list of numbers: write it as in {key}={example}"
        raise SetiError(f"{msg}, or null" if setting.optional else msg)
    return _list(key, setting, f"[{value}]")


def _list(key: str, setting: Setting, value: str) -> str:
    if setting.kind == "numbers" or not value.endswith("]") or value[1:-1].lstrip().startswith("["):
        return value
    parts = spelling.split(value[1:-1])
    if parts[-1] == "":  # [] and [a,]
        parts.pop()
    item = Setting("text", path=setting.path)
    return f"[{','.join(_text(key, item, part) for part in parts)}]"


def _text(key: str, setting: Setting, value: str) -> str:
    """Spell one text for Hydra."""
    bare = value.strip(" \t")
    if not value or spelling.is_quoted(bare) or (setting.optional and bare.lower() == "null"):
        return value
    text = _expand(key, value) if setting.path else value
    if "${" not in text:
        text = spelling.unescape(text) if text is value else text
    if setting.path and text == "???":  # Hydra's word for a value that is not set
        text = "./???"
    return next((plain for plain in (value, text) if _reading(plain) == text), None) or spelling.quote(text)


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


def _check_grammar(key: str, setting: Setting | None, value: str, *, sweep: bool) -> None:
    """Refuse in our words what Hydra's grammar refuses in its own."""
    parser = OverridesParser.create()
    try:
        override: Override = parser.parse_override(f"key={value}")
    except HydraException as error:
        _refuse_value(key, setting, value, str(error))
    if override.is_sweep_override() and not sweep:
        msg = f"{key}={brief(value)} is several values, one for each job of a sweep: add -m to the command"
        raise SetiError(msg)


def _refuse_value(key: str, setting: Setting | None, value: str, said: str) -> NoReturn:
    sign = spelling.unclosed(value)
    call = CALL.fullmatch(value.strip())
    if sign is not None and sign in "'\"":
        reason = f"the quote {sign} is not closed"
    elif sign is not None:
        reason = f"the bracket {sign} " + ("is not closed" if sign in spelling.OPEN else "closes nothing")
    elif call is not None:
        reason = f"{call[1]}(...) does not take that: {brief(said.splitlines()[-1], 200)}"
    else:
        reason = "it is not a number, word or list" if setting is not None else "such characters stand in quotes"
    msg = f"{key}={brief(value)} cannot be read: {reason}"
    if setting is None or setting.kind == "text":
        msg += f"; as text it is written {hints.shell(f'{key}={spelling.quote(value)}')}"
    raise SetiError(msg)


def _check_known(command: str, key: str) -> None:
    settings, groups = keys.settings_of(command), keys.groups_of(command)
    name, _, package = key.partition("@")
    if name in settings or name in groups or "/" in name or package or name.startswith("hydra."):
        return
    group, _, last = name.rpartition(".")
    if group in settings and settings[group].kind == "open":
        if last in keys.members(command, group) or (group == "trainer" and last in keys.trainer_arguments()):
            return
    elif any(name.startswith(f"{other}.") for other, setting in settings.items() if setting.kind != "group"):
        return  # deeper than a schema looks
    first = name.split(".")[0]
    if first not in settings:  # its group is mistyped
        name = key = first if keys.nearest(command, first) else name
    near = keys.nearest(command, name)
    meant = f"did you mean {near}?" if near else f"{hints.command(command, '--cfg', 'job')} prints those that there are"
    msg = f"{key} is not a setting: {meant}"
    raise SetiError(msg)


def _check_launcher(value: str) -> None:
    plugin = EXTRA.get(value.split("_")[0])
    if plugin is not None and find_spec(f"hydra_plugins.{plugin}") is None:
        msg = f"hydra/launcher={value} needs the extra 'sweep', which is not installed: pip install 'seti[sweep]'"
        raise SetiError(msg)


def _refuse_bare(command: str, word: str) -> NoReturn:
    settings, groups = keys.settings_of(command), keys.groups_of(command)
    paths = [key for key, setting in settings.items() if setting.path and not key.startswith("hydra.")]
    first = next((key for key in ("ckpt_dir", "data.root", "root") if key in paths), None)
    chosen = next((group for group in reversed(groups) if word in groups[group]), None)
    if word in settings or word in groups:
        msg = f"{word} has no value: write {word}=<value>, without blanks around the ="
        raise SetiError(msg)
    meant = f"{hints.command(command, '--help')} lists the settings"
    if chosen is not None:
        meant = f"did you mean {chosen}={word}?"
    elif first is not None and ("/" in word or Path(word).exists()):
        meant = f"did you mean {hints.shell(hints.setting(first, word))}?"
    msg = f"{brief(word)!r} is not a setting: write <setting>=<value>; {meant}"
    raise SetiError(msg)
