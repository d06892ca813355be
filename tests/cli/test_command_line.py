"""Flags and settings of a command line, and printed commands that can be typed again."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL, compose, read_json

from seti.cli import command_line, sweep_report
from seti.config.arguments import to_hydra
from seti.data import pack_reader
from seti.errors import SetiError
from seti.experiments import predictions
from seti.experiments.experiment import Experiment, open_experiment
from seti.stacking.stack import choose_experiments
from seti.utils import hints

AWKWARD = [
    "a =,b (1) ~#",
    'it\'s "here" $HOME',
    "~",
    "$x",
    "-rf",
    "null",
    "1.10",
    "2021_08_01",
    "[x]{y}",
    "a\\",
    "é日本",
    " a  b ",
    "!*?;&|<>`",
]


@pytest.fixture(autouse=True)
def started_as_seti(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/seti"])


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Work in an empty folder, so that relative paths are short and begin as awkwardly as a name does."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(line):
    """A printed command's words, as a POSIX shell passes them on: the command's name, then its arguments."""
    script = f"seti() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env=os.environ)
    words = done.stdout.decode().split("\0")[:-1]
    assert words == shlex.split(line)[1:]
    return words[0], words[1:]


def settings(line):
    """The configuration that a printed command composes, and the folds of its sweep."""
    command, words = typed(line)
    sweep = "-m" in words
    words = [word for word in words if word != "-m"]
    folds = next((word for word in words if word.startswith("fold=")), None) if sweep else None
    assert to_hydra(command, words, sweep=sweep)
    return compose(command, [word for word in words if word != folds]), folds


def test_flags_come_first_wherever_they_stand():
    assert command_line.read("train", ["fold=0,1", "-m", "seed=1"]) == ["--multirun", "fold=0,1", "seed=1"]
    words = ["seed=1", "--cfg", "job", "exp_name=1.10", "-p", "data"]
    assert command_line.read("train", words) == ["--cfg=job", "--package=data", "seed=1", 'exp_name="1.10"']
    assert command_line.read("train", ["-h"]) == ["--help"]
    assert command_line.read("train", ["--help", "fold=1"]) == ["--help", "fold=1"]
    assert command_line.read("train", []) == []
    # Tab completion's words are not settings.
    assert command_line.read("train", ["-sc", "query=bash"]) == ["-sc", "query=bash"]


def test_flags_stay_what_they_are_when_read_again():
    words = ["-m", "fold=0,1", "exp_name=1.10,a (1)", "data.root=~/x", "data.image_size=512"]
    once = command_line.read("train", words)
    assert command_line.read("train", once) == once


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs=3"], "there is no flag --epochs=3: did you mean trainer.max_epochs=3?"),
        (["--exp_name", "x"], "there is no flag --exp_name: did you mean exp_name=<value>?"),
        (["--exp-name=x"], "there is no flag --exp-name=x: did you mean exp_name=x?"),
        (["--data.root=x"], "there is no flag --data.root=x: did you mean data.root=x?"),
        (["--multi-run"], "there is no flag --multi-run: did you mean --multirun?"),
        (["fold=0", "-x"], "there is no flag -x: settings are written <setting>=<value>"),
        (["--cfg"], "argument --cfg/-c: expected one argument; --hydra-help lists the flags"),
    ],
)
def test_unknown_flags_end_in_one_line_that_names_the_command(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.read("train", words)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"error: seti train: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "--cfg", "job"], "-m and --cfg do not go together: give one of them"),
        (["--resolve"], "--resolve is for --cfg: add --cfg job"),
        (["--config-dir", "gone"], "--config-dir gone is not a folder"),
        (["fold=all", "--cfg", "job"], "fold=all stands for several jobs, and --cfg shows one: write fold=0"),
        (
            ["-m", "fold=all", "data.n_folds=2,3"],
            "fold=all in a sweep over data.n_folds or experiments: write the folds, as in fold=0,1,2",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(words, said):
    with pytest.raises(SetiError) as refused:
        command_line.read("train", words)
    assert str(refused.value) == said


def test_fold_all_is_a_sweep_over_every_fold():
    assert command_line.read("train", ["fold=all"]) == ["--multirun", "fold=0,1,2,3,4"]
    assert command_line.read("train", ["-m", "fold=all", "seed=1,2", "data.n_folds=3"]) == [
        "--multirun",
        "fold=0,1,2",
        "seed=1,2",
        "data.n_folds=3",
    ]
    words = command_line.read("train", ["experiment=place5_nfnet", "fold=all", "exp_name=a,b"])
    assert words == ["--multirun", "fold=0,1,2,3", "experiment=place5_nfnet", 'exp_name="a,b"']


def test_a_folder_that_looks_like_an_interpolation_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "${x}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SetiError, match="no command works in a folder whose path holds '"):
        command_line.read("train", [])


@pytest.mark.parametrize("name", AWKWARD)
def test_printed_commands_can_be_copied_into_a_shell(name, inside, finished, outputs, data_root, monkeypatch):
    monkeypatch.setenv("x", "unused")
    finished("trainer.max_epochs=1")
    outputs.rename(name)
    folder = Path(name, "exp")
    experiment = Experiment(folder)

    cfg, _ = settings(hints.command("predict", hints.setting("ckpt_dir", experiment.path)))
    assert Path(cfg.ckpt_dir) == folder
    assert open_experiment(Path(cfg.ckpt_dir)).finished_folds() == [0]
    several = hints.command("predict", f"ckpt_dir=[{hints.setting('', folder)[1:]},x]")
    assert list(settings(several)[0].ckpt_dir) == [str(folder), "x"]

    cfg, _ = settings(pack_reader.pack_command(Path(name), (0, 2, 4), Path(name, "packs")))
    assert (cfg.data.root, cfg.pack_dir) == (name, str(Path(name, "packs")))
    record = Path(name) / "exp" / "predictions.csv"
    record.write_text("damaged")
    (record.parent / "predictions.json").write_text("{}")
    with pytest.raises(SetiError) as refused:
        predictions.read_probabilities(experiment)
    cfg, _ = settings(str(refused.value).rpartition("predict again: ")[2])
    assert Path(cfg.ckpt_dir) == folder


@pytest.mark.parametrize("name", [*AWKWARD, "lr=0.1,wd=0", "1e3", "true", "a=${model.backbone}"])
def test_retry_commands_can_be_copied_into_a_shell(name):
    key = "exp_name" if name.startswith(("lr=", "a=$")) else "output_dir"
    word = f"{key}={name}" if "${" in name else hints.setting(key, name)
    job = to_hydra("train", [word, "data.root=a (1)", "fold=1"])
    other = to_hydra("train", [word, "data.root=a (1)", "fold=0"])
    (line,) = sweep_report.retry_commands("train", [job, other], to_hydra("train", ["hydra.sweep.dir=x (1), y"]))
    cfg, folds = settings(line)
    assert folds == "fold=1,0"
    assert cfg[key] == (name if "${" not in name else f"a={cfg.model.backbone}")
    assert cfg.data.root == "a (1)"


@pytest.mark.parametrize("name", AWKWARD)
def test_a_folder_survives_from_a_command_line_into_the_record_and_back(name, inside, finished, outputs):
    finished("trainer.max_epochs=1")
    result = outputs / "exp" / "fold_0" / "result.json"
    content = read_json(result)
    words = to_hydra("train", [hints.setting("data.root", name), "data.n_folds=2", "fold=0", "force=true"])
    result.write_text(json.dumps(content | {"overrides": words}))
    cfg, folds = settings(Experiment(outputs / "exp").train_command([1]))
    assert folds == "fold=1"
    assert cfg.data.root == name
    assert not cfg.force


def test_experiments_are_named_by_name_or_folder(finished, outputs, monkeypatch):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}", "exp_name=lr=0.1,wd=0")
    monkeypatch.chdir(outputs.parent)
    relative = Path(outputs.name)
    for given in ("lr=0.1,wd=0", "lr=0.1,wd=0/", "outputs/lr=0.1,wd=0", f"{outputs}/lr=0.1,wd=0/", "./lr=0.1,wd=0"):
        (chosen,) = choose_experiments(relative, [given, "lr=0.1,wd=0"])
        assert chosen.name == "lr=0.1,wd=0"
    with pytest.raises(SetiError) as refused:
        choose_experiments(Path("elsewhere"), ["outputs/lr=0.1,wd=0"])
    assert str(refused.value) == (
        "experiments: outputs/lr=0.1,wd=0 is not in output_dir=elsewhere: a stack blends one folder's; "
        "set output_dir=outputs"
    )
    with pytest.raises(
        SetiError, match=r"ckpt_dir=outputs/a,b is not a folder: .*; several are a list: ckpt_dir=\[outp"
    ):
        open_experiment(Path("outputs/a,b"))


def test_a_folder_of_experiments_or_a_pattern_in_another_folder_names_output_dir(finished, outputs, monkeypatch):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}", "exp_name=lr=0.1,wd=0")
    monkeypatch.chdir(outputs.parent)
    for given in ("outputs/*", "outputs/lr?"):
        with pytest.raises(SetiError) as refused:
            choose_experiments(Path("elsewhere"), [given])
        assert str(refused.value) == (
            f"experiments: {given} is not in output_dir=elsewhere: a stack blends one folder's; set output_dir=outputs"
        )
    with pytest.raises(SetiError) as refused:  # the folder of experiments itself
        choose_experiments(Path("elsewhere"), [str(outputs)])
    assert str(refused.value).endswith(f"set output_dir={outputs}")
    for pattern in ("*", "lr=*", "outputs/*", f"{outputs}/lr*"):
        (chosen,) = choose_experiments(Path("outputs"), [pattern])
        assert chosen.name == "lr=0.1,wd=0"
    with pytest.raises(SetiError) as refused:
        choose_experiments(Path("outputs"), ["zz*"])
    assert str(refused.value) == "experiments: zz* fits no experiment of outputs: it has lr=0.1,wd=0"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("outputs/exp/fold0", "the whole experiment, ckpt_dir=outputs/exp"),
        ("outputs/exp/fold_7", "the whole experiment, ckpt_dir=outputs/exp"),
        ("outputs/exq", "ckpt_dir=outputs/exp"),
        ("outputs/EXP", "ckpt_dir=outputs/exp"),
        ("output/exp", "ckpt_dir=outputs/exp"),
    ],
)
def test_a_mistyped_experiment_names_the_one_that_was_meant(finished, outputs, monkeypatch, given, meant):
    finished("trainer.max_epochs=1")
    monkeypatch.chdir(outputs.parent)
    with pytest.raises(SetiError) as refused:
        open_experiment(Path(given))
    assert str(refused.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("path", ["a:b", "a (1)", "it's", "a,b", "null", "a\\b"])
def test_a_path_is_spelled_in_one_way(path):
    (read,) = to_hydra("train", [hints.setting("data.root", path)], sweep=True)
    (line,) = sweep_report.retry_commands("train", [[read]], [])
    assert line == hints.command("train", "-m", hints.setting("data.root", path))


@pytest.mark.slow  # the commands and folders are tested one by one above
def test_awkward_names_are_trained_reported_and_predicted(run, own_data, tmp_path):
    output_dir, name = "a =,(1) ~#$x [b]{}'é日", "lr=0.1,wd=0"
    root = own_data.rename(tmp_path / "it's (1), d")
    words = [word for word in SMALL if not word.startswith(("exp_name", "trainer.max_epochs", "data.image_size"))]
    words += [f"exp_name={name}", f"output_dir={output_dir}", f"data.root={root}", "trainer.max_epochs=1"]
    done = run("train.py", *words, "fold=all", "data.image_size=24")
    assert done.code == 0, done.err
    folder = tmp_path / "cwd" / output_dir / name
    for fold in (0, 1):
        result = read_json(folder / f"fold_{fold}" / "result.json")
        assert result["exp_name"] == name
        assert result["data"]["root"] == str(root)
    (line,) = (line for line in done.out.splitlines() if line.startswith("next:"))
    python, script, word = shlex.split(line.removeprefix("next:"))
    assert python == "python"
    done = run(script, word, "device=cpu", "precision=32", "data.num_workers=0")
    assert done.code == 0, done.err
    assert (folder / "submission.csv").exists()
