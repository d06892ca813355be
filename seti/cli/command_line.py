"""Command line of a program: its flags and settings, checked before Hydra reads them."""

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn

from seti.errors import SetiError
from seti.utils import hints

ALL = "all"  # of fold: every fold, as a sweep
MODES = {"multirun": "-m", "run": "--run", "cfg": "--cfg", "info": "--info", "shell_completion": "--shell-completion"}
USAGE = 2  # exit code of a command line that cannot be read


def read(command: str, words: list[str]) -> list[str]:
    """Return the words for Hydra: flags, then settings that its grammar reads as typed.

    Args:
        command: the program's.
        words: of the command line, without the program's name.

    Raises:
        SetiError: a flag or setting does not exist, or a value cannot be read.
    """
    from hydra._internal.utils import get_args_parser

    if "${" in str(Path.cwd()):  # Hydra keeps the folder as a setting, in which that begins an interpolation
        msg = f"{Path.cwd()}: no command works in a folder whose path holds '${{': rename it, or start from another one"
        raise SetiError(msg)
    parser = get_args_parser()
    parser.error = lambda message: _refuse(command, parser, words, message)
    _name_own_version(parser)
    given = parser.parse_intermixed_args(words)
    _check_modes(given)
    if given.shell_completion or given.experimental_rerun is not None:
        return words  # the first takes words that are not settings, the second is refused by the guard of targets
    if given.hydra_help:
        return _flags(parser, given)  # about Hydra alone, which would look for the settings in a file of its own
    overrides = _settings(command, given)
    if given.package and not (given.config_dir or given.config_path or given.config_name):
        _check_shown(command, given.package)
    return [*_flags(parser, given), *overrides]


def recorded() -> list[str]:
    """This job's overrides in Hydra's grammar, for a record from which they can be given again."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    return OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)


def _settings(command: str, given: argparse.Namespace) -> list[str]:
    from seti.config import arguments

    own = given.config_dir or given.config_path or given.config_name  # such a configuration has other settings
    sweep = given.multirun or "hydra.mode=MULTIRUN" in given.overrides
    words = list(given.overrides)
    everything = [word for word in words if word in (f"fold={ALL}", f"++fold={ALL}")] if command == "train" else []
    rest = [word for word in words if word not in everything]
    read_rest = arguments.to_hydra(command, rest, sweep=sweep, known=not own)
    if not everything:
        return read_rest
    if given.cfg or given.help or given.info:
        msg = f"fold={ALL} stands for several jobs, and {MODES['cfg'] if given.cfg else 'that'} shows one: write fold=0"
        raise SetiError(msg)
    given.multirun = True
    return [f"fold={','.join(map(str, range(_number_of_folds(read_rest))))}", *read_rest]


def _number_of_folds(overrides: list[str]) -> int:
    """`data.n_folds`, as the command line and its presets set it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from seti.config.compose import compose_words

    parsed = OverridesParser.create().parse_overrides(overrides)
    deciding = [one for one in parsed if one.key_or_group in ("experiment", "data", "data.n_folds")]
    if any(one.is_sweep_override() for one in deciding):
        msg = f"fold={ALL} in a sweep over data.n_folds or experiments: write the folds, as in fold=0,1,2"
        raise SetiError(msg)
    return compose_words("train", [one.input_line for one in deciding]).data.n_folds


def _check_modes(given: argparse.Namespace) -> None:
    modes = [name for dest, name in MODES.items() if getattr(given, dest)]
    if len(modes) > 1:
        msg = f"{' and '.join(modes)} do not go together: give one of them"
        raise SetiError(msg)
    if given.resolve and not (given.cfg or given.help):
        msg = "--resolve is for --cfg: add --cfg job"
        raise SetiError(msg)
    if given.config_dir is not None and not Path(given.config_dir).is_dir():
        msg = f"--config-dir {given.config_dir} is not a folder"
        raise SetiError(msg)


def _name_own_version(parser: argparse.ArgumentParser) -> None:
    """Let --version print this program's version, before Hydra's."""
    import seti

    for action in parser._actions:
        if isinstance(action, argparse._VersionAction):
            action.version = f"seti {seti.__version__} ({action.version})"


def _check_shown(command: str, package: str) -> None:
    """Refuse `--package` of a setting that does not exist, such as a misspelled group."""
    from seti.config import keys

    if not package.startswith(("hydra", "_")):
        keys.check_known(command, package)


def _flags(parser: argparse.ArgumentParser, given: argparse.Namespace) -> list[str]:
    """The flags that were given, each as one word."""
    flags = []
    for action in parser._actions:
        value = getattr(given, action.dest, action.default)
        if action.option_strings and value != action.default:
            name = action.option_strings[0]
            flags.append(name if action.nargs == 0 else f"{name}={value}")
    return flags


def _refuse(command: str, parser: argparse.ArgumentParser, words: list[str], message: str) -> NoReturn:
    known = {name for action in parser._actions for name in action.option_strings}
    flag = next((word for word in words if word.startswith("-") and word.partition("=")[0] not in known), None)
    started = " ".join(hints.program(command))
    print(f"error: {started}: {_explain(command, flag, known, message)}", file=sys.stderr)
    sys.exit(USAGE)


def _explain(command: str, flag: str | None, flags: set[str], message: str) -> str:
    if flag is None or not message.startswith("unrecognized arguments"):
        return f"{message}; --hydra-help lists the flags"
    from seti.config import keys

    name, _, value = flag.lstrip("-").partition("=")
    near_flag = difflib.get_close_matches(flag, flags, 1, 0.7)
    if near_flag:
        return f"there is no flag {flag}: did you mean {near_flag[0]}?"
    known = keys.settings_of(command).keys() | keys.groups_of(command).keys()
    near = name if name in known else keys.nearest(command, name.replace("-", "_"))
    meant = f"did you mean {near}={value or '<value>'}?" if near else "settings are written <setting>=<value>"
    return f"there is no flag {flag}: {meant}"
