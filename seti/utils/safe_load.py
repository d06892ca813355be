"""Checkpoint files, read without running code that may stand in them."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from seti.errors import SetiError


def read_checkpoint(path: Path, fix: str) -> dict[str, Any]:
    """Read a checkpoint of this program: tensors and plain values, nothing else.

    Args:
        path: the file.
        fix: what to do about a bad one.

    Raises:
        SetiError: the file is missing, damaged, holds code, or is no checkpoint.
    """
    try:
        damaged = _damaged_member(path)
        # weights_only: names of functions in the file are looked up in a short list, never called.
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        msg = f"checkpoint {path} is missing: {fix}"
        raise SetiError(msg) from error
    except Exception as error:  # a damaged file can fail anywhere in torch's reader
        msg = f"checkpoint {path} cannot be loaded ({explain_refusal(error)}): {fix}"
        raise SetiError(msg) from error
    if damaged:
        msg = f"checkpoint {path} cannot be loaded (its part {damaged!r} is damaged): {fix}"
        raise SetiError(msg)
    if not isinstance(checkpoint, dict):
        msg = f"checkpoint {path} cannot be loaded (it holds a {type(checkpoint).__name__}): {fix}"
        raise SetiError(msg)
    return checkpoint


def explain_refusal(error: Exception) -> str:
    """Why torch would not load a file, in plainer words than its own, which advise to load it unsafely."""
    if isinstance(error, zipfile.BadZipFile):
        return "it is cut short, or no checkpoint"
    text = " ".join(str(error).split())
    if "Weights only load failed" in text:
        _, _, named = text.partition("GLOBAL ")
        what = named.split(" ")[0] if named else ""
        if what:
            return f"it holds more than numbers, {what[:80]}, which could run code; nothing of it was run"
        return "it is damaged, or holds more than numbers"
    return f"{type(error).__name__}: {text[:200]}"


def _damaged_member(path: Path) -> str | None:
    """Name a part of the archive that is not as it was written; torch itself does not compare checksums."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # torch stores and never packs: a small file that unpacks to a huge one is not torch's.
        if not members or members[0].header_offset != 0 or len({member.filename for member in members}) < len(members):
            return "directory"  # parts before it or twice in it: torch may take others than were compared here
        packed = [member.filename for member in members if member.file_size != member.compress_size]
        if packed or sum(member.file_size for member in members) > path.stat().st_size:
            return packed[0] if packed else members[0].filename
        return archive.testzip()
