"""Prediction in shards: probabilities kept batch by batch until every shard is done.

`<folder>/predict_parts/<identity>/` holds a `.npz` for each run of cadences. The identity is a digest of all that their
probabilities depend on, so parts of other networks, cadences or settings are never joined. A shard is made of whole
batches of the undivided prediction, and prepares its networks with the first batch of that: the same bytes result.
"""

import hashlib
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from seti.data import competition
from seti.data.loose import find_cadences
from seti.data.pack_reader import pack_folder
from seti.dataloading.dataset import CadenceDataset
from seti.inference.pool import Place, Predictor, predict_batches, taken
from seti.utils import files, locks
from seti.utils.console import near
from seti.utils.shards import Shard, not_done, parse_shard, say_if_empty, shard_of

log = logging.getLogger(__name__)

FOLDER = "predict_parts"
FORMAT = 1  # raised when the same networks give other probabilities
PART_SECONDS = 30.0  # work that a killed shard loses at most
PATIENCE = 10.0  # s to wait for a run of the same shard that is being stopped
PACKAGES = ("seti", "torch", "timm")


@dataclass(frozen=True)
class Parts:
    """Parts of one prediction on disk.

    Attributes:
        folder: of the predictions.
        identity: digest of what the probabilities depend on.
        networks: number of them.
    """

    folder: Path
    identity: str
    networks: int

    @property
    def path(self) -> Path:
        """Folder of the parts."""
        return self.folder / FOLDER / self.identity[:16]

    def read(self, count: int) -> tuple[np.ndarray, dict[Path, range]]:
        """Read what is kept of `count` cadences.

        Returns:
            Probabilities, `(count, networks)`, NaN where none are kept. Damaged parts whose cadences no other part has,
            and the rows between which these are.
        """
        probs = np.full((count, self.networks), np.nan)
        damaged = {}
        for path in sorted(self.path.glob("[0-9]*.npz")):
            try:
                with np.load(path, allow_pickle=False) as stored:
                    rows, found = stored["rows"], stored["probs"]
                    probs[rows] = found
            except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile):
                # A power cut may have left it; its rows are made again, which writes it again or another one.
                first, last = (int(word) if word.isdecimal() else 0 for word in (path.stem + "-").split("-")[:2])
                damaged[path] = range(min(first, count), min(last + 1, count))
        return probs, {path: rows for path, rows in damaged.items() if np.isnan(probs[rows.start : rows.stop]).any()}

    def write(self, rows: np.ndarray, probs: np.ndarray) -> None:
        """Keep the probabilities of some cadences."""
        path = self.path / f"{rows[0]:08d}-{rows[-1]:08d}-{len(rows)}.npz"
        with files.atomic_write(path, durable=False) as temporary, files.name_in_errors(path, temporary):
            np.savez(temporary, rows=rows, probs=probs)


def remove(folder: Path) -> None:
    """Delete the parts of all predictions in a folder."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


@contextmanager
def only_shard(folder: Path, shard: Shard) -> Iterator[None]:
    """Keep other runs of the same shard away; those of other shards go on.

    Raises:
        LockedError: another process predicts this shard.
    """
    number, count = shard
    parts = folder / FOLDER
    parts.mkdir(parents=True, exist_ok=True)
    name = f".shard_{number}_of_{count}.lock"
    with locks.hold(parts, f"predicting shard={number}/{count}", name=name, patience=PATIENCE):
        yield


def identity(made_from: Iterable[object]) -> str:
    """Digest of texts, numbers and arrays, and of the versions of the libraries."""
    digest = hashlib.sha256(repr([FORMAT, *(version(package) for package in PACKAGES)]).encode())
    for one in made_from:
        digest.update(
            b"\0" + (np.ascontiguousarray(one).tobytes() if isinstance(one, np.ndarray) else repr(one).encode())
        )
    return digest.hexdigest()


def state_of_files(root: Path, pack_dir: str | Path | None) -> str:
    """Digest of names, sizes and times of the cadences to predict.

    Where only packs are left, of their records.
    """
    found = competition.list_files(root, "test") if (root / competition.SUBMISSION).exists() else {}
    if not found and root.is_dir() and not (root / competition.SUBMISSION).exists():
        stats = {name: path.stat() for name, path in find_cadences(root).items()}
        found = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}
    if found:
        return identity(sorted(found.items()))
    folders = {root, pack_folder(root, pack_dir)}
    return identity(path.read_bytes() for folder in sorted(folders) for path in sorted(folder.glob("*.json")))


def predict_shard(
    cfg: Any,
    place: Place,
    root: Path,
    dataset: CadenceDataset,
    size: int,
    ensembles: Sequence[tuple[Path, int, dict[str, str]]],
    predict: Callable[..., np.ndarray],
    predictor: Predictor,
    label: str,
) -> np.ndarray | None:
    """Predict the cadences of `cfg.shard`, or of the whole data set, that no part holds.

    Args:
        cfg: the configuration, `conf/predict.yaml`.
        place: where the networks run.
        root: folder of the cadences.
        dataset: every cadence.
        size: cadences in a batch.
        ensembles: folder of the predictions, number of networks and digests of their weights, for each ensemble that
            `predict` runs. Their networks are side by side in its columns.
        predict: as `seti.inference.ensemble.predict_probabilities`, with a dataset, `lead` and `progressed`.
        predictor: does the same, in actors of a place that has a cluster.
        label: of the progress bar there.

    Returns:
        `(N, K)` probabilities; None while other shards are not done.
    """
    shard = parse_shard(cfg.shard)
    if shard is None and place.cluster is None and not any((folder / FOLDER).is_dir() for folder, *_ in ensembles):
        return predict(dataset)
    shared = [
        *(dataset.ids, state_of_files(root, cfg.data.pack_dir), dataset.spec, size),
        *(cfg.precision, place.device.type, cfg.flips),
    ]
    parts = [Parts(folder, identity([*shared, sums]), networks) for folder, networks, sums in ensembles]
    total = len(dataset)
    probs, damaged = _read(parts, total)
    batches = [range(start, min(start + size, total)) for start in range(0, total, size)]
    if shard is not None:
        say_if_empty(shard, batches, "batch", size, total)
    missing = [batch for batch in shard_of(batches, shard) if np.isnan(probs[batch.start : batch.stop]).any()]
    for path, rows in damaged.items():
        mine = any(batch.start < rows.stop and rows.start < batch.stop for batch in missing)
        log.warning("%s is damaged, and left out%s", near(path), "; its cadences are predicted again" if mine else "")
    if missing and place.cluster is not None:
        for one in parts:
            one.path.mkdir(parents=True, exist_ok=True)
        for rows, found in predict_batches(place.cluster, predictor, missing, label):
            probs[rows] = found
            _write(parts, rows, found)
    elif missing:
        rows = np.concatenate([np.asarray(batch) for batch in missing])
        lead = None if missing[0].start == 0 else taken(dataset, np.asarray(batches[0]))
        keeper = None if shard is None else _Keeper(parts, rows)
        probs[rows] = predict(taken(dataset, rows), lead=lead, progressed=keeper)
        if keeper is not None:
            keeper.flush(probs[rows])
    if shard is None:
        return probs
    probs, _ = _read(parts, total)  # others may have ended meanwhile
    done = int((~np.isnan(probs).any(axis=1)).sum())
    said = f"shard {cfg.shard} is done, {done} of {total} cadences are."
    where = ", ".join(str(near(folder)) for folder, *_ in ensembles)
    if done == total:
        print(f"{where}: {said} All shards are: writing the predictions", flush=True)
        return probs
    left = not_done([not np.isnan(probs[batch.start : batch.stop]).any() for batch in batches], shard)
    print(f"{where}: {said} The shard that ends last writes the predictions; {left}")
    return None


def _read(parts: Sequence[Parts], count: int) -> tuple[np.ndarray, dict[Path, range]]:
    probs, damaged = zip(*(one.read(count) for one in parts), strict=True)
    return np.concatenate(probs, axis=1), {path: rows for one in damaged for path, rows in one.items()}


def _write(parts: Sequence[Parts], rows: np.ndarray, probs: np.ndarray) -> None:
    places = np.cumsum([0, *(one.networks for one in parts)])
    for one, first, last in zip(parts, places[:-1], places[1:], strict=True):
        one.write(rows, probs[:, first:last])


class _Keeper:
    """Writes rows to parts as they are done."""

    def __init__(self, parts: Sequence[Parts], rows: np.ndarray) -> None:
        self._parts, self._rows, self._kept, self._last = parts, rows, 0, time.monotonic()

    def __call__(self, done: np.ndarray) -> None:
        if time.monotonic() - self._last >= PART_SECONDS:
            self.flush(done)

    def flush(self, done: np.ndarray) -> None:
        """Write what is done and not written yet: `done` are the first rows, `(D, K)`."""
        new = slice(self._kept, len(done))
        if len(done) > self._kept:
            _write(self._parts, self._rows[new], done[new])
        self._kept, self._last = len(done), time.monotonic()
