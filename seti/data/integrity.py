"""Integrity of a data set: tables, files and packs.

Nothing stops at the first fault: all are collected.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import Progress

from seti.data import competition, oddities
from seti.data.cadence import PANEL_CHOICES, read_cadence, read_format
from seti.data.duplicate_panels import find_duplicates
from seti.data.file_scan import Scan, scan_files, spread_blocks
from seti.data.findings import ERROR, WARNING, Finding, name_panels
from seti.data.folds import column_folds
from seti.data.pack_reader import PackedCadences, PackFiles, changed_sources, pack_command, pack_folder
from seti.data.tables import is_rewritten_number, read_table, to_numbers
from seti.errors import SetiError
from seti.utils import near_paths
from seti.utils.checksums import panel_checksums, row_checksum
from seti.utils.console import cadence_progress
from seti.utils.processes import check_workers

SPLITS = {"train": competition.LABELS, "test": competition.SUBMISSION}


def check(root: Path, pack_dir: Path | None = None, workers: int | None = None) -> list[Finding]:
    """Check a data set: tables, files, and packs where there are some.

    Args:
        root: the data set's folder.
        pack_dir: where packs are; None: `<root>/packed`.
        workers: processes; None: one a core.

    Returns:
        All findings, errors first.

    Raises:
        SetiError: `root` is not a folder, or `workers` is not a number of processes.
    """
    check_workers(workers)
    if not root.is_dir():
        msg = (
            f"data.root={root} is not a folder: set data.root to a folder that holds {competition.LABELS} and train/"
            f"{near_paths.hint('data.root', root)}"
        )
        raise SetiError(msg)
    findings: list[Finding] = []
    tables = {split: _check_table(root, split, findings) for split in SPLITS}
    unread = {split for split, table in tables.items() if table is None}
    ids = {split: table or [] for split, table in tables.items()}
    for both in sorted(set(ids["train"]) & set(ids["test"])):
        findings.append(Finding(both, "train", ERROR, "in train and in test", "", str(root / competition.LABELS)))
    packs = _check_packs(root, pack_dir, ids, findings)
    places = [
        place
        for split in SPLITS
        if split not in unread
        for place in _check_names(root, split, ids[split], packs, findings)
    ]
    total = len(places) + sum(len(table) for table in packs.values())
    with cadence_progress() as progress:
        task = progress.add_task("checking", total=total)
        scan = scan_files([path for _, _, path in places], workers, progress, task)
        for pack, table in packs.items():
            findings += _check_rows(pack, table, workers, progress, task)
    findings += _judge(places, scan)
    return sorted(findings, key=lambda found: (found.level, found.problem, found.split, found.id))


def _check_table(root: Path, split: str, findings: list[Finding]) -> list[str] | None:
    """Check a table; gives its ids that can name a file, each once; None without a table."""
    path = root / SPLITS[split]

    def add(cadence_id: object, level: str, problem: str, detail: str = "") -> None:
        findings.append(Finding(str(cadence_id), split, level, problem, detail, str(path)))

    if not path.is_file():
        # A data set without a test half can be trained on.
        add("", ERROR if split == "train" or (root / split).exists() else WARNING, "no table", f"{path} is missing")
        return None
    try:
        train = split == "train"
        read = read_table(path, ["id", "target"] if train else ["id"], ("fold",) if train else ())
    except SetiError as error:
        add("", ERROR, "damaged table", str(error))
        return None
    read.say_how_it_was_read()
    table = read.columns
    if table.empty:
        add("", ERROR, "empty table", "it lists no cadence")
    fit = table["id"].map(competition.can_name_a_file)
    for cadence_id in table["id"][~fit]:
        lost = "a spreadsheet took it for a number, and its digits are lost"
        detail = lost if is_rewritten_number(cadence_id) else "ids are up to 200 letters, digits, _ and -"
        add(repr(cadence_id), ERROR, "unfit id", detail)
    for cadence_id, count in table["id"][fit][table["id"][fit].duplicated()].value_counts().items():
        add(cadence_id, ERROR, "listed twice", f"in {count + 1} rows")
    if split == "train":
        targets = to_numbers(table["target"])
        for cadence_id, target in table.loc[~targets.isin([0, 1]), ["id", "target"]].itertuples(index=False):
            add(cadence_id, ERROR, "target other than 0 and 1", repr(target))
        if not table.empty and targets.isin([0, 1]).all() and (targets == targets.iloc[0]).all():
            detail = f"every target is {int(targets.iloc[0])}: training needs cadences with a needle and without"
            add("", ERROR, "one class", detail)
        if "fold" in table and not table.empty:
            try:
                column_folds(table.assign(target=targets), path, table["fold"].nunique())
            except SetiError as error:  # a warning: the column is not used unless data.folds=column asks for it
                add("", WARNING, "unusable fold column", str(error))
    return table["id"][fit].unique().tolist()


def _check_packs(
    root: Path, pack_dir: Path | None, ids: dict[str, list[str]], findings: list[Finding]
) -> dict[PackFiles, pd.DataFrame]:
    """Find the packs whose rows can be looked at, with their id tables."""
    packs = {}
    for split in SPLITS:
        for panels in PANEL_CHOICES:
            pack = PackFiles(pack_folder(root, pack_dir), split, panels)
            if not pack.manifest.exists():
                continue
            try:
                table = pack.read_table()
                PackedCadences(pack, root, table["id"].to_numpy(), PANEL_CHOICES[panels], sources=False)
            except SetiError as error:
                findings.append(Finding("", split, ERROR, "damaged pack", str(error), str(pack.data)))
                continue
            packs[pack] = table
            changed = changed_sources(root, split, table)
            absent = sorted(set(ids[split]) - set(table["id"]))
            for reason, strange in (("sources have changed or gone", changed), ("ids are not in it", absent)):
                if strange:
                    command = f"{pack_command(root, PANEL_CHOICES[panels], pack_dir)} force=true"
                    detail = f"{len(strange)} {reason}, first {strange[0]}: {command} packs again"
                    findings.append(Finding("", split, WARNING, "pack does not match", detail, str(pack.data)))
    return packs


def _check_names(
    root: Path, split: str, ids: list[str], packs: dict[PackFiles, pd.DataFrame], findings: list[Finding]
) -> list[tuple[str, str, str]]:
    """Check which files there are; gives id, split and path of those that the table lists."""
    present = competition.list_files(root, split)
    if not present and any(pack.split == split and set(ids) <= set(table["id"]) for pack, table in packs.items()):
        return []  # the pack alone was kept
    near = competition.find_near_names(present, [i for i in ids if i not in present])
    places = []
    for cadence_id in ids:
        path = str(competition.cadence_path(root, split, cadence_id))
        if cadence_id in present:
            places.append((cadence_id, split, path))
        else:
            findings.append(Finding(cadence_id, split, ERROR, "no file", near.get(cadence_id, ""), path))
    for name in sorted(set(present) - set(ids)):
        path = root / split / name[0] / f"{name}.npy"
        findings.append(Finding(name, split, WARNING, "file without an id", f"{SPLITS[split]} lacks it", str(path)))
    return places


def _check_rows(
    pack: PackFiles, table: pd.DataFrame, workers: int | None, progress: Progress, task: int
) -> Iterator[Finding]:
    """Compare every row of a pack with its checksum."""
    manifest = pack.read_manifest()
    shape = (len(PANEL_CHOICES[pack.panels]), manifest["rows"], manifest["bins"])
    row_bytes = int(np.prod(shape)) * np.dtype(manifest["dtype"]).itemsize
    offset = manifest["bytes"] - len(table) * row_bytes
    jobs = [
        (str(pack.data), offset + place * row_bytes, row_bytes, len(PANEL_CHOICES[pack.panels]), checksum)
        for place, checksum in enumerate(table["checksum"])
    ]
    for start, intact in spread_blocks(_row_block, jobs, workers, progress, task):
        for place in np.flatnonzero(~intact) + start:
            cadence_id = table["id"].iloc[place]
            detail = "its checksum is another: delete the pack and pack again"
            yield Finding(cadence_id, pack.split, ERROR, "damaged row of a pack", detail, str(pack.data))


def _row_block(jobs: list[tuple[str, int, int, int, str]]) -> np.ndarray:
    intact = np.zeros(len(jobs), bool)
    with Path(jobs[0][0]).open("rb", buffering=0) as stream:
        for number, (_, offset, length, panels, checksum) in enumerate(jobs):
            row = np.empty((panels, 1, length // panels), np.uint8)
            stream.seek(offset)
            intact[number] = stream.readinto(row.data) == length and row_checksum(panel_checksums(row)) == checksum
    return intact


def _judge(places: list[tuple[str, str, str]], scan: Scan) -> Iterator[Finding]:
    """Turn a scan into findings about single cadences, then about pairs of them."""
    counts = Counter(found for found in scan.formats if found)
    usual = counts.most_common(1)[0][0] if counts else ""
    for (cadence_id, split, path), problem, found, dead in zip(
        places, scan.problems, scan.formats, scan.dead, strict=True
    ):
        if problem:
            yield Finding(cadence_id, split, ERROR, "damaged file", problem, path)
        elif found != usual:
            detail = f"panels of {found}, most have {usual}"
            yield Finding(cadence_id, split, ERROR, "another shape or type", detail, path)
        elif dead.any():
            yield Finding(cadence_id, split, WARNING, "constant panel", name_panels(np.flatnonzero(dead)), path)
    fit = np.array([found == usual for found in scan.formats], bool) & bool(usual)
    yield from _find_oddities(places, fit)
    yield from find_duplicates(places, scan, fit)


def _find_oddities(places: list[tuple[str, str, str]], fit: np.ndarray) -> Iterator[Finding]:
    """Look at a few cadences of each split for panels that a network would learn nothing from."""
    for split in SPLITS:
        paths = [path for (_, own, path), good in zip(places, fit, strict=True) if good and own == split]
        if not paths:
            continue
        shape = oddities.describe_shape(*read_format(paths[0])[0])
        scale = oddities.describe_scale(read_cadence(paths[place]) for place in oddities.sample_places(len(paths)))
        for problem, detail in (("transposed panels", shape), ("not standardised", scale)):
            if detail is not None:
                yield Finding("", split, WARNING, problem, detail, str(Path(paths[0]).parents[1]))
