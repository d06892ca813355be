"""Download of pretrained weights without a network."""

import socket
import threading
import time
from urllib.request import getproxies

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


@pytest.fixture
def proxy(monkeypatch):
    """Make a proxy on this machine that answers every request with the lines that it is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(pretrained, "getproxies", getproxies)

        def answer(lines: bytes):
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(lines)

        yield server, lambda lines: threading.Thread(target=answer, args=(lines,), daemon=True).start()


@pytest.mark.parametrize(
    ("endpoint", "lines", "reason"),
    [
        ("https://huggingface.co", b"HTTP/1.1 403 Forbidden\r\n\r\n", "Tunnel connection failed: 403 Forbidden"),
        ("https://huggingface.co", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "Tunnel connection failed: 502 Bad Gateway"),
        ("http://huggingface.co", b"", "Remote end closed connection without response"),
        ("http://huggingface.co", b"HTTP/1.1 404 Not Found\r\n\r\n", None),
        ("http://huggingface.co", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    ],
)
def test_a_proxy_is_asked_before_the_hub_library_tries_again(monkeypatch, proxy, endpoint, lines, reason):
    monkeypatch.setattr(pretrained.constants, "ENDPOINT", endpoint)
    proxy[1](lines)
    if reason is None:
        pretrained.check_download(NAME)
        return
    with pytest.raises(SetiError) as refused:
        pretrained.check_download(NAME)
    assert f"cannot be downloaded (huggingface.co by the proxy: {reason}): set " in str(refused.value)


def test_a_proxy_that_is_not_there_or_never_answers_is_named_soon(monkeypatch, proxy):
    monkeypatch.setattr(pretrained, "PATIENCE", 0.2)
    monkeypatch.setattr(pretrained.constants, "ENDPOINT", "https://huggingface.co")
    with pytest.raises(SetiError, match=r"\(huggingface.co by the proxy: timed out\)"):
        pretrained.check_download(NAME)
    proxy[0].close()
    with pytest.raises(SetiError, match=r"\(huggingface.co by the proxy: Connection refused\)"):
        pretrained.check_download(NAME)


def test_nothing_is_asked_where_the_weights_are(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: "/cache/model.safetensors")
    pretrained.check_download(NAME)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_OFFLINE", True)
    pretrained.check_download(NAME)
    pretrained.check_download("needle_net")
