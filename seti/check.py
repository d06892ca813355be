"""Look at every cadence of a data set: `python -m seti.check data.root=...`. Settings: conf/check.yaml.

Nothing stops at the first fault: all are listed, in a table of kinds for a person and one by one in a csv.
"""

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
from rich.progress import Progress
from rich.table import Table

from seti.cli import program
from seti.data import competition
from seti.data.cadence import PANEL_CHOICES, PANEL_LETTERS, read_cadence
from seti.data.pack_reader import PackedCadences, PackFiles, changed_sources, pack_folder
from seti.errors import SetiError
from seti.utils import files
from seti.utils.checksums import panel_checksums, row_checksum
from seti.utils.console import cadence_progress, console
from seti.utils.processes import available_cores, check_workers, parallel_map

log = logging.getLogger(__name__)

SPLITS = {"train": competition.LABELS, "test": competition.SUBMISSION}
ERROR, WARNING = "error", "warning"
_BLOCK = 64  # cadences that a process looks at at once
_ALONE = 1024  # cadences that are looked at before other processes would have started


@dataclass
class CheckDataConfig:
    """Which data set."""

    root: str = MISSING
    pack_dir: str | None = None


@dataclass
class CheckConfig:
    """Everything `python -m seti.check` reads."""

    data: CheckDataConfig = field(default_factory=CheckDataConfig)
    report: str = MISSING
    workers: int | None = None


ConfigStore.instance().store(name="check_schema", node=CheckConfig)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or strange.

    Attributes:
        id: of the cadence; empty where a whole table or pack is concerned.
        split: `train` or `test`.
        level: `error` where training or prediction would stop or go wrong, else `warning`.
        problem: its kind, a few words.
        detail: what exactly.
        path: of the file concerned.
    """

    id: str
    split: str
    level: str
    problem: str
    detail: str
    path: str


@dataclass(frozen=True)
class Scan:
    """What is known of some cadences after each was read once; memory does not grow with their size.

    Attributes:
        problems: `(N,)` text, empty where a cadence can be read.
        formats: `(N,)` shape and type, as text.
        checksums: `(N, 6)` uint64, of the panels.
        dead: `(N, 6)` bool: every value of the panel is the same.
    """

    problems: list[str]
    formats: list[str]
    checksums: np.ndarray
    dead: np.ndarray


def check(root: Path, pack_dir: Path | None = None, workers: int | None = None) -> list[Finding]:
    """Check a data set: tables, files, and packs where there are some.

    Args:
        root: the data set's folder.
        pack_dir: where packs are; None: `<root>/packed`.
        workers: processes; None: one a core.

    Returns:
        Everything that was found, errors first.

    Raises:
        SetiError: `root` is no folder.
    """
    if not root.is_dir():
        msg = f"data.root={root} is no folder: set data.root to a folder that holds {competition.LABELS} and train/"
        raise SetiError(msg)
    findings: list[Finding] = []
    ids = {split: _check_table(root, split, findings) for split in SPLITS}
    for both in sorted(set(ids["train"]) & set(ids["test"])):
        findings.append(Finding(both, "train", ERROR, "in train and in test", "", str(root / competition.LABELS)))
    packs = _check_packs(root, pack_dir, ids, findings)
    places = [place for split in SPLITS for place in _check_names(root, split, ids[split], packs, findings)]
    total = len(places) + sum(len(table) for table in packs.values())
    with cadence_progress() as progress:
        task = progress.add_task("checking", total=total)
        scan = scan_files([path for _, _, path in places], workers, progress, task)
        for pack, table in packs.items():
            findings += _check_rows(pack, table, workers, progress, task)
    findings += _judge(places, scan)
    return sorted(findings, key=lambda found: (found.level, found.problem, found.split, found.id))


def _check_table(root: Path, split: str, findings: list[Finding]) -> list[str]:
    """Check a table; gives its ids that can name a file, each once."""
    path = root / SPLITS[split]

    def add(cadence_id: object, level: str, problem: str, detail: str = "") -> None:
        findings.append(Finding(str(cadence_id), split, level, problem, detail, str(path)))

    if not path.is_file():
        # A data set without a test half can be trained on.
        add("", ERROR if split == "train" or (root / split).exists() else WARNING, "no table", f"{path} is missing")
        return []
    try:
        table = files.read_csv(path, ["id", "target"] if split == "train" else ["id"])
    except SetiError as error:
        add("", ERROR, "damaged table", str(error))
        return []
    if table.empty:
        add("", ERROR, "empty table", "it lists no cadence")
    fit = table["id"].map(competition.can_name_a_file)
    for cadence_id in table["id"][~fit]:
        add(repr(cadence_id), ERROR, "unfit id", "ids are up to 200 letters, digits, _ and -")
    for cadence_id, count in table["id"][fit][table["id"][fit].duplicated()].value_counts().items():
        add(cadence_id, ERROR, "listed twice", f"in {count + 1} rows")
    if split == "train":
        targets = pd.to_numeric(table["target"], errors="coerce")
        for cadence_id, target in table.loc[~targets.isin([0, 1]), ["id", "target"]].itertuples(index=False):
            add(cadence_id, ERROR, "target other than 0 and 1", repr(target))
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
                    detail = f"{len(strange)} {reason}, first {strange[0]}: python -m seti.pack force=true packs again"
                    findings.append(Finding("", split, WARNING, "pack does not match", detail, str(pack.data)))
    return packs


def _check_names(
    root: Path, split: str, ids: list[str], packs: dict[PackFiles, pd.DataFrame], findings: list[Finding]
) -> list[tuple[str, str, str]]:
    """Check which files there are; gives id, split and path of those that the table lists."""
    present = competition.list_files(root, split)
    if not present and any(pack.split == split and set(ids) <= set(table["id"]) for pack, table in packs.items()):
        return []  # the pack alone was kept
    places = []
    for cadence_id in ids:
        path = str(competition.cadence_path(root, split, cadence_id))
        if cadence_id in present:
            places.append((cadence_id, split, path))
        else:
            findings.append(Finding(cadence_id, split, ERROR, "no file", "", path))
    for name in sorted(set(present) - set(ids)):
        path = root / split / name[0] / f"{name}.npy"
        findings.append(Finding(name, split, WARNING, "file without an id", f"{SPLITS[split]} lacks it", str(path)))
    return places


def scan_files(paths: list[str], workers: int | None, progress: Progress, task: int) -> Scan:
    """Read every file once, on all cores."""
    scan = Scan([], [], np.zeros((len(paths), 6), np.uint64), np.zeros((len(paths), 6), bool))
    for start, (problems, formats, checksums, dead) in _spread(_scan_block, paths, workers, progress, task):
        scan.problems.extend(problems)
        scan.formats.extend(formats)
        scan.checksums[start : start + len(problems)] = checksums
        scan.dead[start : start + len(problems)] = dead
    return scan


def _spread(
    work: Callable[[list], Any], items: list, workers: int | None, progress: Progress, task: int
) -> Iterator[tuple[int, Any]]:
    starts = range(0, len(items), _BLOCK)
    workers = 1 if len(items) <= _ALONE else workers or available_cores()
    blocks = (items[start : start + _BLOCK] for start in starts)
    for start, result in zip(starts, parallel_map(work, blocks, workers=workers), strict=True):
        yield start, result
        progress.advance(task, min(_BLOCK, len(items) - start))


def _scan_block(paths: list[str]) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    problems, formats = [], []
    checksums, dead = np.zeros((len(paths), 6), np.uint64), np.zeros((len(paths), 6), bool)
    for row, path in enumerate(paths):
        try:
            cadence = read_cadence(path)
        except SetiError as error:
            problems.append(str(error))
            formats.append("")
            continue
        problems.append("")
        formats.append(_format(cadence.shape, cadence.dtype))
        checksums[row] = panel_checksums(cadence)
        # Two values settle it for a panel that is alive.
        for panel in np.flatnonzero(cadence[:, 0, 0] == cadence[:, -1, -1]):
            dead[row, panel] = (cadence[panel] == cadence[panel, 0, 0]).all()
    return problems, formats, checksums, dead


@functools.lru_cache(maxsize=64)  # numpy takes 5 us to spell a type
def _format(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{shape[1]} x {shape[2]} {dtype}"


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
    for start, intact in _spread(_row_block, jobs, workers, progress, task):
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
    """What the scan says of every cadence, and of pairs of them."""
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
            yield Finding(cadence_id, split, WARNING, "constant panel", _panels(np.flatnonzero(dead)), path)
    yield from _twins(places, scan, np.array([found == usual for found in scan.formats], bool) & bool(usual))


def _twins(places: list[tuple[str, str, str]], scan: Scan, fit: np.ndarray) -> Iterator[Finding]:
    """Panels that are the same, byte for byte: equal checksums, then compared."""
    rows, panels = np.nonzero(fit[:, None] & ~scan.dead)
    sums = scan.checksums[rows, panels]
    order = np.argsort(sums, kind="stable")  # within equal ones by cadence
    equal = np.flatnonzero(sums[order][1:] == sums[order][:-1]) + 1
    first = order.copy()
    for place in equal:
        first[place] = first[place - 1]
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place in equal:
        one, two = first[place], order[place]
        pairs.setdefault((int(rows[one]), int(rows[two])), []).append((int(panels[one]), int(panels[two])))
    for (one, two), same in sorted(pairs.items()):
        cadences = [read_cadence(places[row][2]) for row in (one, two)]
        same = [(a, b) for a, b in same if cadences[0][a].tobytes() == cadences[1][b].tobytes()]
        if not same:
            continue
        cadence_id, split, path = places[two]
        other = f"{places[one][0]} ({places[one][1]})"
        if one == two:
            detail = "; ".join(f"panels {a} and {b}" for a, b in same)
            yield Finding(cadence_id, split, WARNING, "the same panel twice", detail, path)
        elif cadences[0].tobytes() == cadences[1].tobytes():
            yield Finding(cadence_id, split, WARNING, "the same cadence", f"as {other}", path)
        else:
            detail = f"{_panels(np.array([b for _, b in same]))} as in {other}"
            yield Finding(cadence_id, split, WARNING, "the same panel in another cadence", detail, path)


def _panels(numbers: np.ndarray) -> str:
    return "panel " + ", ".join(f"{number} ({PANEL_LETTERS[number]})" for number in numbers)


def report(findings: list[Finding], path: Path) -> None:
    """Write every finding to a csv, and print how many there are of each kind with the first three.

    Raises:
        SetiError: the csv cannot be written.
    """
    columns = list(Finding.__dataclass_fields__)
    try:
        files.write_csv(path, pd.DataFrame([asdict(found) for found in findings], columns=columns))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; set report=<file> to where you may write"
        raise SetiError(msg) from error
    if not findings:
        return
    table = Table("level", "problem", "split", "cadences", "first", title="data check")
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for found in findings:
        kinds.setdefault((found.level, found.problem, found.split), []).append(found)
    for kind, found in kinds.items():
        first = ", ".join(each.id or each.detail for each in found[:3]) + (", ..." if len(found) > 3 else "")
        table.add_row(*kind, str(len(found)), first)
    console().print(table)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


@program.program("check")
def main(cfg: CheckConfig) -> None:
    """Check, report, and end with exit code 1 on errors."""
    check_workers(cfg.workers)
    root = Path(cfg.data.root)
    findings = check(root, None if cfg.data.pack_dir is None else Path(cfg.data.pack_dir), cfg.workers)
    report(findings, Path(cfg.report))
    errors = sum(found.level == ERROR for found in findings)
    warnings = len(findings) - errors
    if errors:
        msg = f"{root}: {_count(errors, 'error')} and {_count(warnings, 'warning')}, all of them in {cfg.report}"
        raise SetiError(msg)
    print(f"{root}: no errors, {_count(warnings, 'warning')}; {cfg.report} lists them")


if __name__ == "__main__":
    main()
