"""Guard of `_target_`: only classes of this program, Hydra and `logging` are instantiated.

Hydra calls the object that `_target_` names when it sets up callbacks, sweepers and launchers, and Python's logging
the one in a formatter's or handler's `class` or `()`. A configuration file from elsewhere (`--config-dir`) could name
any function there. Every configuration is therefore checked when it is composed, before anything in it is called.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seti.errors import SetiError, brief

ALLOWED = ("seti", "hydra", "hydra_plugins", "logging")
OWN = ("seti.cli.sweep_report.SweepReport",)  # not imported for the check, which would slow down `--help`
CALLED = (
    "callbacks",
    "launcher",
    "sweeper",
    "job_logging",
    "hydra_logging",
)  # in `hydra`
MAX_DEPTH, MAX_NODES = 40, 5_000  # a configuration of this program has some 300


def check_targets(cfg: DictConfig) -> None:
    """Refuse a configuration that instantiates anything outside of the allowed packages.

    Raises:
        SetiError: naming the key and the target.
    """
    for key, value, logged in _named(cfg):
        reason = _objection(value, logged)
        if reason:
            msg = (
                f"{key}={brief(value, 100)!r} {reason}: a configuration may only run classes of "
                f"{', '.join(ALLOWED)}; take that key out"
            )
            raise SetiError(msg)


def guard(refuse: Callable[[str], NoReturn]) -> None:
    """Check every configuration that Hydra composes in this process from now on.

    Hydra has no hook between composition and instantiation: its first hooks, callbacks, are instantiated themselves.

    Args:
        refuse: prints the line and ends the program, for a configuration composed from a command line. One that is
            composed by a function call raises `SetiError` instead.
    """
    if getattr(ConfigLoaderImpl.load_configuration, "guarded", False):
        return
    compose = ConfigLoaderImpl.load_configuration

    def load_configuration(
        self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *args: Any, **options: Any
    ) -> DictConfig:
        cfg = compose(self, config_name, overrides, *args, **options)
        try:
            check_targets(cfg)
        except SetiError as error:
            if not options.get("from_shell", args[1] if len(args) > 1 else True):
                raise
            refuse(str(error))
        return cfg

    def rerun(file: str, _: list[str]) -> DictConfig:
        return refuse(f"{file}: a pickled job can run code, and is not read; give its settings on the command line")

    load_configuration.guarded = True
    ConfigLoaderImpl.load_configuration = load_configuration
    sys.modules["hydra.main"]._get_rerun_conf = rerun  # `hydra.main` itself is the function


def _objection(target: Any, logged: bool) -> str:
    """The reason to refuse a target; empty for an allowed one."""
    if not isinstance(target, str):
        return "is not a name"
    if target in OWN or (logged and target in ("ext://sys.stdout", "ext://sys.stderr")):
        return ""
    target = target.removeprefix("ext://")
    module, _, name = target.rpartition(".")
    if module.split(".")[0] not in ALLOWED:
        return "is outside of the allowed packages"
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):  # also seti.utils.files.os.system: no module has that name
        return "is not a class that can be imported"
    # A name that a module has merely imported, such as subprocess.Popen, is not its own.
    if not isinstance(found, type) or found.__module__.split(".")[0] not in ALLOWED:
        return "is not a class of its own package"
    return ""


def _named(cfg: DictConfig) -> Iterator[tuple[str, Any, bool]]:
    """Yield every key that Hydra instantiates: raw and resolved value, and if it is logging's."""
    yield from _walk(OmegaConf.to_container(cfg, resolve=False), "", False)
    hydra = cfg.get("hydra")
    for part in CALLED:
        if hydra is not None and part in hydra:
            node, key, logged = _child(hydra, part), f"hydra.{part}", part.endswith("_logging")
            yield from _walk(_resolved(node, key, 0, [0]), key, logged)


def _walk(value: Any, key: str, logged: bool) -> Iterator[tuple[str, Any, bool]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{key}.{name}".lstrip(".")
            if name in ("_target_", "()") or (logged and name == "class"):
                # An interpolated name is checked in its resolved form.
                if not (isinstance(inner, str) and "${" in inner and path.startswith("hydra.")):
                    yield path, inner, logged
            else:
                yield from _walk(inner, path, logged or path in ("hydra.job_logging", "hydra.hydra_logging"))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{key}[{number}]", logged)
    elif logged and isinstance(value, str) and "ext://" in value:
        yield key, value, logged


def _resolved(node: Any, key: str, depth: int, visited: list[int]) -> Any:
    """Resolve as far as possible; what depends on the job, such as its folder, stays as written."""
    visited[0] += 1
    if depth > MAX_DEPTH or visited[0] > MAX_NODES:
        msg = f"{key} is too large: take that key out"
        raise SetiError(msg)
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        return {name: _resolved(_child(node, name), f"{key}.{name}", depth + 1, visited) for name in node}
    if isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        return [_resolved(_child(node, n), f"{key}[{n}]", depth + 1, visited) for n in range(len(node))]
    return node


def _child(node: DictConfig | ListConfig, name: Any) -> Any:
    try:
        return node[name]
    except (OmegaConfBaseException, ValueError, TypeError, KeyError):
        raw = OmegaConf.to_container(node, resolve=False)
        return raw[name]
