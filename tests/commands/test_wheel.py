"""The wheel: everything that the commands need, away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

BUILD = "import setuptools.build_meta as backend, sys; print(backend.build_{}(sys.argv[1]))"


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a `wheel` or an `sdist`, offline, with the tests' own setuptools."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(kind), str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what a build reads: it writes into the folder that it builds."""
    folder = tmp_path_factory.mktemp("source") / "seti"
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("seti", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    for script in ("train.py", "predict.py", "stack.py"):
        shutil.copy(ROOT / script, folder / script)
    return folder


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", source, folder)) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def files_of(folder: Path, pattern: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob(pattern) if "__pycache__" not in path.parts}


def test_a_wheel_holds_the_package_and_the_configuration(installed):
    assert files_of(installed / "seti" / "conf", "*.yaml") == files_of(ROOT / "conf", "*.yaml")
    assert files_of(installed / "seti", "*.py") == files_of(ROOT / "seti", "*.py")
    assert files_of(installed / "seti" / "pretrained", "*") == files_of(ROOT / "seti" / "pretrained", "*")
    assert files_of(installed / "seti" / "reports" / "pages", "*.*") == files_of(
        ROOT / "seti" / "reports" / "pages", "*.*"
    )
    assert (installed / "seti" / "py.typed").exists()
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "seti = seti.__main__:main" in entry_points.read_text()
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"seti"}


def test_a_source_archive_builds_the_same_wheel(source, installed, tmp_path):
    archive = build("sdist", source, tmp_path)
    shutil.unpack_archive(archive, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {"train.py", "predict.py", "stack.py", "Makefile", "conf"} <= {path.name for path in unpacked.iterdir()}
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if name.startswith("seti/")}
    assert names == {f"seti/{name}" for name in files_of(installed / "seti", "*.*")}


def seti(*words: str, site: Path, folder: Path) -> str:
    """Run a command from a wheel's files in another folder."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "seti", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command_composes_its_configuration_from_a_wheel(installed, tmp_path):
    said = seti("train", "--cfg", "job", "model=tiny", "experiment=demo", site=installed, folder=tmp_path)
    assert "backbone: test_resnet" in said


@pytest.mark.slow
def test_the_whole_chain_runs_from_a_wheel(installed, tmp_path):
    settings = [word for word in SMALL if not word.startswith("exp_name")]
    for words in (
        ("simulate", "preset=easy", "positives=0.5", "workers=1", "root=data", "train=40", "test=10"),
        ("check", "report=data/check.csv"),
        ("pack",),
        ("train", "-m", "fold=0,1", "exp_name=exp", *settings),
        ("predict", "ckpt_dir=outputs/exp", "data.num_workers=0"),
        ("stack", "n_jobs=1"),
        ("show", "ckpt_dir=outputs/exp"),
        ("baseline",),
    ):
        seti(*words, site=installed, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "outputs"}
    assert (tmp_path / "outputs" / "stack" / "submission.csv").exists()
