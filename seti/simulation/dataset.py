"""Simulated data sets in the competition's layout.

One or more cadences are cut from a field (`seti.simulation.spectra`), and each gets its own signal. The bytes of a set
do not depend on how many processes make it.
"""

import dataclasses
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data.competition import LABELS, SUBMISSION, TEST_LABELS, cadence_path
from seti.errors import SetiError, SettingsError
from seti.simulation.plan import SPLITS, Planned, draw_cadence_signal, plan, rng_for
from seti.simulation.settings import SimulationSettings
from seti.simulation.signals import Signal
from seti.simulation.spectra import (
    BINS,
    DF,
    FILE_SIZE,
    Field,
    add_signal,
    draw_field,
    import_setigen,
    render_field,
    standardise,
)
from seti.simulation.validation import check_settings
from seti.simulation.wide_field import draw_interference
from seti.utils import files, locks
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, parallel_map

TRUTH = "truth.csv"
SETTINGS = "simulation.json"
FORMAT = 1  # raised when the same settings give other bytes than before


def simulate(settings: SimulationSettings) -> Path:
    """Make a data set, or go on with one that was begun with the same settings.

    Returns:
        The folder.

    Raises:
        SetiError: a setting cannot work; the folder holds something else, or cannot be written; setigen is missing.
    """
    check_settings(settings)
    import_setigen()  # before anything is written
    root = Path(settings.root)
    groups = plan(settings)
    with writing(root, settings, FILE_SIZE):
        truth = make_cadences(functools.partial(_make_group, settings), groups, settings.workers)
        write_tables(root, truth)
    return root


@contextmanager
def writing(root: Path, settings: SimulationSettings, file_size: int) -> Iterator[None]:
    """Prepare a folder for a data set, and lock it while the block runs.

    Args:
        root: the folder.
        settings: of the data set; a folder that was made with others is refused.
        file_size: bytes of a cadence's file.

    Raises:
        SetiError: the folder holds something else, is too small, or cannot be written.
    """
    with _system_errors(root), _locked(root):
        for name in (TRUTH, TEST_LABELS, SUBMISSION, LABELS):
            files.try_output(root / name)
        _claim(root, settings, file_size)
        for split in SPLITS:
            for folder in (root / split).glob("*"):
                files.remove_stale_parts(folder)
        yield


def count_needles(root: Path) -> dict[str, tuple[int, int]]:
    """Count a simulated set's cadences and those with a needle, by split."""
    truth = pd.read_csv(root / TRUTH)
    counts = {split: truth.loc[truth["split"] == split, "target"] for split in SPLITS}
    return {split: (len(targets), int(targets.sum())) for split, targets in counts.items()}


def make_cadences(
    work: Callable[[int, list[Planned]], list[dict[str, Any]]], groups: list[list[Planned]], workers: int | None
) -> pd.DataFrame:
    """Make cadences in several processes, with a progress bar.

    Args:
        work: makes the missing cadences of a group, given its number, and returns their rows of the truth table.
        groups: the cadences.
        workers: number of processes; None for one per core.

    Returns:
        The truth table, sorted by split and id.
    """
    workers = min(workers or available_cores(), len(groups))
    rows = []
    with cadence_progress() as progress:
        task = progress.add_task("simulating", total=sum(map(len, groups)))
        for made in parallel_map(work, range(len(groups)), groups, workers=workers, chunk=4):
            rows += made
            progress.advance(task, len(made))
    return pd.DataFrame(rows).sort_values(["split", "id"], ignore_index=True)


def _make_group(settings: SimulationSettings, number: int, group: list[Planned]) -> list[dict[str, Any]]:
    drawn = _draw_field(settings, number, len(group))
    rendered = None
    rows = []
    for cadence, offset in zip(group, drawn.offsets, strict=True):
        signal = draw_cadence_signal(settings, cadence, drawn.times)
        rows.append(_truth(cadence, signal, drawn, number, int(offset)))
        path = cadence_path(Path(settings.root), cadence.split, cadence.id)
        if is_written(path, FILE_SIZE):
            continue
        if rendered is None:
            rendered = render_field(drawn)
        panels = rendered[:, :, offset : offset + BINS].copy()
        if signal is not None:
            add_signal(panels, drawn.times, signal)
        write_cadence(path, standardise(panels))
    return rows


def _draw_field(settings: SimulationSettings, number: int, cuts: int) -> Field:
    """Draw a field, with interference if several cadences are cut from it."""
    drawn = draw_field(rng_for(settings.seed, "field", number), settings.background, cuts, settings.fields.width)
    if cuts == 1 or not settings.fields.rfi:
        return drawn
    bins = len(drawn.background.spike)
    mean = settings.fields.rfi * bins / BINS
    signals = draw_interference(rng_for(settings.seed, "rfi", number), drawn.times, bins, mean, DF)
    features = (*drawn.features, "rfi") if signals else drawn.features
    return dataclasses.replace(drawn, interference=tuple(signals), features=features)


def is_written(path: Path, size: int) -> bool:
    """Check that a cadence's file is there and whole."""
    return path.is_file() and path.stat().st_size == size


def write_cadence(path: Path, panels: np.ndarray) -> None:
    """Write a cadence's file, whole or not at all."""
    content = io.BytesIO()  # numpy's error on a full disk does not name the cause
    np.save(content, panels)
    # Not durable: thousands of files. One that a power cut empties is recognised by its size, and made again.
    with files.atomic_write(path, durable=False) as temporary:
        temporary.write_bytes(content.getbuffer())


def _truth(cadence: Planned, signal: Signal | None, drawn: Field, number: int, offset: int) -> dict[str, Any]:
    return {
        "id": cadence.id,
        "split": cadence.split,
        "target": int(cadence.kind == "needle"),
        "kind": cadence.kind,
        "shape": signal.shape if signal else "",
        "snr": round(signal.snr, 3) if signal else np.nan,
        "drift_rate": round(signal.drift_rate, 6) if signal else np.nan,
        "panels": " ".join(map(str, signal.panels)) if signal else "",
        "background": number,
        "offset": offset,
        "features": " ".join(drawn.features),
    }


def write_tables(root: Path, truth: pd.DataFrame) -> None:
    """Write the tables; the label table comes last, so a folder that has one is whole."""
    os.sync()  # the cadences
    test = truth[truth["split"] == "test"]
    files.write_csv(root / TRUTH, truth)
    files.write_csv(root / TEST_LABELS, test[["id", "target"]])
    files.write_csv(root / SUBMISSION, test[["id"]].assign(target=0.5))
    files.write_csv(root / LABELS, truth.loc[truth["split"] == "train", ["id", "target"]])


def size(number: int) -> str:
    """Write a number of bytes in MB or GB."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with locks.hold(root, "simulating", fix="another root can be simulated meanwhile"):
        yield


def _claim(root: Path, settings: SimulationSettings, file_size: int) -> None:
    """Write the settings into the folder, unless it holds anything else."""
    wanted = {
        "format": FORMAT,
        **settings.recorded(),
    }
    stored = root / SETTINGS
    if stored.exists():
        held = files.read_json(stored)
        if held != wanted and not settings.force:
            other = [name for name in wanted if held.get(name) != wanted[name]]
            name = other[0] if other else "an unknown setting"
            msg = (
                f"{root} holds a set made with other settings ({name}: {held.get(name)}, now {wanted.get(name)}): "
                "set force=true to replace it, or another root"
            )
            raise SettingsError(msg)
        if settings.force:
            for table in (LABELS, SUBMISSION, TEST_LABELS, TRUTH):
                (root / table).unlink(missing_ok=True)
            for split in SPLITS:
                shutil.rmtree(root / split, ignore_errors=True)
    elif any((root / name).exists() for name in (LABELS, SUBMISSION, *SPLITS)):
        msg = f"{root} holds data that the simulator did not make: set root to another folder"
        raise SettingsError(msg)
    present = sum(1 for split in SPLITS for _ in (root / split).glob("*/*.npy"))
    needed = (settings.train + settings.test - present) * file_size
    free = shutil.disk_usage(root).free
    if needed > free:
        msg = f"{root} needs {size(needed)} and has {size(free)} free: free some, or set another root"
        raise SetiError(msg)
    files.write_json(stored, wanted)


@contextmanager
def _system_errors(root: Path) -> Iterator[None]:
    """Turn a full disk and a missing right into one line."""
    try:
        yield
    except OSError as error:
        msg = f"cannot write to {root}: {error.strerror or error}; fix that, or set root to another folder"
        raise SetiError(msg) from error
