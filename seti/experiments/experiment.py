"""An experiment's folder: its paths, results, out-of-fold tables and checkpoints.

One configuration trained on every fold, in `outputs/<exp_name>/`. A fold is finished when its `result.json` exists,
which is written last; nothing is inferred from the presence of other files.
"""

import difflib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from seti.config import arguments
from seti.data import competition
from seti.errors import SetiError
from seti.experiments import provenance
from seti.experiments.fold_result import FoldResult
from seti.utils import files, hints, near_paths

RELEASED = ", or ckpt_dir=pretrained, the networks that come with the package"
OOF_COLUMNS = ["id", "fold", "target", "prob"]


@dataclass(frozen=True)
class FoldFolder:
    """Paths of one fold's files."""

    path: Path

    @property
    def best_checkpoint(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """State of an interrupted or finished run, from which training resumes."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def oof(self) -> Path:
        """Out-of-fold table."""
        return self.path / "oof.csv"

    @property
    def metrics(self) -> Path:
        """Losses and scores, one row for each epoch."""
        return self.path / "metrics.csv"

    @property
    def result(self) -> Path:
        """Written last: this fold is finished."""
        return self.path / "result.json"

    def read_result(self) -> FoldResult | None:
        """Read `result.json`, or None while the fold is not finished.

        Raises:
            SetiError: the file is damaged, or was written by another version of this program.
        """
        return FoldResult.read(self.result) if self.result.exists() else None


class Experiment:
    """A folder of folds."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The folder's name, which is `exp_name`."""
        return self.path.resolve().name

    @property
    def cv_path(self) -> Path:
        """Scores over the folds."""
        return self.path / "cv.json"

    @property
    def folds_path(self) -> Path:
        """Fold and group of every labelled cadence, where folds keep groups together."""
        return self.path / "folds.csv"

    @property
    def predictions_path(self) -> Path:
        """Probabilities of every test cadence, one column for each fold."""
        return self.path / "predictions.csv"

    @property
    def predictions_record(self) -> Path:
        """Written last: the checkpoints and test set of the predictions."""
        return self.path / "predictions.json"

    @property
    def submission_path(self) -> Path:
        """The competition's table."""
        return self.path / "submission.csv"

    def fold(self, fold: int) -> FoldFolder:
        """Paths of one fold; they need not exist."""
        return FoldFolder(self.fold_path(fold))

    def fold_path(self, fold: int) -> Path:
        """The folder of one fold."""
        return self.path / f"fold_{fold}"

    @cached_property
    def results(self) -> dict[int, FoldResult]:
        """`result.json` of every finished fold, by fold number.

        Raises:
            SetiError: a result is damaged, or two folds were trained with different configurations or data.
        """
        read = (FoldResult.read(path) for path in self.path.glob("fold_*/result.json"))
        found = dict(sorted((result.fold, result) for result in read))
        first = next(iter(found.values()), None)
        for fold, other in found.items():
            different = first.identity.differences(other.identity)
            if first.n_folds != other.n_folds:
                different.append(f"n_folds: {first.n_folds} -> {other.n_folds}")
            if different:
                msg = (
                    f"{self.path}: folds {first.fold} and {fold} were trained differently ({'; '.join(different)}): "
                    f"train one of them again with force=true"
                )
                raise SetiError(msg)
        return found

    def finished_elsewhere(self, fold: int) -> dict[int, FoldResult]:
        """Readable results of the folds other than one, which need not agree."""
        found = {}
        for path in self.path.glob("fold_*/result.json"):
            with suppress(SetiError):
                result = FoldResult.read(path)
                found[result.fold] = result
        return {number: found[number] for number in sorted(found) if number != fold}

    @property
    def first_result(self) -> FoldResult:
        """The first finished fold, for values that all of them share; there must be one."""
        return next(iter(self.results.values()))

    def n_folds(self) -> int:
        """Number of folds in the configuration; 0 while none is finished."""
        return self.first_result.n_folds if self.results else 0

    def finished_folds(self) -> list[int]:
        """Numbers of the finished folds."""
        return list(self.results)

    def missing_folds(self) -> list[int]:
        """Numbers of the folds that are not finished."""
        return [fold for fold in range(self.n_folds()) if fold not in self.results]

    def is_finished(self) -> bool:
        """True once every fold is finished."""
        return bool(self.results) and not self.missing_folds()

    @property
    def is_honest(self) -> bool:
        """True unless a fold learned from networks that had seen its held-out cadences."""
        return all(result.honest for result in self.results.values())

    def train_command(self, folds: list[int], typed: list[str] | None = None, engine: Sequence[str] = ()) -> str:
        """The command that trains some folds with the settings of the others.

        Args:
            folds: numbers of the folds.
            typed: overrides of a run that was accepted; None: those of the fold that was finished last. Settings that
                are not compared, such as data.groups, may have been needed only then.
            engine: settings of Hydra that a sweep was given, such as `hydra/launcher=ray`.
        """
        last = max(self.results, key=lambda fold: self.fold(fold).result.stat().st_mtime_ns)
        recorded = typed or self.results[last].overrides
        words = arguments.retyped("train", recorded) if recorded else [hints.setting("exp_name", self.name)]
        kept = [word for word in words if word.lstrip("+").split("=")[0] not in ("fold", "force")]
        return hints.command("train", "-m", f"fold={','.join(map(str, folds))}", *kept, *engine)

    def checkpoint(self, fold: int) -> Path:
        """The best checkpoint of a finished fold.

        Raises:
            SetiError: it is missing, or not the one that `result.json` describes.
        """
        result, folder = self.results[fold], self.fold(fold)
        path = folder.path / result.checkpoint
        fix = f"restore it from a copy, or train fold {fold} again with force=true"
        provenance.check_file(path, result.files[result.checkpoint], folder.result, fix)
        return path

    def read_oof(self) -> pd.DataFrame:
        """Join the out-of-fold tables of the finished folds.

        Returns:
            Columns id, fold, target, prob, sorted by id; every id once.

        Raises:
            SetiError: a table is missing, damaged or not the one that `result.json` describes, or an id is in two of
                them.
        """
        tables = []
        for fold in self.finished_folds():
            path = self.fold(fold).oof
            fix = f"restore it from a copy, or train fold {fold} again with force=true"
            provenance.check_file(path, self.results[fold].files["oof.csv"], self.fold(fold).result, fix)
            table = files.read_csv(path, OOF_COLUMNS)
            probs = pd.to_numeric(table["prob"], errors="coerce")
            if not (probs.between(0, 1).all() and (table["fold"] == fold).all() and table["target"].isin([0, 1]).all()):
                msg = (
                    f"{path} is damaged (prob outside 0..1, another fold's rows, or targets other than 0 and 1): "
                    f"train fold {fold} again with force=true"
                )
                raise SetiError(msg)
            competition.check_ids(path, table["id"])
            tables.append(table[OOF_COLUMNS])
        if not tables:
            command = hints.command("train", hints.setting("exp_name", self.name), "fold=0")
            msg = f"{self.path} has no finished fold: train one with {command}"
            raise SetiError(msg)
        oof = pd.concat(tables).sort_values("id", ignore_index=True)
        doubled = oof["id"][oof["id"].duplicated()]
        if len(doubled):
            msg = f"{self.path}: {len(doubled)} ids are held out twice, first {doubled.iloc[0]}: train its folds again"
            raise SetiError(msg)
        return oof


def find_experiments(output_dir: Path) -> list[Experiment]:
    """Every experiment under a folder with at least one finished fold, by name."""
    return [
        Experiment(path)
        for path in sorted(Path(output_dir).glob("*"))
        if path.name != "stack" and any(path.glob("fold_*/result.json"))
    ]


def open_experiment(path: Path, also: str = "") -> Experiment:
    """Open an experiment's folder that must have a finished fold.

    Args:
        path: the folder.
        also: what else the command takes, for messages: `RELEASED` of those that take released networks.

    Raises:
        SetiError: the folder is missing or holds no finished fold.
    """
    experiment = Experiment(path)
    if not path.is_dir():
        others = [e.name for e in find_experiments(path.parent)]
        known = f"; {path.parent} has {', '.join(others)}" if others else ""
        if str(path).startswith("["):
            msg = f"ckpt_dir={path} is a list, and this command takes one experiment: ckpt_dir=outputs/<exp_name>"
            raise SetiError(msg)
        if "," in str(path):
            known += f"; several are a list: ckpt_dir=[{path}]"
        above = path.parent
        near = near_paths.nearest(path)
        if find_experiments(above.parent) and Experiment(above).results and not (near and Experiment(near).results):
            known = f"; did you mean the whole experiment, {hints.shell(hints.setting('ckpt_dir', above))}?"
        elif also and difflib.get_close_matches(path.name.lower(), ["pretrained"], 1, 0.8):
            known += "; did you mean ckpt_dir=pretrained?"
        elif near is not None:
            known += near_paths.hint("ckpt_dir", path)
        msg = f"ckpt_dir={path} is not a folder: give an experiment's, such as outputs/<exp_name>{also}{known}"
        raise SetiError(msg)
    if not experiment.results:
        inside = _names(find_experiments(path))
        if (path / "result.json").exists() or re.fullmatch(r"fold_\d+", path.resolve().name):
            whole = path.parent if path.name.startswith("fold_") else path.resolve().parent
            msg = (
                f"ckpt_dir={path} is the folder of one fold: give its experiment's, {hints.setting('ckpt_dir', whole)}"
            )
        elif inside:
            first = hints.setting("ckpt_dir", path / inside[0])
            held = ", ".join(inside)
            msg = f"ckpt_dir={path} is not an experiment, it holds {held}: give one of them, such as {first}"
        else:
            msg = (
                f"ckpt_dir={path} holds no finished fold (fold_<k>/result.json): train it first, or give "
                f"outputs/<exp_name>{also}"
            )
        raise SetiError(msg)
    return experiment


def _names(experiments: list[Experiment]) -> list[str]:
    return [experiment.name for experiment in experiments]


def unset_experiment(output_dir: Path = Path("outputs"), also: str = "") -> str:
    """Message that `ckpt_dir` is not set, with the experiments that there are.

    Args:
        output_dir: folder of experiments, by default.
        also: as for `open_experiment`.
    """
    known = _names(find_experiments(output_dir))
    if known:
        first = hints.setting("ckpt_dir", output_dir / known[0])
        there = f"{output_dir} has {', '.join(known)}"
        return f"ckpt_dir is not set: give an experiment's folder, such as {first}{also}; {there}"
    return f"ckpt_dir is not set: give an experiment's folder, ckpt_dir=outputs/<exp_name>{also}"
