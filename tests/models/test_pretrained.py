"""Download of pretrained weights without a network."""

import socket
import time

import pytest
import torch

from seti.errors import SetiError
from seti.models import pretrained
from seti.models.backbone import Backbone

NAME = "resnet18.a1_in1k"


@pytest.fixture(autouse=True)
def online(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(pretrained, "getproxies", dict)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


def test_a_server_that_cannot_be_reached_is_named_at_once(monkeypatch):
    def fail(address, timeout):
        assert address == ("huggingface.co", 443)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(pretrained.constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.setattr(socket, "create_connection", fail)
    started = time.monotonic()
    with pytest.raises(SetiError) as refused:
        Backbone(NAME, 3, (32, 32), pretrained=True)
    assert time.monotonic() - started < 10
    assert str(refused.value) == (
        f"the pretrained weights of {NAME} cannot be downloaded (huggingface.co: Name or service not known): set "
        "model.weights=<file> to a local copy, or model.pretrained=false to train from scratch"
    )


def test_nothing_is_asked_where_the_weights_are_or_a_proxy_stands_between(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(pretrained, "getproxies", lambda: {"https": "http://proxy:8080"})
    pretrained.check_download(NAME)
    monkeypatch.setattr(pretrained, "getproxies", dict)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: "/cache/model.safetensors")
    pretrained.check_download(NAME)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_OFFLINE", True)
    pretrained.check_download(NAME)
    pretrained.check_download("needle_net")
