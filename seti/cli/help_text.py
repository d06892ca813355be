"""Text of `--help`: the configuration groups of a command, without those of the others."""

from hydra._internal.hydra import Hydra

from seti.config import keys
from seti.config.folder import conf_folder

_list_groups = Hydra.list_all_config_groups


def list_own_groups(command: str) -> None:
    """Leave the groups of other commands out of the help that Hydra prints from now on.

    All commands share conf/, and Hydra lists every group in it. Groups of a user's own folder stay.

    Args:
        command: that the help is about.
    """
    folders = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    foreign = folders - keys.groups_of(command).keys() - {"hydra"}

    def list_all_config_groups(self: Hydra, parent: str = "") -> list[str]:
        return [group for group in _list_groups(self, parent) if group.split("/")[0] not in foreign]

    Hydra.list_all_config_groups = list_all_config_groups
