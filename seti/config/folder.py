"""Folder of the configuration files."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def conf_folder() -> Path:
    """Find `conf/`: next to the package in a checkout, inside of it once installed from a wheel."""
    installed = PACKAGE / "conf"
    return installed if installed.is_dir() else PACKAGE.parent / "conf"
