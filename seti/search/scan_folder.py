"""Folder of a scan: its files, its settings, and the state of its coarse channels.

A coarse channel is done when its `channels/<k>.csv` exists, which is written last. The same holds for the border
between two channels, `channels/<k>-<k+1>.csv`. A scan is done when its `scan.json` exists.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.errors import SetiError, brief
from seti.utils import files, locks

FORMAT = 1  # of the files in `channels/`


@dataclass(frozen=True)
class ScanFolder:
    """Paths of a scan's files."""

    path: Path

    @property
    def channels(self) -> Path:
        """Folder of the coarse channels' results."""
        return self.path / "channels"

    @property
    def settings(self) -> Path:
        """Settings and observations that all results in the folder belong to; written first."""
        return self.channels / "settings.json"

    @property
    def events(self) -> Path:
        """Table of all events."""
        return self.path / "events.csv"

    @property
    def record(self) -> Path:
        """Settings, headers and counts; written last."""
        return self.path / "scan.json"

    @property
    def turboseti(self) -> Path:
        """Folder of hits and events in turboSETI's formats."""
        return self.path / "turboseti"

    @property
    def cutouts(self) -> Path:
        """Folder of the data around every event."""
        return self.path / "cutouts"

    @property
    def figures(self) -> Path:
        """Folder of the events' waterfalls."""
        return self.path / "figures"

    def result(self, part: str) -> Path:
        """Events of a coarse channel, `12`, or of a border, `12-13`; there once it is done."""
        return self.channels / f"{part}.csv"

    def hits(self, part: str) -> Path:
        """Hits of a coarse channel or of a border."""
        return self.channels / f"{part}.hits.csv"

    def summary(self, part: str) -> Path:
        """Counts of a coarse channel or of a border, and why it was not searched, if it was not."""
        return self.channels / f"{part}.json"

    def edges(self, part: str) -> Path:
        """Spectra at both ends of a coarse channel, kept until its borders are searched."""
        return self.channels / f"{part}.edges.npz"

    def done(self, parts: Iterable[str]) -> list[str]:
        """Return those parts that are done."""
        present = {path.name for path in self.channels.glob("*.csv")} if self.channels.is_dir() else set()
        return [part for part in parts if self.result(part).name in present]

    def write(self, part: str, events: pd.DataFrame, hits: pd.DataFrame, summary: dict[str, Any]) -> None:
        """Write the result of a part; its table of events last."""
        files.write_csv(self.hits(part), hits)
        files.write_json(self.summary(part), summary)
        files.write_csv(self.result(part), events)

    def read(self, part: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
        """Read events, hits and summary of a part; floats as they were written, bit for bit."""
        return read_exactly(self.result(part)), read_exactly(self.hits(part)), files.read_json(self.summary(part))

    def claim(self, settings: dict[str, Any]) -> None:
        """Write the settings into the folder, or compare them with those that it has.

        Args:
            settings: plain values that results depend on; names are those that the user types, where there are some.

        Raises:
            SetiError: the folder holds results of other settings or observations, or files that are not a scan's.
        """
        self.channels.mkdir(parents=True, exist_ok=True)
        wanted = {"format": FORMAT, **settings}
        with locks.hold(self.channels, "beginning a scan", name=".settings.lock", patience=60):
            if not self.settings.exists():
                files.write_json(self.settings, wanted)
                return
            held = files.read_json(self.settings)

        different = [name for name in wanted if held.get(name) != wanted[name]]
        if different:
            name = different[0]
            msg = (
                f"{self.path} holds a scan with {name}={brief(held.get(name))}, and now {name}={brief(wanted[name])}: "
                "set out to another folder, or give the same settings to go on with this scan"
            )
            raise SetiError(msg)

    def remove_stale_parts(self) -> None:
        """Delete what killed scans left half-written, wherever the scan writes."""
        for place in (self.path, self.channels, self.turboseti, self.figures, *self.cutouts.glob("event_*")):
            files.remove_stale_parts(place)

    def remove_edges(self) -> None:
        """Delete the spectra that were kept for the borders."""
        for path in self.channels.glob("*.edges.npz"):
            path.unlink(missing_ok=True)

    def check_space(self, channels: int, edge_bytes: int) -> None:
        """Refuse to begin where the results cannot fit on the disk.

        Args:
            channels: coarse channels still to be searched.
            edge_bytes: size of the spectra kept for each.

        Raises:
            SetiError: less than that is free.
        """
        needed = channels * edge_bytes + 10_000_000
        free = shutil.disk_usage(self.path).free
        if needed > free:
            msg = (
                f"{self.path} needs about {needed / 1e6:.0f} MB while it is written, and its disk has "
                f"{free / 1e6:.0f} MB free: free some space, or set out to another folder"
            )
            raise SetiError(msg)


def read_exactly(path: Path) -> pd.DataFrame:
    """Read a table that this program wrote; floats come back bit for bit.

    Raises:
        SetiError: the file is damaged.
    """
    try:
        # As text: pandas' own conversion of numbers may be off in the last bit.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return pd.DataFrame({name: _numbers(table[name].tolist()) for name in table})
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {brief(error, 200)}; delete it, and the same command makes it again"
        raise SetiError(msg) from error


def _numbers(texts: list[str]) -> np.ndarray:
    """Convert a column to whole numbers if it has no others, or to floats; empty is NaN."""
    if texts and all(text.lstrip("-").isdigit() for text in texts):
        return np.array([int(text) for text in texts])
    return np.array([float(text or "nan") for text in texts])


def write_edges(path: Path, low: np.ndarray, high: np.ndarray) -> None:
    """Write the spectra at both ends of a coarse channel, each `(panels, rows, bins)`."""
    with files.atomic_write(path, durable=False) as temporary:
        np.savez(temporary, low=low, high=high)
