import random
import signal
import tempfile

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import read_json
from omegaconf import OmegaConf

from seti.config.schema import plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.training import batch_size, batch_size_tuner, lr_range
from seti.training import fold as training
from seti.training.build import build_classifier, configure_logs
from seti.training.checkpoints import Position
from seti.utils.shutdown import Interrupted

TRAINED_ON = 20  # of the 40 cadences, in 2 folds


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The system's folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def fill_above(monkeypatch, limit, error=None):
    """A device that holds batches up to a limit; gives the sizes of the batches that were tried."""
    error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    step = CadenceClassifier.training_step
    tried = []

    def training_step(self, batch, batch_idx):
        tried.append(len(batch[1]))
        if len(batch[1]) > limit:
            raise error
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CadenceClassifier, "training_step", training_step)
    return tried


def tune_gives(monkeypatch, size):
    """Another device: what would be found on it."""
    calls = []
    monkeypatch.setattr(batch_size, "tune", lambda cfg: (calls.append(size) or size, "tried"))
    return calls


def size_of(fold):
    """The recorded number."""
    return read_json(fold / "result.json")["config"]["data"]["batch_size"]


def random_state():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002


@pytest.mark.parametrize(
    ("limit", "n_folds", "settings", "expected"),
    [
        (3, 2, (), 2),
        (10, 2, ("mixup.alpha=0.5", "trainer.accumulate_grad_batches=4"), 8),
        (10**6, 2, (), 16),  # 20 cadences to train on
        (31, 5, ("data.num_workers=1",), 16),  # 32, which is a size that is tried
        (32, 5, (), 32),
        (10**6, 5, ("trainer.precision=bf16-mixed", "trainer.limit_train_batches=1"), 32),
    ],
)
def test_the_tuner_finds_the_largest_power_of_two_that_fits(
    config, outputs, scratch, monkeypatch, recwarn, limit, n_folds, settings, expected
):
    tried = fill_above(monkeypatch, limit)
    cfg = config("data.batch_size=auto", f"data.n_folds={n_folds}", *settings)
    before = random_state()
    configure_logs()  # which filters warnings
    assert batch_size_tuner.tune(cfg, probe=True)[0] == expected
    assert random_state() == before
    cadences = {2: TRAINED_ON, 5: 32}[n_folds]
    assert max(tried) <= cadences  # no batch but of these cadences, no repeats
    assert tried.count(expected) >= 2  # the optimiser had its state when the last one was tried
    assert not list(scratch.glob("seti*"))
    assert not outputs.exists()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_cap_keeps_the_tuner_from_larger_batches(config, monkeypatch):
    monkeypatch.setattr(batch_size_tuner, "LARGEST", 4)
    tried = fill_above(monkeypatch, 10**6)
    assert batch_size_tuner.tune(config("data.batch_size=auto"), probe=True)[0] == 4
    assert max(tried) == 4


@pytest.mark.parametrize("text", ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "GET was unable to find an engine to"])
def test_other_words_for_a_full_gpu_end_the_search_as_well(config, monkeypatch, text):
    fill_above(monkeypatch, 5, RuntimeError(text))
    assert batch_size_tuner.tune(config("data.batch_size=auto"), probe=True)[0] == 4


def test_other_errors_are_not_taken_for_a_full_gpu(config, scratch, monkeypatch):
    fill_above(monkeypatch, 5, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        batch_size_tuner.tune(config("data.batch_size=auto"), probe=True)
    assert not list(scratch.glob("seti*"))


def test_a_device_that_holds_no_batch_is_one_line(config, monkeypatch):
    fill_above(monkeypatch, 0)
    with pytest.raises(SetiError, match=r"not even 2 cadences of 24 x 32 fit .*: lower data\.image_size"):
        batch_size_tuner.tune(config("data.batch_size=auto"), probe=True)


@pytest.mark.parametrize(("kept", "share"), [(0, 0.9), (300, 0.6)])
def test_trials_leave_a_tenth_of_a_gpu_free_and_what_kept_cadences_need(monkeypatch, kept, share):
    shares = []
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: shares.append(share))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (800, 1000))
    with batch_size_tuner._limited_memory(torch.device("cuda"), kept):
        assert shares == [pytest.approx(share)]
    assert shares == [pytest.approx(share), 1.0]


def classifier(config, *settings):
    settings = plain(config("data.batch_size=2", *settings))
    datamodule = CadenceDataModule(settings["data"], settings["augment"], 0, 1)
    return build_classifier(settings, datamodule, fetch_weights=False)


def test_activations_are_counted_a_cadence(config):
    one = batch_size_tuner.activation_bytes(classifier(config, "data.image_size=[48,64]"), "32")
    four = batch_size_tuner.activation_bytes(classifier(config, "data.image_size=[96,128]"), "32")
    assert four == pytest.approx(4 * one, rel=0.05)

    class Linear(torch.nn.Module):
        """Keeps its input, `(B, 24 * 32)` of 4 bytes, and its output's exponential; its weight is not an activation."""

        image_maker = type("ImageMaker", (), {"channels": 1})
        spec = type("Spec", (), {"image_shape": (24, 32)})

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(24 * 32, 10)

        def forward(self, images):
            return self.layer(images.flatten(1)).exp()

    assert batch_size_tuner.activation_bytes(Linear(), "32") == 24 * 32 * 4 + 10 * 4


@pytest.mark.parametrize(("fitting", "n_folds", "expected"), [(5.5, 2, 4), (0.5, 2, 2), (1e6, 2, 16), (1e6, 5, 32)])
def test_a_processor_is_not_tried_until_it_swaps(config, outputs, monkeypatch, fitting, n_folds, expected):
    a_cadence = batch_size_tuner.activation_bytes(classifier(config), "32")
    monkeypatch.setattr(batch_size_tuner, "CPU_BYTES", int(fitting * a_cadence))
    tried = fill_above(monkeypatch, 10**6)
    before = random_state()
    assert batch_size_tuner.tune(config("data.batch_size=auto", f"data.n_folds={n_folds}"))[0] == expected
    assert random_state() == before
    assert tried == []
    assert not outputs.exists()


def test_auto_trains_as_its_number_does(train, outputs, fold):
    train("data.batch_size=auto")
    assert size_of(fold) == 16
    assert not list(fold.glob("batch_size*"))
    train("data.batch_size=16", "exp_name=number")
    number = outputs / "number" / "fold_0"
    assert (fold / "oof.csv").read_bytes() == (number / "oof.csv").read_bytes()
    assert {path.name for path in fold.iterdir()} == {path.name for path in number.iterdir()}
    assert not [path for path in outputs.rglob(".*") if path.is_file()]


def test_a_gpus_fold_is_tuned_and_trained(train, fold, scratch, monkeypatch):
    tune = batch_size.tune
    monkeypatch.setattr(batch_size, "tune", lambda cfg: tune(cfg, probe=True))
    fill_above(monkeypatch, 9)
    train("data.batch_size=auto", "mixup.alpha=0.5", "augment=flips_affine")
    assert size_of(fold) == 8
    assert not list(scratch.glob("seti*"))
    oof, files = (fold / "oof.csv").read_bytes(), {path.name for path in fold.iterdir()}
    train("data.batch_size=8", "mixup.alpha=0.5", "augment=flips_affine", "force=true")
    assert (fold / "oof.csv").read_bytes() == oof
    assert {path.name for path in fold.iterdir()} == files


def test_gradients_are_accumulated_over_batches_of_that_size(train, fold, monkeypatch):
    tune_gives(monkeypatch, 4)
    train("data.batch_size=auto", "trainer.accumulate_grad_batches=2", "trainer.max_epochs=3")
    last = torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3 * 3  # 5 batches an epoch, two a step
    assert last["lr_schedulers"][0]["total_steps"] == 9


def test_a_finished_fold_stays_finished_on_another_device(train, fold, monkeypatch):
    auc = train("data.batch_size=8")
    calls = tune_gives(monkeypatch, 4)
    assert train("data.batch_size=auto") == auc
    assert calls == []
    assert size_of(fold) == 8
    with pytest.raises(SetiError, match=r"data\.batch_size: 8 -> 4"):
        train("data.batch_size=4")
    with pytest.raises(SetiError, match=r"other settings \(optimizer\.lr: 0\.0006 -> 0\.001\)"):
        train("data.batch_size=auto", "optimizer.lr=1e-3")


@pytest.mark.parametrize(("call", "position"), [(3, Position(0, 3)), (6, Position(1, 1))])
def test_a_resumed_run_keeps_its_number(train, fold, outputs, monkeypatch, caplog, call, position):
    recipe = ("mixup.alpha=0.5", "augment=flips_affine", "data.batch_size=auto")
    tune_gives(monkeypatch, 4)
    step, calls = CadenceClassifier.training_step, []

    def training_step(self, *args):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(CadenceClassifier, "training_step", training_step)
        with pytest.raises(Interrupted):
            train(*recipe)
    assert Position.of(torch.load(fold / "checkpoints" / "last.ckpt", weights_only=True)) == position
    assert tune_gives(monkeypatch, 8) == []
    with caplog.at_level("INFO"):
        train(*recipe)
    assert "data.batch_size=auto: 4 cadences a batch (as batch_size.json says)" in caplog.text
    assert size_of(fold) == 4
    train(*recipe, "data.batch_size=4", "exp_name=whole")
    whole = outputs / "whole" / "fold_0"
    assert (fold / "oof.csv").read_bytes() == (whole / "oof.csv").read_bytes()
    columns = ["epoch", "train_loss", "val_loss", "val_auc", "lr"]
    pd.testing.assert_frame_equal(*(pd.read_csv(path / "metrics.csv")[columns] for path in (fold, whole)))


def test_the_folds_of_an_experiment_share_the_number(train, outputs, monkeypatch, caplog):
    train("data.batch_size=4")
    calls = tune_gives(monkeypatch, 8)
    with caplog.at_level("INFO"):
        train("data.batch_size=auto", "fold=1")
    assert "4 cadences a batch (as fold 0)" in caplog.text
    assert calls == []
    assert size_of(outputs / "exp" / "fold_1") == 4
    train("data.batch_size=auto", "force=true")  # alone, it would be tuned; but the other fold stays
    assert size_of(outputs / "exp" / "fold_0") == 4
    assert calls == []


def stop_before_the_first_step(train, monkeypatch, *overrides):
    def fail(*_, **__):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(training.pl.Trainer, "fit", fail)
        with pytest.raises(InterruptedError):
            train(*overrides)


def test_a_fold_that_begins_while_another_one_trains_takes_its_number(train, fold, outputs, monkeypatch):
    tune_gives(monkeypatch, 4)
    stop_before_the_first_step(train, monkeypatch, "data.batch_size=auto")
    calls = tune_gives(monkeypatch, 8)
    train("data.batch_size=auto", "fold=1")
    assert size_of(outputs / "exp" / "fold_1") == 4
    train("data.batch_size=auto")
    assert size_of(fold) == 4
    assert calls == []
    assert list(outputs.rglob("batch_size*")) == [outputs / "exp" / "batch_size.json"]


def test_folds_that_begin_together_wait_for_the_one_that_tunes(train, fold, outputs, monkeypatch):
    def tune(cfg):
        held = [path.relative_to(outputs / "exp").as_posix() for path in outputs.rglob(".*lock")]
        assert held == [".batch_size.lock"]
        assert not list(outputs.rglob("*.json"))
        return 4, "tried"

    monkeypatch.setattr(batch_size, "tune", tune)
    train("data.batch_size=auto")
    assert size_of(fold) == 4


@pytest.mark.parametrize("unfinished", ["optimizer.lr=1e-3", "data.image_size=[32,32]"])
def test_what_was_settled_for_other_settings_is_forgotten(train, fold, outputs, monkeypatch, unfinished):
    tune_gives(monkeypatch, 4)
    stop_before_the_first_step(train, monkeypatch, "data.batch_size=auto", unfinished)
    tune_gives(monkeypatch, 8)
    train("data.batch_size=auto", "fold=1")
    assert size_of(outputs / "exp" / "fold_1") == 8
    train("data.batch_size=auto")
    assert size_of(fold) == 8


def test_a_number_replaces_what_was_settled(train, fold, outputs, monkeypatch):
    tune_gives(monkeypatch, 4)
    stop_before_the_first_step(train, monkeypatch, "data.batch_size=auto")
    stop_before_the_first_step(train, monkeypatch, "data.batch_size=2")
    assert not list(outputs.rglob("batch_size*"))
    tune_gives(monkeypatch, 8)
    train("data.batch_size=auto", "fold=1")
    assert size_of(outputs / "exp" / "fold_1") == 8


def test_force_tunes_again_where_no_other_fold_is_begun(train, fold, monkeypatch):
    train("data.batch_size=8")
    assert tune_gives(monkeypatch, 4) == []
    train("data.batch_size=auto", "force=true")
    assert size_of(fold) == 4
    assert not list(fold.glob("batch_size*"))


def test_dead_attempts_keep_their_number(train, fold, monkeypatch):
    settings = ("optimizer.lr=1e-12", "trainer.max_epochs=5", "watch.auc_margin=0.5", "data.batch_size=auto")
    tune_gives(monkeypatch, 8)
    with pytest.raises(SetiError, match="does not learn"):
        train(*settings)
    tune_gives(monkeypatch, 4)
    with pytest.raises(SetiError, match=r"does not learn.*by an earlier run"):
        train(*settings)


def test_another_folds_damage_does_not_stop_this_one(train, outputs, monkeypatch):
    damaged = outputs / "exp" / "fold_1"
    (damaged / "checkpoints").mkdir(parents=True)
    (damaged / "checkpoints" / "last.ckpt").write_bytes(b"no checkpoint")
    tune_gives(monkeypatch, 4)
    train("data.batch_size=auto")
    assert size_of(outputs / "exp" / "fold_0") == 4


@pytest.mark.parametrize("override", ["data.root=nowhere", "data.batch_size=largest"])
def test_what_is_refused_leaves_nothing(train, outputs, override):
    with pytest.raises(SetiError, match=override.replace(".", r"\.")):
        train("data.batch_size=auto", override)
    assert not outputs.exists()


def test_the_range_test_takes_the_number_and_keeps_none(train, config, outputs, monkeypatch):
    sizes = []
    step = CadenceClassifier.training_step

    def training_step(self, batch, batch_idx):
        sizes.append(len(batch[1]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CadenceClassifier, "training_step", training_step)
    test = ("lr_range_test=true", "lr_range.steps=6", "data.batch_size=auto")
    folder = outputs / "exp" / "fold_0" / "lr_range" / "default"
    calls = tune_gives(monkeypatch, 10)
    lr_range.run(config(*test), folder)
    assert sizes == [10] * 6
    assert calls == [10]
    assert [path.name for path in outputs.rglob("*") if path.is_file()] == ["lr_range.csv"]
    train("data.batch_size=5", "fold=1")
    sizes.clear()
    lr_range.run(config(*test, "optimizer.weight_decay=0.1"), folder)
    assert sizes == [5] * 6
    assert calls == [10]


def test_hydras_configuration_holds_the_number_as_well(run, small, fold):
    done = run("train.py", *small, "data.batch_size=auto")
    assert done.code == 0, done.err
    assert OmegaConf.load(fold / ".hydra" / "config.yaml").data.batch_size == size_of(fold) == 16
    assert "data.batch_size=auto" in read_json(fold / "result.json")["overrides"]
    assert "16 cadences a batch" in (fold / "train.log").read_text()


def test_an_experiment_without_a_record_takes_the_number_of_its_interrupted_fold(train, fold, outputs, monkeypatch):
    """As folders of version 0.2 are."""
    tune_gives(monkeypatch, 4)
    with monkeypatch.context() as patch:
        patch.setattr(training, "predict_held_out", lambda *_: (_ for _ in ()).throw(InterruptedError))
        with pytest.raises(InterruptedError):
            train("data.batch_size=auto")
    (outputs / "exp" / "batch_size.json").unlink()
    calls = tune_gives(monkeypatch, 8)
    train("data.batch_size=auto", "fold=1")
    train("data.batch_size=auto")
    assert size_of(fold) == size_of(outputs / "exp" / "fold_1") == 4
    assert calls == []


def test_a_damaged_record_is_one_line(train, outputs):
    (outputs / "exp").mkdir(parents=True)
    for text in ("{}", '{"size": 4, "config": {"data": {"batch_size": true}}}', '{"config": []}'):
        (outputs / "exp" / "batch_size.json").write_text(text)
        with pytest.raises(SetiError, match=r"batch_size\.json holds no batch size: delete it"):
            train("data.batch_size=auto")
