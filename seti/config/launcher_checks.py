"""Refusal of `launcher` and of its section `ray`, before Ray is imported."""

import re
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from seti.config import arguments
from seti.config.checks import check_range
from seti.errors import SetiError
from seti.utils import extras, hints

RAY = "ray"
ENGINES = ("slurm", "joblib", "submitit_slurm", "submitit_local")  # of sweeps, besides Ray


def check_launcher(cfg: Any, command: str) -> None:
    """Refuse a launcher that a single command cannot use, and settings of Ray that cannot work.

    The launcher's name is written as it is defined, in place.

    Args:
        cfg: of the command, with `launcher` and `ray`.
        command: its name.

    Raises:
        SetiError: naming the setting, and the way to use other engines.
    """
    if cfg.launcher is None:
        return
    cfg.launcher = str(cfg.launcher).strip().lower()
    if cfg.launcher != RAY:
        engine = cfg.launcher if cfg.launcher in ENGINES else ENGINES[0]
        other = hints.command(command, "-m", *_typed(command), "shard=1/2,2/2", f"hydra/launcher={engine}")
        msg = f"launcher={cfg.launcher} is none of null, ray: other engines run shards, {other}"
        raise SetiError(msg)
    extras.check_installed("launcher=ray", RAY, RAY)
    if cfg.ray.actors is not None:
        check_range("ray.actors", cfg.ray.actors, 1, None, ", or null for as many as there are places for")
    check_range("ray.cpus", cfg.ray.cpus, 1, None)
    check_range("ray.retries", cfg.ray.retries, 0, None)
    gpus = cfg.ray.gpus
    if gpus != "auto":
        if isinstance(gpus, bool) or not isinstance(gpus, int | float):
            msg = f"ray.gpus={gpus} is neither auto nor a number: 1, or 0.5 for two actors a GPU"
            raise SetiError(msg)
        check_range("ray.gpus", gpus, 0, None)


def _typed(command: str) -> list[str]:
    """Settings of the command line, if there is one, without the launcher's and the shard."""
    if not HydraConfig.initialized():
        return []
    words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    kept = [word for word in words if not re.match(r"\+*(launcher|shard|ray\.\w+)=", word)]
    return arguments.retyped(command, kept)
