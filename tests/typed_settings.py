"""Values that words of a command line become."""

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from seti.config import keys
from seti.config.arguments import to_hydra

COMMANDS = (
    "train",
    "predict",
    "stack",
    "simulate",
    "check",
    "pack",
    "show",
    "report",
    "baseline",
    "scan",
    "inject",
    "tune",
)


def read(command, word, *, sweep=False):
    """The value that a word becomes, as OmegaConf stores it in a setting of that type."""
    (rewritten,) = to_hydra(command, [word], sweep=sweep)
    return stored(command, OverridesParser.create().parse_override(rewritten))


def stored(command, override):
    """The value of an override, as OmegaConf resolves it; a text may not have become anything else."""
    setting = keys.settings_of(command)[override.key_or_group]
    value = OmegaConf.to_container(OmegaConf.create({"key": override.value()}), resolve=True)["key"]
    assert value is None or setting.either or isinstance(value, str if setting.kind == "text" else list)
    return value
