"""Checkpoint loading that never runs code stored in the file."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from seti.errors import SetiError


def read_checkpoint(path: Path, fix: str) -> dict[str, Any]:
    """Read a checkpoint written by this program: tensors and plain values only.

    Args:
        path: the file.
        fix: advice appended to the error message.

    Raises:
        SetiError: the file is missing or damaged, contains code, or is not a checkpoint.
    """
    try:
        damaged = _damaged_member(path)
        # weights_only: only types on torch's short allow-list are built; no function named in the file is called.
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
    """Explain why torch refused a file, without its own advice to load the file unsafely."""
    if isinstance(error, zipfile.BadZipFile):
        return "it is truncated, or not a checkpoint"
    text = " ".join(str(error).split())
    if "Weights only load failed" in text:
        _, _, named = text.partition("GLOBAL ")
        what = named.split(" ")[0] if named else ""
        if what:
            return f"besides numbers it contains {what[:80]}, which could run code; none was run"
        return "it is damaged, or contains more than numbers"
    return f"{type(error).__name__}: {text[:200]}"


def _damaged_member(path: Path) -> str | None:
    """Return the name of a damaged member of the archive; torch itself does not verify checksums."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # torch never compresses, so a small file that unpacks to a huge one was not written by torch.
        if not members or members[0].header_offset != 0 or len({member.filename for member in members}) < len(members):
            return "directory"  # data before the archive, or duplicate names: torch may read other members than these
        packed = [member.filename for member in members if member.file_size != member.compress_size]
        if packed or sum(member.file_size for member in members) > path.stat().st_size:
            return packed[0] if packed else members[0].filename
        return archive.testzip()
