"""Checkpoints of a classifier: plain settings, loaded safely, and refused in one line if they are damaged."""

import os

import pytest
import timm
import torch
from small_classifier import DIV_FACTOR, MAX_LR, MODEL, PCT_START, SIZE, SPEC, ten_epochs

from seti.errors import SetiError
from seti.models.classifier import load_classifier
from seti.transforms.input_spec import InputSpec


class Trap:
    """Object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def run():
    """Ten epochs of four steps, trained once."""
    return ten_epochs()


@pytest.fixture
def checkpoint(run, tmp_path):
    path = tmp_path / "best.ckpt"
    run[2].save_checkpoint(path)
    return path


def test_a_checkpoint_holds_plain_settings_and_loads_safely(checkpoint):
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["hyper_parameters"] == {
        "spec": SPEC,
        "model": MODEL,
        "optimizer": {"lr": MAX_LR, "weight_decay": 0.03},
        "schedule": {"pct_start": PCT_START, "div_factor": DIV_FACTOR},
        "mixup": None,
        "cutout": None,
        "loss": None,
    }

    def check(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    check(dict(stored["hyper_parameters"]))


def test_a_loaded_classifier_gives_the_same_logits(run, checkpoint):
    loaded = load_classifier(checkpoint)
    assert not loaded.training
    assert loaded.spec == InputSpec(**SPEC)
    images = torch.randn(3, 1, *SIZE)
    torch.testing.assert_close(loaded(images), run[1].eval()(images))


@pytest.mark.parametrize("model", [{"pretrained": True}, {"weights": "gone.pth"}, {"pretrained": True, "weights": "x"}])
def test_loading_neither_downloads_nor_reads_other_weights(checkpoint, monkeypatch, model):
    def fail(*args, **options):
        msg = "weights were asked for"
        raise AssertionError(msg)

    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "load_custom_from_hf", "load_pretrained"):
        monkeypatch.setattr(timm.models._builder, name, fail)
    stored = torch.load(checkpoint, weights_only=True)
    stored["hyper_parameters"]["model"] = stored["hyper_parameters"]["model"] | model
    torch.save(stored, checkpoint)
    state = load_classifier(checkpoint).state_dict()
    assert all(torch.equal(value, stored["state_dict"][name]) for name, value in state.items())


def refusal(path) -> str:
    with pytest.raises(SetiError) as caught:
        load_classifier(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "force=true" in message
    return message


def test_a_missing_checkpoint_is_refused(tmp_path):
    assert "is missing" in refusal(tmp_path / "best.ckpt")


@pytest.mark.parametrize("kept", [0, 10, 2000, -1, -1000])
def test_a_truncated_checkpoint_is_refused(checkpoint, kept):
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    refusal(checkpoint)


@pytest.mark.parametrize("content", [b"garbage" * 100, b"PK\x03\x04" + b"x" * 100, b"\x80\x02N."])
def test_a_garbage_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "best.ckpt").write_bytes(content)
    refusal(tmp_path / "best.ckpt")


@pytest.mark.parametrize("content", [{}, [1], {"state_dict": {}}, {"hyper_parameters": 3, "state_dict": {}}, 3])
def test_a_checkpoint_of_another_program_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "best.ckpt")
    refusal(tmp_path / "best.ckpt")


@pytest.mark.parametrize("change", ["a weight less", "a weight more", "another shape", "an unknown setting"])
def test_a_checkpoint_that_does_not_fit_is_refused(checkpoint, change):
    stored = torch.load(checkpoint, weights_only=True)
    weights = stored["state_dict"]
    if change == "a weight less":
        del weights["backbone.network.fc.bias"]
    elif change == "a weight more":
        weights["backbone.extra"] = torch.zeros(1)
    elif change == "another shape":
        weights["backbone.network.fc.bias"] = torch.zeros(2)
    else:
        stored["hyper_parameters"]["color"] = 1
    torch.save(stored, checkpoint)
    refusal(checkpoint)


@pytest.mark.parametrize("place", ["hyper_parameters", "state_dict", "callbacks"])
def test_pickled_code_in_a_checkpoint_does_not_run(checkpoint, tmp_path, place):
    stored = torch.load(checkpoint, weights_only=True)
    stored[place]["x"] = Trap(tmp_path / "sprung")
    torch.save(stored, checkpoint)
    refusal(checkpoint)
    assert not (tmp_path / "sprung").exists()
    torch.load(checkpoint, weights_only=False)
    assert (tmp_path / "sprung").exists(), "the trap itself must work"
