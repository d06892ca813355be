"""Simulated data sets in the competition's layout: `python -m seti.simulate root=... train=...`.

One or more cadences are cut from a field (`seti.simulation.spectra`), and each gets its own signal. Everything random
follows from (seed, what is drawn), so the bytes of a set do not depend on how many processes make it.
"""

import difflib
import functools
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from seti.cli import program
from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES
from seti.data.competition import LABELS, SUBMISSION, TEST_LABELS, cadence_path
from seti.errors import SetiError
from seti.simulation.emission import FEATURES
from seti.simulation.signals import EDGE, MAX_SWING, SHAPES, Signal, draw_signal
from seti.simulation.spectra import (
    BINS,
    DF,
    DT,
    FILE_SIZE,
    PANELS,
    ROWS,
    SLEW,
    Field,
    add_signal,
    draw_field,
    import_setigen,
    render_field,
    standardise,
)
from seti.utils import files, locks
from seti.utils.console import cadence_progress
from seti.utils.processes import available_cores, check_workers, parallel_map

LARGEST_GROUP = 5  # cadences of a shared field
TRUTH = "truth.csv"
SETTINGS = "simulation.json"
FORMAT = 1  # raised when the same settings give other bytes than before
KINDS = ("needle", "decoy_everywhere", "decoy_off_only", "background")
SPLITS = ("train", "test")


@dataclass
class SimulateConfig:
    """The settings; `conf/simulate.yaml` holds their values and says what they mean."""

    root: str = MISSING
    train: int = MISSING
    test: int = MISSING
    positives: float = MISSING
    seed: int = MISSING
    workers: int | None = None
    force: bool = MISSING
    snr: list[float] = MISSING
    max_drift_rate: float = MISSING
    complete: float = MISSING
    train_shapes: dict[str, float] = field(default_factory=dict)
    test_shapes: dict[str, float] = field(default_factory=dict)
    decoys: dict[str, float] = field(default_factory=dict)
    shared_backgrounds: float = MISSING
    background: dict[str, float] = field(default_factory=dict)


ConfigStore.instance().store(name="simulate_schema", node=SimulateConfig)


def load_settings(*overrides: str) -> SimulateConfig:
    """Compose `conf/simulate.yaml` with overrides as the command line takes them: `load_settings("train=20")`."""
    with hydra.initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
        return OmegaConf.to_object(hydra.compose("simulate", list(overrides)))


@dataclass(frozen=True)
class Planned:
    """A cadence before it is drawn."""

    id: str
    split: str
    index: int
    kind: str


def simulate(settings: SimulateConfig) -> Path:
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
    with _system_errors(root), _locked(root):
        _claim(root, settings)
        for split in SPLITS:
            for folder in (root / split).glob("*"):
                files.remove_stale_parts(folder)
        truth = pd.DataFrame(_make(settings, groups)).sort_values(["split", "id"], ignore_index=True)
        _write_tables(root, truth)
    return root


def check_settings(settings: SimulateConfig) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name in ("train", "test", "seed"):
        if getattr(settings, name) < 0:
            msg = f"{name}={getattr(settings, name)} must be 0 or more"
            raise SetiError(msg)
    if settings.train + settings.test == 0:
        msg = "train=0 and test=0 leave nothing to simulate: raise one of them"
        raise SetiError(msg)
    check_workers(settings.workers)
    for name in ("positives", "complete", "shared_backgrounds"):
        _check_share(name, getattr(settings, name))
    for name, allowed in (("decoys", ("everywhere", "off_only")), ("background", FEATURES)):
        _check_names(name, getattr(settings, name), allowed)
        for key, share in getattr(settings, name).items():
            _check_share(f"{name}.{key}", share)
    if sum(settings.decoys.values()) > 1 + 1e-9:
        total = sum(settings.decoys.values())
        msg = f"decoys.everywhere and decoys.off_only add up to {total:g}: as shares of one whole they may reach 1"
        raise SetiError(msg)
    for name in ("train_shapes", "test_shapes"):
        shapes = getattr(settings, name)
        _check_names(name, shapes, SHAPES)
        if not all(0 <= weight < np.inf for weight in shapes.values()) or not sum(shapes.values()) > 0:
            msg = f"{name}={shapes} must be weights of 0 or more, with one above 0"
            raise SetiError(msg)
    if len(settings.snr) != 2 or not 0 < settings.snr[0] <= settings.snr[1] < np.inf:
        msg = f"snr={list(settings.snr)} must be [lowest, highest], both above 0"
        raise SetiError(msg)
    longest = PANELS * ROWS * DT + (PANELS - 1) * SLEW[1]
    fastest = (BINS - 1 - 2 * EDGE - 2 * MAX_SWING) * DF / longest
    if not 0 <= settings.max_drift_rate <= fastest:
        msg = (
            f"max_drift_rate={settings.max_drift_rate} must be between 0 and {fastest:.3f} Hz/s: "
            f"a faster signal leaves the {BINS} bins within the cadence"
        )
        raise SetiError(msg)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        msg = f"{name}={value} must be a share between 0 and 1"
        raise SetiError(msg)


def _check_names(name: str, given: dict[str, float], allowed: tuple[str, ...]) -> None:
    for key in given:
        if key not in allowed:
            nearest = difflib.get_close_matches(key, allowed, 1, 0)
            msg = f"{name} has no {key!r}: did you mean {nearest[0]!r}? There are {', '.join(allowed)}"
            raise SetiError(msg)
    missing = [key for key in allowed if key not in given]
    if missing and "shapes" not in name:
        msg = f"{name} lacks {', '.join(missing)}: give every one of {', '.join(allowed)}"
        raise SetiError(msg)


def plan(settings: SimulateConfig) -> list[list[Planned]]:
    """Decide which cadences there are, of what kind, and which are cut from one field.

    Ids depend on (seed, split, index) alone. The numbers of every kind are exact.

    Returns:
        Groups of cadences; those of a group share a field.
    """
    cadences = []
    for split_number, split in enumerate(SPLITS):
        count = getattr(settings, split)
        needles = _rounded(settings.positives * count)
        everywhere = _rounded(settings.decoys["everywhere"] * (count - needles))
        # Rounding both up may exceed what is left by one.
        off_only = min(_rounded(settings.decoys["off_only"] * (count - needles)), count - needles - everywhere)
        rest = count - needles - everywhere - off_only
        kinds = np.repeat(KINDS, [needles, everywhere, off_only, rest])
        _rng(settings.seed, "kinds", split_number).shuffle(kinds)
        for index, kind in enumerate(kinds):
            digest = hashlib.sha256(f"{settings.seed}/{split}/{index}".encode()).hexdigest()
            cadences.append(Planned(digest[:15], split, index, str(kind)))
    rng = _rng(settings.seed, "groups")
    order = [cadences[i] for i in rng.permutation(len(cadences))]
    shared = _rounded(settings.shared_backgrounds * len(order))
    groups = []
    while shared > 1:
        size = min(int(rng.integers(2, LARGEST_GROUP + 1)), shared)
        size += shared - size == 1  # nobody is left alone
        groups.append([order.pop() for _ in range(size)])
        shared -= size
    return groups + [[cadence] for cadence in order]


def _rounded(number: float) -> int:
    """Round halves up, after taking off what floating point added (0.35 * 10)."""
    return int(np.floor(round(number, 6) + 0.5))


def _rng(seed: int, purpose: str, *unit: int) -> np.random.Generator:
    """A generator of its own for each purpose and unit of work."""
    purposes = ("kinds", "groups", "field", "cut", "signal")
    return np.random.default_rng([seed, purposes.index(purpose), *unit])


def draw_cadence_signal(settings: SimulateConfig, cadence: Planned, times: np.ndarray) -> Signal | None:
    """Draw a cadence's needle or decoy; None where it has neither."""
    if cadence.kind == "background":
        return None
    rng = _rng(settings.seed, "signal", SPLITS.index(cadence.split), cadence.index)
    panels = PANEL_CHOICES["all"]
    if cadence.kind != "decoy_everywhere":
        panels = ON_PANELS if cadence.kind == "needle" else OFF_PANELS
        if rng.random() >= settings.complete:
            panels = tuple(sorted(int(panel) for panel in rng.choice(panels, rng.integers(1, 3), replace=False)))
    weights = getattr(settings, f"{cadence.split}_shapes")
    total = sum(weights.values())
    shape = str(rng.choice(SHAPES, p=[weights.get(name, 0.0) / total for name in SHAPES]))
    snr = float(np.exp(rng.uniform(*np.log(settings.snr))))
    drift_rate = settings.max_drift_rate * rng.uniform(-1, 1)
    return draw_signal(rng, shape, panels, snr, drift_rate, times, BINS, DF)


def _make(settings: SimulateConfig, groups: list[list[Planned]]) -> list[dict[str, Any]]:
    """Write every cadence that is not there yet, with a progress bar; returns the rows of the truth table."""
    workers = min(settings.workers or available_cores(), len(groups))
    work = functools.partial(_make_group, settings)
    rows = []
    with cadence_progress() as progress:
        task = progress.add_task("simulating", total=sum(map(len, groups)))
        for made in parallel_map(work, range(len(groups)), groups, workers=workers, chunk=4):
            rows += made
            progress.advance(task, len(made))
    return rows


def _make_group(settings: SimulateConfig, number: int, group: list[Planned]) -> list[dict[str, Any]]:
    drawn = draw_field(_rng(settings.seed, "field", number), settings.background, len(group))
    rendered = None
    rows = []
    for cadence, offset in zip(group, drawn.offsets, strict=True):
        signal = draw_cadence_signal(settings, cadence, drawn.times)
        rows.append(_truth(cadence, signal, drawn, number, int(offset)))
        path = cadence_path(Path(settings.root), cadence.split, cadence.id)
        if path.is_file() and path.stat().st_size == FILE_SIZE:
            continue
        if rendered is None:
            rendered = render_field(drawn)
        panels = rendered[:, :, offset : offset + BINS].copy()
        if signal is not None:
            add_signal(panels, drawn.times, signal)
        content = io.BytesIO()  # numpy would tell of a full disk by an error that does not say so
        np.save(content, standardise(panels))
        # Not durable: thousands of files. One that a power cut empties is made again, told by its size.
        with files.atomic_write(path, durable=False) as temporary:
            temporary.write_bytes(content.getbuffer())
    return rows


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


def _write_tables(root: Path, truth: pd.DataFrame) -> None:
    """Write the tables; the label table comes last, so a folder that has one is whole."""
    os.sync()  # the cadences
    test = truth[truth["split"] == "test"]
    files.write_csv(root / TRUTH, truth)
    files.write_csv(root / TEST_LABELS, test[["id", "target"]])
    files.write_csv(root / SUBMISSION, test[["id"]].assign(target=0.5))
    files.write_csv(root / LABELS, truth.loc[truth["split"] == "train", ["id", "target"]])


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with locks.hold(root, "simulating", fix="another root can be simulated beside it"):
        yield


def _claim(root: Path, settings: SimulateConfig) -> None:
    """Write the settings into the folder, unless it holds anything else."""
    wanted = {
        "format": FORMAT,
        **{k: v for k, v in asdict(settings).items() if k not in ("root", "workers", "force")},
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
            raise SetiError(msg)
        if settings.force:
            for table in (LABELS, SUBMISSION, TEST_LABELS, TRUTH):
                (root / table).unlink(missing_ok=True)
            for split in SPLITS:
                shutil.rmtree(root / split, ignore_errors=True)
    elif any((root / name).exists() for name in (LABELS, SUBMISSION, *SPLITS)):
        msg = f"{root} holds data that the simulator did not make: set root to another folder"
        raise SetiError(msg)
    present = sum(1 for split in SPLITS for _ in (root / split).glob("*/*.npy"))
    needed = (settings.train + settings.test - present) * FILE_SIZE
    free = shutil.disk_usage(root).free
    if needed > free:
        msg = f"{root} needs {_size(needed)} and has {_size(free)} free: free some, or set another root"
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


@program.program("simulate")
def main(cfg: Any) -> None:
    """Make the data set and say what to type next."""
    settings: SimulateConfig = OmegaConf.to_object(cfg)
    root = simulate(settings)
    positives = pd.read_csv(root / TRUTH).groupby("split")["target"].sum()
    counts = ", ".join(
        f"{getattr(settings, split)} {split} ({positives.get(split, 0)} with a needle)" for split in SPLITS
    )
    print(f"{root}: {counts}. Next: python train.py data.root={root}")


if __name__ == "__main__":
    main()
