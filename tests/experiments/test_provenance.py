"""Files made with another data set, fold seed or version are refused by name, not blended."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import compose, read_json
from unit_helpers import seal, seal_predictions

from seti.errors import SetiError
from seti.experiments import predictions, provenance
from seti.experiments.experiment import Experiment
from seti.stacking import stack as blending

FOLDS, CADENCES, TESTED = 2, 80, 12

pytestmark = pytest.mark.usefixtures("small_searches")


def make_experiment(path, seed=0):
    rng = np.random.default_rng(seed)
    for fold in range(FOLDS):
        folder = path / f"fold_{fold}"
        folder.mkdir(parents=True)
        ids = [f"a{n}" for n in range(CADENCES) if n % FOLDS == fold]
        targets = [n % 3 % 2 for n in range(len(ids))]
        probs = rng.random(len(ids))
        pd.DataFrame({"id": ids, "fold": fold, "target": targets, "prob": probs}).to_csv(
            folder / "oof.csv", index=False
        )
        result = {
            "fold": fold,
            "n_folds": FOLDS,
            "exp_name": path.name,
            "scores": {"auc": 0.5, "loss": 0.7},
            "checkpoint": "checkpoints/best.ckpt",
            "data": {"root": str(path.parent / "data"), "fingerprint": "f"},
            "config": {"data": {"fold_seed": 42}},
        }
        (folder / "result.json").write_text(json.dumps(result))
    seal(path)
    probs = {name: rng.random(TESTED) for name in ("fold_0", "fold_1", "prob")}
    pd.DataFrame({"id": [f"t{n}" for n in range(TESTED)], **probs}).to_csv(path / "predictions.csv", index=False)
    seal_predictions(path)
    return Experiment(path)


@pytest.fixture
def experiment(tmp_path):
    return make_experiment(tmp_path / "outputs" / "exp")


def change(path, **entries):
    path.write_text(json.dumps(read_json(path) | entries))


def stack(experiment):
    return blending.stack(compose("stack", [f"output_dir={experiment.path.parent}", "n_jobs=1"]))


def refusal(experiment):
    """The message with which the stack refuses an experiment, before anything is written."""
    with pytest.raises(SetiError) as caught:
        stack(Experiment(experiment.path))
    assert not (experiment.path.parent / "stack").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_trained_fold_says_what_it_wrote(train, outputs):
    train("trainer.max_epochs=1")
    folder = Experiment(outputs / "exp").fold(0)
    result = read_json(folder.result)
    assert result["format"] == provenance.FORMAT
    assert result["files"] == {
        "checkpoints/best.ckpt": provenance.sha256(folder.best_checkpoint),
        "oof.csv": provenance.sha256(folder.oof),
    }


def test_an_edited_table_is_named(experiment):
    path = experiment.fold(1).oof
    path.write_text(path.read_text().replace("0.", "0.0", 1))
    assert refusal(experiment).startswith(f"{path} is not the file that result.json was written about")


def test_a_table_of_another_experiment_is_named(experiment, tmp_path):
    other = make_experiment(tmp_path / "elsewhere" / "other", seed=1)
    experiment.fold(0).oof.write_bytes(other.fold(0).oof.read_bytes())
    assert f"{experiment.fold(0).oof} is not the file" in refusal(experiment)
    assert "train fold 0 again with force=true" in refusal(experiment)


def test_a_swapped_checkpoint_is_named_before_it_predicts(experiment, tmp_path):
    other = make_experiment(tmp_path / "elsewhere" / "other", seed=1)
    assert experiment.checkpoint(0) == experiment.fold(0).best_checkpoint
    experiment.fold(0).best_checkpoint.write_bytes(other.fold(0).best_checkpoint.read_bytes())
    with pytest.raises(SetiError, match=r"best.ckpt is not the file that result.json was written about.*train fold 0"):
        experiment.checkpoint(0)


@pytest.mark.parametrize("place", ["../../other/best.ckpt", "/etc/passwd", "checkpoints/../../../best.ckpt", "", 3])
def test_a_checkpoint_outside_of_the_folds_folder_is_refused(experiment, place):
    change(experiment.fold(0).result, checkpoint=place)
    assert f"{experiment.fold(0).result} holds no sensible checkpoint" in refusal(experiment)


def test_a_fold_of_another_fold_seed_is_named(experiment):
    change(experiment.fold(1).result, config={"data": {"fold_seed": 7}})
    assert "folds 0 and 1 were trained differently (data.fold_seed: 42 -> 7)" in refusal(experiment)


def test_a_fold_of_another_number_of_folds_is_named(experiment):
    change(experiment.fold(1).result, n_folds=3)
    assert "(n_folds: 2 -> 3)" in refusal(experiment)


def test_a_fold_in_another_folds_place_is_named(experiment):
    experiment.fold(0).result.write_bytes(experiment.fold(1).result.read_bytes())
    assert f"{experiment.fold(0).result} is of fold 1 of 2" in refusal(experiment)


@pytest.mark.parametrize("name", ["fold_0/result.json", "predictions.json"])
def test_another_version_is_named_and_its_patches_are_not(experiment, name):
    own = provenance.version("seti")
    change(experiment.path / name, versions={"seti": ".".join(own.split(".")[:2]) + ".99"})
    assert 0 <= stack(Experiment(experiment.path)) <= 1
    change(experiment.path / name, versions={"seti": "99.0"})
    with pytest.raises(SetiError, match=rf"{name} was written by seti 99.0, and this is {own}: use that version, or"):
        stack(Experiment(experiment.path))


def test_a_result_of_another_format_is_named(experiment):
    change(experiment.fold(0).result, format=provenance.FORMAT + 1)
    assert "result.json has format '2', and this version reads 1: train this fold again" in refusal(experiment)


def test_predictions_without_their_record_are_named(experiment):
    experiment.predictions_record.unlink()
    assert refusal(experiment) == (
        f"{experiment.predictions_path} has no predictions.json next to it to say what it was made with: "
        f"predict again: seti predict ckpt_dir={experiment.path}"
    )


def test_predictions_by_other_checkpoints_are_named(experiment):
    experiment.fold(1).best_checkpoint.write_text("trained again")
    seal(experiment.path)
    assert "was made by other checkpoints than the experiment has now (fold 1): predict again" in refusal(experiment)


def test_edited_predictions_are_named(experiment):
    path = experiment.predictions_path
    path.write_text(path.read_text().replace("t3,0.", "t3,0.0", 1))
    assert f"{path} is not the file that predictions.json was written about" in refusal(experiment)


@pytest.mark.parametrize("value", ["1.5", "-0.1", "much"])
def test_predictions_that_are_no_probabilities_are_named(experiment, value):
    table = pd.read_csv(experiment.predictions_path, dtype=str)
    table.loc[3, "prob"] = value
    table.to_csv(experiment.predictions_path, index=False)
    seal_predictions(experiment.path)
    assert "predictions.csv holds values that are not probabilities" in refusal(experiment)


def test_predictions_of_another_test_set_are_named(experiment):
    record = read_json(experiment.predictions_record)
    change(experiment.predictions_record, data=record["data"] | {"test_ids": "0" * 16})
    assert "lists other test ids than it was made for" in refusal(experiment)


def test_cadences_without_a_score_get_the_prior(experiment, capsys):
    table = pd.read_csv(experiment.predictions_path)
    table.loc[3, ["fold_0", "fold_1", "prob"]] = np.nan
    table.to_csv(experiment.predictions_path, index=False)
    seal_predictions(experiment.path)
    stack(experiment)
    submission = pd.read_csv(experiment.path.parent / "stack" / "submission.csv")
    prior = experiment.read_oof()["target"].mean()
    assert list(submission["id"]) == list(table["id"])
    assert submission["target"][3] == prior
    assert submission["target"].notna().all()
    assert f"1 test cadences have no score: they get the prior, {prior:.4f}" in capsys.readouterr().out
    assert read_json(experiment.path.parent / "stack" / "stack.json")["test_cadences_without_score"] == 1


def test_a_stack_that_cannot_be_written_leaves_the_earlier_one(experiment, monkeypatch):
    stack(experiment)
    folder = experiment.path.parent / "stack"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blending.files, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        blending.stack(compose("stack", [f"output_dir={folder.parent}", "n_jobs=1", "seed=3"]))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_was_predicted_is_read_back(train, predict, outputs):
    for fold in (0, 1):
        train("trainer.max_epochs=1", f"fold={fold}")
    predict()
    experiment = Experiment(outputs / "exp")
    table = predictions.read_predictions(experiment)
    pd.testing.assert_frame_equal(table, pd.read_csv(experiment.predictions_path, dtype={"id": str}))
    record = read_json(experiment.predictions_record)
    assert record["checkpoints"] == {
        str(fold): provenance.sha256(experiment.fold(fold).best_checkpoint) for fold in (0, 1)
    }
    assert record["precision"] == "32 on cpu"
    assert record["data"]["cadences"] == 12
    train("trainer.max_epochs=1", "fold=1", "force=true")
    assert predictions.read_predictions(Experiment(outputs / "exp")) is None
