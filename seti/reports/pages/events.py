"""Gallery of events: facts and waterfalls of what `seti scan` found."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seti.data.observation import open_observation
from seti.errors import SetiError
from seti.reports import event_figures, labels
from seti.reports.pages import images
from seti.reports.pages.image_files import ImageFiles
from seti.utils import files
from seti.utils.console import item_progress

log = logging.getLogger(__name__)

NUMBERS = (
    *("event", "ra_deg", "dec_deg", "freq_mhz", "drift_hz_s", "snr", "score", "width_hz"),
    *("snr_on_1", "snr_on_2", "snr_on_3", "snr_off_1", "snr_off_2", "snr_off_3"),
    *("mjd", "f_start_mhz", "f_end_mhz", "excluded"),
)
COLUMNS = [*NUMBERS, "source", "files"]
EXPORTED = ["event", "source", "ra_deg", "dec_deg", "freq_mhz", "drift_hz_s", "snr", "score", "mjd"]
MOST = 4_000  # events in a gallery
ROW = 1_000  # characters of a row in the page, about
WIDE, TALL = 150, 34  # columns and rows of a panel in a thumbnail, as those of cadences


class Scan(NamedTuple):
    """Folder of a finished scan: its record `scan.json`, and its table of events."""

    path: Path
    record: dict[str, Any]
    events: pd.DataFrame


def read_events(path: Path) -> pd.DataFrame:
    """Read `events.csv` of a scan.

    Returns:
        Its columns and `id`, which names an event by source, MJD and frequency: that of one signal stays the same in a
        scan with other settings, where its number may not.

    Raises:
        SetiError: the table is missing or damaged.
    """
    table = files.read_csv(path, COLUMNS)
    numbers = table[list(NUMBERS)].apply(pd.to_numeric, errors="coerce")
    needed = numbers.drop(columns=[name for name in NUMBERS if name.startswith("snr_")])
    if not np.isfinite(needed.to_numpy(float)).all():
        msg = f"{path} is damaged (a value that is not a number): scan again, or restore it from a copy"
        raise SetiError(msg)
    table[list(NUMBERS)] = numbers
    table["source"] = table["source"].fillna("").astype(str)
    names = [f"{row.source}_{row.mjd:.4f}_{row.freq_mhz:.7f}" for row in table.itertuples()]
    table["id"] = names
    again = table.groupby("id").cumcount()
    table["id"] += [f"_{number + 1}" if number else "" for number in again]
    return table


def gallery_of(
    scans: Sequence[Scan],
    identity: str,
    drawn: ImageFiles,
    count: int,
    given: Mapping[str, str],
    labels_path: Path | None,
) -> dict[str, Any]:
    """Content of the gallery, for the page's template and script.

    Args:
        scans: at least one.
        identity: key of the labels in the user's browser.
        drawn: images of the page, to which these are added.
        count: events at most, and at most `MOST`, most likely first; labelled ones are added.
        given: labels by id.
        labels_path: their file.

    Raises:
        SetiError: the labels are of other observations.
    """
    table = pd.concat([one.events.assign(scan=number) for number, one in enumerate(scans)], ignore_index=True)
    if labels_path is not None:
        owner = str(scans[0].path) if len(scans) == 1 else "these scans"
        labels.check_labels(labels_path, given, table["id"], owner, "events")
    table = table.sort_values(["excluded", "score", "snr"], ascending=[True, False, False], kind="stable")
    if count > MOST and len(table) > MOST:
        log.warning("cadences=%s: a page has %s events at most, the most likely ones", f"{count:,}", f"{MOST:,}")
    chosen = table[(np.arange(len(table)) < min(count, MOST)) | table["id"].isin(given.keys())]
    drawn.reserve(ROW * len(chosen))
    axes = _draw(scans, chosen, drawn)
    return {
        "identity": identity,
        "name": "events",
        "thing": "event",
        "all": len(table),
        "excluded": bool((chosen["excluded"] == 1).any()),
        "remark": drawn.remark,
        "labels": dict(given),
        "exported": EXPORTED,
        "axes": None,
        "rows": [_row(row, drawn) | {"axes": axes.get(row["id"])} for row in chosen.to_dict("records")],
    }


def _row(row: Mapping[str, Any], drawn: ImageFiles) -> dict[str, Any]:
    def snrs(target: str) -> str:
        values = [row[f"snr_{target}_{number}"] for number in (1, 2, 3)]
        return " ".join(f"{value:.1f}" for value in values if not pd.isna(value)) or "none"

    numbers = {name: float(row[name]) for name in EXPORTED if name not in ("event", "source")}
    return {
        "id": row["id"],
        "facts": [
            f"event {int(row['event'])}, {row['freq_mhz']:.6f} MHz",
            f"{row['drift_hz_s']:+.3f} Hz/s, width {row['width_hz']:.0f} Hz",
            f"SNR {row['snr']:.1f}, score {row['score']:.3f}{', excluded range' * int(row['excluded'])}",
            f"ON {snrs('on')}",
            f"OFF {snrs('off')}",
            f"ra {row['ra_deg']:.3f}° dec {row['dec_deg']:+.3f}°",
        ],
        "event": int(row["event"]),
        "source": row["source"],
        "speed": abs(float(row["drift_hz_s"])),
        "off": max(0.0, *(float(row[f"snr_off_{n}"]) for n in (1, 2, 3) if not pd.isna(row[f"snr_off_{n}"]))),
        "excluded": int(row["excluded"]),
        **numbers,
        "small": drawn.small.get(row["id"]),
        "large": drawn.large.get(row["id"]),
    }


def _draw(scans: Sequence[Scan], events: pd.DataFrame, drawn: ImageFiles) -> dict[str, Any]:
    """Draw thumbnails from the cut-outs, or from the figures of events that have none.

    Returns:
        Texts at the axes of full sizes without axes, by id.
    """
    axes: dict[str, Any] = {}
    without, failed = 0, []
    with item_progress("events") as progress:
        for row in progress.track(list(events.itertuples()), description="drawing"):
            scan, name = scans[row.scan], event_name(row)
            figure = scan.path / "figures" / f"{name}.png"
            cutouts = cutout_paths(scan, row)
            try:
                if all(path.exists() for path in cutouts):
                    panels, ends = _read(cutouts, row)
                    small = images.draw_cadence(panels, (WIDE, TALL), on=scan.record["on"])
                    large = figure
                    if not figure.exists():
                        large = images.draw_cadence(panels, images.LARGE, on=scan.record["on"])
                        axes[row.id] = _axes(row, ends, scan.record["on"])
                elif figure.exists():
                    small, large = images.shrink(figure, (images.BAR + WIDE, 6 * (TALL + images.GAP))), figure
                else:
                    without += 1
                    continue
                drawn.add(row.id, f"{row.scan}_{name}", small, large)
            except (SetiError, OSError) as error:
                failed.append(str(error))
    remarks = []
    if without:
        remarks.append(
            f"{without} of {len(events)} events have no waterfall: seti scan figures=null draws those of all"
        )
    if failed:
        remarks.append(f"{len(failed)} of {len(events)} events cannot be drawn, first: {failed[0]}")
    for remark in remarks:
        log.warning("%s", remark)
    drawn.remark = "; ".join(remarks)
    return axes


def event_name(event: Any) -> str:
    """Name of an event's files."""
    return f"event_{int(event.event):06d}"


def cutout_paths(scan: Scan, event: Any) -> list[Path]:
    """Cut-outs of an event, one of each observation; they need not exist."""
    folder = scan.path / "cutouts" / event_name(event)
    return [folder / f"{Path(file).stem}.h5" for file in str(event.files).split(";")]


def _axes(event: Any, ends: tuple[float, float], on: Sequence[bool]) -> dict[str, Any]:
    """Texts at the axes of a waterfall.

    Args:
        event: row of the table.
        ends: lowest and highest frequency shown, in Hz relative to the event's.
        on: of each panel, whether it is of the target.
    """
    unit, scale = ("kHz", 1e3) if max(map(abs, ends)) >= 5e3 else ("Hz", 1.0)
    ticks = [f"{value / scale:+.3g}" for value in np.linspace(*ends, 5)]
    letters = ["ON" if one else "OFF" for one in on]
    return {
        "letters": letters,
        "ticks": ticks,
        "x": f"frequency - {event.freq_mhz:.6f} MHz ({unit})",
        "y": "time, downwards",
    }


def _read(paths: Sequence[Path], event: Any) -> tuple[list[np.ndarray], tuple[float, float]]:
    """Panels around an event, as wide as its figure, in no more columns than an image has.

    Returns:
        Panels, and the lowest and the highest frequency that they show, in Hz relative to the event's.
    """
    panels = []
    for path in paths:
        with open_observation(path) as observation:
            header = observation.header
            values = observation.read(0, header.channels)
        shown = event_figures.shown_columns(header.lowest_mhz, header.resolution_hz, event.f_start_mhz, event.f_end_mhz)
        smeared = event_figures.smeared_bins(event.drift_hz_s, header.tsamp_s, header.resolution_hz)
        panels.append(event_figures.thinned(values[:, shown], smeared, images.LARGE[0]))
    first, last, _ = shown.indices(header.channels)
    low = (header.lowest_mhz - event.freq_mhz) * 1e6 - header.resolution_hz / 2
    return panels, (low + first * header.resolution_hz, low + last * header.resolution_hz)
