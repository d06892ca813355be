"""What becomes of damaged cadences: `data.on_error=raise` stops at the first, `skip` leaves them out and says so."""

import logging
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.cadence import read_format
from seti.data.pack_reader import open_packed
from seti.data.sources import Store, open_store
from seti.errors import SetiError
from seti.utils import files
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores

log = logging.getLogger(__name__)

_BLOCK = 64


def open_usable(
    root: Path,
    split: str,
    ids: pd.Series,
    panels: tuple[int, ...],
    packed: str = "auto",
    pack_dir: str | Path | None = None,
    on_error: str = "raise",
) -> tuple[Store, dict[str, str]]:
    """Open a split's cadences, with a look at names and sizes; with `skip` every cadence is read once before.

    Args:
        root, split, ids, panels, packed, pack_dir: as `seti.data.sources.open_store`.
        on_error: `raise` or `skip`.

    Returns:
        The cadences, and with `skip` what is wrong with those that are left out, by id.

    Raises:
        SetiError: with `raise` files are missing or of another size than most; with `skip` none is left.
    """
    pack = None if packed == "false" else open_packed(root, split, ids.to_numpy(), panels, pack_dir)[0]
    skipped: dict[str, str] = {}
    size: tuple[int | None, int | None] = (None, None)
    if pack is None and packed != "true":
        if on_error == "raise":
            competition.check_files(root, split, ids)
        else:
            skipped = competition.find_unfit(root, split, ids)
            size = _usual_size(root, split, [i for i in ids if i not in skipped])
    kept = ids[~ids.isin(skipped)].to_numpy()
    store = pack or open_store(root, split, kept, panels, *size, packed=packed, pack_dir=pack_dir)
    log.info("%s cadences are read from %s", split, store.source)
    if on_error == "skip":
        skipped |= find_damaged(store)
        if skipped:
            store = store.take(np.flatnonzero(~np.isin(store.ids, list(skipped))))
            _say(split, skipped, len(ids))
    if not len(store):
        raise SetiError(_none_left(root, split, skipped))
    return store, skipped


def find_damaged(store: Store) -> dict[str, str]:
    """Read every cadence once, on all cores.

    Returns:
        What is wrong, by id; empty where nothing is.
    """
    blocks = [range(start, min(start + _BLOCK, len(store))) for start in range(0, len(store), _BLOCK)]

    def read(block: range) -> dict[str, str]:
        problems = {}
        for index in block:
            try:
                store.read(index)
            except SetiError as error:
                problems[str(store.ids[index])] = str(error)
        return problems

    damaged: dict[str, str] = {}
    # Threads: reading and looking for NaN leave Python to others.
    with ThreadPoolExecutor(available_cores()) as pool, cadence_progress() as progress:
        task = progress.add_task("looking for damage", total=len(store))
        for block, problems in zip(blocks, pool.map(read, blocks), strict=True):
            damaged |= problems
            progress.advance(task, len(block))
    return damaged


def write_skipped(path: Path, skipped: dict[str, str]) -> None:
    """Write what was left out and why; without any, there is no file."""
    if skipped:
        files.write_csv(path, pd.DataFrame({"id": list(skipped), "reason": list(skipped.values())}))
    else:
        path.unlink(missing_ok=True)


def _usual_size(root: Path, split: str, ids: Iterable[str]) -> tuple[int, int]:
    """Rows and bins of most of the first readable cadences."""
    seen: Counter[tuple[int, int]] = Counter()
    for i in ids:
        try:
            seen[read_format(competition.cadence_path(root, split, i))[0]] += 1
        except SetiError:
            continue
        if seen.total() == 9:
            break
    if not seen:
        raise SetiError(_none_left(root, split, {}))
    return seen.most_common(1)[0][0]


def _say(split: str, skipped: dict[str, str], total: int) -> None:
    first = "; ".join(f"{i}: {reason}" for i, reason in list(skipped.items())[:3])
    more = "; ..." if len(skipped) > 3 else ""
    log.warning("data.on_error=skip leaves out %d of %d %s cadences: %s%s", len(skipped), total, split, first, more)


def _none_left(root: Path, split: str, skipped: dict[str, str]) -> str:
    first = f" (first {next(iter(skipped))}: {next(iter(skipped.values()))})" if skipped else ""
    return f"{root / split} has no cadence that can be read{first}: python -m seti.check data.root={root} lists them"
