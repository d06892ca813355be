import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, compose, read_json
from sklearn.metrics import log_loss, roc_auc_score

from seti.config.schema import plain
from seti.data import competition
from seti.errors import SetiError
from seti.evaluation.calibration import calibration_error
from seti.experiments.experiment import Experiment
from seti.experiments.run_identity import differences
from seti.reports import cross_validation


@pytest.fixture
def two_of_three(finished):
    """Train folds 0 and 2 of three; the experiment's folder is `outputs/exp`."""
    for fold in (0, 2):
        finished("data.n_folds=3", f"fold={fold}", "trainer.max_epochs=1", "optimizer.lr=0.003")


def test_all_folds_together_hold_out_every_cadence_once(train, two_of_three, outputs, data_root, capsys):
    train("data.n_folds=3", "fold=1", "trainer.max_epochs=1", "optimizer.lr=0.003")
    experiment = Experiment(outputs / "exp")
    oof = experiment.read_oof()
    labels = competition.read_labels(data_root)
    pd.testing.assert_frame_equal(oof[["id", "target"]], labels)
    # Stratified folds: of 20 positives among 40 cadences each fold has 6 or 7.
    assert set(oof.groupby("fold")["target"].sum()) <= {6, 7}
    assert sorted(oof["fold"].unique()) == [0, 1, 2]

    cross_validation.report(experiment.path)
    cv = read_json(experiment.cv_path)
    tables = [pd.read_csv(experiment.path / f"fold_{fold}" / "oof.csv") for fold in range(3)]
    aucs = [roc_auc_score(table["target"], table["prob"]) for table in tables]
    pooled = pd.concat(tables)
    np.testing.assert_allclose([fold["auc"] for fold in cv["folds"]], aucs, atol=1e-12)
    expected = [log_loss(table["target"], table["prob"]) for table in tables]
    np.testing.assert_allclose([fold["loss"] for fold in cv["folds"]], expected, atol=1e-9)
    assert cv["mean_auc"] == pytest.approx(np.mean(aucs), abs=1e-12)
    assert cv["deviation_auc"] == pytest.approx(np.sqrt(np.sum((aucs - np.mean(aucs)) ** 2) / 2), abs=1e-12)
    assert cv["pooled_auc"] == pytest.approx(roc_auc_score(pooled["target"], pooled["prob"]), abs=1e-12)
    assert cv["brier"] == pytest.approx(((pooled["prob"] - pooled["target"]) ** 2).mean(), abs=1e-12)
    assert cv["calibration_error"] == pytest.approx(calibration_error(pooled["target"], pooled["prob"]), abs=1e-12)
    assert (cv["cadences"], cv["positives"], cv["n_folds"]) == (40, 20, 3)
    assert cv["finished_folds"] == [0, 1, 2]
    assert cv["seconds"] == pytest.approx(sum(fold["seconds"] for fold in cv["folds"]))
    for name in ("roc.png", "curves.png"):
        assert (experiment.path / name).read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert f"{cv['mean_auc']:.4f} ± {cv['deviation_auc']:.4f}" in said
    assert f"calibration error {cv['calibration_error']:.4f}, Brier score {cv['brier']:.4f}, pooled" in said
    assert f"next:  seti predict ckpt_dir={experiment.path}" in said


def test_a_single_fold_has_no_deviation(finished, outputs, capsys):
    finished("trainer.max_epochs=1")
    engine = ["hydra/launcher=ray", "hydra.launcher.cpus=2"]
    cross_validation.report(outputs / "exp", engine=engine)
    said = capsys.readouterr().out
    assert "±" not in said
    (command,) = (
        line for line in said.splitlines() if line.startswith("next, the missing folds:  seti train -m fold=")
    )
    assert command.endswith(" hydra/launcher=ray hydra.launcher.cpus=2")
    summary = cross_validation.summarise(Experiment(outputs / "exp"))
    assert summary["deviation_auc"] == 0.0
    assert summary["mean_auc"] == summary["pooled_auc"] == summary["folds"][0]["auc"]
    assert summary["finished_folds"] == [0]


def test_the_row_of_means_has_the_mean_time_of_a_fold(capsys):
    folds = [{"fold": n, "auc": 0.75, "loss": 0.5, "best_epoch": 0, "seconds": 10.0 + 20 * n} for n in (0, 1)]
    scores = {"mean_auc": 0.75, "deviation_auc": 0.0, "pooled_auc": 0.75, "calibration_error": 0.1, "brier": 0.2}
    cross_validation._print_table({"exp_name": "x", "folds": folds, "seconds": 40.0, "honest": True, **scores})
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "mean" in line)
    assert [cell.strip() for cell in row.strip(" │┃|").split("│")][-1] == "20"


def test_a_folder_without_a_finished_fold_is_left_unchanged(tmp_path, capsys):
    cross_validation.report(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.slow  # the sweep of five folds covers most of it in the quick tests
def test_the_next_command_trains_the_missing_folds_with_the_same_settings(run, small, outputs):
    overrides = ["data.n_folds=3", "trainer.max_epochs=1", "optimizer.lr=0.003", "mixup.alpha=0.3", "force=true"]
    first = run("train.py", *small, *overrides, "fold=1")
    assert first.code == 0, first.err
    # A later command that is refused must not change the suggested next command.
    refused = run("train.py", *small, "data.n_folds=3", "optimizer.lr=0.1", "fold=1")
    assert refused.code == 1
    assert "optimizer.lr: 0.003 -> 0.1" in refused.err

    experiment = Experiment(outputs / "exp")
    command = experiment.train_command(experiment.missing_folds())
    typed = command.replace("seti train", f"python {ROOT}/train.py")  # as the first run was started
    assert f"next, the missing folds:  {typed}\n" in first.out
    words = shlex.split(command)
    assert words[:3] == ["seti", "train", "-m"]
    assert words[3] == "fold=0,2"
    assert not [word for word in words[4:] if word.startswith(("fold=", "force="))]
    assert "data.image_size=[24,32]" in words
    assert "'data.image_size=[24,32]'" in command  # quoted, or the shell would expand it
    settings = plain(compose("train", [*words[4:], "fold=0"]))
    assert differences(experiment.results[1].config, settings) == []
    assert settings["optimizer"]["lr"] == 0.003
    assert settings["output_dir"] == str(outputs)
    assert not settings["force"]

    done = run("train.py", *words[2:])
    assert done.code == 0, done.err
    assert Experiment(outputs / "exp").finished_folds() == [0, 1, 2]
    assert f"next:  python {ROOT}/predict.py" in done.out


def test_folds_trained_with_different_settings_are_refused(finished, train, outputs):
    finished("trainer.max_epochs=1")
    train("trainer.max_epochs=1", "fold=1", "optimizer.lr=0.01", "exp_name=other")
    shutil.move(outputs / "other" / "fold_1", outputs / "exp" / "fold_1")
    with pytest.raises(SetiError, match=r"folds 0 and 1 were trained differently \(optimizer.lr: 0.0006 -> 0.01\)"):
        cross_validation.report(outputs / "exp")
