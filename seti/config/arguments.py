r"""Words of a command line, rewritten so that Hydra's grammar reads them as they were typed.

Hydra reads `exp_name=1.10` as the number 1.1, and `data.root=a (1)` not at all. The type of every setting is known
here, so a value that is text gets the quotes that it needs; what Hydra reads right stays as it is. In a sweep (`-m`)
commas separate jobs. docs/settings.md describes the rules for users.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from seti.config import keys, scalars, values
from seti.config.conversions import NONE
from seti.config.keys import Setting
from seti.errors import SetiError, brief
from seti.utils import extras, hints, spelling

WORD = re.compile(r"(\+{0,2}|~)([^=]*)=(.*)", re.DOTALL)
# Launchers by the first word of their name: the extra that installs what they need, and the modules of that.
EXTRA = {
    "joblib": ("sweep", "hydra_plugins.hydra_joblib_launcher", "joblib"),
    "submitit": ("sweep", "hydra_plugins.hydra_submitit_launcher", "submitit"),
    "slurm": ("sweep", "submitit"),
    "ray": ("ray", "ray"),
}


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
    for previous, word in zip(["", *words], words, strict=False):
        if WORD.fullmatch(word) is None and not word.startswith("~"):
            _refuse_bare(command, word, previous)
    own = known and not any("hydra.searchpath" in word for word in words)  # whose choices are all in conf/
    if own:
        words = [word for word in words if not _switched_off(command, word)]
    return [_word(command, word, sweep=sweep, known=known, own=own) for word in words]


def retyped(command: str, overrides: list[str]) -> list[str]:
    """Spell overrides that Hydra has read, from a record of a run, as words of a command line."""
    return [_retyped(command, override) for override in overrides]


def _switched_off(command: str, word: str) -> bool:
    """True for `experiment=null`: nothing is chosen by default, and Hydra takes no null."""
    group, _, value = word.lstrip("+").partition("=")
    return value.strip().lower() in NONE and group in keys.groups_of(command, optional=True)


def _retyped(command: str, override: str) -> str:
    try:
        parsed = OverridesParser.create().parse_override(override)
        with suppress(SetiError):
            if _word(command, override, sweep=True, known=False) == override:
                return _as_printed(command, parsed)
    except HydraException:
        return override
    # Recorded before text reached the program as it was typed: exp_name=1.10 named the folder 1.1.
    value = parsed.value()
    values = ",".join(spelling.spell(str(one)) for one in value) if isinstance(value, list) else None
    start = override.partition("=")[0]
    return hints.setting(start, str(value)) if values is None else f"{start}=[{values}]"


def _as_printed(command: str, parsed: Override) -> str:
    """An override as messages spell it: a path reads the same in all that a command prints."""
    setting, value = keys.settings_of(command).get(parsed.key_or_group), parsed.value()
    if setting is None or setting.kind != "text" or not isinstance(value, str) or "${" in value:
        return parsed.input_line
    return hints.setting(parsed.input_line.partition("=")[0], value)


def _word(command: str, word: str, *, sweep: bool, known: bool, own: bool = False) -> str:
    matched = WORD.fullmatch(word)
    if matched is None or word.startswith("~"):
        if own:
            _check_removable(command, word[1:].partition("=")[0].strip())
        return word
    prefix, key, value = matched[1], matched[2].strip(), matched[3]
    if not key:
        msg = f"{brief(word)!r} begins with '=': write <setting>=<value>, without blanks around the ="
        raise SetiError(msg)
    setting = keys.settings_of(command).get(key)
    if known and not prefix:
        keys.check_known(command, key)
    if key == "hydra/launcher":
        _check_launcher(value, sweep=sweep)
    typed = value
    if own and not prefix and key in keys.groups_of(command):
        value = scalars.chosen(command, key, value, sweep=sweep)
    elif setting is not None:
        value = values.spelled(command, key, setting, value, sweep=sweep)
    override = _parsed(command, f"{prefix}{key}", setting, value, sweep=sweep)
    if setting is not None and key not in keys.groups_of(command):
        scalars.check(command, override, f"{prefix}{key}", setting, typed)
    return f"{prefix}{key}={value}"


def _check_removable(command: str, key: str) -> None:
    """Refuse to remove (`~key`) a setting that every run needs."""
    keys.check_known(command, key)
    setting = keys.settings_of(command).get(key)
    if setting is not None and setting.kind != "open" and key not in keys.groups_of(command):
        example = f"{key}.<name>=<value>" if setting.kind == "group" else f"{key}=<value>"
        msg = f"{key} cannot be removed: set it to another value, as in {example}"
        raise SetiError(msg)


def _parsed(command: str, key: str, setting: Setting | None, value: str, *, sweep: bool) -> Override:
    """Parse a value; refuse in our words what Hydra's grammar refuses in its own."""
    parser = OverridesParser.create()
    try:
        override: Override = parser.parse_override(f"key={value}")
    except HydraException as error:
        _refuse_value(command, key, setting, value, str(error))
    if override.is_sweep_override() and not sweep:
        msg = f"{key}={brief(value)} is several values, one for each job of a sweep: add -m to the command"
        if setting is not None and setting.scalar is not None:
            msg += scalars.several(key, value)
        raise SetiError(msg)
    return override


def _refuse_value(command: str, key: str, setting: Setting | None, value: str, said: str) -> NoReturn:
    sign = spelling.unclosed(value)
    call = values.CALL.fullmatch(value.strip())
    if sign is not None and sign in "'\"":
        reason = f"the quote {sign} is not closed"
    elif sign is not None:
        reason = f"the bracket {sign} " + ("is not closed" if sign in spelling.OPEN else "closes nothing")
    elif "" in spelling.split(value):
        reason = "nothing stands before or after one of its commas"
    elif setting is not None and setting.scalar is not None and call is None:
        raise SetiError(scalars.refusal(command, key, setting, value))
    elif call is not None:
        reason = f"{call[1]}(...) does not take that: {brief(said.splitlines()[-1], 200)}"
    else:
        reason = "it is not a number, word or list" if setting is not None else "such characters stand in quotes"
    msg = f"{key}={brief(value)} cannot be read: {reason}"
    if setting is None or setting.kind == "text":
        msg += f"; as text it is written {hints.shell(f'{key}={spelling.quote(value)}')}"
    raise SetiError(msg)


def _check_launcher(value: str, *, sweep: bool) -> None:
    engine = value.strip().split("_")[0]
    if engine in EXTRA:
        imported = sweep and engine != "ray"  # which reads environment variables then, see seti.utils.ray_cluster
        check = extras.check_imports if imported else extras.check_installed
        check(f"hydra/launcher={value.strip()}", *EXTRA[engine])


def _refuse_bare(command: str, word: str, previous: str) -> NoReturn:
    settings, groups = keys.settings_of(command), keys.groups_of(command)
    paths = [key for key, setting in settings.items() if setting.path and not key.startswith("hydra.")]
    first = next((key for key in ("ckpt_dir", "data.root", "root") if key in paths), None)
    chosen = next((group for group in reversed(groups) if word in groups[group]), None)
    if word in settings or word in groups:
        msg = f"{word} has no value: write {word}=<value>, without blanks around the ="
        raise SetiError(msg)
    meant = f"{hints.command(command, '--help')} lists the settings"
    before = WORD.fullmatch(previous)
    if before is not None and settings.get(before[2], Setting("")).kind in ("text", "texts"):
        joined = f"{previous}{' ' if before[3] else ''}{word}"
        meant = f"did you mean {hints.shell(joined)}, in quotes?" if before[3] else f"did you mean {joined}?"
    elif chosen is not None:
        meant = f"did you mean {chosen}={word}?"
    elif first is not None and ("/" in word or Path(word).exists()):
        meant = f"did you mean {hints.shell(hints.setting(first, word))}?"
    msg = f"{brief(word)!r} is not a setting: write <setting>=<value>; {meant}"
    raise SetiError(msg)
