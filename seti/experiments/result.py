"""`result.json`: what it must hold before anything is built on it."""

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from seti.errors import SetiError, brief
from seti.experiments import provenance
from seti.utils import files


def read_result(path: Path) -> dict[str, Any]:
    """Read and check a fold's `result.json`.

    Args:
        path: `fold_<k>/result.json`.

    Raises:
        SetiError: it is damaged, of another fold, or was written by another version of this program.
    """
    result = files.read_json(path)
    fix = "train this fold again with force=true"
    missing = [key for key in FIELDS if key not in result]
    if missing and "format" in result:
        msg = f"{path} lacks {', '.join(missing)}: {fix}"
        raise SetiError(msg)
    provenance.check_origin(path, result, fix)
    for key, fits in FIELDS.items():
        if not fits(result[key]):
            msg = f"{path} holds no sensible {key} ({brief(result[key])}): {fix}"
            raise SetiError(msg)
    if path.parent.name != f"fold_{result['fold']}" or result["fold"] >= result["n_folds"]:
        msg = f"{path} is of fold {result['fold']} of {result['n_folds']}: {fix}"
        raise SetiError(msg)
    unlisted = [name for name in (result["checkpoint"], "oof.csv") if name not in result["files"]]
    if unlisted:
        msg = f"{path} does not say what {brief(unlisted[0])!r} was: {fix}"
        raise SetiError(msg)
    return result


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**6


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _has(**wanted: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(key in value and fits(value[key]) for key, fits in wanted.items())
    )


def _text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value)


def _inside(value: Any) -> bool:
    """A path below the fold's folder: a result from elsewhere points at no other file."""
    return _text(value) and not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts


def _digests(value: Any) -> bool:
    return isinstance(value, dict) and all(_inside(key) and _text(digest) for key, digest in value.items())


FIELDS: dict[str, Callable[[Any], bool]] = {
    "fold": _whole,
    "n_folds": _whole,
    "exp_name": _text,
    "scores": _has(auc=_number, loss=_number),
    "best_epoch": _whole,
    "checkpoint": _inside,
    "files": _digests,
    "data": _has(root=_text, fingerprint=_text),
    "config": _has(),
    "overrides": lambda value: value is None or (isinstance(value, list) and all(map(_text, value))),
    "seconds": _number,
}
