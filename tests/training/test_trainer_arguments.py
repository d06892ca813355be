"""Every argument of Lightning's Trainer: it works, or one line refuses it before anything starts."""

import inspect
import sys

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from conftest import read_json
from omegaconf import OmegaConf
from unit_helpers import losses, typed

from seti.config import trainer_checks
from seti.errors import SetiError, SettingsError
from seti.models.classifier import CadenceClassifier
from seti.training import fold as training
from seti.training import lr_range, refusals

JUDGED = "every epoch is judged by its validation AUC; leave that setting out"
WHOLE = "must be a whole number of at least 1"
SHARE = "is neither a share of the batches (up to 1.0) nor a number of them"
FORMS = "write days:hours:minutes:seconds, such as 00:08:30:00, or {hours: 8, minutes: 30}"
TIME = f"is not a time: {FORMS}"
PLANNED = "must be at least 1: the learning rate is planned over all epochs"
NO_DEVICE = "is not a device: set it to a number of devices such as 1 or 2, or to their numbers such as [0] or [0,1]"
NO_STRATEGY = "is not how several devices train here: leave it at auto, which takes ddp for them"
NO_GPU = "names GPUs, and none is used: set it to"

# Values as they are typed, of those that train a fold (`test_...works` below runs each).
WORKS = {
    "accelerator": ["auto", "cpu"],
    "strategy": ["auto", "null"],
    "devices": ["auto", "1", "-1", '"1"', "null"],
    "num_nodes": ["1"],
    "precision": ["auto", "16", "bf16", "64", "32", '"16"', "64-true", "32-true", "bf16-mixed", "null"],
    "logger": ["true", "false", "null"],
    "callbacks": ["[]", "null"],
    "fast_dev_run": ["false", "0"],
    "max_epochs": ["1", "1.0"],
    "min_epochs": ["0", "1", "null"],
    "max_steps": ["-1", "2", "2.0", "null"],
    "min_steps": ["0", "null"],
    "max_time": ["00:01:00:00", "01:00:00", "{hours: 1}", "{days: 1, minutes: 30}", "null"],
    "limit_train_batches": ["0.5", "1.0", "1", "2.0", "null"],
    "limit_val_batches": ["0.5", "1.0", "2", "null"],
    "limit_test_batches": ["1.0"],
    "limit_predict_batches": ["1.0"],
    "overfit_batches": ["0", "0.0"],
    "val_check_interval": ["1.0", "null"],
    "check_val_every_n_epoch": ["1", "null"],
    "num_sanity_val_steps": ["0"],
    "log_every_n_steps": ["0", "3"],
    "enable_checkpointing": ["true", "null"],
    "enable_progress_bar": ["true", "false"],
    "enable_model_summary": ["true", "false"],
    "accumulate_grad_batches": ["2", "2.0"],
    "gradient_clip_val": ["0.5", "1", "null"],
    "gradient_clip_algorithm": ["null"],  # the others below, with a value to clip at
    "deterministic": ["true", "false", "warn", "null"],
    "benchmark": ["true", "false"],
    "inference_mode": ["true", "false"],
    "use_distributed_sampler": ["true", "false"],
    "profiler": ["simple", "advanced", "pytorch", "null"],
    "detect_anomaly": ["true", "false"],
    "barebones": ["false"],
    "plugins": ["null"],
    "sync_batchnorm": ["false"],
    "reload_dataloaders_every_n_epochs": ["0"],
    "default_root_dir": ["null"],
    "enable_autolog_hparams": ["true", "false"],
    "model_registry": ["null"],
}
# Values that are refused, and how the line goes on.
REFUSED = {
    "accelerator": {"tpu": " is none of auto, cpu, gpu, cuda, mps", "GPU": " is none of auto, cpu, gpu, cuda, mps"},
    "strategy": {
        "ddp": " needs several devices: set trainer.devices=2 or more, or leave it at auto",
        "ddp_spawn": f" {NO_STRATEGY}",
        "fsdp": f" {NO_STRATEGY}",
        "deepspeed": f" {NO_STRATEGY}",
        "single_device": f" {NO_STRATEGY}",
    },
    "devices": {
        "4096": " is more than there are: this process may use ",
        "[0,1]": f" {NO_GPU} 2 for as many processes of a CPU",
        '"0,1"': f" {NO_GPU} 2",
        '"0,1,2,"': f" {NO_GPU} 3",
        "[0,0]": " names a device twice: name each one once",
        "[a]": f" {NO_DEVICE}",
        "0": f" {NO_DEVICE}",
        "[]": f" {NO_DEVICE}",
        "1.5": f" {NO_DEVICE}",
        "all": f" {NO_DEVICE}",
        "-2": f" {NO_DEVICE}",
        "true": f" {NO_DEVICE}",
    },
    "num_nodes": {
        "2": " is the launcher's to say: leave it out, and start the command on each machine, as `torchrun --nnodes 2 "
        "--nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint <first machine> -m seti train fold=0` or by srun"
    },
    "precision": {
        "8": " is none of auto, 32, 16, bf16, 64, 16-mixed, bf16-mixed, 32-true, 64-true",
        "16-true": " is none of auto, 32,",
        "transformer-engine": " is none of auto, 32,",
        "16.0": " is none of auto, 32,",
    },
    "logger": {"csv": " is neither true nor false", "[true]": " is neither true nor false"},
    "callbacks": {"[EarlyStopping]": ": callbacks are objects of Python: docs/extending.md says where to add one"},
    "fast_dev_run": {
        "true": ": it keeps no checkpoint to judge a fold by; trainer=debug is a smoke test",
        "3": ": it keeps no checkpoint to judge a fold by; trainer=debug is a smoke test",
    },
    "max_epochs": {
        "0": f" {PLANNED}",
        "-1": f" {PLANNED}",
        "null": f" {WHOLE}: the learning rate is planned over all epochs",
        "true": f" {WHOLE}: the learning rate is planned over all epochs",
        "many": f" {WHOLE}: the learning rate is planned over all epochs",
        "inf": f" {WHOLE}: the learning rate is planned over all epochs",
        "1.5": f" {WHOLE}: the learning rate is planned over all epochs",
    },
    "min_epochs": {
        "3": " is above trainer.max_epochs=1: lower it, or raise trainer.max_epochs",
        "0.5": " must be a wh",
    },
    "max_steps": {"0": " must be at least 1; null sets no limit but trainer.max_epochs", "1.5": f" {WHOLE}; null"},
    "min_steps": {"3": ": it could end an epoch before its validation; trainer.min_epochs counts whole ones"},
    "max_time": {
        "3600": f" {TIME}",
        "9h": f" {TIME}",
        "{hour: 1}": f" {TIME}",
        "{hours: one}": f" {TIME}",
        "soon": f" {TIME}",
        "00:00:00:00": f" leaves no time: {FORMS}; null sets no limit",
        "{hours: -1}": " leaves no time",
    },
    "limit_train_batches": {
        "0": " leaves nothing to train on: use a share such as 0.5, or a number",
        "-1": " leaves nothing to train on",
        "all": " must be a number: a share of the batches such as 0.5, or how many",
        "true": " must be a number: a share of the batches",
        "1.5": f" {SHARE}",
        "0.1": "=0.1 of 3 batches is less than one: set it to a number of batches such as 1, or to a share of at "
        "least 0.334",
    },
    "limit_val_batches": {
        "0": f": {JUDGED}",
        "2.5": f" {SHARE}",
        "0.01": "=0.01 of 3 batches is less than one",
    },
    "limit_test_batches": {"3": ": training has no test set; leave it out (predict scores the test set)"},
    "limit_predict_batches": {"3": ": training predicts all held-out cadences; leave it out"},
    "overfit_batches": {
        "2": ": a fold is judged by its held-out cadences; trainer.limit_train_batches trains on few",
        "0.5": ": a fold is judged by its held-out cadences",
    },
    "val_check_interval": {
        "0.5": f": {JUDGED}",
        "1": f": {JUDGED}",  # a whole number counts batches
        "10": f": {JUDGED}",
        '"00:00:10:00"': f": {JUDGED}",
    },
    "check_val_every_n_epoch": {"2": f": {JUDGED}", "0": f": {JUDGED}"},
    "num_sanity_val_steps": {"2": ": the first epoch is validated soon enough; leave it out", "-1": ": the first"},
    "log_every_n_steps": {"-1": " must be at least 0", "often": " must be a whole number of at least 0"},
    "enable_checkpointing": {"false": ": a fold is judged by its best checkpoint; leave it out"},
    "enable_progress_bar": {"maybe": " is neither true nor false"},
    "enable_model_summary": {"2": " is neither true nor false"},
    "accumulate_grad_batches": {"0": " must be at least 1", "0.5": f" {WHOLE}", "2.5": f" {WHOLE}"},
    "gradient_clip_val": {
        "0": " must be above 0; null clips nothing",
        "-1": " must be above 0",
        "x": " must be a number above 0",
    },
    "gradient_clip_algorithm": {
        "norm": " does nothing without trainer.gradient_clip_val: set it, or leave this out",
        "cut": " is none of norm, value",
    },
    "deterministic": {"maybe": " is none of true, false, warn"},
    "benchmark": {"1": " is neither true nor false"},
    "inference_mode": {"1": " is neither true nor false"},
    "use_distributed_sampler": {"1": " is neither true nor false"},
    "profiler": {"xla": " is none of simple, advanced, pytorch", "true": " is none of simple, advanced, pytorch"},
    "detect_anomaly": {"1": " is neither true nor false"},
    "barebones": {"true": ": it keeps no checkpoint to judge a fold by; leave it out"},
    "plugins": {"[x]": ": plugins are objects of Python, and the command line has none; leave it out"},
    "sync_batchnorm": {"true": ": every device normalises its own part of a batch; leave it out"},
    "reload_dataloaders_every_n_epochs": {"1": ": every epoch shuffles its cadences anyway; leave it out"},
    "default_root_dir": {"here": ": output_dir and exp_name say where a fold is kept; leave it out"},
    "enable_autolog_hparams": {"1": " is neither true nor false"},
    "model_registry": {"name": ": a fold's checkpoints stay in its folder; leave it out"},
}
SHORT = [("limit_train_batches", "0.1"), ("limit_val_batches", "0.01")]  # shares of few batches
# All that leave the weights of one epoch as they are, to be tried in one run each way.
CHANGES = {"precision", "max_steps", "limit_train_batches", "limit_val_batches", "accumulate_grad_batches"}
CHANGES |= {"gradient_clip_val", "deterministic", "profiler", "inference_mode", "max_epochs"}


def test_the_table_has_every_argument_of_lightnings_trainer():
    arguments = list(inspect.signature(pl.Trainer.__init__).parameters)[1:]
    assert sorted(WORKS) == sorted(REFUSED) == sorted(arguments) == sorted(trainer_checks.ARGUMENTS)


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_cannot_train_is_refused_in_one_line(name):
    for value, rest in REFUSED[name].items():
        if "batches is less" in rest:  # of the data set, see below
            continue
        with pytest.raises(SetiError) as refused:
            trainer_checks.check_trainer(typed(name, value))
        said = str(refused.value)
        assert said.startswith(f"trainer.{name}="), (value, said)
        assert rest in said, (value, said)
        assert "\n" not in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("+trainer.strategy=ddp", REFUSED["strategy"]["ddp"]),
        ("trainer.strategy=ddp", REFUSED["strategy"]["ddp"]),
        ("trainer.devices=4096", REFUSED["devices"]["4096"]),
        ("+trainer.num_nodes=2", REFUSED["num_nodes"]["2"]),
        ("+trainer.barebones=true", REFUSED["barebones"]["true"]),
        *((f"trainer.{name}={value}", REFUSED[name][value]) for name, value in SHORT),
    ],
)
@pytest.mark.parametrize("test", ["false", "true"])
def test_nothing_is_started_or_written_with_a_setting_that_is_refused(config, outputs, tmp_path, setting, said, test):
    cfg = config(setting, f"lr_range_test={test}")
    with pytest.raises(SetiError) as refused:
        lr_range.run(cfg, tmp_path / "job") if cfg.lr_range_test else training.train(cfg)
    assert str(refused.value).startswith(setting.lstrip("+").split("=")[0])
    assert said in str(refused.value)
    assert not outputs.exists()
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_setting_of_the_trainer_works(train, outputs, name):
    for number, value in enumerate(WORKS[name]):
        if value in ("64-true", "32-true", "bf16-mixed", '"16"'):  # other names, see below
            continue
        train("trainer.max_epochs=1", f"exp_name=e{number}", f"trainer.{name}={value}")
        table = losses(outputs / f"e{number}" / "fold_0")
        assert len(table) == 1
        assert np.isfinite(table.to_numpy()).all()
        assert len(pd.read_csv(outputs / f"e{number}" / "fold_0" / "oof.csv")) == 20


@pytest.mark.parametrize("choice", range(3))
def test_settings_that_change_nothing_that_is_trained_work_together(train, fold, trained_once, choice):
    values = {name: values[min(choice, len(values) - 1)] for name, values in WORKS.items() if name not in CHANGES}
    train("trainer.max_epochs=1", *(f"trainer.{name}={value}" for name, value in values.items()))
    assert (fold / "oof.csv").read_bytes() == (trained_once("trainer.max_epochs=1") / "oof.csv").read_bytes()


def test_every_value_that_works_passes_the_check():
    for name, values in WORKS.items():
        for value in values:
            trainer_checks.check_trainer(typed(name, value))


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_both_ways_to_clip_work(train, fold, algorithm):
    settings = ("trainer.gradient_clip_val=0.1", f"trainer.gradient_clip_algorithm={algorithm}")
    train("trainer.max_epochs=1", *settings)
    assert len(losses(fold)) == 1


def test_arguments_of_no_trainer_are_refused_with_the_nearest(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seti"])
    for name, said in {
        "max_epoch": "trainer.max_epoch is not a setting: did you mean trainer.max_epochs?",
        "epochs": "trainer.epochs is not a setting: did you mean trainer.max_epochs?",
        "gpus": "trainer.gpus is not a setting: seti train --cfg job prints those that there are",
    }.items():
        with pytest.raises(SetiError) as refused:
            trainer_checks.check_trainer(typed(name, 3))
        assert str(refused.value) == said


@pytest.mark.parametrize(
    ("names", "kept"),
    [(("16", '"16"', "16-mixed"), "16-mixed"), (("bf16",), "bf16-mixed"), (("64", "64-true"), "64"), (("32",), 32)],
)
def test_a_precision_has_one_name_in_the_record(names, kept):
    for name in names:
        cfg = OmegaConf.create({"trainer": typed("precision", name)})
        assert trainer_checks.settle_trainer(cfg).trainer.precision == kept


def test_whole_numbers_are_kept_as_such(train, fold):
    train("trainer.max_epochs=2.0", "trainer.limit_train_batches=2.0", "trainer.accumulate_grad_batches=1.0")
    trainer = read_json(fold / "result.json")["config"]["trainer"]
    kept = [trainer[name] for name in ("max_epochs", "limit_train_batches", "accumulate_grad_batches")]
    assert (kept, [type(one) for one in kept]) == ([2, 2, 1], [int] * 3)
    assert train("trainer.max_epochs=2", "trainer.limit_train_batches=2") >= 0  # the same fold


def test_float64_trains_weights_of_64_bits(train, fold, trained_once):
    train("trainer.precision=64")
    state = torch.load(fold / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float64}
    single = trained_once("trainer.max_epochs=2")
    np.testing.assert_allclose(losses(fold)["train_loss"], losses(single)["train_loss"], rtol=1e-4)
    oof = [pd.read_csv(path / "oof.csv")["prob"] for path in (fold, single)]
    np.testing.assert_allclose(*oof, atol=1e-3)
    train("trainer.precision=64", "ema.decay=0.9", "mixup.alpha=1", "exp_name=more", "trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("name", "written"), [("simple", "fit-simple.txt"), ("advanced", "fit-advanced.txt"), ("pytorch", "*.json")]
)
def test_a_profile_lies_in_the_folds_folder(train, fold, name, written):
    train("trainer.max_epochs=1", f"trainer.profiler={name}")
    assert list((fold / "profile").glob(written))


def test_no_logger_writes_no_tensorboard(train, fold):
    train("trainer.max_epochs=1", "trainer.logger=false")
    assert not (fold / "tensorboard").exists()
    assert len(losses(fold)) == 1


def test_a_step_without_a_deterministic_form_is_one_line(train, monkeypatch):
    said = "grid_sampler_2d_backward_cuda does not have a deterministic implementation, but you set"

    def fail(*_):
        raise RuntimeError(said)

    monkeypatch.setattr(CadenceClassifier, "training_step", fail)
    with pytest.raises(SetiError) as refused:
        train("trainer.deterministic=true")
    assert str(refused.value) == (
        "trainer.deterministic=true: grid_sampler_2d_backward_cuda has no deterministic form on this device: set "
        "trainer.deterministic=warn, which lets it run, or trainer.accelerator=cpu"
    )


@pytest.mark.filterwarnings("ignore:Error detected in SqrtBackward0", "ignore:Anomaly Detection")
def test_an_anomaly_is_one_line(train, monkeypatch):
    step = CadenceClassifier.training_step
    monkeypatch.setattr(CadenceClassifier, "training_step", lambda *args: (step(*args) * 0).sqrt() * 0)
    with pytest.raises(SetiError, match=r"^trainer\.detect_anomaly=true: Function 'SqrtBackward0' returned nan values"):
        train("trainer.detect_anomaly=true")


def test_batches_of_one_need_images_that_leave_batch_normalisation_two_values(train, outputs):
    with pytest.raises(SetiError) as refused:
        train("data.batch_size=1", "model.backbone=efficientnet_b0", "data.image_size=[32,32]")
    assert str(refused.value) == (
        "data.batch_size=1 leaves batch normalisation one value a channel in images of 32 x 32: set data.batch_size=2 "
        "or more, or a larger data.image_size"
    )
    assert not list(outputs.rglob("*.ckpt"))
    train("data.batch_size=1", "data.image_size=[64,64]", "trainer.max_epochs=1", "trainer.limit_train_batches=2")


def test_a_second_thread_does_not_train_while_the_first_does(train, monkeypatch):
    predict = training.predict_held_out

    def nested(*args):
        with pytest.raises(SetiError) as refused:
            train("fold=1")
        assert str(refused.value) == (
            "training fold 1 of exp: this process trains already, in another thread: start a process of its own for "
            "each fold"
        )
        return predict(*args)

    monkeypatch.setattr(training, "predict_held_out", nested)
    train("trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("wanted", "cuda", "mps", "said"),
    [
        ("cuda", False, False, "auto, cpu, or leave it out"),
        ("gpu", False, False, "auto, cpu, or leave it out"),
        ("mps", False, False, "auto, cpu, or leave it out"),
        ("mps", True, False, "auto, cpu, cuda, or leave it out"),
        ("cuda", False, True, "auto, cpu, mps, or leave it out"),
        ("gpu", False, True, None),
        ("cuda", True, False, None),
        ("auto", False, False, None),
        (None, False, False, None),
        ("cpu", False, False, None),
    ],
)
def test_an_accelerator_that_the_machine_lacks_is_refused_with_those_that_it_has(monkeypatch, wanted, cuda, mps, said):
    monkeypatch.setattr(refusals.CUDAAccelerator, "is_available", staticmethod(lambda: cuda))
    monkeypatch.setattr(refusals.MPSAccelerator, "is_available", staticmethod(lambda: mps))
    if said is None:
        refusals.check_accelerator({"accelerator": wanted})
        return
    with pytest.raises(SettingsError) as refused:
        refusals.check_accelerator({"accelerator": wanted})
    assert str(refused.value) == f"trainer.accelerator={wanted}: this machine has none: set it to {said}"
