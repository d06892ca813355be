"""Refusal of `launcher` and of its section `ray`, before Ray is imported."""

from typing import Any

from omegaconf import ListConfig, OmegaConf

from seti.config.checks import check_range
from seti.errors import SetiError
from seti.utils import extras, hints

RAY = "ray"
OWN = {"predict": ("ckpt_dir", "data.root", "out"), "scan": ("cadence", "out")}
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
        other = hints.command(command, "-m", *_own(cfg, command), "shard=1/2,2/2", f"hydra/launcher={engine}")
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


def _own(cfg: Any, command: str) -> list[str]:
    """Settings that say what a command works at, as they are typed."""
    given = {key: OmegaConf.select(cfg, key, throw_on_missing=False) for key in OWN[command]}
    lists = {key: list(value) if isinstance(value, ListConfig) else [value] for key, value in given.items()}
    return [
        hints.setting(key, values[0]) if len(values) == 1 else f"{key}=[{','.join(map(str, values))}]"
        for key, values in lists.items()
        if values not in ([], [None])
    ]
