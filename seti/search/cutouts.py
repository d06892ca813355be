"""Cut-outs: the data around every event as six small filterbank files, and a figure."""

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data.filterbank_writer import write_filterbank
from seti.data.observation import Header, open_observation
from seti.search.coarse_channel import ScanTask
from seti.search.events import track_hz
from seti.search.scan_folder import ScanFolder

# turboSETI's plot_event shows 2.4 times the drift over the cadence, around the first frequency, and at least 500 Hz.
DRIFT_SPANS = 2.4
LEAST_HZ = 700.0


@dataclass(frozen=True)
class Window:
    """Fine channels `start` to `stop` of the files, counted in their order, around one event."""

    event: int
    start: int
    stop: int


def event_name(number: int) -> str:
    """Name of an event's folder of cut-outs, and of its figure without the suffix."""
    return f"event_{number:06d}"


def make_cutouts(
    task: ScanTask,
    events: pd.DataFrame,
    cutouts: int | None,
    figures: int | None,
    spread: Callable[..., Iterator[Any]],
) -> int:
    """Write cut-outs and figures of the most likely events; those that exist are kept.

    Args:
        task: the scan.
        events: of `events.table`; excluded ones get neither.
        cutouts: number of events whose data are written; None for all.
        figures: number of events whose waterfalls are drawn; None for all.
        spread: of `processes.pool`.

    Returns:
        The number of events that have cut-outs or figures now.
    """
    events = events[events["excluded"] == 0]
    limits = [len(events) if limit is None else limit for limit in (cutouts, figures)]
    events = events.head(max(limits))
    missing = [
        row
        for row in events.itertuples()
        if not _exists(task, row.event, row.event <= limits[0], row.event <= limits[1])
    ]
    # Neighbours are read at once: a chunk of the files is as wide as a coarse channel.
    groups = [
        pd.DataFrame(list(rows)).drop(columns="Index")
        for _, rows in itertools.groupby(sorted(missing, key=lambda row: row.freq_mhz), lambda row: row.coarse_channel)
    ]
    for _ in spread(cut_group, itertools.repeat(task), groups, *(itertools.repeat(limit) for limit in limits)):
        pass
    return len(events)


def remove(folder: ScanFolder) -> None:
    """Delete the cut-outs and figures of events that are no longer in the table."""
    for path in itertools.chain(folder.cutouts.glob("event_*"), folder.figures.glob("event_*.png")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def cut_group(task: ScanTask, events: pd.DataFrame, cutouts: int, figures: int) -> None:
    """Write cut-outs, and draw figures, of events of one coarse channel.

    Args:
        task: the scan.
        events: rows of `events.table`.
        cutouts: events up to this number have their data written.
        figures: events up to this number are drawn.
    """
    windows = [window(task.header, task.span_s, row) for row in events.itertuples()]
    first, last = min(one.start for one in windows), max(one.stop for one in windows)
    panels: dict[int, list[np.ndarray]] = {one.event: [] for one in windows}
    for number, path in enumerate(task.cadence.files):
        header = task.cadence.headers[number]
        with open_observation(path, header.coarse_width) as observation:
            values = observation.read(first, last, task.feed)
        for one in windows:
            cut = values[:, _columns(header, one, first, last)].copy()
            panels[one.event].append(cut)
            if one.event <= cutouts:
                _write(task.folder.cutouts / event_name(one.event) / f"{path.stem}.h5", header, one, cut)
        del values
    for row, one in zip(events.itertuples(), windows, strict=True):
        if row.event <= figures:
            _draw(task, row, one, panels[row.event])


def window(header: Header, span_s: float, event: tuple) -> Window:
    """Choose the fine channels around an event: its drift over the cadence, on both sides.

    Args:
        header: of an observation.
        span_s: duration of the cadence.
        event: a row of `events.table`.
    """
    width_hz = max(
        LEAST_HZ, DRIFT_SPANS * abs(event.drift_hz_s) * span_s + 20 * header.resolution_hz, 4 * event.width_hz
    )
    half = width_hz / 2 / 1e6
    ends = [event.freq_mhz - half, event.freq_mhz + half, event.f_start_mhz - half / 10, event.f_end_mhz + half / 10]
    places = [(frequency - header.fch1_mhz) / header.foff_mhz for frequency in (min(ends), max(ends))]
    start, stop = int(np.floor(min(places))), int(np.ceil(max(places))) + 1
    channels = header.coarse_channels * header.coarse_width
    return Window(event.event, max(0, start), min(stop, channels))


def panel_snrs(task: ScanTask, event: tuple) -> list[float]:
    """SNR of an event along its track in each panel, in the order of time."""
    seen = {True: 0, False: 0}
    found = []
    for on in task.cadence.on:
        seen[bool(on)] += 1
        found.append(float(getattr(event, f"snr_{'on' if on else 'off'}_{seen[bool(on)]}", np.nan)))
    return found


def _columns(header: Header, one: Window, first: int, last: int) -> slice:
    """Columns of a window in values of `first` to `last`, in ascending frequency."""
    if header.ascending:
        return slice(one.start - first, one.stop - first)
    return slice(last - one.stop, last - one.start)


def _write(path: Path, header: Header, one: Window, values: np.ndarray) -> None:
    attributes = {
        name: value for name, value in header.attributes.items() if name not in ("nsamples", "DIMENSION_LABELS")
    }
    # One coarse channel, so that other programs do not guess its width.
    changed = {"fch1": header.fch1_mhz + one.start * header.foff_mhz, "foff": header.foff_mhz, "nfpc": values.shape[1]}
    write_filterbank(path, {**attributes, **changed}, values)


def _draw(task: ScanTask, event: tuple, one: Window, panels: Sequence[np.ndarray]) -> None:
    from seti.reports.event_figures import draw_event, shown_columns, smeared_bins
    from seti.reports.figures import save_figure

    header = task.header
    lowest = header.fch1_mhz + (one.start if header.ascending else one.stop - 1) * header.foff_mhz
    shown = shown_columns(lowest, header.resolution_hz, event.f_start_mhz, event.f_end_mhz)
    figure = draw_event(
        [panel[:, shown] for panel in panels],
        low_mhz=lowest + shown.start * header.resolution_hz / 1e6,
        resolution_hz=header.resolution_hz,
        row_s=header.tsamp_s,
        panel_start_s=task.cadence.panel_start_s,
        on=task.cadence.on,
        targets=[one.source for one in task.cadence.headers],
        freq_mhz=event.freq_mhz,
        track_hz=lambda times_s: track_hz(
            times_s, event.drift_hz_s, event.curvature_hz_s2, task.span_s - header.tsamp_s
        ),
        smeared=smeared_bins(event.drift_hz_s, header.tsamp_s, header.resolution_hz),
        snrs=panel_snrs(task, event),
        title=(
            f"event {event.event}: {event.source}, {event.freq_mhz:.6f} MHz, {event.drift_hz_s:+.3f} Hz/s, "
            f"SNR {event.snr:.1f}, score {event.score:.3f}"
        ),
    )
    save_figure(figure, task.folder.figures / f"{event_name(event.event)}.png")


def _exists(task: ScanTask, number: int, cutout: bool, figure: bool) -> bool:
    folder = task.folder
    wanted: Iterable[Path] = [folder.cutouts / event_name(number) / f"{path.stem}.h5" for path in task.cadence.files]
    present = not cutout or all(path.exists() for path in wanted)
    return present and (not figure or (folder.figures / f"{event_name(number)}.png").exists())
