"""Devices that train a fold: counted, and refused where they are not there or cannot share."""

import pytest
import torch
from unit_helpers import typed

from seti.config import device_checks, trainer_checks
from seti.errors import SetiError, SettingsError
from seti.training import fold as training


@pytest.fixture
def gpus(monkeypatch):
    """Set how many GPUs the machine has."""

    def has(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return has


@pytest.mark.parametrize(
    ("value", "count"),
    [("auto", 4), ("-1", 4), ('"-1"', 4), ("[1]", 1), ("1", 1), ('"3,"', 1), ("4", 4), ("[3,1]", 2), ('"0,2"', 2)],
)
def test_devices_of_a_machine_are_counted(gpus, value, count):
    gpus(4)
    for accelerator in ("auto", "gpu", "cuda"):
        settings = typed("devices", value)
        settings.accelerator = accelerator
        trainer_checks.check_trainer(settings)
        assert device_checks.count_devices(settings) == count
        settings.strategy = "ddp" if count > 1 else "auto"
        trainer_checks.check_trainer(settings)


@pytest.mark.parametrize(
    ("value", "there", "said"),
    [
        ("2", 1, "is more than there are: this machine has 1 GPU: set it to 1 or fewer"),
        ("5", 4, "is more than there are: this machine has 4 GPUs: set it to 4 or fewer"),
        ("[0,4]", 4, "is more than there are: this machine has 4 GPUs, numbered from 0 to 3"),
        ("[1,1]", 4, "names a device twice: name each one once"),
    ],
)
def test_more_devices_than_there_are_are_refused(gpus, value, there, said):
    gpus(there)
    settings = typed("devices", value)
    settings.accelerator = "auto"
    with pytest.raises(SetiError) as refused:
        trainer_checks.check_trainer(settings)
    assert str(refused.value).replace(" ", "") == f"trainer.devices={value} {said}".replace(" ", "")


def test_processes_on_a_cpu_are_at_most_its_cores_and_two_anywhere(gpus, monkeypatch):
    gpus(0)
    for cores, most in ((1, 2), (2, 2), (8, 8)):
        monkeypatch.setattr(device_checks, "available_cores", lambda cores=cores: cores)
        trainer_checks.check_trainer(typed("devices", str(most)))
        with pytest.raises(SetiError) as refused:
            trainer_checks.check_trainer(typed("devices", str(most + 1)))
        assert str(refused.value) == (
            f"trainer.devices={most + 1} is more than there are: this process may use {cores} core{'s' * (cores > 1)} "
            f"of a CPU: set it to {most} or fewer"
        )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"data.batch_size": "auto"},
            "data.batch_size=auto is found on one device, and 2 are given: set it to a number",
        ),
        (
            {"data.batch_size": "7"},
            "data.batch_size=7 is divided among 2 devices, at least 2 cadences for each: set it ",
        ),
        (
            {"data.batch_size": "2"},
            "data.batch_size=2 is divided among 2 devices, at least 2 cadences for each: set it ",
        ),
        (
            {"lr_range_test": "true"},
            "lr_range_test=true runs on one device, and 2 are given: set trainer.devices=1 for ",
        ),
    ],
)
def test_what_several_devices_cannot_share_is_refused(config, outputs, settings, said):
    words = [f"{key}={value}" for key, value in settings.items()]
    with pytest.raises(SettingsError) as refused:
        training.train(config("trainer.devices=2", *words))
    assert str(refused.value).startswith(said)
    assert not outputs.exists()
