import errno
import os
import shlex
import signal
import sys

import pandas as pd
import pytest
from conftest import ROOT, compose, read_json
from omegaconf import OmegaConf

from seti.cli import program as entry
from seti.cli import sweep_report
from seti.cli.explain import explain
from seti.data import competition
from seti.data.competition import cadence_path
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.reports import cross_validation
from seti.stacking import stack
from seti.utils import files


def single_error(done):
    """The one line of a person's mistake: nothing else on standard error, no traceback anywhere."""
    assert done.code == 1
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.out
    return lines[0]


def test_a_sweep_goes_on_after_a_failed_fold_and_reports_it(run, small, outputs):
    done = run("train.py", "-m", *small, "trainer.max_epochs=1", "fold=7,0", "data.num_workers=0")
    assert done.code == 1
    message = "fold=7 is none of the 2 folds: use 0..1, or raise data.n_folds"
    assert done.err.splitlines()[0] == f"error: {message}"
    assert "1 of 2 jobs failed:" in done.err
    assert f"  {outputs}/exp/fold_7: {message}" in done.err
    assert "fold 0 of exp is finished" in done.out
    assert "Traceback" not in done.out + done.err
    assert Experiment(outputs / "exp").finished_folds() == [0]
    assert read_json(outputs / "exp" / "cv.json")["finished_folds"] == [0]

    assert "again" not in done.err  # it would be refused every time
    assert not (outputs / "exp" / "fold_7").exists()
    assert "error" not in (outputs / "exp" / "fold_0" / "train.log").read_text()
    assert not (outputs / "exp" / "fold_0" / "failure.json").exists()


def test_a_sweep_of_five_folds_outlives_one_and_names_the_command_that_mends_it(run, small, tmp_path):
    outputs = tmp_path / "it's here; $HOME"
    blocked = outputs / "exp" / "fold_3" / "checkpoints"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder should be")
    settings = ("data.n_folds=5", "trainer.max_epochs=1", "fold=0,1,2,3,4")
    quoted = str(outputs).replace("'", "\\'")
    done = run("train.py", "-m", *small, f"output_dir='{quoted}'", *settings)
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    assert Experiment(outputs / "exp").finished_folds() == [0, 1, 2, 4]
    lines = done.err.splitlines()
    at = lines.index("1 of 5 jobs failed:")
    assert lines[at + 1].startswith(f"  {blocked}: ")  # which names the job's folder once
    assert lines[at + 2] == "again, just that:"
    words = shlex.split(lines[at + 3])
    assert words[:4] == ["python", str(ROOT / "train.py"), "-m", "fold=3"]
    assert len(lines) == at + 4
    failure = read_json(blocked.parent / "failure.json")
    assert f"  {failure['message']}" == lines[at + 1]
    assert {"fold=3", "exp_name=exp", "trainer.max_epochs=1"} <= set(failure["overrides"])
    assert "Error" in failure["traceback"]
    log = (blocked.parent / "train.log").read_text()
    assert f"error: {failure['message']}" in log
    assert "Traceback" in log

    blocked.unlink()
    done = run(words[1], *words[2:])
    assert done.code == 0, done.err
    assert Experiment(outputs / "exp").is_finished()
    assert read_json(outputs / "exp" / "cv.json")["finished_folds"] == [0, 1, 2, 3, 4]


def test_retry_commands_join_folds_and_quote(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/seti"])
    jobs = [["exp_name=a", "fold=1"], ["fold=3", "exp_name=a"], ["exp_name='b c'", "fold=0"]]
    assert sweep_report.retry_commands("train", jobs, ["hydra.sweep.dir=x y"]) == [
        "seti train -m fold=1,3 exp_name=a 'hydra.sweep.dir=x y'",
        "seti train -m fold=0 'exp_name=b c' 'hydra.sweep.dir=x y'",
    ]


def test_the_report_of_a_sweep_hands_its_engine_to_the_next_command(monkeypatch, tmp_path):
    words = ["hydra.mode=MULTIRUN", "hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.sweep.dir=x"]
    config = OmegaConf.create({"output_dir": str(tmp_path), "hydra": {"overrides": {"hydra": words}}})
    assert sweep_report._options(config) == words[1:]
    config.hydra.update({"output_subdir": ".hydra", "sweep": {"dir": str(tmp_path)}, "launcher": {"_target_": "x"}})
    given = []
    monkeypatch.setattr(
        sweep_report.journal, "close", lambda: {0: sweep_report.Job(tmp_path / "e" / "fold_0", [], ended=True)}
    )
    monkeypatch.setattr(cross_validation, "report", lambda *arguments: given.append(arguments[-1]))
    report = sweep_report.SweepReport()
    report.config = config
    assert report.report()
    assert given == [["hydra/launcher=slurm", "hydra.launcher.cluster=local"]]


@pytest.mark.slow  # the sweep of five folds covers most of it in the quick tests
def test_a_mended_sweep_forgets_its_failure(run, small, outputs, own_data):
    ids = competition.read_labels(own_data)["id"]
    path = cadence_path(own_data, "train", ids.iloc[7])
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-2])
    args = ["-m", *small, f"data.root={own_data}", "trainer.max_epochs=1", "fold=0,1"]
    done = run("train.py", *args)
    assert done.code == 1
    assert "2 jobs failed:" in done.err
    assert done.err.count(str(path)) == 3  # twice as it happens, once for both in the report
    path.write_bytes(whole)
    done = run("train.py", *args)
    assert done.code == 0, done.err
    assert done.err == ""
    assert not list(outputs.rglob("failure.json"))
    assert Experiment(outputs / "exp").is_finished()


def test_a_sweep_of_predictions_fails_if_one_does(run, finished, outputs):
    finished("trainer.max_epochs=1")
    args = [f"ckpt_dir={outputs}/gone,{outputs}/exp", "data.num_workers=0"]
    done = run("predict.py", "-m", *args, f"hydra.sweep.dir={outputs}/sweep")
    assert done.code == 1
    assert "1 of 2 jobs failed:" in done.err
    assert f"{outputs}/gone is not a folder" in done.err
    assert (outputs / "exp" / "submission.csv").exists()


def test_experiments_that_cannot_be_reported_end_a_sweep_with_an_error(run, small, finished, outputs):
    finished("trainer.max_epochs=1")
    oof = outputs / "exp" / "fold_0" / "oof.csv"
    pd.read_csv(oof).drop(columns="prob").to_csv(oof, index=False)
    done = run("train.py", "-m", *small, "trainer.max_epochs=1", "fold=1")
    assert done.code == 1
    assert f"error: {oof} is not the file that result.json was written about" in done.err
    assert (outputs / "exp" / "fold_1" / "result.json").exists()


def test_a_mistake_is_one_line(run, small, outputs, own_data):
    assert "fold=9 is none of the 2 folds" in single_error(run("train.py", *small, "fold=9"))
    assert not outputs.exists()
    (outputs / "exp").mkdir(parents=True)
    line = single_error(run("predict.py", f"ckpt_dir={outputs}/exp"))
    assert f"ckpt_dir={outputs}/exp holds no finished fold" in line
    line = single_error(run("stack.py", f"output_dir={outputs}"))
    assert f"{outputs} has no finished experiment: train one with python {ROOT}/train.py -m fold=0,1,2,3,4" in line
    (own_data / "train_labels.csv").unlink()
    assert "train_labels.csv is missing" in single_error(run("train.py", *small, f"data.root={own_data}"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimiser.lr=1", "optimiser is not a setting: did you mean optimizer?"),
        ("data.normalize=whiten", "data.normalize is not a setting: did you mean data.normalise?"),
        ("fold=first", "fold=first must be a whole number, such as fold=0"),
        ("model=huge", "model=huge is none of convnext_nano, "),
        ("fold=[", "fold=[ cannot be read: the bracket [ is not closed"),
        ("=3", "write <setting>=<value>"),
        ("exp_name=../x", "exp_name='../x' cannot name a folder"),
        ("output_dir={file}", "{file}"),
        ("output_dir={file}/inside", "{file}"),
        ("data.root={file}", "data.root={file}"),
    ],
)
def test_what_cannot_be_composed_or_begun_is_one_line_and_leaves_nothing(run, small, tmp_path, override, said):
    file = tmp_path / "file"
    file.write_text("kept")
    before = {path for path in tmp_path.rglob("*") if path.name[0] != "."}
    line = single_error(run("train.py", *small, override.format(file=file)))
    assert said.format(file=file) in line
    assert len(line) < 500
    left = {path for path in tmp_path.rglob("*") if path.name[0] != "."} - before
    assert not [path for path in left if "data.root" not in override]
    assert file.read_text() == "kept"


def stop(program, outputs, number):
    """Stop a sweep in the middle of its first fold."""
    last = outputs / "exp" / "fold_0" / "checkpoints" / "last.ckpt"
    program.wait_for(last)
    program.send(number)
    return program.finish()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGTERM, 143, "terminated"),
        pytest.param(signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_sweep_ends_and_the_same_command_goes_on(start, run, small, outputs, number, code, word):
    epochs = 20
    args = ["-m", *small, f"trainer.max_epochs={epochs}", "fold=0,1", "trainer.limit_train_batches=1"]
    done = stop(start("train.py", *args), outputs, number)
    assert done.code == code
    assert done.err.splitlines()[-1].startswith(f"{word}: ")
    assert len(done.err.splitlines()) == 1
    assert "the same command goes on from there" in done.err
    assert "Traceback" not in done.out + done.err
    assert not (outputs / "exp" / "fold_1").exists()
    assert not (outputs / "exp" / "fold_0" / "result.json").exists()
    before = len(pd.read_csv(outputs / "exp" / "fold_0" / "metrics.csv"))
    assert 1 <= before < epochs

    done = run("train.py", *args)
    assert done.code == 0, done.err
    assert f"resuming from {outputs}/exp/fold_0/checkpoints/last.ckpt ({before} epoch" in done.out
    assert Experiment(outputs / "exp").is_finished()
    for fold in (0, 1):
        assert list(pd.read_csv(outputs / "exp" / f"fold_{fold}" / "metrics.csv")["epoch"]) == list(range(epochs))


def test_a_job_keeps_freed_memory_in_whatever_process_it_runs(monkeypatch):
    """Engines start processes of their own, in which a step of a CPU would take a tenth longer."""
    called = []
    monkeypatch.setattr(entry.malloc, "keep_freed_memory", lambda: called.append("kept"))
    assert entry.command(lambda cfg: list(called))(None) == ["kept"]


def test_in_process_errors_become_exit_codes(capsys):
    def fail(cfg):
        msg = "data.root=x is\n  not a folder"
        raise SetiError(msg)

    with pytest.raises(SystemExit) as ended:
        entry.command(fail)(None)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: data.root=x is not a folder\n"

    def interrupt(cfg):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        entry.command(interrupt)(None)
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")

    def broken(cfg):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # a mistake of the program keeps its traceback
        entry.command(broken)(None)
    assert entry.command(lambda cfg: 0.5)(None) == 0.5


@pytest.mark.parametrize("said", ["(pid 581) is killed by signal: Killed. ", "(pid(s) 7, 8) exited unexpectedly"])
def test_a_worker_that_was_killed_says_what_to_lower(said):
    message = explain(RuntimeError(f"DataLoader worker {said}"))
    assert message.startswith("a worker process was killed")
    assert "lower data.num_workers or data.batch_size" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "said",
    [
        "unable to write to file </torch_12_34_5>: No space left on device (28)",
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit.",
    ],
)
def test_full_shared_memory_says_what_to_lower(said):
    assert "lower data.num_workers" in explain(RuntimeError(said))
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_a_full_disk_is_one_line_that_names_the_file(finished, train, predict, outputs, monkeypatch):
    def contents():
        return {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file() and path.suffix != ".csv"}

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    finished("trainer.max_epochs=1")
    predict()
    predictions = (outputs / "exp" / "predictions.csv").read_bytes()
    before = contents()
    for program, first in (
        (lambda: train("trainer.max_epochs=1", "fold=1"), "fold_1/metrics.csv"),
        (predict, "predictions.csv"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(files, "_flush", full)
            with pytest.raises(OSError, match="No space left") as caught:
                program()
        assert explain(caught.value) == (
            f"{outputs / 'exp' / first}: No space left on device; free some space, or write to another folder"
        )
        assert contents().items() >= before.items()
        assert (outputs / "exp" / "predictions.csv").read_bytes() == predictions
        assert not [path for path in outputs.rglob(".*") if path.is_file()]
        program()


def test_experiments_that_do_not_fit_together_are_not_stacked(finished, outputs):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}", "exp_name=one")
        finished("trainer.max_epochs=1", f"fold={fold}", "exp_name=other", "data.fold_seed=7")
    with pytest.raises(SetiError, match=r"one and other hold out in different folds .* same data.n_folds"):
        stack.stack(compose("stack", [f"output_dir={outputs}", "n_jobs=1"]))
    assert not (outputs / "stack" / "stack.json").exists()
