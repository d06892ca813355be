"""Waterfalls of the events that the user has labelled on the page of a scan."""

import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig
from PIL import Image, ImageDraw, ImageFont

from seti.data.observation import open_observation
from seti.errors import SetiError
from seti.reports import event_figures, figures, labels
from seti.reports.pages import scan
from seti.reports.pages.events import Scan, cutout_paths, event_name
from seti.reports.waterfalls import ON_COLOUR
from seti.utils import files, hints


def show_events(cfg: DictConfig) -> list[Path]:
    """Draw the labelled events of scans to `<out>/<id>.png`, with their labels.

    An event that has a figure of the scan gets that one; the others are drawn from their cut-outs.

    Args:
        cfg: settings of `show`, with a scan.

    Returns:
        The figures' paths, in the order of the labels.

    Raises:
        SetiError: there are no labels or of other observations, or an event has neither cut-out nor figure.
    """
    if cfg.labels is None or cfg.ids or cfg.ckpt_dir is not None or cfg.data.root is not None:
        msg = (
            f"scan={cfg.scan} draws the events that labels=labels.csv names, and takes none of ids, ckpt_dir and "
            "data.root; the waterfalls of all events are in the scan's own folder, figures/"
        )
        raise SetiError(msg)
    labels_path = Path(cfg.labels)
    given = labels.read_labels(labels_path)
    if not given:
        msg = f"{labels_path} labels no event: label some on the page of seti report, and export them again"
        raise SetiError(msg)
    scans = scan.open_scans(scan.folder_names("scan", cfg.scan, "scans/"))
    events = {row.id: (one, row) for one in scans for row in one.events.itertuples()}
    owner = str(scans[0].path) if len(scans) == 1 else "these scans"
    labels.check_labels(labels_path, given, events, owner, "events")
    bare = [one for one in given if not _has_image(*events[one])]
    if bare:
        of = events[bare[0]][0]
        words = [word for word in scan.words(of) if not word.startswith("cutouts=")]
        again = hints.command("scan", *words, "cutouts=null")
        msg = f"{len(bare)} of {len(given)} labelled events have no cut-out in {of.path}, first {bare[0]}: {again}"
        raise SetiError(msg)
    paths = [Path(cfg.out) / (re.sub(r"[^\w.+-]", "_", one) + ".png") for one in given]
    for path in paths:
        files.try_output(path)
    for path, (one, label) in zip(paths, given.items(), strict=True):
        where, event = events[one]
        if _own_figure(where, event).is_file():
            _copy(_own_figure(where, event), path, label)
        else:
            figures.save_figure(draw(where, event, label), path)
    return paths


def _copy(figure: Path, path: Path, label: str) -> None:
    """Copy a figure, with the label in its upper right corner."""
    try:
        with Image.open(figure) as image:
            labelled = image.convert("RGB")
    except (OSError, SyntaxError) as error:
        msg = f"{figure} is damaged: delete it, and its cut-outs are drawn in its place"
        raise SetiError(msg) from error
    pen = ImageDraw.Draw(labelled)
    pen.text((labelled.width - 8, 6), label, fill=ON_COLOUR, anchor="ra", font=ImageFont.load_default(20))
    with files.atomic_write(path) as temporary:
        labelled.save(temporary, "PNG")


def draw(where: Scan, event: Any, remark: str) -> Figure:
    """Draw an event from its cut-outs, its track as a straight line.

    Args:
        where: its scan.
        event: a row of its table.
        remark: at the end of the title.

    Raises:
        SetiError: a cut-out is damaged.
    """
    panels, headers = [], []
    for path in cutout_paths(where, event):
        with open_observation(path) as observation:
            headers.append(observation.header)
            panels.append(observation.read(0, observation.header.channels))
    first = headers[0]
    shown = event_figures.shown_columns(first.lowest_mhz, first.resolution_hz, event.f_start_mhz, event.f_end_mhz)
    starts = [header.tstart_mjd for header in headers]
    turns = {True: 0, False: 0}
    snrs = []
    for on in where.record["on"]:
        turns[bool(on)] += 1
        snrs.append(float(getattr(event, f"snr_{'on' if on else 'off'}_{turns[bool(on)]}")))
    return event_figures.draw_event(
        [panel[:, shown] for panel in panels],
        low_mhz=first.lowest_mhz + shown.start * first.resolution_hz / 1e6,
        resolution_hz=first.resolution_hz,
        row_s=first.tsamp_s,
        panel_start_s=[(start - starts[0]) * 86400 for start in starts],
        on=where.record["on"],
        targets=[header.source for header in headers],
        freq_mhz=event.freq_mhz,
        track_hz=lambda times_s: event.drift_hz_s * times_s,
        smeared=event_figures.smeared_bins(event.drift_hz_s, first.tsamp_s, first.resolution_hz),
        snrs=snrs,
        title=(
            f"event {int(event.event)}: {event.source}, {event.freq_mhz:.6f} MHz, {event.drift_hz_s:+.3f} Hz/s, "
            f"SNR {event.snr:.1f}, score {event.score:.3f}   {remark}"
        ),
    )


def _has_image(where: Scan, event: Any) -> bool:
    return _has_cutouts(where, event) or _own_figure(where, event).is_file()


def _has_cutouts(where: Scan, event: Any) -> bool:
    return all(path.is_file() for path in cutout_paths(where, event))


def _own_figure(where: Scan, event: Any) -> Path:
    return where.path / "figures" / f"{event_name(event)}.png"
