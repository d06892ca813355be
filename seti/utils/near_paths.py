"""Hints for paths that do not exist: the existing one that was probably meant."""

import difflib
from contextlib import suppress
from pathlib import Path

from seti.utils import hints

ALIKE = 0.6  # smallest similarity of a suggested name


def hint(key: str, path: Path) -> str:
    """Return `; did you mean data.root=...?` for a mistyped path, or an empty text.

    Args:
        key: of the setting.
        path: as given.
    """
    near = nearest(path)
    return "" if near is None else f"; did you mean {hints.shell(hints.setting(key, near))}?"


def nearest(path: Path) -> Path | None:
    """Find the existing path that differs in the spelling of a single name, or None."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    if not missing:
        return None
    first = missing[-1]  # everything above it exists
    names: list[str] = []
    with suppress(OSError):
        names = [one.name for one in first.parent.iterdir()]
    plain = {name.lower(): name for name in names if not name.startswith(".")}
    for name in difflib.get_close_matches(first.name.lower(), plain, 3, ALIKE):
        found = first.with_name(plain[name]) / path.relative_to(first)
        if found.exists():
            return found
    return None
