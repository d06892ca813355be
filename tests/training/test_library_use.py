"""Training from a notebook or a service: the library needs no running Hydra program."""

import ast
from pathlib import Path

from conftest import read_json
from hydra.core.hydra_config import HydraConfig

ROOT = Path(__file__).parents[2]


def names(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Name | ast.Attribute):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def test_only_the_program_frame_and_commands_know_hydras_global_state():
    library = [path for path in (ROOT / "seti").glob("*/**/*.py") if path.parent.name != "cli"]
    assert len(library) > 50
    assert [path for path in library if "HydraConfig" in names(path)] == []


def test_a_fold_is_trained_from_a_composed_configuration(train, outputs, fold):
    assert not HydraConfig.initialized()
    train("data.batch_size=auto", "trainer.max_epochs=1")
    assert read_json(fold / "result.json")["overrides"] is None
    assert not (fold / ".hydra").exists()


def test_overrides_come_from_the_caller(config, fold):
    from seti.training.fold import train

    train(config("trainer.max_epochs=1"), overrides=["trainer.max_epochs=1"])
    assert read_json(fold / "result.json")["overrides"] == ["trainer.max_epochs=1"]
