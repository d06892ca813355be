import gc
import os
import weakref

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from conftest import compose, read_json
from sklearn.metrics import log_loss, roc_auc_score
from unit_helpers import forward, losses

from seti.config.schema import plain
from seti.data import competition
from seti.data.cadence import read_cadence
from seti.data.competition import cadence_path
from seti.data.folds import assign_folds
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.models.release_files import read_release, read_weights
from seti.training import fold as training
from seti.training.build import build_classifier

METRICS = ["epoch", "train_loss", "val_loss", "val_auc", "lr", "seconds"]


def test_nothing_is_said_of_a_cluster_s_srun(run, small, tmp_path, monkeypatch):
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(srun.parent), prepend=os.pathsep)
    done = run("train.py", *small, "trainer.max_epochs=1")
    assert (done.code, done.err) == (0, "")
    assert "srun" not in done.out


def test_a_fold_s_network_is_gone_when_the_next_fold_begins(train, monkeypatch):
    made, build = [], training.build_classifier

    def remember(*args, **options):
        assert not [network for network in made if network() is not None]
        classifier = build(*args, **options)
        made.append(weakref.ref(classifier))
        return classifier

    monkeypatch.setattr(training, "build_classifier", remember)
    gc.disable()  # else it may come by chance
    try:
        for fold in (0, 1):
            train("trainer.max_epochs=1", f"fold={fold}")
    finally:
        gc.enable()
    assert len(made) == 2


def test_a_fold_leaves_every_held_out_row_and_a_result(train, fold, data_root):
    auc = train("trainer.max_epochs=3")
    oof = pd.read_csv(fold / "oof.csv", dtype={"id": str})
    assert list(oof.columns) == ["id", "fold", "target", "prob"]

    labels = competition.read_labels(data_root)
    labels["fold"] = assign_folds(labels["target"].to_numpy(), 2, 42)
    expected = labels[labels["fold"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(oof[["id", "target", "fold"]], expected[["id", "target", "fold"]])
    assert len(oof) == 20

    probs = forward(fold / "checkpoints" / "best.ckpt", data_root, "train", oof["id"])
    np.testing.assert_allclose(oof["prob"], probs, atol=1e-5)
    assert oof["prob"].nunique() > 10

    result = read_json(fold / "result.json")
    assert auc == result["scores"]["auc"] == pytest.approx(roc_auc_score(oof["target"], oof["prob"]), abs=1e-12)
    assert result["scores"]["loss"] == pytest.approx(log_loss(oof["target"], oof["prob"]), abs=1e-9)
    assert (result["fold"], result["n_folds"], result["exp_name"], result["epochs"]) == (0, 2, "exp", 3)
    assert result["checkpoint"] == "checkpoints/best.ckpt"
    assert result["data"]["root"] == str(data_root.resolve())
    assert (result["data"]["cadences"], result["data"]["positives"]) == (40, 20)
    assert result["config"]["data"]["image_size"] == [24, 32]
    assert torch.__version__.startswith(result["versions"]["torch"])

    metrics = pd.read_csv(fold / "metrics.csv")
    assert list(metrics.columns) == METRICS
    assert list(metrics["epoch"]) == [0, 1, 2]
    assert result["best_epoch"] == metrics["val_auc"].argmax()
    assert metrics["val_auc"].max() == pytest.approx(auc, abs=1e-6)
    assert metrics["val_loss"][result["best_epoch"]] == pytest.approx(result["scores"]["loss"], abs=1e-5)
    assert (metrics["seconds"] >= 0).all()
    best = torch.load(fold / "checkpoints" / "best.ckpt", weights_only=True)
    last = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)
    assert best["epoch"] == result["best_epoch"]
    assert last["epoch"] == 2


def test_the_schedule_is_one_cycle_up_to_the_chosen_rate(train, fold):
    train("optimizer.lr=0.01", "schedule.pct_start=0.5", "schedule.div_factor=10")
    # 20 cadences in batches of 8: 3 steps an epoch, 6 in all; an epoch's row has the rate of its last step.
    reference = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]), 0.01, total_steps=6, pct_start=0.5, div_factor=10
    )
    rates = [reference.get_last_lr()[0]]
    for _ in range(5):
        reference.optimizer.step()
        reference.step()
        rates.append(reference.get_last_lr()[0])
    assert rates[0] == pytest.approx(0.001)
    assert rates[2] == pytest.approx(0.01)
    np.testing.assert_allclose(pd.read_csv(fold / "metrics.csv")["lr"], [rates[2], rates[5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.max_epochs=0"], "trainer.max_epochs=0 must be at least 1"),
        (["trainer.max_epochs=-1"], "trainer.max_epochs=-1 must be at least 1"),
        (["trainer.max_epochs=null"], "trainer.max_epochs=null must be a whole number of at least 1"),
        (["trainer.limit_train_batches=0"], "trainer.limit_train_batches=0 leaves nothing"),
        (["trainer.precision=8"], "precision=8 is none of auto, 32"),
        (["+trainer.nonsense=1"], "trainer.nonsense is not a setting"),
        (["trainer.accelerator=tpu"], "trainer.accelerator=tpu is none of auto, cpu, gpu, cuda, mps"),
        (
            ["model.backbone=efficientnet_b11"],
            "backbone=efficientnet_b11 is not a network of timm.*efficientnet_b1",
        ),
        (["model.pretrained=true"], "pretrained weights of test_resnet.r160_in1k cannot be downloaded.*model.weights"),
        (["model.weights=none.pth"], "model.weights=none.pth is not a file"),
        (["fold=9"], "fold=9 is none of the 2 folds: use 0..1"),
        (["data.n_folds=30", "fold=29"], "has 20 negatives for data.n_folds=30"),
        (["data.panels=on"], "data.panels=.* is none of A, all"),
        (["exp_name=../up"], "exp_name='../up' cannot name a folder"),
        (["data.root=nowhere"], "data.root=nowhere is not a folder: set data.root"),
        (["optimizer.lr=1e30"], "training diverged; lower optimizer.lr=1e\\+30"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(train, outputs, overrides, message):
    with pytest.raises(SetiError, match=message) as caught:
        train(*overrides)
    assert "\n" not in str(caught.value)
    assert not list(outputs.rglob("result.json"))


def first_file(root, split="train"):
    return cadence_path(root, split, competition.read_labels(root)["id"].iloc[0])


def without_the_table(root):
    (root / "train_labels.csv").unlink()
    return r"train_labels.csv is missing: data.root must be a folder in the competition's layout"


def without_a_column(root):
    table = pd.read_csv(root / "train_labels.csv", dtype={"id": str})
    table.rename(columns={"target": "label"}).to_csv(root / "train_labels.csv", index=False)
    return "train_labels.csv has no column target: it has id, label"


def without_a_file(root):
    path = first_file(root)
    path.unlink()
    fix = "add the files or take the ids out of the table, or set data.on_error=skip$"
    return f"1 of 40 train ids have no file \\({path.stem}\\): {path} is missing; {fix}"


def with_a_target_of_two(root):
    table = pd.read_csv(root / "train_labels.csv", dtype={"id": str})
    table.loc[3, "target"] = 2
    table.to_csv(root / "train_labels.csv", index=False)
    return f"1 targets other than 0 and 1, first .*2.* for id {table['id'][3]}: fix the table"


def with_a_truncated_file(root):
    path = first_file(root)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:5000])
    return (
        f"cannot read cadence {path}: it is truncated, shorter than its header says; remove or replace the file, or "
        "set data.on_error=skip$"
    )


def with_nan(root):
    path = first_file(root)
    cadence = read_cadence(path)
    path.unlink()
    cadence[2, 5, 7] = np.nan
    np.save(path, cadence)
    fix = "remove or replace the file, or set data.on_error=skip$"
    return rf"cadence {path} has 1 value that is NaN or infinite, first in panel 2 \(A\): {fix}"


def with_another_shape(root):
    path = cadence_path(root, "train", competition.read_labels(root)["id"].iloc[5])
    path.unlink()
    np.save(path, np.zeros((6, 100, 256), np.float16))
    return f"cadence {path} has panels of 100 x 256, the others have 273 x 256: remove or replace the file"


@pytest.mark.parametrize(
    "damage",
    [
        without_the_table,
        without_a_column,
        without_a_file,
        with_a_target_of_two,
        with_a_truncated_file,
        with_nan,
        with_another_shape,
    ],
)
def test_damaged_data_is_named(train, own_data, outputs, damage):
    message = damage(own_data)
    with pytest.raises(SetiError, match=message) as caught:
        train(f"data.root={own_data}")
    assert "\n" not in str(caught.value)
    assert not list(outputs.rglob("result.json"))


def test_a_frozen_backbone_keeps_its_weights_and_statistics(train, fold, monkeypatch):
    before = {}
    build = training.build_classifier

    def remember(*args, **kwargs):
        classifier = build(*args, **kwargs)
        before.update({name: value.clone() for name, value in classifier.state_dict().items()})
        return classifier

    monkeypatch.setattr(training, "build_classifier", remember)
    train("model.freeze_backbone=true", "trainer.max_epochs=1")
    after = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"backbone.network.fc.weight", "backbone.network.fc.bias"}

    train("trainer.max_epochs=1", "exp_name=whole")
    after = torch.load(fold.parents[1] / "whole" / "fold_0" / "checkpoints" / "last.ckpt", weights_only=True)
    changed = {name for name in after["state_dict"] if not torch.equal(after["state_dict"][name], before[name])}
    assert any("running_mean" in name for name in changed)
    assert any(name.endswith("conv1.weight") for name in changed)


def test_balanced_sampling_shows_as_many_positives_as_negatives(train, own_data, monkeypatch):
    labels = competition.read_labels(own_data)
    few = labels[labels["target"] == 1]["id"].iloc[:4]
    labels = labels[(labels["target"] == 0) | labels["id"].isin(few)]
    labels.to_csv(own_data / "train_labels.csv", index=False)
    seen = []
    step = CadenceClassifier.training_step

    def watch(self, batch, batch_idx):
        seen.extend(batch[1].tolist())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CadenceClassifier, "training_step", watch)
    settings = (f"data.root={own_data}", "trainer.max_epochs=8", "trainer.limit_train_batches=1.0")
    train(*settings)
    assert len(seen) == 8 * 12
    assert np.mean(seen) == pytest.approx(2 / 12)
    seen.clear()
    train(*settings, "data.balanced=true", "exp_name=balanced")
    assert len(seen) == 8 * 12
    assert 0.35 < np.mean(seen) < 0.65


def test_early_stopping_stops_when_asked_to(train, fold):
    train("trainer.max_epochs=5", "early_stopping.patience=1", "early_stopping.min_delta=1000")
    # The first epoch is the best so far; the second is not a better by 1000.
    assert len(pd.read_csv(fold / "metrics.csv")) == 2
    assert read_json(fold / "result.json")["epochs"] == 2
    train("trainer.max_epochs=5", "early_stopping.min_delta=1000", "exp_name=patient")
    assert read_json(fold.parents[1] / "patient" / "fold_0" / "result.json")["epochs"] == 5


def test_the_best_epoch_can_be_the_one_of_lowest_loss(train, fold):
    settings = ("checkpoint.monitor=val_loss", "checkpoint.mode=min", "optimizer.lr=0.02", "trainer.max_epochs=4")
    train(*settings)
    metrics = pd.read_csv(fold / "metrics.csv")
    result = read_json(fold / "result.json")
    assert result["best_epoch"] == metrics["val_loss"].argmin()
    assert result["scores"]["auc"] == pytest.approx(metrics["val_auc"][result["best_epoch"]], abs=1e-6)


@pytest.mark.parametrize(
    ("asked", "used"), [("32", "32-true"), ("bf16-mixed", "bf16-mixed"), ("16-mixed", "bf16-mixed")]
)
def test_every_precision_trains(train, fold, monkeypatch, asked, used):
    precisions = []
    fit = pl.Trainer.fit

    def watch(self, *args, **kwargs):
        precisions.append(self.precision)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(pl.Trainer, "fit", watch)
    auc = train(f"trainer.precision={asked}", "trainer.max_epochs=1")
    assert precisions == [used]
    assert np.isfinite(losses(fold).to_numpy()).all()
    # The held-out rows are predicted in the precision that the epoch was validated in.
    assert auc == pytest.approx(losses(fold)["val_auc"][0], abs=0.011)


def test_gradients_are_accumulated(train, fold):
    train("trainer.accumulate_grad_batches=3", "trainer.max_epochs=1")
    assert torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 1


def test_the_tiny_network_learns_what_can_be_learned(train, own_data, fold):
    """Needles made so bright that a network which trains at all must see them."""
    for row in competition.read_labels(own_data).itertuples():
        path = cadence_path(own_data, "train", row.id)
        panels = read_cadence(path).astype(np.float32)
        panels[[0, 2, 4], :, 100:140] += 8 * row.target
        path.unlink()
        np.save(path, panels.astype(np.float16))
    auc = train(f"data.root={own_data}", "optimizer.lr=0.01", "trainer.max_epochs=8", "augment=flips")
    assert auc > 0.95
    metrics = pd.read_csv(fold / "metrics.csv")
    assert metrics["train_loss"].iloc[-1] < 0.6 * metrics["train_loss"].iloc[0]


def test_a_picture_too_small_for_the_network_is_refused_before_the_first_batch(train, outputs):
    with pytest.raises(SetiError, match=r"model\.backbone=test_convnext.* cannot take images of 24 x 8"):
        train("model.backbone=test_convnext", "data.image_size=[24,8]")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_cadence_is_one_line_wherever_it_is_read(train, own_data, workers):
    ids = competition.read_labels(own_data)["id"]
    path = cadence_path(own_data, "train", ids.iloc[-1])
    content = path.read_bytes()[:-7]
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(SetiError) as caught:
        train(f"data.root={own_data}", f"data.num_workers={workers}")
    assert str(caught.value).startswith(f"cannot read cadence {path}: it is truncated")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "seed=-1",
        "data.fold_seed=4294967296",
        "trainer.accumulate_grad_batches=0",
        "trainer.gradient_clip_val=-1",
        "trainer.limit_train_batches=all",
        "+trainer.limit_val_batches=0",
        "+trainer.check_val_every_n_epoch=2",
        "schedule.pct_start=1",
    ],
)
def test_settings_that_cannot_train_are_refused(train, setting):
    with pytest.raises(SetiError, match=setting.lstrip("+").split("=")[0].replace(".", r"\.")):
        train(setting)


def test_pictures_made_on_the_device_train_as_those_of_the_host(train, outputs):
    aucs = {where: train(f"data.augment_on={where}", f"exp_name={where}") for where in ("host", "device")}
    assert aucs["device"] == pytest.approx(aucs["host"], abs=0.05)
    oofs = [pd.read_csv(outputs / where / "fold_0" / "oof.csv") for where in aucs]
    np.testing.assert_allclose(oofs[0]["prob"], oofs[1]["prob"], atol=0.02)
    assert (oofs[0]["id"] == oofs[1]["id"]).all()


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_gradients_are_clipped_in_every_precision(train, monkeypatch, precision):
    norms = []
    step = CadenceClassifier.on_before_zero_grad

    def note(self, optimizer):  # behind the step, with the gradients that it took
        grads = [parameter.grad.norm() for parameter in self.parameters() if parameter.grad is not None]
        norms.extend([float(torch.stack(grads).norm())] if grads else [])
        return step(self, optimizer)

    monkeypatch.setattr(CadenceClassifier, "on_before_zero_grad", note)
    train(f"trainer.precision={precision}", "trainer.gradient_clip_val=1e-3")
    assert norms
    assert max(norms) == pytest.approx(1e-3, rel=1e-3)


def test_a_full_device_is_one_line(train, monkeypatch):
    def fill(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(CadenceClassifier, "training_step", fill)
    with pytest.raises(SetiError, match=r"out of memory: lower data\.batch_size=8 or"):
        train()


def test_a_fold_starts_from_the_member_of_a_release_that_has_its_number(data_root, outputs):
    """With a rate of almost nothing, the trained weights are still those of the release."""
    words = ["experiment=fine_tune", "model.head_epochs=0", "trainer.max_epochs=1", "optimizer.lr=1e-12"]
    folders = [f"data.root={data_root}", f"output_dir={outputs}", "exp_name=exp"]
    training.train(compose("train", [*words, "data.n_folds=2", "data.num_workers=0", "fold=1", *folders]))
    checkpoint = torch.load(outputs / "exp" / "fold_1" / "checkpoints" / "best.ckpt", weights_only=True)
    found = {key.removeprefix("backbone.network."): value for key, value in checkpoint["state_dict"].items()}
    released = read_weights(read_release("needle_net"), 1)
    for key in (key for key in released if key.endswith("weight")):
        torch.testing.assert_close(found[key], released[key], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ("needle_net_swift", "starting from network 3 of pretrained/needle_net"),
        (
            "needle_net_broad",
            "starting from the network of pretrained/needle_net_broad: all folds start from the same one",
        ),
    ],
)
def test_the_release_that_a_fold_starts_from_is_named(data_root, outputs, caplog, backbone, said):
    words = ["experiment=fine_tune", f"model.backbone={backbone}", "fold=3", f"data.root={data_root}"]
    settings = plain(compose("train", [*words, f"output_dir={outputs}", "exp_name=exp"]))
    datamodule = CadenceDataModule(settings["data"], settings["augment"], 3, 0)
    with caplog.at_level("INFO"):
        build_classifier(settings, datamodule, fetch_weights=True)
    assert said in caplog.messages
