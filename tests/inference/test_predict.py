import logging
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import read_json
from sklearn.metrics import roc_auc_score
from unit_helpers import files_dataset, forward, seal

from seti.data import competition, sources
from seti.data.cadence import read_cadence
from seti.data.competition import cadence_path
from seti.dataloading import dataset
from seti.dataloading.loader import make_loader
from seti.experiments import predictions
from seti.experiments.experiment import Experiment
from seti.inference import predict as prediction
from seti.inference import tables
from seti.models.classifier import load_classifier


@pytest.fixture
def trained(finished, outputs):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", "optimizer.lr=0.01", f"fold={fold}")
    return outputs / "exp"


def test_every_fold_predicts_every_test_cadence(trained, predict, data_root):
    auc = predict()
    table = pd.read_csv(trained / "predictions.csv", dtype={"id": str})
    ids = pd.read_csv(data_root / "sample_submission.csv", dtype={"id": str})["id"]
    assert list(table.columns) == ["id", "fold_0", "fold_1", "prob"]
    assert list(table["id"]) == list(ids)
    for fold in (0, 1):
        probs = forward(trained / f"fold_{fold}" / "checkpoints" / "best.ckpt", data_root, "test", ids)
        np.testing.assert_allclose(table[f"fold_{fold}"], probs, atol=1e-5)
    assert (table["fold_0"] - table["fold_1"]).abs().max() > 1e-3
    np.testing.assert_allclose(table["prob"], (table["fold_0"] + table["fold_1"]) / 2, rtol=1e-12)

    submission = pd.read_csv(trained / "submission.csv", dtype={"id": str})
    assert list(submission.columns) == ["id", "target"]
    assert list(submission["id"]) == list(ids)
    assert list(submission["target"]) == list(table["prob"])

    truth = pd.read_csv(data_root / "test_labels.csv", dtype={"id": str}).set_index("id")["target"]
    assert auc == pytest.approx(roc_auc_score(truth.loc[ids], table["prob"]), abs=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        ("model.backbone=test_nfnet",),
        ("model.pool=gem", "model.stem_stride=1"),
        ("model.backbone=test_nfnet", "model.pool=gem"),
    ],
)
def test_other_networks_reproduce_their_validation_scores(train, predict, outputs, data_root, network):
    train("trainer.max_epochs=1", "optimizer.lr=0.01", "ema.decay=0.5", *network)
    predict()
    table = pd.read_csv(outputs / "exp" / "predictions.csv", dtype={"id": str})
    classifier = load_classifier(outputs / "exp" / "fold_0" / "checkpoints" / "best.ckpt")
    images = []
    for cadence_id in table["id"]:
        panels = read_cadence(cadence_path(data_root, "test", cadence_id))[[0, 2, 4]].astype(np.float32)
        images.append(cv2.resize(panels.reshape(-1, 256), (32, 24), interpolation=cv2.INTER_LINEAR))
    with torch.no_grad():
        probs = classifier(torch.from_numpy(np.stack(images))[:, None]).sigmoid().numpy()
    assert table["fold_0"].nunique() > 5
    np.testing.assert_allclose(table["fold_0"], probs, atol=1e-4)


def test_averaged_ranks_by_hand():
    """The first fold is confident about the second cadence; the two others rank it in the middle."""
    probs = np.array([[0.1, 0.20, 0.31], [0.9, 0.21, 0.32], [0.1, 0.23, 0.30], [0.5, 0.22, 0.33]])
    ranks = [[1.5, 1, 2], [4, 2, 3], [1.5, 4, 1], [3, 3, 4]]
    expected = np.array([4.5, 9, 6.5, 10]) / 3 / 4
    np.testing.assert_allclose(np.mean(ranks, axis=1) / 4, expected)
    np.testing.assert_allclose(tables.average_folds(probs, "rank"), expected)
    np.testing.assert_array_equal(tables.average_folds(probs, "mean"), probs.mean(axis=1))
    assert probs.mean(axis=1).argmax() == 1
    assert expected.argmax() == 3


def test_folds_may_be_averaged_by_rank(trained, predict, data_root, capsys):
    predict()
    plain = pd.read_csv(trained / "predictions.csv", dtype={"id": str})
    assert read_json(trained / "predictions.json")["average"] == "mean"
    assert "mean of folds " in capsys.readouterr().out
    auc = predict("average=rank")
    table = pd.read_csv(trained / "predictions.csv", dtype={"id": str})
    pd.testing.assert_frame_equal(table.drop(columns="prob"), plain.drop(columns="prob"))
    ranks = table[["fold_0", "fold_1"]].rank().mean(axis=1) / len(table)
    np.testing.assert_allclose(table["prob"], ranks, rtol=1e-12)
    assert list(pd.read_csv(trained / "submission.csv")["target"]) == list(table["prob"])
    truth = pd.read_csv(data_root / "test_labels.csv", dtype={"id": str}).set_index("id")["target"]
    assert auc == pytest.approx(roc_auc_score(truth.loc[table["id"]], table["prob"]), abs=1e-12)
    assert "mean of ranks in folds" in capsys.readouterr().out

    assert read_json(trained / "predictions.json")["average"] == "rank"
    pd.testing.assert_frame_equal(predictions.read_predictions(Experiment(trained)), table)
    blended = predictions.read_probabilities(Experiment(trained))
    pd.testing.assert_frame_equal(blended, plain, rtol=1e-12)


def test_a_damaged_cadence_has_no_rank_and_is_submitted_at_the_rank_of_the_prior(trained, predict, own_data, caplog):
    lost = competition.read_test_ids(own_data)[3]
    cadence_path(own_data, "test", lost).unlink()
    with caplog.at_level(logging.WARNING):
        predict("average=rank", "data.on_error=skip", f"data.root={own_data}")
    table = pd.read_csv(trained / "predictions.csv", dtype={"id": str}).set_index("id")
    assert table.loc[lost].isna().all()
    usable = table.drop(index=lost)
    np.testing.assert_allclose(usable["prob"], usable[["fold_0", "fold_1"]].rank().mean(axis=1) / 11, rtol=1e-12)
    assert usable["prob"].max() <= 1
    # 20 of 40 training cadences are positive, so the rank is the share of means up to one half.
    rank = (usable[["fold_0", "fold_1"]].mean(axis=1) <= 0.5).mean()
    submitted = pd.read_csv(trained / "submission.csv", dtype={"id": str}).set_index("id")["target"]
    assert submitted[lost] == pytest.approx(rank, abs=1e-12)
    assert list(submitted.drop(lost)) == list(usable["prob"])
    assert f"the rank of the training prior 0.5, {rank:.4g} in" in caplog.text
    assert predictions.read_probabilities(Experiment(trained)).set_index("id").loc[lost].isna().all()


def test_rows_are_matched_by_id_not_by_order(trained, predict, own_data, capsys):
    auc = predict()
    before = pd.read_csv(trained / "predictions.csv", dtype={"id": str}).set_index("id")
    sample = pd.read_csv(own_data / "sample_submission.csv", dtype={"id": str})
    sample = sample.sample(frac=1, random_state=1).iloc[:-1]
    sample.to_csv(own_data / "sample_submission.csv", index=False)
    labels = pd.read_csv(own_data / "test_labels.csv", dtype={"id": str})
    labels.sample(frac=1, random_state=2).to_csv(own_data / "test_labels.csv", index=False)

    partial = predict(f"data.root={own_data}", "data.batch_size=5", "data.num_workers=2")
    after = pd.read_csv(trained / "predictions.csv", dtype={"id": str})
    assert list(after["id"]) == list(sample["id"])
    np.testing.assert_allclose(after["prob"], before.loc[after["id"], "prob"], atol=1e-6)
    joined = after.merge(labels, on="id")
    assert partial == pytest.approx(roc_auc_score(joined["target"], joined["prob"]), abs=1e-12)
    assert "test AUC" in capsys.readouterr().out

    (own_data / "test_labels.csv").unlink()
    assert np.isnan(predict(f"data.root={own_data}"))
    assert "test AUC" not in capsys.readouterr().out
    assert not np.isnan(auc)


def test_a_cadence_is_read_once_for_all_folds(trained, predict, monkeypatch):
    read = []

    def count(path, panels, *rest):
        read.append(Path(path).stem)
        assert panels == (0, 2, 4)
        return read_cadence(path, panels, *rest)

    monkeypatch.setattr(sources, "read_cadence", count)
    predict()
    assert sorted(read) == sorted(pd.read_csv(trained / "predictions.csv", dtype={"id": str})["id"])


def test_experiments_with_the_same_images_share_one_pass(trained, train, predict, outputs, monkeypatch):
    """The second experiment has another seed, the third one other images."""
    train("trainer.max_epochs=1", "optimizer.lr=0.01", "exp_name=second", "seed=3")
    train("trainer.max_epochs=1", "optimizer.lr=0.01", "exp_name=third", "data.image_size=[32,32]")
    names = ["exp", "third", "second"]
    alone = {}
    for name in names:
        alone[name] = (predict(f"ckpt_dir={outputs / name}"), pd.read_csv(outputs / name / "predictions.csv"))
        (outputs / name / "predictions.csv").unlink()

    read = Counter()
    read_alone = sources.CadenceFiles.read

    def count(self, index, *args):
        read[self.ids[index]] += 1
        return read_alone(self, index, *args)

    monkeypatch.setattr(sources.CadenceFiles, "read", count)
    mean = predict("ckpt_dir=[" + ",".join(str(outputs / name) for name in names) + "]")
    assert len(read) == 12
    assert set(read.values()) == {2}  # once per image size
    for name in names:
        pd.testing.assert_frame_equal(pd.read_csv(outputs / name / "predictions.csv"), alone[name][1])
        assert (outputs / name / "submission.csv").exists()
    assert mean == pytest.approx(np.mean([auc for auc, _ in alone.values()]))


def test_experiments_with_too_many_weights_are_predicted_in_groups(trained, train, predict, outputs, monkeypatch):
    train("trainer.max_epochs=1", "exp_name=second", "seed=3")
    groups = []
    monkeypatch.setattr(prediction, "RESIDENT_BYTES", 1)
    of_group = prediction._predict_group

    def watch(cfg, group, *args):
        groups.append([member.experiment.name for member in group])
        return of_group(cfg, group, *args)

    monkeypatch.setattr(prediction, "_predict_group", watch)
    predict(f"ckpt_dir=[{outputs}/exp,{outputs}/second]")
    assert groups == [["exp"], ["second"]]


def test_the_same_command_gives_the_same_predictions(trained, predict):
    predict("data.batch_size=auto", "precision=auto", "flips=true")
    first = (trained / "predictions.csv").read_bytes()
    predict("data.batch_size=auto", "precision=auto", "flips=true")
    assert (trained / "predictions.csv").read_bytes() == first


def test_missing_folds_are_named_and_the_others_are_used(train, predict, outputs, caplog):
    for fold in (0, 2):
        train("trainer.max_epochs=1", "data.n_folds=4", f"fold={fold}")
    with caplog.at_level(logging.WARNING):
        predict()
    assert "folds 1,3 of exp are not finished: predicting with folds 0,2 only" in caplog.text
    assert "fold=1,3" in caplog.text
    table = pd.read_csv(outputs / "exp" / "predictions.csv")
    assert list(table.columns) == ["id", "fold_0", "fold_2", "prob"]
    np.testing.assert_allclose(table["prob"], table[["fold_0", "fold_2"]].mean(axis=1), rtol=1e-12)


def test_no_pretrained_weights_are_downloaded(trained, predict, monkeypatch):
    import timm.models._builder as builder

    for fold in (0, 1):
        for name in ("best", "last"):
            path = trained / f"fold_{fold}" / "checkpoints" / f"{name}.ckpt"
            checkpoint = torch.load(path, weights_only=True)
            checkpoint["hyper_parameters"]["model"] |= {"pretrained": True, "weights": "gone.safetensors"}
            torch.save(checkpoint, path)
    seal(trained)

    def refuse(*args, **kwargs):
        msg = "the hub was asked"
        raise AssertionError(msg)

    monkeypatch.setattr(builder, "load_pretrained", refuse)
    assert 0 <= predict() <= 1


@pytest.mark.parametrize("panels", ["A", "all"])
@pytest.mark.parametrize("layout", ["spatial", "channel"])
def test_every_layout_trains_and_predicts(train, predict, outputs, panels, layout):
    train(f"data.panels={panels}", f"data.layout={layout}", "trainer.max_epochs=1", "augment=flips_affine")
    predict()
    checkpoint = torch.load(outputs / "exp" / "fold_0" / "checkpoints" / "best.ckpt", weights_only=True)
    stem = checkpoint["state_dict"]["backbone.network.conv1.0.weight"]
    channels = {"A": 3, "all": 6}[panels] if layout == "channel" else 1
    assert stem.shape[1] == channels
    table = pd.read_csv(outputs / "exp" / "predictions.csv")
    assert len(table) == 12
    assert table["prob"].between(0, 1).all()
    assert table["prob"].nunique() == 12


def test_images_of_native_size(train, predict, outputs, monkeypatch):
    shapes = set()
    load = dataset.CadenceDataset.__getitems__

    def watch(self, items):
        images, targets, indices = load(self, items)
        shapes.add(tuple(images.shape[1:]))
        return images, targets, indices

    monkeypatch.setattr(dataset.CadenceDataset, "__getitems__", watch)
    train("data.image_size=null", "trainer.max_epochs=1", "+trainer.limit_val_batches=1.0", "augment=none")
    predict()
    assert shapes == {(1, 819, 256)}
    assert read_json(outputs / "exp" / "fold_0" / "result.json")["config"]["data"]["image_size"] is None


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_half_precision_is_close_to_full_precision(trained, predict, precision):
    predict()
    full = pd.read_csv(trained / "predictions.csv")
    predict(f"precision={precision}")
    half = pd.read_csv(trained / "predictions.csv")
    np.testing.assert_allclose(half["prob"], full["prob"], atol=0.03)
    assert not half["prob"].equals(full["prob"])


def test_rows_are_placed_by_index_in_any_order_of_batches(trained, data_root):
    experiment = prediction.open_experiment(trained)
    classifiers = prediction.load_folds(experiment)
    ids = competition.read_test_ids(data_root).to_numpy()
    cadences = files_dataset(data_root, "test", ids, None, classifiers[0].spec)
    cpu = torch.device("cpu")
    straight = prediction.predict_probabilities(classifiers, make_loader(cadences, 4, 0), cpu, "32", "")
    order = np.random.default_rng(0).permutation(len(ids)).tolist()
    mixed = make_loader(cadences, 5, 0, sampler=order)
    np.testing.assert_allclose(prediction.predict_probabilities(classifiers, mixed, cpu, "32", ""), straight, atol=1e-6)
    assert straight.shape == (12, 2)
    assert straight.dtype == np.float64


@pytest.mark.parametrize(("typed", "name"), [("16", "16-mixed"), ("bf16", "bf16-mixed"), ("BF16-Mixed", "bf16-mixed")])
def test_precisions_have_lightnings_names_in_any_case(predict, finished, outputs, typed, name):
    finished("trainer.max_epochs=1")
    predict(f"precision={typed}", "device=CPU")
    assert read_json(outputs / "exp" / "predictions.json")["precision"] == f"{name} on cpu"
