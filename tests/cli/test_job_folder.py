"""Hydra's folders: an experiment is in one place, and what is refused leaves nothing."""

import pytest

from seti.cli import job_folder
from seti.config.folder import conf_folder

ELSEWHERE = "an experiment is always in <output_dir>/<exp_name>; set output_dir and exp_name instead"


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name[:4] not in (".out", ".err"))


@pytest.mark.parametrize("sweep", [[], ["-m"]])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hydra.run.dir=X", ELSEWHERE),
        ("hydra.run.dir=outputs/${exp_name}", ELSEWHERE),
        ("hydra.sweep.dir=X", ELSEWHERE),
        ("hydra.sweep.subdir=${hydra:job.num}", ELSEWHERE),
        ("hydra.job.chdir=true", "relative paths such as data.root and output_dir would lead elsewhere"),
    ],
)
def test_another_place_for_an_experiment_is_refused_before_anything_starts(run, small, tmp_path, setting, said, sweep):
    before = tree(tmp_path)
    done = run("train.py", *sweep, *small, setting)
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: {setting.replace('=true', '=True')}: {said}")
    assert tree(tmp_path) == before


def test_the_folders_of_the_configuration_are_accepted(small):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        job_folder.check_places(compose("train", small, return_hydra_config=True))
        job_folder.check_places(compose("check", ["hydra.run.dir=X"], return_hydra_config=True))


@pytest.mark.parametrize("word", ["fold=range(0,0)", "experiment=glob(zzz*)", "data.batch_size=range(8,4)"])
def test_a_sweep_without_a_job_is_an_error(run, small, tmp_path, word):
    before = tree(tmp_path)
    done = run("train.py", "-m", *small, word)
    assert done.code == 1
    assert done.err == f"error: {word} stands for no value: the sweep would have no job\n"
    assert tree(tmp_path) == before


def test_a_sweep_of_any_command_fails_if_a_job_does(run_command, tmp_path):
    done = run_command("-X", "importtime", "-m", "seti.check", "-m", "data.root=gone,lost")
    assert done.code == 1
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "seti.data.integrity" in imported
    assert imported.isdisjoint({"torch", "matplotlib"}), "no fold is reported"
    assert "2 of 2 jobs failed:" in done.err
    assert "  multirun/check_0: data.root=gone is not a folder" in done.err
    assert "  python -m seti.check -m data.root=lost" in done.err


def test_a_job_refused_for_its_settings_is_counted_and_not_offered_again(run, small, outputs):
    done = run("train.py", "-m", *small, "trainer.max_epochs=1", "optimizer.lr=1e-3,1e-4")
    assert done.code == 1
    lines = done.err.splitlines()
    at = lines.index("1 of 2 jobs failed:")
    fold = outputs / "exp" / "fold_0"
    assert lines[at + 1 :] == [
        f"  {fold} was trained with other settings (optimizer.lr: 0.001 -> 0.0001): give another exp_name, or "
        "force=true to replace that fold"
    ]
    assert not (fold / "failure.json").exists()
    assert (fold / "train.log").exists()
    assert sorted(path.name for path in outputs.iterdir()) == ["exp", "multirun.yaml"]


def test_a_sweep_over_experiments_leaves_no_folder_of_the_default_name(run, small, outputs):
    args = [word for word in small if not word.startswith("exp_name=")]
    done = run("train.py", "-m", *args, "trainer.max_epochs=1", "exp_name=a,b", "fold=5")
    assert done.code == 1
    assert "2 of 2 jobs failed:" in done.err
    assert not outputs.exists()


def test_only_folders_without_results_are_removed(tmp_path):
    job_folder.remember_existing(tmp_path / "outputs" / "exp" / "fold_0")
    folder = tmp_path / "outputs" / "exp" / "fold_0"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "train.log").touch()
    assert job_folder.is_fresh(folder, ".hydra")
    (folder / "oof.csv").touch()
    assert not job_folder.is_fresh(folder, ".hydra")
    job_folder.remove(folder, ".hydra")
    assert (folder / "train.log").exists()
    (folder / "oof.csv").unlink()
    (folder / "train.log").write_text("of an earlier run")
    assert not job_folder.is_fresh(folder, ".hydra")
    (tmp_path / "outputs" / "other").mkdir()
    job_folder.remove(folder, ".hydra")
    assert tree(tmp_path) == ["outputs", "outputs/other"]


@pytest.mark.parametrize("sweep", [[], ["-m", "fold=0,1"]])
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainer.devices=4096", "trainer.devices=4096 is more than there are: "),
        ("trainer.strategy=ddp", "trainer.strategy=ddp needs several devices: "),
        ("WORLD_SIZE=2", "WORLD_SIZE=2 announces 2 processes for one run, "),
        ("LOCAL_RANK=1", "LOCAL_RANK=1 announces further processes for one run, "),
        ("exp_name=1:30,b", "exp_name='1:30' cannot name a folder of experiments: "),
    ],
)
def test_what_no_job_can_do_is_refused_once_and_before_a_folder_is_made(
    run, small, tmp_path, monkeypatch, sweep, word, said
):
    before = tree(tmp_path)
    words = [word]
    if word[0].isupper():
        monkeypatch.setenv(*word.split("="))
        words = []
    elif word.startswith("exp_name"):
        small = [one for one in small if not one.startswith("exp_name=")]
        words = [word if sweep else word.partition(",")[0]]
    done = run("train.py", *sweep, *small, *words)
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: {said}")
    assert tree(tmp_path) == before


def test_jobs_that_differ_in_the_trainer_are_judged_one_by_one(run, small, outputs):
    words = ["trainer.max_epochs=1", "trainer.strategy=ddp,auto", "exp_name=${trainer.strategy}"]
    done = run("train.py", "-m", *[word for word in small if not word.startswith("exp_name=")], *words)
    assert done.code == 1
    assert "1 of 2 jobs failed:" in done.err
    assert [path.name for path in outputs.iterdir() if path.is_dir()] == ["auto"]
