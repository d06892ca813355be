"""`seti <command>`: one name for all commands."""

import ast
import os
import subprocess
import sys

import pytest
from conftest import ROOT

import seti
from seti.__main__ import COMMANDS, main

LIBRARY_FILES = {"__init__", "__main__", "errors"}
HEAVY = ("torch", "sklearn", "timm", "albumentations", "pytorch_lightning", "matplotlib", "pandas", "scipy", "cv2")


def call(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/seti", *words])
    main()


def test_every_command_is_listed_with_the_words_of_its_module():
    modules = {path.stem: path for path in (ROOT / "seti").glob("*.py") if path.stem not in LIBRARY_FILES}
    assert set(COMMANDS) == set(modules)
    for name, path in modules.items():
        documented = ast.get_docstring(ast.parse(path.read_text()))
        assert documented.startswith(f"{COMMANDS[name]}: `seti {name}"), name
        assert (ROOT / "conf" / f"{name}.yaml").is_file()


def test_every_command_module_is_thin():
    """Imports, `main`, and its call: no other function or class."""
    for name in COMMANDS:
        body = ast.parse((ROOT / "seti" / f"{name}.py").read_text()).body
        kinds = [type(node) for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
        # docstring, imports for type checkers, main, the call
        assert kinds in ([ast.Expr, ast.If, ast.FunctionDef, ast.If],), name
        assert next(node for node in body if isinstance(node, ast.FunctionDef)).name == "main"


def test_the_root_scripts_call_the_package():
    for name in ("train", "predict", "stack"):
        source = (ROOT / f"{name}.py").read_text()
        assert f"from seti.{name} import main" in source
        assert len(source.splitlines()) < 10


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_listing_has_a_line_a_command(monkeypatch, capsys, words):
    call(monkeypatch, *words)
    lines = capsys.readouterr().out.splitlines()
    for name, line in COMMANDS.items():
        assert sum(said.split() == [name, *line.split()] for said in lines) == 1


def test_version(monkeypatch, capsys):
    call(monkeypatch, "--version")
    assert capsys.readouterr().out == f"seti {seti.__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"), [("trian", "did you mean train? "), ("-m", ""), ("Predict", "did you mean predict? "), ("", "")]
)
def test_an_unknown_command_is_one_line(monkeypatch, capsys, word, hint):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, word)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: {word!r} is not a command: {hint}seti --help lists all\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seti ", set(COMMANDS)),
        ("seti p", {"predict", "pack"}),
        ("seti nothing a", set()),
        ("seti train mod", {"model=", "model."}),
        ("seti train model=ti", {"model=tiny"}),
        ("seti pack data.", {"data.root="}),
    ],
)
def test_shells_complete_commands_and_settings(line, said, run_command):
    os.environ["COMP_LINE"] = line
    try:
        done = run_command("-m", "seti", "-sc", "query=bash")
    finally:
        del os.environ["COMP_LINE"]
    assert done.err == ""
    assert set(done.out.split()) == said


def imports(*words: str) -> set[str]:
    """Heavy libraries that a program imports before it ends."""
    code = f"""
import atexit, runpy, sys
atexit.register(lambda: print("IMPORTED", *sys.modules, file=sys.stderr))
sys.argv = {list(words)}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(HEAVY) & set(done.stderr.split("IMPORTED")[1].split())


def test_the_listing_imports_nothing_else():
    assert imports("seti") == set()
    code = "import sys; from seti.__main__ import main; main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"hydra", "omegaconf", "numpy"} & set(done.stderr.split())


def test_what_settings_and_tables_tell_is_refused_without_torch(tmp_path):
    experiment = tmp_path / "outputs" / "none"
    commands = [
        ["train", "fold=7"],
        ["train", "data.layout=nonsense"],
        ["train", f"data.root={tmp_path / 'none'}"],
        ["train", f"data.root={tmp_path}"],
        ["predict", f"ckpt_dir={experiment}"],
        ["predict", f"ckpt_dir={experiment}", "precision=8"],
        ["predict", f"ckpt_dir={experiment}", "average=nonsense"],
    ]
    code = f"""
import sys
from seti.__main__ import main
for words in {commands}:
    sys.argv = ["seti", *words]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 1, words
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(" ")[1].split("=")[0] for line in done.stderr.splitlines()] == [
        *("fold", "data.layout", "data.root", f"{tmp_path}/train_labels.csv"),
        *("ckpt_dir", "precision", "average"),
    ]
    assert not list(tmp_path.iterdir())


def test_help_and_the_configuration_need_no_heavy_library(tmp_path):
    code = f"""
import contextlib, io, runpy, sys
for command in {list(COMMANDS)}:
    for words in (["--help"], ["--cfg", "job"]):
        sys.argv = ["seti." + command, *words]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            try:
                runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                assert not ended.code, (sys.argv, ended.code)
        assert said.getvalue(), sys.argv
        heavy = set({HEAVY}) & set(sys.modules)
        assert not heavy, (sys.argv, heavy)
        print(*sys.argv)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2 * len(COMMANDS)
    assert not list(tmp_path.iterdir())
