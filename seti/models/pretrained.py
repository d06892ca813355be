"""Download of pretrained weights, which is refused at once without a network.

The hub's library tries again for most of a minute before it says that there is no network.
"""

import socket
import ssl
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener, getproxies

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache

from seti.errors import SetiError

FILES = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
PATIENCE = 10  # s to wait for the server's first answer
PORTS = {"http": 80, "https": 443}


def check_download(name: str) -> None:
    """Refuse a download of pretrained weights that cannot succeed.

    Args:
        name: of the network, with or without a pretraining tag.

    Raises:
        SetiError: the server cannot be reached.
    """
    server = _server(name)
    if server is None:
        return
    address = urlsplit(server)
    if getproxies():
        _check_proxy(name, server)
        return
    try:
        socket.create_connection((address.hostname, address.port or PORTS[address.scheme]), PATIENCE).close()
    except OSError as error:
        raise SetiError(refusal(name, f"{address.hostname}: {error.strerror or error}")) from error


def _check_proxy(name: str, server: str) -> None:
    """Refuse a server that does not answer through the proxy; any answer of its own will do."""
    try:
        build_opener().open(Request(server, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError as error:
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # the proxy's own certificate, which the hub's library may know
            said = getattr(reason, "strerror", None) or reason
            raise SetiError(refusal(name, f"{urlsplit(server).hostname} by the proxy: {said}")) from error


def refusal(name: str, reason: str) -> str:
    """Message that pretrained weights cannot be downloaded."""
    return (
        f"the pretrained weights of {name} cannot be downloaded ({reason}): set model.weights=<file> to a local copy, "
        "or model.pretrained=false to train from scratch"
    )


def _server(name: str) -> str | None:
    """Server that has a network's weights; None where they are on this machine already."""
    config = timm.get_pretrained_cfg(name)
    if config is None or constants.HF_HUB_OFFLINE:
        return None
    if config.hf_hub_id:
        wanted = (config.hf_hub_filename,) if config.hf_hub_filename else FILES
        if any(isinstance(try_to_load_from_cache(config.hf_hub_id, file), str) for file in wanted):
            return None
        return constants.ENDPOINT
    if not config.url or Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(config.url).path).name).exists():
        return None
    return config.url
