"""The help lists the configuration groups of its own command."""

import pytest
from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from seti.cli import help_text
from seti.config import schema  # noqa: F401 - registers the schemas
from seti.config.folder import conf_folder


@pytest.mark.parametrize(
    ("command", "groups"),
    [
        ("train", ["augment", "experiment", "model", "trainer"]),
        ("simulate", ["preset"]),
        ("stack", []),
        ("predict", []),
    ],
)
def test_only_the_commands_own_groups_are_listed(monkeypatch, command, groups):
    monkeypatch.setattr(Hydra, "list_all_config_groups", Hydra.list_all_config_groups)
    help_text.list_own_groups(command)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        listed = GlobalHydra.instance().hydra.list_all_config_groups()
    assert sorted(group for group in listed if not group.startswith("hydra")) == groups
