import types

import pytest
import torch

from seti.config.schema import plain
from seti.dataloading.datamodule import CadenceDataModule
from seti.models import compiled_network
from seti.training.build import build_classifier, build_trainer
from seti.training.compiling import WORTHWHILE, choose_compilation
from seti.training.fold import train


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, bool]]:
    """Sizes of the batches that run compiled, and whether the network was training."""
    seen = []

    def run(network, images):
        seen.append((len(images), network.training))
        return network(images)

    monkeypatch.setattr("seti.models.classifier.run_compiled", run)
    return seen


def test_whole_training_batches_alone_run_compiled(config, calls):
    """The 11 cadences of the smaller last batch, and held-out ones, run as they are."""
    cfg = config("model.compile=true")
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    whole, last = divmod(datamodule.epoch_length, cfg.data.batch_size)
    assert last
    train(cfg)
    assert calls == [(cfg.data.batch_size, True)] * (whole * cfg.trainer.max_epochs)


def test_epochs_that_train_the_head_alone_are_not_compiled(config, calls):
    cfg = config("model.compile=true", "model.head_epochs=1", "trainer.max_epochs=2")
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    train(cfg)
    assert len(calls) == datamodule.epoch_length // cfg.data.batch_size


def test_scores_are_those_without_compilation(config, outputs):
    train(config("exp_name=still"))
    compiled_network.compiled.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        whole = torch.compile
        patch.setattr(torch, "compile", lambda run, **options: whole(run, backend="eager", **options))
        train(config("exp_name=exp", "model.compile=true"))
    compiled_network.compiled.cache_clear()
    tables = [(outputs / name / "fold_0" / "oof.csv").read_bytes() for name in ("still", "exp")]
    assert tables[0] == tables[1]


def test_where_torch_cannot_compile_the_network_runs_as_it_is(monkeypatch, caplog):
    def refuse(network, images):
        error = torch._dynamo.exc.TorchDynamoException
        msg = "Failed to find C compiler.\nPlease specify via CC"
        raise error(msg)

    monkeypatch.setattr(compiled_network, "compiled", lambda: refuse)
    monkeypatch.setattr(compiled_network, "_FAILED", [])
    network = torch.nn.Linear(3, 1)
    images = torch.ones(2, 3)
    for _ in range(2):
        assert torch.equal(compiled_network.run_compiled(network, images), network(images))
    assert [record.getMessage() for record in caplog.records] == [
        "torch.compile fails on this machine (Failed to find C compiler.): the network runs uncompiled"
    ]


def test_errors_of_the_network_itself_are_not_hidden():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        compiled_network.run_compiled(torch.nn.Linear(3, 1), torch.ones(2, 4))


@pytest.mark.parametrize(
    ("device", "devices", "steps", "deterministic", "compiled"),
    [
        ("cuda", 1, WORTHWHILE, False, True),
        ("cuda", 1, WORTHWHILE - 1, False, False),
        ("cuda", 1, WORTHWHILE, True, False),
        ("cuda", 2, WORTHWHILE, False, False),
        ("cpu", 1, WORTHWHILE, False, False),
    ],
)
def test_auto_compiles_long_folds_on_one_gpu(
    config, tmp_path, monkeypatch, device, devices, steps, deterministic, compiled
):
    cfg = config()
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    classifier = build_classifier(plain(cfg), datamodule, fetch_weights=True)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: deterministic)
    strategy = types.SimpleNamespace(root_device=torch.device(device))
    limits = {"max_epochs": 10**6, "max_steps": steps, "limit_train_batches": 1.0}
    trainer = types.SimpleNamespace(**limits, strategy=strategy, world_size=devices)
    choose_compilation(classifier, plain(cfg), trainer, datamodule)
    assert classifier.compiled_batch == (cfg.data.batch_size if compiled else None)


def test_auto_counts_the_steps_of_all_epochs(config, tmp_path):
    cfg = config("model.compile=auto")
    datamodule = CadenceDataModule(plain(cfg)["data"], plain(cfg)["augment"], cfg.fold, cfg.seed)
    classifier = build_classifier(plain(cfg), datamodule, fetch_weights=True)
    per_epoch, _ = datamodule.batches
    for epochs, compiled in ((WORTHWHILE // per_epoch + 1, True), (WORTHWHILE // per_epoch - 1, False)):
        trainer = build_trainer(cfg, tmp_path, [], max_epochs=epochs, logger=False)
        fake = types.SimpleNamespace(
            max_epochs=trainer.max_epochs,
            max_steps=trainer.max_steps,
            limit_train_batches=trainer.limit_train_batches,
            world_size=1,
            strategy=types.SimpleNamespace(root_device=torch.device("cuda")),
        )
        choose_compilation(classifier, plain(cfg), fake, datamodule)
        assert (classifier.compiled_batch is not None) is compiled
