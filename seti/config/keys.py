"""Keys and types of a command's settings, and the nearest key to a mistyped one."""

import ast
import difflib
import functools
import re
import types
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from seti.config import commands  # noqa: F401 - registers the schemas
from seti.config.folder import conf_folder
from seti.errors import SetiError
from seti.utils import hints

PATHS = ("root", "dir", "subdir")  # last names of settings that are paths where a schema does not say so: Hydra's
NEAR = 0.6  # smallest similarity of a suggestion
KIND = re.compile(r"(?<=[^_])_?(?:dir|folder|path|file)$")  # ends of names that say no more than that it is a path


@dataclass(frozen=True)
class Setting:
    """Type of a setting.

    Attributes:
        kind: `text`, `texts` (a list), `numbers` (a list), `group` (of settings), `open` (a group that takes any
            key) or `other`.
        optional: null switches it off.
        path: its text is a path.
        either: a text, or a list of texts.
        scalar: bool, int or float, of a single value; None for any other.
    """

    kind: str
    optional: bool = False
    path: bool = False
    either: bool = False
    scalar: type | None = None


@functools.cache
def settings_of(command: str) -> dict[str, Setting]:
    """Map every key of a command, its groups and Hydra's settings included, to its type."""
    schema = OmegaConf.get_type(ConfigStore.instance().load(f"{command}_schema.yaml").node)
    return dict(_walk(schema, "")) | _hydra_settings()


@functools.cache
def written(command: str) -> DictConfig:
    """Read what conf/ has for a command, its defaults list included; not to be changed."""
    return OmegaConf.load(conf_folder() / f"{command}.yaml")


@functools.cache
def groups_of(command: str, optional: bool = False) -> dict[str, list[str]]:
    """Map the groups that are chosen by name, such as `model=effnet_b1`, to their choices.

    Args:
        command: whose groups they are.
        optional: only those of which nothing is chosen by default, such as `experiment`.
    """
    defaults = written(command).get("defaults", [])
    chosen = [entry for entry in defaults if not isinstance(entry, str)]
    names = [str(key) for entry in chosen for key in entry if not optional or entry[key] is None]
    names = [name for name in names if not name.startswith("override ")]
    return {name: sorted(path.stem for path in (conf_folder() / name).glob("*.yaml")) for name in names}


@functools.cache
def members(command: str, group: str) -> tuple[str, ...]:
    """Keys that conf/ sets in a group that takes any key, such as `trainer`; they need no `+`."""
    places = [(conf_folder() / f"{command}.yaml", group)]
    for path in sorted((conf_folder() / group).glob("*.yaml")):
        places.append((path, group if path.read_text().startswith("# @package _global_") else ""))
    found: dict[str, None] = {}
    for path, inner in places:
        content = OmegaConf.load(path)
        content = OmegaConf.select(content, inner) if inner else content
        found |= dict.fromkeys(str(key) for key in content or () if key != "defaults")
    return tuple(found)


def check_known(command: str, key: str) -> None:
    """Refuse a setting that a command does not have.

    Raises:
        SetiError: naming the key, and the one that was probably meant.
    """
    settings, groups = settings_of(command), groups_of(command)
    name, _, package = key.partition("@")
    if "/" in name and not name.startswith("hydra/") and _same(command, name):
        raise SetiError(unknown(command, key, name))
    if name in settings or name in groups or "/" in name or package or name.startswith("hydra."):
        return
    group, _, last = name.rpartition(".")
    if group in settings and settings[group].kind == "open":
        if last in members(command, group) or (group == "trainer" and last in trainer_arguments()):
            return
    elif any(name.startswith(f"{other}.") for other, setting in settings.items() if setting.kind == "open"):
        return  # deeper than conf/ looks
    first = name.split(".")[0]
    if first not in settings:  # its group is mistyped
        name = key = first if nearest(command, first) else name
    raise SetiError(unknown(command, key, name))


def unknown(command: str, key: str, name: str | None = None) -> str:
    """Message that a command does not have a setting, with the one that was probably meant.

    Args:
        command: whose settings it is about.
        key: as typed.
        name: without the signs and packages of Hydra, if there are any.
    """
    near = nearest(command, name or key)
    meant = f"did you mean {near}?" if near else f"{hints.command(command, '--cfg', 'job')} prints those that there are"
    return f"{key} is not a setting: {meant}"


def nearest(command: str, key: str) -> str | None:
    """The key that a mistyped one probably means; None if none is like it.

    `root` means `data.root`, `lr` means `optimizer.lr`, and `trainer.max_epoch` means `trainer.max_epochs`.
    """
    same = _same(command, key)
    if same is not None:
        return same
    known = _suggested(command, inner="." in key)
    if not key.startswith("trainer.") or "trainer" not in settings_of(command):
        return nearest_of(key, known)
    last = key.rpartition(".")[2]
    for candidates in (
        [one for one in known if one.startswith("trainer.")],
        [f"trainer.{name}" for name in trainer_arguments()],
        [one for one in known if one.rpartition(".")[2] == last],  # trainer.lr is optimizer.lr; nothing less alike
    ):
        near = nearest_of(key, candidates)
        if near is not None:
            return near
    return None


def _suggested(command: str, *, inner: bool) -> list[str]:
    """Keys that a refusal may name; `inner` leaves out the groups of settings."""
    known = [*groups_of(command)]
    for name, setting in settings_of(command).items():
        if name.startswith("hydra"):
            continue
        if setting.kind == "open":
            known += [f"{name}.{member}" for member in members(command, name)]
        if setting.kind not in ("group", "open") or not inner:
            known.append(name)
    return known


def _same(command: str, key: str) -> str | None:
    """The setting whose name differs only in the signs between its words."""
    joined = _joined("data.root" if KIND.sub("", key) == "data" else key)
    known = _suggested(command, inner=False)
    return next((one for one in known if _joined(one) == joined and one not in groups_of(command)), None)


def _joined(key: str) -> str:
    """A key without the signs between its words, such as dataroot of data.root."""
    return re.sub(r"[._/-]", "", key).lower()


def nearest_of(key: str, known: list[str]) -> str | None:
    """The key among those known that another one probably means; None if none is like it."""
    group, _, name = key.rpartition(".")
    same_name = [other for other in known if other.rpartition(".")[2] == name]
    if same_name:
        return difflib.get_close_matches(key, same_name, 1, 0)[0]
    own = [other for other in known if other.rpartition(".")[0] == group]
    for candidates in (own, known):
        by_name = {KIND.sub("", other.rpartition(".")[2]): other for other in reversed(candidates)}
        near = difflib.get_close_matches(KIND.sub("", name), by_name, 1, NEAR)
        if near:
            return by_name[near[0]]
    return None


@functools.cache
def trainer_arguments() -> tuple[str, ...]:
    """Arguments of Lightning's Trainer, read from its source: importing it takes seconds."""
    (folder,) = find_spec("pytorch_lightning").submodule_search_locations
    tree = ast.parse(Path(folder, "trainer", "trainer.py").read_text())
    (trainer,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trainer")
    (init,) = (node for node in trainer.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    return tuple(argument.arg for argument in init.args.kwonlyargs)


@functools.cache
def _hydra_settings() -> dict[str, Setting]:
    from hydra.conf import HydraConf

    found = {}
    for key, setting in _walk(HydraConf, "hydra."):
        path = setting.kind == "text" and key.rpartition(".")[2] in PATHS
        found[key] = replace(setting, path=path)
    return found


def _walk(section: type, prefix: str) -> list[tuple[str, Setting]]:
    hints, found = get_type_hints(section), []
    for field in fields(section):
        key, (hint, optional) = f"{prefix}{field.name}", _required(hints[field.name])
        if is_dataclass(hint):
            found.append((key, Setting("group", optional)))
            found += _walk(hint, f"{key}.")
        else:
            found.append((key, _leaf(hint, optional, field.metadata.get("path", False))))
    return found


def _leaf(hint: Any, optional: bool, path: bool) -> Setting:
    if hint is str:
        return Setting("text", optional, path)
    if hint is Any:
        return Setting("text", optional, path, either=True) if path else Setting("other", optional)
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        kind = {str: "texts", int: "numbers", float: "numbers"}.get(item, "other")
        return Setting(kind, optional, path)
    if get_origin(hint) is dict or hint is dict:
        return Setting("open", optional)
    return Setting("other", optional, scalar=hint if hint in (bool, int, float) else None)


def _required(hint: Any) -> tuple[Any, bool]:
    """The type without None, and if it had it."""
    if get_origin(hint) in (Union, types.UnionType):
        kept = [one for one in get_args(hint) if one is not type(None)]
        if len(kept) == 1:
            return kept[0], True
        return Any, type(None) in get_args(hint)
    return hint, False
