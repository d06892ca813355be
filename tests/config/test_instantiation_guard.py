"""A configuration runs nothing but the program's own classes."""

import logging

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seti.cli import program as entry
from seti.config import commands, instantiation_guard, schema
from seti.errors import SetiError


def checked(text: str) -> None:
    instantiation_guard.check_targets(OmegaConf.create(text))


SCHEMAS = (commands, schema)  # importing them registers them


@pytest.mark.parametrize(
    "program",
    ["train", "predict", "stack", "simulate", "inject", "check", "pack", "show", "report", "baseline", "tune"],
)
def test_the_programs_own_configurations_pass(program):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        compose(program, return_hydra_config=True)
        for launcher in ("joblib", "submitit_slurm", "submitit_local"):
            compose(program, [f"hydra/launcher={launcher}"], return_hydra_config=True)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "subprocess.Popen",
        "seti.utils.files.os.system",  # through a module that one of the program's has imported
        "seti.cli.program.signal.raise_signal",
        "seti.utils.files.Path",
        "hydra.utils.call",
        "hydra.utils.get_method",
        "logging.config.dictConfig",
        "logging.os.system",
        "setiathome.x",
        "seti",
        "seti.",
        ".seti.x",
        "",
        3,
        None,
    ],
)
def test_what_is_outside_is_refused(target):
    for place in ("hydra: {callbacks: {x: {_target_: %s}}}", "trainer: {callbacks: [{a: [{_target_: %s}]}]}"):
        with pytest.raises(SetiError, match=r"(callbacks\.x|trainer\.callbacks\[0\]\.a\[0\])\._target_="):
            checked(place % ("''" if target == "" else "null" if target is None else target))


@pytest.mark.parametrize(
    "logging_config",
    [
        "handlers: {x: {class: subprocess.Popen, args: [touch, x]}}",
        "handlers: {x: {(): os.system, command: touch x}}",
        "formatters: {x: {(): os.system, command: touch x}}",
        "formatters: {x: {class: subprocess.Popen}}",
        "filters: {x: {(): 'ext://os.system', command: touch x}}",
        "handlers: {x: {class: logging.StreamHandler, stream: 'ext://antigravity.fly'}}",
    ],
)
@pytest.mark.parametrize("part", ["job_logging", "hydra_logging"])
def test_logging_runs_its_own_classes_alone(logging_config, part):
    with pytest.raises(SetiError, match=rf"hydra\.{part}\..*a configuration may only run classes of seti, hydra"):
        checked(f"hydra: {{{part}: {{{logging_config}}}}}")
    checked(f"hydra: {{{part}: {{handlers: {{x: {{class: logging.FileHandler, filename: '${{oc.env:HOME}}/x'}}}}}}}}")


@pytest.mark.parametrize(
    "text",
    [
        """{a: os.system, hydra: {callbacks: {x: {_target_: "${a}"}}}}""",
        """{hydra: {callbacks: {x: "${oc.decode:'{_target_: os.system}'}"}}}""",
        """{a: "${oc.decode:'{_target_: os.system}'}", hydra: {callbacks: {x: "${a}"}}}""",
        """{a: "${oc.decode:'{y: {_target_: os.system}}'}", hydra: {callbacks: "${a}"}}""",
        """{a: os, hydra: {job_logging: {handlers: {x: {class: "${a}.system"}}}}}""",
        """{hydra: {launcher: {x: ["${oc.create:{_target_: os.system}}"]}}}""",
    ],
)
def test_a_target_that_is_put_together_is_refused_too(text):
    with pytest.raises(SetiError, match=r"os\.system.* is outside of the allowed packages"):
        checked(text)


def test_a_configuration_that_unfolds_without_end_is_refused():
    folded = {f"n{level}": {"a": f"${{n{level + 1}}}", "b": f"${{n{level + 1}}}"} for level in range(30)}
    with pytest.raises(SetiError, match=r"hydra\.callbacks\..* is too large"):
        instantiation_guard.check_targets(
            OmegaConf.create({**folded, "n30": {"c": 1}, "hydra": {"callbacks": {"x": "${n0}"}}})
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["+hydra.callbacks.x={_target_:os.system,command:'touch sprung'}"],
        ["-m", "fold=0,1", "+hydra.callbacks.x={_target_:os.system,command:'touch sprung'}"],
        ["+trainer.callbacks=[{_target_:os.system,command:'touch sprung'}]"],
        ["+hydra.job_logging.handlers.x={class:subprocess.Popen,args:[touch,sprung]}"],
        ["-m", "fold=0,1", "hydra.sweeper._target_=os.system"],
    ],
)
def test_a_command_ends_before_anything_runs(run, small, outputs, tmp_path, arguments):
    done = run("train.py", *arguments, *small)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("error: ")
    assert "is outside of the allowed packages: a configuration may only run classes of" in done.err
    assert done.out == ""
    assert not list(tmp_path.rglob("sprung"))
    assert not outputs.exists()


def test_a_configuration_from_elsewhere_runs_nothing(run, small, outputs, tmp_path):
    sprung, folder = tmp_path / "sprung", tmp_path / "stranger"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "winner.yaml").write_text(
        f"# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: os.system\n      command: touch {sprung}\n"
    )
    done = run("train.py", f"--config-dir={folder}", "experiment=winner", *small)
    assert done.code == 1
    assert done.err.startswith("error: hydra.callbacks.x._target_='os.system' is outside of the allowed packages")
    assert not sprung.exists()


def test_a_pickled_job_is_not_read(run, tmp_path):
    done = run("stack.py", f"--experimental-rerun={tmp_path / 'config.pickle'}")
    assert done.code == 1
    assert "a pickled job can run code, and is not read" in done.err


def test_composing_in_a_function_raises():
    instantiation_guard.guard(entry.say_error)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):  # noqa: SIM117
        with pytest.raises(SetiError, match=r"trainer\.x\._target_='os.system'"):
            compose("train", ["+trainer.x._target_=os.system"])


def test_the_guard_is_put_up_once():
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    instantiation_guard.guard(entry.say_error)
    before = ConfigLoaderImpl.load_configuration
    instantiation_guard.guard(entry.say_error)
    assert ConfigLoaderImpl.load_configuration is before
    assert before.guarded
    assert logging.getLogger(__name__)
