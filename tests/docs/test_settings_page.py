import re

import pytest
from docs_tools import load
from omegaconf import OmegaConf

from seti.config.choices import CHOICES

settings = load("settings")
GROUPS = {group for groups in settings.COMMANDS.values() for group in groups}
FILES = sorted(path for path in settings.CONF.rglob("*.yaml") if "hydra" not in path.relative_to(settings.CONF).parts)


def dotted(values, prefix=""):
    """Keys of nested mappings, found without the generator."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def own_keys(path):
    values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return list(dotted({key: value for key, value in values.items() if key not in ("defaults", "hydra")}))


@pytest.fixture(scope="module")
def page():
    """The page of the settings of today: it takes a second to make."""
    return settings.page()


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "check.yaml").write_text(
        "# A command: python -m it\n"
        "# It does this.\n"
        "defaults: [_self_]\n"
        "\n"
        "a: 1 # how many | of them\n"
        "# More about b.\n"
        "# And more.\n"
        'b: "x # y" # a text, or <none>\n'
        "c: {d: 1, e: 2} # weights\n"
        "\n"
        "# What the group is.\n"
        "group:\n"
        "  f: [1, 2] # limits\n"
        "  inner: # deeper\n"
        "    g: ??? # a folder\n"
        "  h: null\n"
    )
    return tmp_path


def test_comments_are_read_from_the_line_and_from_the_lines_above(conf):
    file = settings.read(conf / "check.yaml")
    assert file.meaning == "A command: python -m it It does this."
    assert [(one.key, one.default, one.meaning) for one in file.settings] == [
        ("a", "1", "how many | of them"),
        ("b", '"x # y"', "a text, or <none>. More about b. And more."),
        ("c", "{d: 1, e: 2}", "weights"),
        ("group.f", "[1, 2]", "limits"),
        ("group.h", "null", ""),
        ("group.inner.g", "???", "a folder"),
    ]
    assert [(one.name, one.meaning) for one in file.sections[1:]] == [
        ("group", "What the group is."),
        ("group.inner", "deeper"),
    ]
    assert file.assigned == ["a", "b", "c.d", "c.e", "group.f", "group.inner.g", "group.h"]


def test_a_key_without_a_comment_is_named(conf):
    assert settings.undocumented("check", conf) == ["check.yaml: group.h"]


def test_a_preset_may_set_only_what_another_file_explains(conf, monkeypatch):
    monkeypatch.setitem(settings.COMMANDS, "check", ("group", "preset"))
    for group, name, text in (
        ("group", "one", "# One.\nf: [3, 4]\nk: 2 # of its own\n"),
        ("preset", "two", "# @package _global_\n# Two.\na: 2\nc: {d: 3}\ngroup: {f: 1, z: 1}\n"),
    ):
        (conf / group).mkdir()
        (conf / group / f"{name}.yaml").write_text(text)
    assert settings.undocumented("check", conf) == ["check.yaml: group.h", "preset/two.yaml: group.z"]
    assert settings.read(conf / "preset" / "two.yaml").meaning == "Two."


def test_every_file_of_the_configuration_belongs_to_a_command():
    commands = {path.stem for path in FILES if path.parent == settings.CONF}
    assert commands == set(settings.COMMANDS)
    assert {path.parent.name for path in FILES if path.parent != settings.CONF} == GROUPS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(settings.CONF)))
def test_every_file_opens_with_a_description_and_is_read_whole(path):
    file = settings.read(path)
    assert len(file.meaning) > 20
    assert sorted(file.assigned) == sorted(own_keys(path))


@pytest.mark.parametrize("command", settings.COMMANDS)
def test_every_key_has_a_meaning(command):
    assert settings.undocumented(command) == []


def test_the_page_names_every_key_and_every_preset(page):
    for path in FILES:
        group = path.parent.name if path.parent != settings.CONF else ""
        if group in settings.GLOBAL:
            assert f"`{group}={path.stem}`" in page
            continue
        prefix = f"{group}." if group and path.stem != "debug" else ""
        for key in own_keys(path):
            inline = key.rpartition(".")[0]  # an inline mapping is one setting
            assert f"| `{prefix}{key}` |" in page or f"| `{prefix}{inline}` | `{{" in page, key
        assert not group or f"`{group}={path.stem}`" in page


def test_the_page_gives_defaults_and_whole_cells(conf, page, monkeypatch):
    monkeypatch.setattr(settings, "COMMANDS", {"check": ()})
    small = settings.page(conf)
    assert "| `a` | `1` | how many \\| of them |" in small
    assert "| `group.inner.g` | required | a folder |" in small
    assert "&lt;none>" in small
    for line in [*small.splitlines(), *page.splitlines()]:
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4), line


def test_the_page_says_what_the_default_model_is(page):
    assert "| `model.backbone` | `efficientnet_b1.ft_in1k` |" in page
    assert "| `augment.flip_time` | `0.5` | probability of mirroring the time axis" in page
    assert "| `augment.crop` | `0.0` |" in page  # of the preset that the default builds on
    assert "| `trainer.limit_val_batches` | not set |" in page
    assert "| `optimizer.lr` | `6e-4` | highest learning rate" in page


@pytest.mark.parametrize(("key", "choices"), CHOICES.items())
def test_every_choice_of_a_setting_is_on_the_page(key, choices, page):
    rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
    assert rows
    for choice in choices:
        assert any(re.search(rf"\b{choice}\b", row.partition(" | ")[2]) for row in rows), choice
