"""Folds, sweeps and stacks as runs of MLflow and Weights & Biases, read back with what these packages write."""

import json
import re
import struct
import sys

import pytest
from conftest import compose, read_json

from seti.config.commands import StackConfig
from seti.errors import SettingsError
from seti.experiments import trackers
from seti.experiments.experiment import Experiment
from seti.reports import cross_validation
from seti.stacking import stack
from seti.training import tracking
from seti.training.tracking import tracked

FOLD = ("trainer.max_epochs=1",)


def train_report_and_stack(train, outputs, logger: str) -> None:
    for fold in (0, 1):
        train(*FOLD, f"logger={logger}", f"fold={fold}")
    cross_validation.report(outputs / "exp")
    stack.stack(StackConfig(str(outputs), meta="hill_climbing", calibrate="none", seed=0, n_jobs=1, logger=logger))


def expected(outputs) -> dict[str, dict[str, float]]:
    """Scores that each run must hold, by its name."""
    results = Experiment(outputs / "exp").results
    folds = {
        f"exp/fold_{fold}": {"auc": one.scores.auc, "loss": one.scores.loss, "best_epoch": one.best_epoch}
        for fold, one in results.items()
    }
    cv, blend = read_json(outputs / "exp" / "cv.json"), read_json(outputs / "stack" / "stack.json")["stack"]
    keys = ("mean_auc", "deviation_auc", "pooled_auc", "calibration_error", "brier", "seconds")
    blended = {key: blend[key] for key in ("oof_auc", "mean_auc", "calibration_error", "brier")}
    return folds | {"exp": {key: cv[key] for key in keys}, "stack": blended}


def test_folds_sweep_and_stack_are_runs_of_one_mlflow_experiment(train, outputs, small_searches, capsys):
    mlflow = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    train_report_and_stack(train, outputs, "mlflow")
    cross_validation.report(outputs / "exp")  # again: the same run
    client = mlflow.MlflowClient(trackers.store(outputs))
    experiment = client.get_experiment_by_name("seti")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    wanted = expected(outputs)
    assert set(runs) == set(wanted)
    for name, scores in wanted.items():
        assert runs[name].info.status == "FINISHED"
        assert {key: runs[name].data.metrics[key] for key in scores} == pytest.approx(scores)
    fold = runs["exp/fold_0"]
    assert fold.data.params["optimizer.lr"] == "0.0006"
    assert fold.data.tags.items() >= {"seti.kind": "fold", "seti.exp_name": "exp", "seti.fold": "0"}.items()
    (history,) = client.get_metric_history(fold.info.run_id, "val_auc")  # one an epoch
    assert history.value == pytest.approx(wanted["exp/fold_0"]["auc"], abs=0.02)
    assert not list(outputs.rglob("tensorboard"))


def read_wandb(path) -> list:
    """Records of an offline run's log: LevelDB's format, blocks of 32 kB after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    content, place, part, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768  # the rest of a block that has no space for a header
            continue
        size, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        if kind == 0:
            break
        part = content[place + 7 : place + 7 + size] if kind in (1, 2) else part + content[place + 7 : place + 7 + size]
        if kind in (1, 4):  # whole, or the last part
            found.append(wandb_internal_pb2.Record.FromString(part))
        place += 7 + size
    return found


def test_folds_sweep_and_stack_are_runs_of_one_wandb_project(train, outputs, small_searches, capsys):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    train_report_and_stack(train, outputs, "wandb")
    found = {}
    for path in outputs.glob("wandb/offline-run-*/run-*.wandb"):
        records = read_wandb(path)
        (run,) = {one.run.display_name: one.run for one in records if one.HasField("run")}.values()
        summary = {
            item.key or item.nested_key[0]: json.loads(item.value_json)
            for one in records
            if one.HasField("summary")
            for item in one.summary.update
        }
        assert run.project == "seti"
        assert [one.exit.exit_code for one in records if one.HasField("exit")] == [0]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        config |= {
            item.key: json.loads(item.value_json)
            for one in records
            if one.HasField("config")
            for item in one.config.update
        }
        found[run.display_name] = run, config, summary
    wanted = expected(outputs)
    assert set(found) == set(wanted)
    for name, scores in wanted.items():
        assert {key: found[name][2][key] for key in scores} == pytest.approx(scores)
    run, config, summary = found["exp/fold_1"]
    assert (run.run_group, run.job_type, config["optimizer.lr"]) == ("exp", "fold", "0.0006")
    assert "val_auc" in summary
    assert found["stack"][0].job_type == "stack"


def test_an_interrupted_fold_goes_on_in_its_mlflow_run(config):
    mlflow = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    cfg = config("logger=mlflow")
    runs = []

    def interrupted() -> None:
        with tracked(cfg, 42, resumed=False) as made:
            runs.append(made.logger.run_id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for resumed in (True, False):
        with tracked(cfg, 42, resumed=resumed) as made:
            runs.append(made.logger.run_id)
    assert runs[0] == runs[1] != runs[2]
    client = mlflow.MlflowClient(made.logger._tracking_uri)
    assert [client.get_run(run).info.status for run in runs[1:]] == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(("logger", "module"), trackers.PACKAGES.items())
def test_a_missing_extra_is_refused_before_anything_is_written(train, outputs, monkeypatch, logger, module):
    monkeypatch.setitem(sys.modules, module, None)
    message = f"logger={logger} needs a package that is not installed (import of {module} halted; None in sys.modules)"
    whole = f"{message}: pip install 'seti[{logger}]', or leave logger out"
    with pytest.raises(SettingsError, match=f"^{re.escape(whole)}$"):
        train(f"logger={logger}")
    with pytest.raises(SettingsError, match=f"^{re.escape(whole)}$"):
        stack.stack(StackConfig(str(outputs), meta="logistic", calibrate="none", seed=0, n_jobs=1, logger=logger))
    assert not outputs.exists()


def test_another_logger_is_refused(train, outputs):
    with pytest.raises(SettingsError, match=r"^logger=csv is none of tensorboard, mlflow, wandb"):
        train("logger=csv")


def test_a_tracker_that_fails_does_not_fail_the_report(outputs, finished, monkeypatch, caplog):
    finished("trainer.max_epochs=1")
    trackers.record("mlflow", trackers.Run(outputs / "exp" / "fold_0" / "oof.csv", "sweep", "exp"), {}, {"auc": 1.0})
    (line,) = [one for one in caplog.messages if one.startswith("logger=")]
    assert line.startswith("logger=mlflow has no run of exp: ")


def test_the_logger_changes_no_result(config):
    from seti.config.schema import plain
    from seti.experiments.run_identity import RunIdentity

    one, two = (RunIdentity(plain(config(f"logger={name}")), "") for name in ("tensorboard", "mlflow"))
    assert one.differences(two) == []
    assert compose("train", []).logger == "tensorboard"


def test_only_the_leader_of_several_processes_has_a_run(config, outputs, monkeypatch):
    monkeypatch.setattr(tracking.ranks, "leads", lambda: False)
    with tracked(config("logger=mlflow"), 42, resumed=False) as made:
        assert made.options == {}
    assert not (outputs / "mlruns").exists()
