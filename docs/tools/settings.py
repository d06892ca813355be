"""Tables of the settings, made from the comments in `conf/`.

A comment belongs to a setting where it stands at the end of the setting's line, or in whole lines directly above it.
The comment that opens a file describes the file. Only PyYAML is needed, not Hydra.
`python docs/tools/settings.py` writes the tables into docs/settings.md; a test compares them with `conf/`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

CONF = Path(__file__).parents[2] / "conf"
PAGE = Path(__file__).parents[1] / "settings.md"
MARKER = "<!-- settings: written by docs/tools/settings.py -->\n\n"
# Commands in the order in which they are used, and the groups of presets that each can choose from.
COMMANDS = {
    "train": ("model", "augment", "trainer", "experiment"),
    "tune": (),
    "predict": (),
    "stack": (),
    "export": (),
    "simulate": ("preset",),
    "inject": (),
    "check": (),
    "pack": (),
    "twins": (),
    "show": (),
    "report": (),
    "baseline": (),
    "scan": (),
}
CALLS = {"train": "train.py", "predict": "predict.py", "stack": "stack.py"}
GLOBAL = ("experiment", "preset")  # their files set keys of the whole configuration: `# @package _global_`
NOT_SETTINGS = ("defaults", "hydra")  # Hydra's own
INSTRUCTION = re.compile(r"# @package \S+\s*")


@dataclass(frozen=True)
class Setting:
    """One key of a configuration file.

    Attributes:
        key: with the names of the sections that it is in, joined by dots.
        default: its value as written.
        meaning: its comments, in one line; empty where it has none.
    """

    key: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """Settings that belong together: a mapping of a configuration file, or the file itself.

    Attributes:
        name: key of the mapping; empty for the file's own settings.
        meaning: its comments, in one line.
        settings: its keys, in the order of the file.
    """

    name: str
    meaning: str
    settings: list[Setting]


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file, read with its comments.

    Attributes:
        path: of the file.
        meaning: the comment that opens it, in one line.
        sections: its settings, the file's own first.
        assigned: dotted keys that the file gives a value to, those of inline mappings included.
    """

    path: Path
    meaning: str
    sections: list[Section]
    assigned: list[str]

    @property
    def settings(self) -> list[Setting]:
        """All settings of the file."""
        return [setting for section in self.sections for setting in section.settings]


def read(path: Path) -> ConfigFile:
    """Read a configuration file of `conf/`.

    Args:
        path: a YAML file whose top level is a mapping.
    """
    text = path.read_text()
    lines = text.splitlines()
    root = yaml.compose(text)
    header_end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    header = _joined(line for line in lines[:header_end] if not INSTRUCTION.fullmatch(line))
    settings, descriptions = [], {"": header}
    for prefix, key, value in _walk(root):
        meaning = _comments(lines, key, value, header_end)
        if _is_section(value):
            descriptions[prefix + key.value] = meaning
        else:
            source = text[value.start_mark.index : value.end_mark.index]
            settings.append((prefix.rstrip("."), Setting(prefix + key.value, source, meaning)))
    sections = [
        Section(name, meaning, [setting for own, setting in settings if own == name])
        for name, meaning in descriptions.items()
    ]
    return ConfigFile(path, header, [one for one in sections if one.settings], list(_assigned(root)))


def undocumented(command: str, conf: Path = CONF) -> list[str]:
    """Keys of a command's configuration, its presets included, that no comment explains.

    A preset may assign keys that another file documents.

    Args:
        command: one of `COMMANDS`.
        conf: the folder of the configuration.

    Returns:
        `<file>: <key>`, in the order of the files.
    """
    documented = {setting.key for file, prefix in _files(command, conf) for setting in _explained(file, prefix)}
    return [
        f"{file.path.relative_to(conf)}: {prefix}{key}"
        for file, prefix in _files(command, conf)
        for key in file.assigned
        if not any(prefix + key == known or (prefix + key).startswith(f"{known}.") for known in documented)
    ]


def page(conf: Path = CONF) -> str:
    """Write the tables of all commands, in Markdown."""
    return "\n\n".join(_command(command, conf) for command in COMMANDS) + "\n"


def _command(command: str, conf: Path) -> str:
    base = read(conf / f"{command}.yaml")
    call = f"python {CALLS[command]}" if command in CALLS else f"python -m seti.{command}"
    parts = [f"## {command}", f"`{call}`, or `seti {command}` where the package is installed. {_text(base.meaning)}"]
    for section in base.sections:
        parts += [f"### {command}: {section.name}"] if section.name else []
        parts += [_text(section.meaning)] if section.name and section.meaning else []
        parts.append(_table(section.settings))
    for group in COMMANDS[command]:
        files = [read(path) for path in sorted((conf / group).glob("*.yaml"))]
        parts.append(f"### {command}: {group} (presets)")
        if group not in GLOBAL:
            meanings = {one.key: one.meaning for file in files for one in _explained(file, _prefix(file.path, group))}
            chosen = _default(base.path, group)
            defaults = _values(conf / group / f"{chosen}.yaml")
            rows = [
                Setting(key, defaults.get(key.partition(".")[2], "not set"), meaning)
                for key, meaning in meanings.items()
            ]
            parts += [f"`{group}={chosen}` is the default.", _table(rows)]
        names = "\n".join(f"| `{group}={file.path.stem}` | {_text(file.meaning, cell=True)} |" for file in files)
        parts.append(f"| preset | description |\n| --- | --- |\n{names}")
    return "\n\n".join(parts)


def _table(settings: list[Setting]) -> str:
    rows = [f"| `{one.key}` | {_default_cell(one.default)} | {_text(one.meaning, cell=True)} |" for one in settings]
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows])


def _default_cell(default: str) -> str:
    if default in ("???", "not set"):
        return {"???": "required"}.get(default, default)
    return "composed" if default.startswith("${default_exp_name") else f"`{default}`"


def _text(meaning: str, cell: bool = False) -> str:
    """Escape what Markdown would read as HTML or as the end of a cell."""
    escaped = meaning.replace("<", "&lt;")
    return escaped.replace("|", "\\|") if cell else escaped


def _default(path: Path, group: str) -> str:
    """Preset of a group in a file's list of defaults."""
    defaults = yaml.safe_load(path.read_text())["defaults"]
    return next(entry[group] for entry in defaults if isinstance(entry, dict) and group in entry)


def _files(command: str, conf: Path) -> Iterator[tuple[ConfigFile, str]]:
    """Configuration files of a command, each with the prefix of its keys."""
    yield read(conf / f"{command}.yaml"), ""
    for group in COMMANDS[command]:
        for path in sorted((conf / group).glob("*.yaml")):
            yield read(path), _prefix(path, group)


def _prefix(path: Path, group: str) -> str:
    """Prefix of the keys of a preset: its group, or none where it sets the whole configuration."""
    return "" if "# @package _global_" in path.read_text() else f"{group}."


def _values(path: Path) -> dict[str, str]:
    """Values that a preset gives its keys, as written, with those of the presets that it builds on."""
    values: dict[str, str] = {}
    for entry in yaml.safe_load(path.read_text()).get("defaults", []):
        values |= _values(path.with_name(f"{entry}.yaml"))
    return values | {setting.key: setting.default for setting in read(path).settings}


def _explained(file: ConfigFile, prefix: str) -> Iterator[Setting]:
    for setting in file.settings:
        if setting.meaning:
            yield Setting(prefix + setting.key, setting.default, setting.meaning)


def _is_section(value: yaml.Node) -> bool:
    """Recognise a mapping over several lines; an inline one is a setting of its own."""
    return isinstance(value, yaml.MappingNode) and not value.flow_style


def _walk(root: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Prefix, key and value of every setting and section, in the order of the file."""
    for key, value in root.value:
        if not prefix and key.value in NOT_SETTINGS:
            continue
        yield prefix, key, value
        if _is_section(value):
            yield from _walk(value, f"{prefix}{key.value}.")


def _assigned(root: yaml.MappingNode, prefix: str = "") -> Iterator[str]:
    for key, value in root.value:
        if not prefix and key.value in NOT_SETTINGS:
            continue
        if isinstance(value, yaml.MappingNode):
            yield from _assigned(value, f"{prefix}{key.value}.")
        else:
            yield prefix + key.value


def _comments(lines: list[str], key: yaml.Node, value: yaml.Node, header_end: int) -> str:
    """Comment at the end of a setting's line, then the lines directly above it; the file's header is not among them."""
    first = key.start_mark.line
    start = first
    while start > header_end and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    end = key.end_mark if _is_section(value) else value.end_mark
    trailing = re.search(r"\s#\s.*$", lines[end.line][end.column :])
    own, above = _joined([trailing[0]] if trailing else []), _joined(lines[start:first])
    return f"{own.rstrip('.')}. {above}" if own and above else own or above


def _joined(comments: Iterator[str] | list[str]) -> str:
    return " ".join(line.strip().removeprefix("#").strip() for line in comments)


def updated(text: str) -> str:
    """Replace the tables of a page, which follow its marker."""
    return text.partition(MARKER)[0] + MARKER + page()


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
