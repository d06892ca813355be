"""Configurations as the commands compose them, for use without a command line."""

from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf

from seti.config import arguments, commands, schema  # noqa: F401 - they register the schemas that conf/ refers to
from seti.config.folder import conf_folder
from seti.simulation.settings import SimulationSettings


def compose(command: str, *overrides: str) -> DictConfig:
    """Compose a command's configuration with overrides as typed: `compose("train", "fold=1")`."""
    return compose_words(command, arguments.to_hydra(command, list(overrides)))


def compose_words(command: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a command's configuration with overrides in Hydra's grammar, also in a command."""
    running = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return hydra.compose(command, list(overrides))
    finally:
        restore_gh_from_backup(running)


def simulation_settings(*overrides: str) -> SimulationSettings:
    """Compose a simulation's settings: `simulation_settings("train=20", f"root={folder}")`."""
    return OmegaConf.to_object(compose("simulate", *overrides))
