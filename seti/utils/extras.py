"""Packages that an extra of this program installs, such as `pip install 'seti[ray]'`."""

import importlib
from importlib.util import find_spec

from seti.errors import SettingsError, brief


def check_installed(setting: str, extra: str, *modules: str) -> None:
    """Refuse a setting whose packages are not installed, without importing them.

    Args:
        setting: that needs them, such as `launcher=ray`.
        extra: that installs them.
        modules: names of what they hold.

    Raises:
        SettingsError: naming the setting and the extra.
    """
    if not all(_is_there(module) for module in modules):
        msg = f"{setting} needs the extra {extra!r}, which is not installed: pip install 'seti[{extra}]'"
        raise SettingsError(msg)


def check_imports(setting: str, extra: str, *modules: str) -> None:
    """Import packages; refuse a setting whose packages are not installed, or damaged.

    Args:
        setting, extra, modules: as of `check_installed`.

    Raises:
        SettingsError: naming the setting, and the package or the extra.
    """
    check_installed(setting, extra, *modules)
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a damaged package raises anything
            package = module.rpartition("hydra_plugins.")[2].partition(".")[0].replace("_", "-")
            msg = (
                f"{setting} needs the package {package}, which is installed and cannot be imported "
                f"({type(error).__name__}: {brief(' '.join(str(error).split()), 200)}): "
                f"pip install --force-reinstall {package}"
            )
            raise SettingsError(msg) from error


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the package that holds it is missing, or is none that was imported
        return False
