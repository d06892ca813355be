"""Pseudo-labels, from a finished experiment's predictions to the marks of a score that is not honest."""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import compose

from seti.data import competition
from seti.dataloading.pseudo import PseudoLabels
from seti.dataloading.sampler import EpochSampler
from seti.errors import SetiError, SettingsError
from seti.experiments import predictions
from seti.experiments.experiment import Experiment
from seti.models.release_files import read_release
from seti.reports import cross_validation
from seti.stacking.stack import stack as blend
from seti.training import fold as training

ONE = "trainer.max_epochs=1"


@pytest.fixture
def first(finished, predict, outputs):
    """An experiment of two folds, with its predictions."""
    for fold in (0, 1):
        finished(ONE, f"fold={fold}")
    predict()
    return outputs / "exp"


def pseudo(first, *more: str) -> tuple[str, ...]:
    return (ONE, "exp_name=second", f"data.pseudo={first / 'predictions.csv'}", *more)


def test_each_fold_learns_the_labels_of_the_network_that_never_saw_it(train, outputs, first, monkeypatch):
    seen = {}
    original = training.CadenceDataModule.train_dataloader

    def recorded(module):
        seen[module.fold] = module.train_set
        return original(module)

    monkeypatch.setattr(training.CadenceDataModule, "train_dataloader", recorded)
    table = pd.read_csv(first / "predictions.csv", dtype={"id": str})
    for fold in (0, 1):
        train(*pseudo(first, f"fold={fold}"))
        data = seen[fold]
        labelled = len(data) - len(table)
        assert (data.ids[labelled:] == table["id"]).all()
        np.testing.assert_allclose(data.targets[labelled:], table[f"fold_{fold}"], atol=1e-6)
        assert set(data.targets[:labelled]) == {0, 1}
        path = competition.cadence_path(data_root_of(data), "test", table["id"][3])
        assert (data.source.read(labelled + 3) == np.load(path)[[0, 2, 4]]).all()
        record = json.loads((outputs / "second" / f"fold_{fold}" / "result.json").read_text())
        assert record["honest"] is True
        assert record["pseudo"]["column"] == f"fold_{fold}"
        assert record["pseudo"]["cadences"] == len(table)
    oof = Experiment(outputs / "second").read_oof()
    assert (oof["id"] == Experiment(first).read_oof()["id"]).all()
    assert cross_validation.summarise(Experiment(outputs / "second"))["honest"] is True


def data_root_of(data):
    from pathlib import Path

    return Path(data.source.second._folder).parent


def test_a_resumed_fold_continues_and_other_labels_are_other_settings(train, first, outputs):
    train(*pseudo(first))
    train(*pseudo(first))  # finished
    with pytest.raises(SettingsError, match=r"\(other pseudo-labels: .*predictions.csv -> None\)"):
        train(ONE, "exp_name=second")
    with pytest.raises(SettingsError, match=r"data.pseudo_weight: None -> 0.5"):
        train(*pseudo(first, "data.pseudo_weight=0.5"))


def test_the_mean_of_all_folds_is_marked(train, outputs, first, caplog, small_searches, capsys):
    caplog.set_level(logging.INFO)
    for fold in (0, 1):
        train(ONE, "exp_name=fed", f"fold={fold}", f"data.pseudo={first / 'submission.csv'}")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    path = first / "submission.csv"
    assert said == [
        f"the pseudo-labels of {path} come from networks that saw the held-out fold: out-of-fold scores of this "
        "experiment are not honest, and are marked; predictions.csv of an experiment gives honest ones"
    ]
    record = json.loads((outputs / "fed" / "fold_0" / "result.json").read_text())
    assert record["honest"] is record["pseudo"]["honest"] is False
    cross_validation.report(outputs / "fed")
    assert json.loads((outputs / "fed" / "cv.json").read_text())["honest"] is False
    assert f"not honest: fed learned from {path}" in " ".join(capsys.readouterr().out.split())

    for fold in (0, 1):
        train(ONE, "exp_name=other", f"fold={fold}", "seed=3", "data.fold_seed=42")
    blend(compose("stack", [f"output_dir={outputs}", "experiments=[fed,other]", "n_jobs=1"]))
    assert json.loads((outputs / "stack" / "stack.json").read_text())["not_honest"] == ["fed"]
    assert "not honest: fed learned from pseudo-labels by networks" in " ".join(capsys.readouterr().out.split())

    # A start from its weights, or its own labels, are no more honest.
    train(ONE, "exp_name=third", f"model.weights={outputs / 'fed'}")
    assert json.loads((outputs / "third" / "fold_0" / "result.json").read_text())["honest"] is False


def test_a_fold_starts_from_the_same_fold_of_the_previous_round(train, first, outputs, monkeypatch):
    started = {}
    original = training.build_classifier

    def recorded(*args, **options):
        classifier = original(*args, **options)
        started.update({name: value.clone() for name, value in classifier.backbone.state_dict().items()})
        return classifier

    monkeypatch.setattr(training, "build_classifier", recorded)
    train(*pseudo(first, f"model.weights={first}", "fold=1"))
    best = torch.load(first / "fold_1" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert started
    assert all(torch.equal(value, best[f"backbone.{name}"]) for name, value in started.items())
    with pytest.raises(
        SetiError,
        match=r"for images 1 x 24 x 32, and this fold trains .* for 3 x 24 x 32: .*; give both the same model",
    ):
        train(ONE, "exp_name=other", f"model.weights={first}", "data.layout=channel")


def test_a_start_that_saw_the_held_out_fold_is_refused(train, first):
    with pytest.raises(SetiError, match=r"model.weights=.*: fold 0 of exp saw \d+ of the 20 cadences that are"):
        train(ONE, "exp_name=other", f"model.weights={first}", "data.fold_seed=3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda exp: exp / "none.csv", r"data.pseudo=.*none.csv is not a file: give a table"),
        (lambda exp: exp, r"data.pseudo=.*exp is a folder: give a table, data.pseudo=.*exp/predictions.csv, or null"),
        (lambda exp: exp / "fold_0" / "metrics.csv", r"no column id"),
    ],
)
def test_paths_that_are_no_labels(train, first, change, message):
    with pytest.raises(SetiError, match=message):
        train(ONE, "exp_name=second", f"data.pseudo={change(first)}")


def test_other_folds_and_dead_folds_may_not_label(train, predict, first, outputs):
    with pytest.raises(SetiError, match=r"fold 0 of exp saw \d+ of the 20 cadences that are held out here"):
        train(*pseudo(first, "data.fold_seed=3"))
    shutil.rmtree(first / "fold_1")
    with pytest.raises(SetiError, match=r"made by other checkpoints than the experiment has now"):
        train(*pseudo(first, "fold=1"))
    predict()
    with pytest.raises(SetiError, match=r"no column fold_1: fold 1 of exp died or is not finished, and may not label"):
        train(*pseudo(first, "fold=1"))
    with pytest.raises(SetiError, match=r"model.weights=.*exp has no finished fold 1 \(fold_1/result.json\) to start"):
        train(ONE, "exp_name=second", "fold=1", f"model.weights={first}")


def submission(tmp_path, data_root, change):
    table = pd.read_csv(data_root / "sample_submission.csv", dtype={"id": str}).assign(target=0.25)
    path = tmp_path / "labels.csv"
    change(table).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(target=[np.nan, *t["target"][1:]]), r"has no probability in column target for 1 cadences"),
        (lambda t: t.assign(target=2.0), r"has 12 values in column target that are not probabilities, first 2 for id"),
        (
            lambda t: t.assign(id="x" + t["id"]),
            r"is of another data set than .*: 12 of its ids are not in the test set",
        ),
        (lambda t: t[:5], r"is of another data set than .*: 7 ids of its test set are not in the table"),
        (lambda t: pd.concat([t, t[:1]]), r"lists 1 ids twice"),
        (lambda t: t.rename(columns={"target": "x"}), r"has neither columns fold_<k> nor target"),
    ],
)
def test_labels_that_cannot_be_used(train, tmp_path, data_root, change, message):
    path = submission(tmp_path, data_root, change)
    with pytest.raises(SetiError, match=message):
        train(ONE, f"data.pseudo={path}")
    assert not (tmp_path / "outputs").exists()


def test_skip_leaves_out_cadences_without_a_label(train, tmp_path, data_root, outputs):
    path = submission(tmp_path, data_root, lambda t: t.assign(target=[np.nan, *t["target"][1:]]))
    train(ONE, f"data.pseudo={path}", "data.on_error=skip")
    assert json.loads((outputs / "exp" / "fold_0" / "result.json").read_text())["pseudo"]["cadences"] == 11


def test_the_surest_of_both_classes():
    probs = np.array([0.9, 0.6, 0.01, 0.02, 0.3, 0.4])
    labels = PseudoLabels("x", "target", np.array(list("abcdef")), probs, True, "")
    assert list(labels.surest(0.5).ids) == ["a", "c", "d"]
    assert list(labels.surest(None).ids) == list("abcdef")


@pytest.mark.parametrize("weight", [0.25, 1.0, 2.5])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_weight_is_how_often_a_cadence_is_seen(weight, balanced):
    targets = np.array([0.0] * 80 + [1.0] * 20 + [0.1] * 40)
    epochs = []
    for epoch in range(60):
        sampler = EpochSampler(targets, (1, 2), balanced, epoch, 0, 100, weight)
        drawn = [index for index, _ in sampler]
        assert len(drawn) == len(sampler) == 100 + round(40 * weight)
        epochs.append(np.bincount(drawn, minlength=140))
    seen = np.mean(epochs, axis=0)
    if not balanced:
        assert (np.array(epochs)[:, :100] == 1).all()
        np.testing.assert_allclose(seen[100:].mean(), weight)
        assert np.ptp(seen[100:]) < 0.4
    else:
        odds = 0.5 * targets / (20 + 4 * weight) + 0.5 * (1 - targets) / (80 + 36 * weight)
        expected = odds * np.where(np.arange(140) < 100, 1, weight) * len(drawn)
        parts = [[part.sum() for part in np.split(values, [80, 100])] for values in (seen, expected)]
        np.testing.assert_allclose(*parts, rtol=0.1)
    assert [*sampler][5:] == [*EpochSampler(targets, (1, 2), balanced, 59, 5, 100, weight)]


def write_predictions(folder, data_root, networks, checkpoints, **changes):
    """Predictions as `predict` writes them apart from an experiment."""
    folder.mkdir(parents=True)
    target = Experiment(folder)
    ids = competition.read_test_ids(data_root)
    probs = np.linspace(0.1, 0.9, len(ids))
    pd.DataFrame({"id": ids, "fold_0": probs, "prob": probs}).to_csv(target.predictions_path, index=False)
    target.submission_path.write_text("id,target\n")
    record = predictions.describe(target, checkpoints, data_root, ids, "32 on cpu", "mean")
    target.predictions_record.write_text(json.dumps({**record, "networks": networks, **changes}))
    return target.predictions_path


def test_released_networks_give_honest_labels(train, outputs, data_root, tmp_path):
    release = read_release("needle_net")
    sums = {str(fold): release.sums[path.name] for fold, path in release.folds.items()}
    path = write_predictions(tmp_path / "pretrained", data_root, "pretrained", sums)
    train(ONE, "exp_name=second", f"data.pseudo={path}")
    result = json.loads((outputs / "second" / "fold_0" / "result.json").read_text())
    assert result["honest"]
    assert result["pseudo"]["column"] == "prob"
    with path.open("a") as stream:
        stream.write("\n")
    with pytest.raises(
        SetiError, match=r"is not what pretrained predicted, or was edited since: seti predict ckpt_dir="
    ):
        train(ONE, "exp_name=third", f"data.pseudo={path}")
    ranks = write_predictions(tmp_path / "ranks", data_root, "pretrained", sums, average="rank")
    with pytest.raises(SetiError, match=r"holds mean ranks, .*: predict again with average=mean"):
        train(ONE, "exp_name=third", f"data.pseudo={ranks}")


def test_predictions_apart_from_their_experiment_are_refused_with_the_command(train, data_root, tmp_path):
    path = write_predictions(tmp_path / "elsewhere", data_root, "outputs/exp", {"0": "ab"})
    with pytest.raises(SetiError) as error:
        train(ONE, "exp_name=second", f"data.pseudo={path}")
    assert str(error.value) == (
        f"data.pseudo={path} is apart from the folds that predicted it, without which nothing shows what they saw: "
        "predict into their own folder, seti predict ckpt_dir=outputs/exp (without out=), and give "
        "data.pseudo=outputs/exp/predictions.csv"
    )
