"""Folder of simulated observations: made with one set of settings, or refused."""

import shutil
from pathlib import Path
from typing import Any

from seti.data.observation import SUFFIXES
from seti.errors import SetiError, SettingsError
from seti.utils import files

SETTINGS = "simulation.json"
TRUTH = "truth.csv"
SPLITS = ("train", "test")  # folders of a data set


def claim(root: Path, recorded: dict[str, Any], force: bool, key: str = "root") -> None:
    """Write the settings into the folder, so that the same command goes on with it.

    Args:
        root: an existing folder.
        recorded: the settings, with `product`, which names what is made of them.
        force: replace what was made with other settings of the same product.
        key: setting that names the folder, for the message.

    Raises:
        SettingsError: the folder holds something else.
    """
    stored = root / SETTINGS
    present = [path for path in root.iterdir() if path.suffix in SUFFIXES or path.name == TRUTH]
    if stored.exists():
        held = files.read_json(stored)
        if held == recorded:
            return
        if not force or held.get("product") != recorded["product"]:
            name = next((name for name in recorded if held.get(name) != recorded[name]), "an unknown setting")
            fix = f"set {key} to another folder" if force else f"set force=true to replace it, or another {key}"
            msg = (
                f"{root} holds a simulation made with other settings ({name}: {held.get(name)}, "
                f"now {recorded.get(name)}): {fix}"
            )
            raise SettingsError(msg)
        for path in present:
            path.unlink()
    elif present or any((root / name).exists() for name in SPLITS):
        msg = f"{root} holds data that the simulator did not make: set {key} to another folder"
        raise SettingsError(msg)
    files.write_json(stored, recorded)


def check_space(root: Path, paths: list[Path], size: int, key: str = "root") -> None:
    """Refuse a disk that is too small for the files that are missing.

    Args:
        root: the folder.
        paths: the files.
        size: of each, in bytes, without compression.
        key: setting that names the folder, for the message.

    Raises:
        SetiError: naming how much is needed and how much there is.
    """
    needed = size * sum(not path.is_file() for path in paths)
    free = shutil.disk_usage(root).free
    if needed > free:
        msg = f"{root} needs {needed / 1e6:.1f} MB and has {free / 1e6:.1f} MB free: free some, or set another {key}"
        raise SetiError(msg)
