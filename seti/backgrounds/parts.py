"""Parts of a search for twins, from which a stopped run goes on: `twins_parts/`.

A part is a `.npz` with the arrays of one block of work and a digest of what they were made from. It is made again where
that has changed.
"""

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np

from seti.utils import files

FOLDER = "twins_parts"
FORMAT = 1  # raised when fingerprints or fits change


def folder_of(root: Path) -> Path:
    """Folder of the parts of a data set."""
    return root / FOLDER


def identity(*made_from: object) -> str:
    """Digest of arrays, numbers and texts that a part is made from."""
    digest = hashlib.sha256(f"{FORMAT}".encode())
    for one in made_from:
        digest.update(one.tobytes() if isinstance(one, np.ndarray) else str(one).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def write(path: Path, made_from: str, **arrays: np.ndarray) -> None:
    """Write a part, whole or not at all."""
    # Not durable: a part that a power cut empties cannot be read, and is made again.
    with files.atomic_write(path, durable=False) as temporary, files.name_in_errors(path, temporary):
        np.savez(temporary, made_from=np.array(made_from), **arrays)


def is_made(path: Path, made_from: str) -> bool:
    """Check that a part is there and was made from the same."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return str(stored["made_from"]) == made_from
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def read(path: Path, *names: str) -> list[np.ndarray]:
    """Read some arrays of a part."""
    with np.load(path, allow_pickle=False) as stored:
        return [stored[name] for name in names]


def remove(root: Path) -> None:
    """Delete all parts of a data set."""
    shutil.rmtree(folder_of(root), ignore_errors=True)
