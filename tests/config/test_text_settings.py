"""Settings that are text: every name and path reaches the program as the characters that were typed."""

import json
import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given
from hypothesis import strategies as st
from typed_settings import COMMANDS, read, stored

from seti.config import keys, values
from seti.config.arguments import retyped, to_hydra
from seti.utils import hints

NAMES = [
    "2021_08_01",
    "1.10",
    "1e3",
    "08",
    "0x1F",
    "1_000",
    ".5",
    "-1",
    "+3",
    "inf",
    "NaN",
    "1234e5678901234",
    "true",
    "False",
    "on",
    "no",
    "null",
    "None",
    "lr=0.1,wd=0",
    "=",
    "a=b",
    "a,b",
    ",",
    "(1)",
    "run (1)",
    "f(x)",
    "a(",
    "[x]",
    "a]",
    "{}",
    "{a: 1}",
    "a:b",
    "a~b",
    "#1",
    "a#b",
    "it's",
    'say "a"',
    "'a",
    "a b",
    "a  b",
    " a",
    "a ",
    "\ta",
    "a$b",
    "$1",
    "$",
    "é",
    "日本",
    "🔭",
    "-x",
    "--x",
    "a\\b",
    "a\\",
    "!@%^&*;|<>?`",
    "a\nb",
    "...",
]
TEXT_KEYS = [
    (command, key, setting)
    for command in COMMANDS
    for key, setting in keys.settings_of(command).items()
    if setting.kind in ("text", "texts") and not key.startswith("hydra.")
]
# What can name a folder: no slash, no NUL, and no lone surrogate, which is not text.
FOLDER_NAMES = st.text(
    st.one_of(st.sampled_from("=,()[]{}~#'\"$\\ :.-_/0123456789eENul"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=30,
).filter(lambda text: "\0" not in text)


def as_typed(setting, text):
    """A text that stands for itself without quotes: see docs/settings.md."""
    special = (
        re.fullmatch(r"\s*(['\"]).*\1\s*", text, re.DOTALL)  # in quotes
        or "${" in text
        or re.search(r"\\[\\()\[\]{}:=, \t]", text)  # an escape
        or values.CALL.fullmatch(text.strip())
        or (setting.path and (text.startswith("~") or values.VARIABLE.match(text) or text == "???"))
        or (setting.optional and text.strip().lower() == "null")
        or (setting.either and text.strip().startswith("["))
    )
    return not special


def test_the_settings_that_are_text_and_those_that_are_paths():
    paths = {(command, key) for command, key, setting in TEXT_KEYS if setting.path}
    assert paths == {
        ("train", "output_dir"),
        ("train", "data.root"),
        ("train", "data.pack_dir"),
        ("train", "model.weights"),
        ("predict", "ckpt_dir"),
        ("predict", "data.root"),
        ("predict", "data.pack_dir"),
        ("predict", "out"),
        ("stack", "output_dir"),
        ("stack", "experiments"),
        ("simulate", "root"),
        ("check", "data.root"),
        ("check", "data.pack_dir"),
        ("check", "report"),
        ("pack", "data.root"),
        ("pack", "pack_dir"),
        ("show", "data.root"),
        ("show", "ckpt_dir"),
        ("show", "out"),
        ("show", "labels"),
        ("show", "scan"),
        ("report", "ckpt_dir"),
        ("report", "scan"),
        ("tune", "output_dir"),
        ("report", "out"),
        ("report", "labels"),
        ("report", "data.root"),
        ("baseline", "data.root"),
        ("train", "data.groups"),
        ("train", "data.pseudo"),
        ("baseline", "data.groups"),
        ("baseline", "out"),
        ("scan", "cadence"),
        ("scan", "out"),
        ("scan", "ckpt_dir"),
        ("scan", "truth"),
        ("inject", "cadence"),
        ("inject", "out"),
    }
    assert {(command, key) for command, key, setting in TEXT_KEYS if setting.kind == "texts"} == {
        ("train", "augment.inject_shapes"),
        ("stack", "experiments"),
        ("pack", "split"),
        ("show", "ids"),
        ("tune", "settings"),
        ("tune", "space"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_text_setting_is_the_characters_that_were_typed(name):
    for command, key, setting in TEXT_KEYS:
        if setting.kind == "text" and as_typed(setting, name):
            assert read(command, f"{key}={name}") == name, (command, key)
            for prefix in ("+", "++"):
                (word,) = to_hydra(command, [f"{prefix}{key}={name}"])
                assert word.startswith(f"{prefix}{key}=")
                assert stored(command, OverridesParser.create().parse_override(word)) == name


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("a ", " a", "\ta")])
def test_every_list_of_texts_is_the_characters_that_were_typed(name):
    for command, key, setting in TEXT_KEYS:
        if setting.kind == "texts" or setting.either:
            word = f"{key}=[x,{hints.setting('', name)[1:]}]"
            assert read(command, word) == ["x", name]
            if not set(name) & set(",[](){}'\"\\"):
                assert read(command, f"{key}=[{name}, y]") == [name, "y"]
                assert read(command, f"{key}=[{name}]") == [name]


@given(FOLDER_NAMES)
def test_any_text_that_can_name_a_folder_survives_typing(text):
    for command, key, setting in TEXT_KEYS[:4]:
        if as_typed(setting, text):
            assert read(command, f"{key}={text}") == text


@given(FOLDER_NAMES, st.booleans())
def test_any_text_that_can_name_a_folder_survives_printing_typing_recording_and_back(text, sweep):
    assume(text != "???")  # Hydra's word for a value that is not set; as a path it is ./???
    for command, key in (("train", "data.root"), ("train", "model.weights"), ("predict", "ckpt_dir")):
        line = hints.command(command, hints.setting(key, text))
        (*_, word) = shlex.split(line)
        (rewritten,) = to_hydra(command, [word], sweep=sweep)
        override = OverridesParser.create().parse_override(rewritten)
        assert not override.is_sweep_override()
        assert stored(command, override) == text
        assert json.loads(json.dumps(stored(command, override))) == text
        # result.json keeps the words that Hydra read, and a later command is printed from them.
        (again,) = shlex.split(shlex.join(retyped(command, [rewritten])))
        assert read(command, again, sweep=sweep) == text
        (quoted,) = to_hydra(command, [rewritten], sweep=sweep)
        assert quoted == rewritten


def test_tilde_and_variables_begin_a_path_as_in_a_shell(monkeypatch):
    monkeypatch.setenv("HOME", "/home/it's (me)")
    monkeypatch.setenv("DATA", "/scratch/a,b")
    for typed, path in (
        ("~", "/home/it's (me)"),
        ("~/x (1)", "/home/it's (me)/x (1)"),
        ("$DATA/x", "/scratch/a,b/x"),
        ("$DATA.bak", "/scratch/a,b.bak"),
        ("${DATA}/x", "/scratch/a,b/x"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("./~/x", "./~/x"),
        ("a/$DATA", "a/$DATA"),
        ("'~/x'", "~/x"),
        ('"$DATA"', "$DATA"),
    ):
        assert read("train", f"data.root={typed}") == path
        assert read("predict", f"ckpt_dir=[{typed},b]") == [path, "b"] or " (" in path
    (word,) = to_hydra("train", ["hydra.run.dir=~/x"])
    assert OverridesParser.create().parse_override(word).value() == "/home/it's (me)/x"
    assert read("train", "exp_name=~x") == "~x"  # no path


def test_records_of_older_versions_are_spelled_as_they_were_read():
    old = ["exp_name=1.10", "data.root=2021_08_01", "data.packed=true", "model.weights=null", "fold=1", "lr=x"]
    old += ["exp_name='b c'", "data.root=/a\\,b", "optimizer.lr=1e-3", "augment.inject_shapes=[line,1.10]"]
    typed = retyped("train", old)
    assert typed == [
        "exp_name=1.1",
        "data.root=20210801",
        "data.packed=True",
        "model.weights=null",
        "fold=1",
        "lr=x",
        "exp_name=b c",
        'data.root="/a,b"',
        "optimizer.lr=1e-3",
        "augment.inject_shapes=[line,1.1]",
    ]
    assert read("train", typed[0]) == "1.1"
