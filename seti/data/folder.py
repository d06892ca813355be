"""Any folder of cadences, opened for scoring.

It is a data set in the competition's layout, or files without a table.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.listing import SPLIT, Listing, open_pack
from seti.data.loose import find_cadences, no_cadences, open_loose, open_packs
from seti.data.screening import find_damaged
from seti.data.sources import CadenceSource
from seti.data.splits import open_split, warn_of_skipped
from seti.errors import SetiError
from seti.utils.wording import count

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedFolder:
    """Cadences of a folder.

    Attributes:
        ids: `(N,)` text, of every cadence.
        source: the readable ones, in the same order.
        labels: columns `id` and `target` (0 or 1), of cadences in `ids`; None where they do not have both classes.
    """

    ids: pd.Series
    source: CadenceSource
    labels: pd.DataFrame | None


def open_folder(
    root: Path,
    panels: tuple[int, ...],
    packed: str = "auto",
    pack_dir: str | Path | None = None,
    on_error: str = "raise",
) -> OpenedFolder:
    """Open a folder: the test set that its `sample_submission.csv` lists, else every `.npy`.

    Args:
        root: the folder. Without a table, its packs are opened where it has no other file, and labels are taken from
            `train_labels.csv` and `test_labels.csv` in it or next to it.
        panels: which of the six are read.
        packed: `auto`, `true` or `false`, as for `seti.data.splits.open_split`.
        pack_dir: folder of the packs; None: `<root>/packed`.
        on_error: `raise` on damaged cadences, or `skip` them.

    Raises:
        SetiError: there is no folder or no cadence in it, or with `raise` a file of another size.
    """
    if not root.is_dir():
        msg = f"data.root={root} is not a folder: give a folder of cadences (.npy), at any depth"
        raise SetiError(msg)
    if (root / competition.SUBMISSION).exists():
        ids = competition.read_test_ids(root)
        source = open_split(root, "test", ids.to_numpy(), panels, packed, pack_dir, on_error).source
        return OpenedFolder(ids, source, competition.find_test_labels(root, ids))
    source = _open_without_table(root, panels, packed, pack_dir)
    ids = pd.Series(source.ids, name="id", dtype=str)
    log.info("%s read from %s", "1 cadence is" if len(ids) == 1 else f"{len(ids)} cadences are", source.description)
    if on_error == "skip":
        damaged = find_damaged(source)
        if len(damaged) == len(source):
            msg = f"data.root={root} holds no cadence that can be read: {next(iter(damaged.values()))}"
            raise SetiError(msg)
        if damaged:
            warn_of_skipped(damaged, len(ids))
            source = source.take(np.flatnonzero(~np.isin(source.ids, list(damaged))))
    return OpenedFolder(ids, source, _find_labels(root, ids))


def _open_without_table(root: Path, panels: tuple[int, ...], packed: str, pack_dir: str | Path | None) -> CadenceSource:
    paths = {} if packed == "true" else find_cadences(root)
    if paths and packed == "auto":
        pack, _ = open_pack(Listing(root, paths), SPLIT, np.array(list(paths)), panels, pack_dir)
        if pack is not None:
            return pack
    if paths:
        return open_loose(root, paths, panels)
    source = None if packed == "false" else open_packs(root, panels, pack_dir)
    if source is None and packed == "true":
        msg = f"data.packed=true, but there is no pack in {pack_dir or root}: set data.packed=auto to read files"
        raise SetiError(msg)
    if source is None:
        raise SetiError(no_cadences(root))
    return source


def _find_labels(root: Path, ids: pd.Series) -> pd.DataFrame | None:
    """Read labels of these ids from the tables in the folder, or next to it."""
    found = []
    for folder in (root, root.resolve().parent):
        for name, read in ((competition.LABELS, competition.read_labels), (competition.TEST_LABELS, _read_test)):
            if (folder / name).is_file():
                try:
                    table = read(folder)
                except SetiError as error:
                    log.warning("no AUC: %s", error)
                    continue
                found.append(table[table["id"].isin(ids)])
        if any(len(table) for table in found):
            break
    if not found:
        return None
    labels = pd.concat(found).drop_duplicates("id", ignore_index=True)
    if labels["target"].nunique() < 2:
        if len(labels):
            log.warning("no AUC: the %d cadences with a label are of one class", len(labels))
        return None
    if len(labels) < len(ids):
        have = "has" if len(labels) == 1 else "have"
        log.info("%d of %s %s a label", len(labels), count(len(ids), "cadence"), have)
    return labels


def _read_test(root: Path) -> pd.DataFrame:
    labels = competition.read_test_labels(root)
    assert labels is not None
    return labels
