"""Folders that Hydra makes for jobs: refusal of other places, removal after a refusal."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seti.config.folder import conf_folder
from seti.errors import SettingsError
from seti.experiments.failure import FAILURE_FILE

LOG = "train.log"  # of conf/hydra/job_logging/seti.yaml
SWEEP_FILE = "multirun.yaml"  # Hydra's record of a sweep
PLACES = ("run.dir", "sweep.dir", "sweep.subdir")

_existed = Path()  # the nearest folder above this command's jobs that existed when it began


def tested_fold(folder: Path) -> Path | None:
    """The fold's folder of a range test's job folder, or None for another job's."""
    return folder.parent.parent if folder.parent.name == "lr_range" else None


def check_places(config: DictConfig) -> None:
    """Refuse settings of Hydra by which an experiment's files would be in two places.

    Args:
        config: of a command, with its part `hydra`.

    Raises:
        SettingsError: naming the setting, and those to use in its place.
    """
    given = OmegaConf.to_container(config.hydra, resolve=False)
    if given["job"]["chdir"]:
        msg = (
            f"hydra.job.chdir={given['job']['chdir']}: relative paths such as data.root and output_dir would lead "
            "elsewhere; leave it out, or start the command in that folder"
        )
        raise SettingsError(msg)
    if "exp_name" not in config:
        return
    own = OmegaConf.to_container(OmegaConf.load(conf_folder() / "train.yaml").hydra, resolve=False)
    for place in PLACES:
        group, key = place.split(".")
        if given[group][key] != own[group][key]:
            msg = (
                f"hydra.{place}={given[group][key]}: an experiment is always in <output_dir>/<exp_name>; set "
                "output_dir and exp_name instead"
            )
            raise SettingsError(msg)


def remember_existing(folder: Path) -> None:
    """Keep in mind which folders above a job's, or a sweep's, exist before Hydra makes them."""
    global _existed
    _existed = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def is_fresh(folder: Path, subfolder: str | None) -> bool:
    """True if a job's folder holds nothing but what Hydra has just written.

    Args:
        folder: of the job.
        subfolder: in which Hydra records the configuration, or None.
    """
    if Path.cwd().is_relative_to(folder):  # commands that write no folder of their own
        return False
    log = folder / LOG
    return {path.name for path in folder.iterdir()} <= {subfolder, LOG} and not (log.exists() and log.stat().st_size)


def remove(folder: Path, subfolder: str | None) -> None:
    """Remove the folder of a refused job that wrote its log alone, and empty folders above it."""
    for handler in _file_handlers(folder):  # on network file systems an open file could not be removed
        logging.getLogger().removeHandler(handler)
        handler.close()
    with suppress(OSError):
        if not {path.name for path in folder.iterdir()} <= {subfolder, LOG, FAILURE_FILE}:
            return
        if subfolder is not None:
            shutil.rmtree(folder / subfolder, ignore_errors=True)
        for name in (LOG, FAILURE_FILE):
            (folder / name).unlink(missing_ok=True)
        for path in (folder, *folder.parents):
            if path == _existed or not path.is_relative_to(_existed):
                break
            path.rmdir()


def remove_sweep(folder: Path) -> None:
    """Remove a sweep's folder that was made for it and in which nothing is left."""
    with suppress(OSError):
        if folder.absolute() != _existed and {path.name for path in folder.iterdir()} == {SWEEP_FILE}:
            (folder / SWEEP_FILE).unlink()
            folder.rmdir()


def _file_handlers(folder: Path) -> Iterator[Any]:
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(folder):
            yield handler
