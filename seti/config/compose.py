"""Configurations as the commands compose them, for use without a command line."""

import hydra
from omegaconf import DictConfig, OmegaConf

from seti.config import commands, schema  # noqa: F401 - they register the schemas that conf/ refers to
from seti.config.folder import conf_folder
from seti.simulation.settings import SimulationSettings


def compose(command: str, *overrides: str) -> DictConfig:
    """Compose a command's configuration with overrides as its command line takes them: `compose("train", "fold=1")`."""
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return hydra.compose(command, list(overrides))


def simulation_settings(*overrides: str) -> SimulationSettings:
    """Compose the settings of a simulated data set: `simulation_settings("train=20", f"root={folder}")`."""
    return OmegaConf.to_object(compose("simulate", *overrides))
