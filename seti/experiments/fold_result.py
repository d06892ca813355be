"""Result of a finished fold: `result.json` as a dataclass that writes and checks itself."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from seti.errors import SetiError, brief
from seti.experiments import provenance
from seti.experiments.run_identity import RunIdentity
from seti.utils import files


@dataclass(frozen=True)
class Scores:
    """Scores of the held-out cadences, by the best epoch's weights.

    Attributes:
        auc: area under the ROC curve.
        loss: mean cross-entropy in nats.
    """

    auc: float
    loss: float


@dataclass(frozen=True)
class LabelledData:
    """The labelled cadences that the folds divide.

    Attributes:
        root: the data set's folder, absolute.
        fingerprint: of the label table.
        cadences, positives: how many there are.
        skipped: how many damaged ones were left out.
    """

    root: str
    fingerprint: str
    cadences: int | None = None
    positives: int | None = None
    skipped: int | None = None


@dataclass(frozen=True)
class Attempt:
    """One attempt to train a fold.

    Attributes:
        seed: in use.
        epoch: number of the best epoch, or of the one in which the attempt failed.
        auc: on the held-out cadences; None where it failed before the first validation.
        reason: of its failure; None for the attempt that was finished.
    """

    seed: int
    epoch: int
    auc: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Content of `result.json`, in its order. Written last: it marks the fold as finished.

    Attributes:
        fold, n_folds: number of the held-out fold, and how many there are.
        exp_name: name of the experiment.
        scores: of the held-out cadences.
        best_epoch: number of the best epoch, counted from 0.
        epochs: how many were trained.
        checkpoint: the best epoch's, relative to the fold's folder.
        format: number of the record's format, `provenance.FORMAT`.
        files: SHA-256 of the fold's files by their names, relative to the fold's folder.
        data: the data set.
        pseudo: the pseudo-labels that it was trained on, as `PseudoLabels.plain` describes them; None: none.
        honest: False where what the fold learned from has seen its held-out cadences, so that its scores are too high.
        seed: of the attempt that was finished; `config` has the first one's.
        attempts: failed ones, then the one that was finished.
        config: the whole configuration as plain values.
        overrides: the command line's; None for a run that was started by a call. Kept here because a later command
            that is refused writes its own into `.hydra`.
        versions: of this program, of Python and of the libraries that affect the result.
        seconds: that training took, all attempts together.
    """

    fold: int
    n_folds: int
    exp_name: str
    scores: Scores
    best_epoch: int
    epochs: int | None = None
    checkpoint: str
    format: int = provenance.FORMAT
    files: dict[str, str]
    data: LabelledData
    pseudo: dict[str, Any] | None = None
    honest: bool = True
    seed: int | None = None
    attempts: list[Attempt] | None = None
    config: dict[str, Any]
    overrides: list[str] | None
    versions: dict[str, str]
    seconds: float

    @classmethod
    def read(cls, path: Path) -> "FoldResult":
        """Read and check a fold's `result.json`.

        Args:
            path: `fold_<k>/result.json`.

        Raises:
            SetiError: it is damaged, of another fold, or was written by another version of this program.
        """
        content = files.read_json(path)
        fix = "train this fold again with force=true"
        missing = [key for key in CHECKS if key not in content and key not in OPTIONAL]
        if missing and "format" in content:
            msg = f"{path} lacks {', '.join(missing)}: {fix}"
            raise SetiError(msg)
        provenance.check_origin(path, content, fix)
        for key, fits in CHECKS.items():
            if key in content and not fits(content[key]):
                msg = f"{path} holds no sensible {key} ({brief(content[key])}): {fix}"
                raise SetiError(msg)
        if path.parent.name != f"fold_{content['fold']}" or content["fold"] >= content["n_folds"]:
            msg = f"{path} is of fold {content['fold']} of {content['n_folds']}: {fix}"
            raise SetiError(msg)
        unlisted = [name for name in (content["checkpoint"], "oof.csv") if name not in content["files"]]
        if unlisted:
            msg = f"{path} does not say what {brief(unlisted[0])!r} was: {fix}"
            raise SetiError(msg)
        known = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        known["scores"] = _make(Scores, known["scores"])
        known["data"] = _make(LabelledData, known["data"])
        if "attempts" in known:
            known["attempts"] = [_make(Attempt, attempt) for attempt in known["attempts"]]
        return cls(**known)

    def write(self, path: Path) -> None:
        """Write it as `result.json`."""
        files.write_json(path, self.plain())

    def plain(self) -> dict[str, Any]:
        """The content of `result.json`."""
        return asdict(self)

    @property
    def identity(self) -> RunIdentity:
        """The identity of the run, its seed left open: any attempt's weights are this fold's."""
        return RunIdentity(self.config, self.data.fingerprint)

    @property
    def positive_share(self) -> float:
        """Share of needles among the labelled cadences, the prior of a cadence that cannot be read."""
        return self.data.positives / self.data.cadences


def _make(kind: type, content: dict[str, Any]) -> Any:
    return kind(**{field.name: content[field.name] for field in fields(kind) if field.name in content})


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**6


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _truth(value: Any) -> bool:
    return type(value) is bool


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value)


def _inside(value: Any) -> bool:
    """A path below the fold's folder: a result from elsewhere points at no other file."""
    return _text(value) and not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts


def _digests(value: Any) -> bool:
    return isinstance(value, dict) and all(_inside(key) and _text(digest) for key, digest in value.items())


def _has(**wanted: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(key in value and fits(value[key]) for key, fits in wanted.items())
    )


def _data(value: Any) -> bool:
    counts = [value.get(key) for key in ("cadences", "positives", "skipped")] if isinstance(value, dict) else []
    return _has(root=_text, fingerprint=_text)(value) and all(count is None or _count(count) for count in counts)


def _attempts(value: Any) -> bool:
    fits = _has(
        seed=_count,
        epoch=_whole,
        auc=lambda auc: auc is None or type(auc) in (int, float),  # NaN where a loss was not finite
        reason=lambda reason: reason is None or _text(reason),
    )
    return isinstance(value, list) and all(map(fits, value))


def read_attempts(path: Path, content: dict[str, Any]) -> list[Attempt]:
    """Check and read the attempts of a record.

    Args:
        path: of the record, for the message.
        content: of the record; `attempts` has them.

    Raises:
        SetiError: they are damaged.
    """
    if not _attempts(content.get("attempts")):
        msg = f"{path} holds no sensible attempts ({brief(content.get('attempts'))}): delete it, or set force=true"
        raise SetiError(msg)
    return [_make(Attempt, attempt) for attempt in content["attempts"]]


CHECKS: dict[str, Callable[[Any], bool]] = {
    "fold": _whole,
    "n_folds": _whole,
    "exp_name": _text,
    "scores": _has(auc=_number, loss=_number),
    "best_epoch": _whole,
    "epochs": _whole,
    "checkpoint": _inside,
    "files": _digests,
    "data": _data,
    "pseudo": lambda value: value is None or _has(path=_text, honest=_truth)(value),
    "honest": _truth,
    "seed": _count,
    "attempts": _attempts,
    "config": _has(),
    "overrides": lambda value: value is None or (isinstance(value, list) and all(map(_text, value))),
    "seconds": _number,
}
OPTIONAL = ("epochs", "pseudo", "honest", "seed", "attempts")  # nothing is built on them
