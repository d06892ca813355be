"""Provenance of written files: digests, number of the format, version of this program."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from seti.errors import SetiError, brief
from seti.utils.checksums import sha256

FORMAT = 1  # of result.json and predictions.json; raised when the meaning of their fields changes


def record(folder: Path, *paths: Path) -> dict[str, Any]:
    """Digests of a folder's files, for the record that is written after them.

    Args:
        folder: names are relative to it.
        paths: files in it.

    Returns:
        `format`, and under `files` every file's SHA-256 by its name.
    """
    return {"format": FORMAT, "files": {path.relative_to(folder).as_posix(): sha256(path) for path in paths}}


def check_origin(path: Path, content: dict[str, Any], fix: str) -> None:
    """Refuse a record of another format, or of another version of this program.

    Versions that differ in their last number alone write the same format.

    Args:
        path: the record.
        content: its content.
        fix: what to do about it.

    Raises:
        SetiError: naming both versions.
    """
    found, versions = content.get("format"), content.get("versions")
    if type(found) is not int or found != FORMAT:
        msg = f"{path} has format {brief(found, 20)!r}, and this version reads {FORMAT}: {fix}"
        raise SetiError(msg)
    wrote = versions.get("seti") if isinstance(versions, dict) else None
    own = version("seti")
    if not isinstance(wrote, str) or _series(wrote) != _series(own):
        msg = f"{path} was written by seti {brief(wrote, 20)}, and this is {own}: use that version, or {fix}"
        raise SetiError(msg)


def check_file(path: Path, recorded: Any, record: Path, fix: str) -> None:
    """Refuse a file whose content is not the one that its record describes.

    Args:
        path: the file.
        recorded: its SHA-256 in the record.
        record: file of that record.
        fix: what to do about it.

    Raises:
        SetiError: the file is missing, or was edited, damaged or replaced.
    """
    if not path.is_file():
        msg = f"{path} is missing: {fix}"
        raise SetiError(msg)
    if sha256(path) != recorded:
        msg = f"{path} is not the file that {record.name} was written about: edited, damaged or from elsewhere; {fix}"
        raise SetiError(msg)


def _series(number: str) -> list[str]:
    return number.split(".")[:2]
