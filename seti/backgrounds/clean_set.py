"""A data set with the repeated backgrounds subtracted, in the competition's layout.

`coverage.csv` is written last: where it is, the data set is whole. `clean.json` comes first and says what the folder is
made from; the same command goes on where it was stopped.
"""

import functools
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.backgrounds import table
from seti.backgrounds.cadences import ALL, Cadences, DataSet, open_data_set
from seti.backgrounds.cleaning import Partner, choose, covered, partners_of, subtract
from seti.backgrounds.original import SAME, contents_of, identify, tables_of
from seti.data.cleaned_set import CLEAN, COVERAGE, check_not_cleaned
from seti.errors import SetiError
from seti.utils import files, locks
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, check_workers, parallel_map

RECORD = CLEAN
BLOCK = 32  # cadences that are sent to a process at once
COLUMNS = ("id", "split", "group", "covered", "partners")


@dataclass(frozen=True)
class Cleaned:
    """A data set that was written.

    Attributes:
        folder: of the data set.
        coverage: `COLUMNS`, a row a cadence: group of twins, share of the bins that a twin covers, the twins that were
            subtracted.
    """

    folder: Path
    coverage: pd.DataFrame

    def describe(self) -> str:
        """Count the cadences that were cleaned, and those that are nearly all covered."""
        share = self.coverage["covered"]
        return (
            f"{int((share > 0).sum())} of {len(share)} cadences cleaned, {int((share >= 0.9).sum())} of them covered "
            "by 0.9 or more; the others are links"
        )


def clean(root: Path, folder: Path, pack_dir: Path | None = None, workers: int | None = None) -> Cleaned:
    """Write a data set whose cadences lack the background that they share with their twins.

    Args:
        root: the data set's folder, with `twins.csv`.
        folder: of the new one; it may hold what a stopped run has written.
        pack_dir: folder of the packs; None: `<root>/packed`.
        workers: number of processes; None: one per core.

    Raises:
        SetiError: `folder` is `root` or inside it, or holds something else; there is no usable `twins.csv`; a cadence
            is damaged, or no longer the twin that it was.
    """
    check_workers(workers)
    check_folder(root, folder)
    check_not_cleaned(root)
    twins = table.read_twins(root, pack_dir)
    links = table.read_links(root)
    identity = identify(root, pack_dir)
    _check_content(folder, identity)
    files.try_output(folder / COVERAGE)
    folder.mkdir(parents=True, exist_ok=True)
    with locks.hold(folder, "cleaning"), files.name_in_errors(folder):
        files.remove_stale_parts(folder)
        files.write_json(folder / RECORD, identity)
        for source in tables_of(root):
            with files.atomic_write(folder / source.name) as temporary:
                shutil.copyfile(source, temporary)
        data = open_data_set(root, pack_dir)
        chosen = [choose(partners, data.bins) for partners in partners_of(links, contents_of(root))]
        _write_cadences(data, folder, chosen, workers)
        shares = [covered(partners, data.bins).mean() if partners else 0.0 for partners in chosen]
        ids = twins["id"].to_numpy()
        names = [" ".join(ids[one.row] for one in partners) for partners in chosen]
        coverage = twins[["id", "split", "group"]].assign(covered=np.round(shares, 6), partners=names)
        files.write_csv(folder / COVERAGE, coverage)
    return Cleaned(folder, coverage)


def check_folder(root: Path, folder: Path) -> None:
    """Refuse a folder in which the new data set would damage the old one.

    Raises:
        SetiError: it is the data set's folder or inside it, contains it, or is a file.
    """
    own, new = root.resolve(), folder.resolve()
    if new == own or own in new.parents:
        where = "is" if new == own else "is inside"
        msg = f"clean={folder} {where} data.root={root}: give another folder, next to it"
        raise SetiError(msg)
    if new in own.parents and (new / own.relative_to(new).parts[0]).name in (*table.ID_TABLES,):
        msg = f"clean={folder} would write into data.root={root}: give another folder, next to it"
        raise SetiError(msg)
    if folder.exists() and not folder.is_dir():
        msg = f"clean={folder} is a file: give a folder"
        raise SetiError(msg)


def _check_content(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder that holds something else than a part of this data set."""
    if not folder.is_dir() or not any(not path.name.startswith(".") for path in folder.iterdir()):
        return
    if not (folder / RECORD).is_file():
        msg = f"clean={folder} is not empty and holds no {RECORD}: give a new folder"
        raise SetiError(msg)
    found = files.read_json(folder / RECORD)
    other = [key for key in SAME if found.get(key) != identity[key]]
    if found.get("contents", identity["contents"]) != identity["contents"]:
        other.append("twins")
    if other:
        what = {"root": "of another data.root", "twins": "with another twins.csv"}.get(other[0], "of another data set")
        msg = f"clean={folder} was made {what}: delete it, or give a new folder"
        raise SetiError(msg)


def _write_cadences(data: DataSet, folder: Path, chosen: list[list[Partner]], workers: int | None) -> None:
    for place in {_target(data, folder, number).parent for number in range(len(data.ids))}:
        files.remove_stale_parts(place)
    left = [number for number, partners in enumerate(chosen) if not _is_written(data, folder, number, bool(partners))]
    # Cadences of a field lie next to each other in the numbering by first twin: their files are in the system's cache.
    left.sort(key=lambda number: (min([number, *(one.row for one in chosen[number])]), number))
    blocks = [left[start : start + BLOCK] for start in range(0, len(left), BLOCK)]
    work = functools.partial(_write_block, data.root)
    jobs = _jobs(data, folder, chosen, blocks)
    processes = max(1, min(workers or available_cores(), len(blocks)))
    with cadence_progress() as progress:
        before = len(chosen) - len(left)
        task = progress.add_task("cleaning", total=len(chosen), completed=before, before=before)
        for written in parallel_map(work, jobs, workers=processes):
            progress.advance(task, written)


Job = tuple[Cadences, list[tuple[Path, Path, int, list[tuple[int, Partner]]]]]


def _jobs(data: DataSet, folder: Path, chosen: list[list[Partner]], blocks: list[list[int]]) -> Iterator[Job]:
    """Yield the cadences of each block with their twins, and the places of each one among them."""
    opened = data.open(ALL)
    for block in blocks:
        numbers = np.unique([*block, *(one.row for number in block for one in chosen[number])])
        place = {int(number): at for at, number in enumerate(numbers)}
        rows = [
            (
                data.path(number),
                _target(data, folder, number),
                place[number],
                [(place[one.row], one) for one in chosen[number]],
            )
            for number in block
        ]
        yield opened.take(numbers), rows


def _write_block(root: Path, job: Job) -> int:
    cadences, rows = job
    read = functools.lru_cache(maxsize=4 * BLOCK)(cadences.read)
    for source, path, place, partners in rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not partners and source.is_file():
            _link(source, path)
            continue
        cadence = read(place)
        if partners:
            try:
                cadence = subtract(cadence, [read(one) for one, _ in partners], [partner for _, partner in partners])
            except SetiError as error:
                msg = (
                    f"{source}: {error}; it or one of its twins has changed since {table.TABLE} was made: "
                    f"{table.twins_command(root)} makes that again"
                )
                raise SetiError(msg) from error
        content = io.BytesIO()  # numpy's error on a full disk names neither the file nor the cause
        np.save(content, cadence)
        # Not durable: coverage.csv says that all are there.
        with files.atomic_write(path, durable=False) as temporary, files.name_in_errors(path, temporary):
            temporary.write_bytes(content.getbuffer())
    return len(rows)


def _target(data: DataSet, folder: Path, number: int) -> Path:
    """Path of a cadence in the new data set: where it is in the old one."""
    return folder / data.path(number).relative_to(data.root)


def _link(source: Path, path: Path) -> None:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(source.resolve())
    temporary.replace(path)


def _is_written(data: DataSet, folder: Path, number: int, cleaned: bool) -> bool:
    """True where an earlier run has written a cadence, or linked one that stays as it is."""
    path, source = _target(data, folder, number), data.path(number)
    if not cleaned and source.is_file():
        return path.is_symlink() and path.exists() and path.samefile(source)
    if path.is_symlink() or not path.is_file():
        return False
    whole = 128 + 6 * data.rows * data.bins * 2
    return path.stat().st_size == whole or not cleaned
