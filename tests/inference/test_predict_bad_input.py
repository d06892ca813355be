"""Predictions that cannot be made: damaged input and settings, named before anything is written."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import read_json
from unit_helpers import seal

from seti.data import competition, splits
from seti.data.competition import cadence_path
from seti.errors import SetiError
from seti.inference import predict as prediction


@pytest.fixture
def trained(finished, outputs):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", "optimizer.lr=0.01", f"fold={fold}")
    return outputs / "exp"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda labels: labels.rename(columns={"target": "label"}), "has no column target: it has id, label; name its"),
        (lambda labels: labels.assign(target=2), "has 12 targets other than 0 and 1, first '2' for id"),
        (lambda labels: pd.concat([labels, labels]), "lists 12 ids twice, first"),
        (lambda labels: labels.iloc[2:], "has no label for 2 of 12 test ids ("),
        (lambda labels: labels.assign(target=0), "the test ids have one class in"),
    ],
)
def test_unusable_test_labels_are_named_before_the_work_and_keep_no_experiment_back(
    trained, finished, predict, outputs, own_data, data_root, caplog, monkeypatch, damage, message
):
    labels = own_data / "test_labels.csv"
    damage(pd.read_csv(labels, dtype={"id": str})).to_csv(labels, index=False)
    said = []

    def open_split(*args, **options):
        said.append(caplog.text)
        return splits.open_split(*args, **options)

    monkeypatch.setattr(prediction, "open_split", open_split)
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}", "exp_name=other", "data.fold_seed=7")
    with caplog.at_level(logging.INFO):
        both = predict(f"ckpt_dir=[{trained},{outputs / 'other'}]", f"data.root={own_data}")
    assert np.isnan(both)
    assert "no test AUC: " in said[0]
    assert message in said[0]
    assert str(labels) in said[0]
    assert caplog.text.count("no test AUC") == 1
    for name in ("exp", "other"):
        assert len(pd.read_csv(outputs / name / "submission.csv")) == 12


def test_a_damaged_experiment_stops_the_others_before_anything_is_computed(trained, train, predict, outputs):
    train("trainer.max_epochs=1", "exp_name=second")
    path = outputs / "second" / "fold_0" / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SetiError, match=f"{path} is not the file that result.json was written about"):
        predict(f"ckpt_dir=[{outputs}/exp,{outputs}/second]")
    assert not (trained / "predictions.csv").exists()


def damage_checkpoint(experiment, root):
    path = experiment / "fold_1" / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:2000])
    seal(experiment)
    return r"checkpoint .*fold_1/checkpoints/best.ckpt cannot be loaded \(.*\): train this fold again with force=true"


def remove_checkpoint(experiment, root):
    (experiment / "fold_1" / "checkpoints" / "best.ckpt").unlink()
    return "fold_1/checkpoints/best.ckpt is missing: restore it from a copy, or train fold 1 again"


def other_images(experiment, root):
    path = experiment / "fold_1" / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["spec"]["image_size"] = [32, 32]
    torch.save(checkpoint, path)
    seal(experiment)
    return "the checkpoint of fold 1 has the input .*32, 32.*train that fold again with force=true"


def diverged(experiment, root):
    path = experiment / "fold_1" / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["backbone.network.fc.bias"].fill_(float("nan"))
    torch.save(checkpoint, path)
    seal(experiment)
    return "output is not finite for 12 of 12 cadences: its weights diverged"


def remove_cadence(experiment, root):
    ids = competition.read_test_ids(root)
    path = cadence_path(root, "test", ids[3])
    path.unlink()
    return rf"1 of 12 test ids have no file \({ids[3]}\): {path} is missing"


def truncate_cadence(experiment, root):
    path = cadence_path(root, "test", competition.read_test_ids(root)[3])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])
    return f"cannot read cadence {path}"


def remove_sample(experiment, root):
    (root / "sample_submission.csv").unlink()
    return r"sample_submission.csv is missing, .*: add out=<folder> to score every cadence in that folder, or give"


@pytest.mark.parametrize(
    "damage",
    [
        damage_checkpoint,
        remove_checkpoint,
        other_images,
        diverged,
        remove_cadence,
        truncate_cadence,
        remove_sample,
    ],
)
def test_bad_input_is_named_and_nothing_is_written(trained, predict, own_data, damage):
    message = damage(trained, own_data)
    with pytest.raises(SetiError, match=message) as caught:
        predict(f"data.root={own_data}")
    assert "\n" not in str(caught.value)
    assert not (trained / "predictions.csv").exists()
    assert not (trained / "submission.csv").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("device=gpu9", "device=gpu9 is unknown to torch"),
        ("precision=8", "precision=8 is none of auto"),
        ("average=median", "average=median is none of mean, rank"),
        ("data.batch_size=0", "data.batch_size=0 must be at least 1"),
        ("data.batch_size=some", "data.batch_size=some must be a whole number of at least 1, or auto"),
        ("data.num_workers=-1", "data.num_workers=-1 must be at least 0"),
        ("ckpt_dir=nowhere", "ckpt_dir=nowhere is not a folder"),
        ("ckpt_dir=[]", "is neither an experiment's folder nor a list"),
        ("ckpt_dir=3", "ckpt_dir=3 is not a folder"),  # a name, as it was typed
        ("data.root=nowhere", "data.root=nowhere is not a folder"),
    ],
)
def test_settings_that_cannot_work_are_refused(trained, predict, override, message):
    with pytest.raises(SetiError, match=message):
        predict(override)
    assert not (trained / "predictions.csv").exists()


def test_a_device_out_of_memory_names_the_setting_to_lower(trained, predict, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(prediction, "predict_probabilities", full)
    with pytest.raises(SetiError, match=r"out of memory: lower data.batch_size=4$"):
        predict("data.batch_size=4")


def test_a_damaged_cadence_stops_its_own_experiment_alone(predict, finished, own_data, outputs):
    for name, size in (("exp", "[24,32]"), ("other", "[32,24]")):
        finished("trainer.max_epochs=1", f"exp_name={name}", f"data.image_size={size}")
    path = cadence_path(own_data, "test", competition.read_test_ids(own_data).iloc[3])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-2])
    record = outputs / "exp" / "fold_0" / "result.json"
    result = read_json(record)
    result["data"]["root"] = str(own_data)
    record.write_text(json.dumps(result))
    with pytest.raises(SetiError, match=r"^1 of 2 experiments were not predicted: cannot read cadence ") as refused:
        predict(f"ckpt_dir=[{outputs / 'exp'},{outputs / 'other'}]")
    assert str(path) in str(refused.value)
    assert not (outputs / "exp" / "submission.csv").exists()
    assert (outputs / "other" / "submission.csv").exists()
