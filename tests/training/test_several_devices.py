"""Folds that several devices train together, here two processes on the CPU: tables, scores, errors, resuming."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, read_json
from sklearn.metrics import roc_auc_score
from unit_helpers import losses

from seti.errors import SetiError, SettingsError
from seti.training import outcomes, several_devices, together
from seti.utils.shutdown import Interrupted

TWO = "trainer.devices=2"
# Nothing depends on the other cadences of a batch: gradients of one process and of two differ by rounding alone.
ALONE = ("model.freeze_backbone=true", "augment=none", "optimizer.lr=0.05")


def weights(folder):
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


def test_two_processes_train_what_one_does(train, fold, outputs, trained_once, capfd):
    auc = train(*ALONE, TWO, "data.num_workers=1")  # forked from a process that has threads
    one = trained_once(*ALONE)
    oof, alone = (pd.read_csv(folder / "oof.csv", dtype={"id": str}) for folder in (fold, one))
    pd.testing.assert_frame_equal(oof, alone, check_exact=False, atol=1e-5)  # every row once and in order
    np.testing.assert_allclose(losses(fold), losses(one), atol=1e-5)
    assert auc == roc_auc_score(oof["target"], oof["prob"])
    result = read_json(fold / "result.json")
    assert result["scores"]["auc"] == auc
    assert losses(fold)["val_auc"][result["best_epoch"]] == pytest.approx(auc, abs=1e-6)  # of all rows, not of a half
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(fold)[name], value, atol=1e-5, rtol=1e-4)
    names = {str(path.relative_to(fold)) for path in fold.rglob("*") if "tensorboard" not in path.parts}
    assert names == {str(path.relative_to(one)) for path in one.rglob("*") if "tensorboard" not in path.parts}
    assert len(list((fold / "tensorboard").glob("events*"))) == 1
    said = capfd.readouterr()
    assert "held-out fold 0" in said.out
    assert "20/20 " in said.out  # of both processes, not the half of the first one
    assert "Traceback" not in said.err


@pytest.mark.slow
def test_the_same_number_of_processes_gives_the_same_bytes(train, outputs):
    more = ("mixup.alpha=1", "mixup.cutmix=1", "ema.decay=0.9", "augment=flips_affine", "data.augment_on=device")
    more += ("augment.inject=0.3", "data.num_workers=1", "model.head_epochs=1", "model.drop_rate=0.2")
    aucs = [train(TWO, *more, f"exp_name={name}", "trainer.max_epochs=3") for name in "ab"]
    assert train(TWO, *more, "exp_name=b", "trainer.max_epochs=3") == aucs[1]  # finished
    oof = [(outputs / name / "fold_0" / "oof.csv").read_bytes() for name in "ab"]
    assert oof[0] == oof[1]
    tables = [losses(outputs / name / "fold_0") for name in "ab"]
    pd.testing.assert_frame_equal(*tables)
    train(*more, "exp_name=one", "trainer.max_epochs=3")
    one = pd.read_csv(outputs / "one" / "fold_0" / "oof.csv")
    assert pd.read_csv(outputs / "a" / "fold_0" / "oof.csv")["id"].tolist() == one["id"].tolist()


@pytest.mark.slow
def test_a_sweep_trains_every_fold_on_two_devices_and_says_each_line_once(run, small, outputs):
    done = run("train.py", "-m", "fold=0,1", *small, TWO)
    assert (done.code, done.err) == (0, "")
    for number in (0, 1):
        assert len(pd.read_csv(outputs / "exp" / f"fold_{number}" / "oof.csv")) == 20
        for line in (f"fold {number} of exp: 20 cadences to train on", f"fold {number} of exp is finished"):
            assert done.out.count(line) == 1
            assert (outputs / "exp" / f"fold_{number}" / "train.log").read_text().count(line) == 1
    assert done.out.count("epoch 1 of 2") == 2


@pytest.mark.slow
def test_torchrun_trains_as_trainer_devices_does(small, fold, outputs, train, tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(ROOT / "train.py")]
    done = subprocess.run([*words, *small], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fold 0 of exp is finished") == 1
    train(TWO, "exp_name=own")
    assert (outputs / "own" / "fold_0" / "oof.csv").read_bytes() == (fold / "oof.csv").read_bytes()
    done = subprocess.run(
        [*words, "-m", *small], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("error: each of the 2 processes that torchrun has started would run this whole sweep") == 1


@pytest.mark.slow
def test_an_error_in_one_process_is_one_line(run, small, own_data, fold):
    """A damaged file is met by one process alone; the other one waits for it."""
    small = [word for word in small if not word.startswith("data.root=")]
    damaged = sorted((own_data / "train").rglob("*.npy"))[3]
    content = damaged.read_bytes()
    damaged.unlink()  # it is a link to what other tests read
    damaged.write_bytes(content[:4000])
    done = run("train.py", *small, f"data.root={own_data}", "data.packed=false", TWO)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert damaged.name in line
    assert not (fold / "result.json").exists()


def started(small, log: Path, *words: str) -> tuple[subprocess.Popen, list[int]]:
    """Start training on two devices, and wait until it has made an epoch; the process, and those of the devices."""
    command = [sys.executable, str(ROOT / "train.py"), *small, TWO, *words]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
    end = time.monotonic() + 300
    while "epoch 1 of" not in log.read_text() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, [int(number) for number in listed]


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["parent", 0, 1])
def test_a_signal_to_any_process_ends_all_with_one_checkpoint_and_the_same_command_goes_on(
    train, small, fold, outputs, tmp_path, whose
):
    more = ("trainer.max_epochs=40", "schedule.div_factor=2")
    process, ranks = started(small, tmp_path / "log", *more)
    os.kill(process.pid if whose == "parent" else ranks[whose], signal.SIGTERM)
    assert process.wait(120) == 143
    said = (tmp_path / "log").read_text().splitlines()
    assert [line for line in said if "terminated" in line] == said[-1:]
    assert "terminated: saved " in said[-1]
    assert said[-1].endswith("for fold 0 of exp the same command goes on from there")
    assert not any(Path(f"/proc/{number}").exists() for number in ranks)
    train(*more, TWO)
    train(*more, TWO, "exp_name=whole")
    assert (fold / "oof.csv").read_bytes() == (outputs / "whole" / "fold_0" / "oof.csv").read_bytes()


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_in_one_line(small, tmp_path):
    process, ranks = started(small, tmp_path / "log", "trainer.max_epochs=40")
    os.kill(ranks[1], signal.SIGKILL)
    assert process.wait(120) == 1
    assert (tmp_path / "log").read_text().splitlines()[-1] == (
        "error: process 1 of the 2 of this fold was ended by SIGKILL, perhaps for lack of memory: the same command "
        "goes on with what is there"
    )
    assert not any(Path(f"/proc/{number}").exists() for number in ranks)


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("a setting"),
        SetiError("a file"),
        Interrupted(signal.SIGTERM, "saved"),
        FileNotFoundError(2, "No such file or directory", "d/x.npy"),
        RuntimeError("CUDA error: an illegal memory access"),
    ],
)
def test_an_error_of_one_process_is_read_by_another(error):
    again = outcomes.restore(outcomes.describe(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_a_mistake_in_another_process_keeps_its_traceback():
    try:
        [][1]
    except IndexError as error:
        again = outcomes.restore(outcomes.describe(error))
    assert str(again) == "IndexError: list index out of range"
    assert "[][1]" in str(again.__cause__)


def test_a_process_that_waits_for_one_that_is_gone_is_not_waited_for(monkeypatch):
    """It may wait where nothing says that the other one is gone: before they have found each other."""
    monkeypatch.setattr(several_devices, "GRACE", 0.2)
    words = ("import time; time.sleep(60)", "import os; os._exit(3)")
    first, second = (subprocess.Popen([sys.executable, "-S", "-c", word]) for word in words)
    try:
        assert several_devices._wait([first, second]) == [None, 3]
    finally:
        first.kill()
        first.wait()


GONE = RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1")


@pytest.mark.parametrize(
    ("codes", "errors", "said"),
    [
        ([1, 1], [GONE, SetiError("out of memory")], "out of memory"),
        ([1, 1], [SettingsError("no such thing"), SettingsError("no such thing")], "no such thing"),
        ([1, 143], [SetiError("a file"), Interrupted(15, "saved")], "a file"),
        ([None, 1], [None, SetiError("out of memory")], "out of memory"),
        ([1, -9], [GONE, None], "process 1 of the 2 of this fold was ended by SIGKILL, perhaps for lack of memory: "),
        ([-11, 1], [None, GONE], "process 0 of the 2 of this fold was ended by SIGSEGV: the same command goes on "),
        ([143, 143], [Interrupted(15, "saved 1"), Interrupted(15, "saved 1")], "terminated: saved 1"),
        ([1, 1], [GONE, GONE], "another process of this run has gone without a word"),
    ],
)
def test_the_error_that_says_why_is_chosen(codes, errors, said):
    read = {n: outcomes.restore(outcomes.describe(error)) for n, error in enumerate(errors) if error is not None}
    assert str(several_devices._choose(codes, read)).startswith(said)


def test_settings_reach_the_other_processes_as_they_are(config):
    cfg = config("optimizer.weight_decay=0", "data.clip=[-5,20]", "trainer.devices=[0,1]", "+trainer.max_steps=3")
    again, overrides, folder = together.decode(together.encode(cfg, ["fold=0"], Path("outputs")))
    assert together.plain(again) == together.plain(cfg)
    assert (overrides, folder) == (["fold=0"], "outputs")
