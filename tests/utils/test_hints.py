import io
import os
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from seti.utils import hints


@pytest.mark.parametrize(
    ("started", "predict", "check"),
    [
        ("/usr/local/bin/seti", "seti predict", "seti check"),
        ("seti", "seti predict", "seti check"),
        (f"{ROOT}/train.py", f"python {ROOT}/predict.py", "python -m seti.check"),
        (f"{ROOT}/seti/train.py", "python -m seti.predict", "python -m seti.check"),
        (f"{ROOT}/seti/__main__.py", "python -m seti predict", "python -m seti check"),
        ("/somewhere/else/train.py", "seti predict", "seti check"),
        (f"{ROOT}/benchmarks/run.py", "seti predict", "seti check"),
        ("/usr/lib/python3/site-packages/pytest/__main__.py", "seti predict", "seti check"),
        ("-c", "seti predict", "seti check"),
        ("", "seti predict", "seti check"),
    ],
)
def test_hints_name_commands_as_the_program_was_started(monkeypatch, started, predict, check):
    monkeypatch.setattr(sys, "argv", [started])
    assert hints.command("predict") == predict
    assert hints.command("check") == check


def test_the_scripts_are_named_relative_to_where_the_user_is(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert hints.command("predict", "ckpt_dir=outputs/a") == "python predict.py ckpt_dir=outputs/a"
    monkeypatch.setattr(sys, "argv", ["./train.py"])
    assert hints.command("predict") == "python predict.py"
    monkeypatch.chdir(ROOT / "docs")
    monkeypatch.setattr(sys, "argv", ["../train.py"])
    assert hints.command("stack") == "python ../stack.py"


def test_a_process_without_arguments_has_hints(monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    assert hints.command("stack") == "seti stack"


def test_a_hint_can_be_pasted_into_a_shell(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/a folder/seti"])
    words = ["-m", "fold=0,1", "exp_name=it's", "output_dir=$HOME/a b", "data.image_size=[24,32]"]
    line = hints.command("train", *words)
    assert shlex.split(line) == ["seti", "train", *words]
    assert line.startswith("seti train -m fold=0,1 ")


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("name", ["é", "it's é\\1", "d\udcc3\udca9 a", "日本7", "50%é`$x`", '"é" \\n'])
def test_a_terminal_without_a_character_gets_bytes_that_shells_read_back(monkeypatch, name, shell):
    monkeypatch.setattr(sys, "argv", ["seti"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    line = hints.command("train", hints.setting("exp_name", name))
    assert line.isascii()
    done = subprocess.run([shell, "-c", f"seti() {{ printf '%s' \"$2\"; }}; {line}"], capture_output=True, check=True)
    assert done.stdout == os.fsencode(hints.setting("exp_name", name))


def test_a_character_that_the_terminal_lacks_is_written_as_its_bytes(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert hints.shell("exp_name=é") == r'''"$(printf 'exp_name=\303\251')"'''
