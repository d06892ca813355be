"""Write the page of one scan of observations, or of several: their events with waterfalls."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from seti.errors import SetiError
from seti.experiments.run_identity import flatten
from seti.reports import labels
from seti.reports.figures import tidy
from seti.reports.pages import events, images
from seti.reports.pages.events import Scan
from seti.reports.pages.experiment_facts import Illustration, Setting, default_settings, show
from seti.reports.pages.rendering import space_for_thumbnails, write_page
from seti.utils import files, hints, near_paths

log = logging.getLogger(__name__)

RECORD, EVENTS = "scan.json", "events.csv"
ABOUT_FOLDERS = ("cadence", "out", "workers", "shard")


def is_scan(path: Path) -> bool:
    """True for the folder of a scan, finished or not."""
    return (path / RECORD).is_file() or (path / "channels" / "settings.json").is_file()


def open_scans(names: Sequence[str]) -> list[Scan]:
    """Open finished scans; a folder that holds several stands for all of them.

    Raises:
        SetiError: a folder is none of a finished scan, or is damaged.
    """
    found: list[Path] = []
    for path in map(Path, names):
        inside = sorted(one.parent for one in path.glob(f"*/{RECORD}")) if path.is_dir() else []
        if not path.is_dir():
            near = near_paths.hint("scan", path)
            msg = f"scan={path} is not a folder: give one that seti scan has written, scans/<name>{near}"
            raise SetiError(msg)
        if is_scan(path):
            found.append(path)
        elif inside:
            found += inside
        else:
            msg = f"scan={path} holds no {RECORD}: give a folder that seti scan has written, scans/<name>"
            raise SetiError(msg)
    for path in found:
        if not (path / RECORD).is_file():
            msg = f"scan={path} is not finished: the same command of seti scan goes on with it"
            raise SetiError(msg)
    return [_open(path) for path in found]


def write(scans: Sequence[Scan], out: Path, count: int, labels_path: Path | None = None) -> Path:
    """Write the page, and print its path.

    Args:
        scans: at least one.
        out: the page.
        count: events in the gallery at most.
        labels_path: `labels.csv` of an earlier page; None: none.

    Raises:
        SetiError: a table is damaged, or the labels are of other observations.
    """
    given = {} if labels_path is None else labels.read_labels(labels_path)
    illustrations = [_overview(scans), *_recovery(scans)]
    inline = space_for_thumbnails(sum(len(one.uri) for one in illustrations))
    shown = {} if count == 0 else events.gallery_of(scans, _identity(scans), out, count, given, labels_path, inline)
    several = len(scans) > 1
    words = [hints.setting("scan", scans[0].path)]
    if several:
        words = [f"scan=[{','.join(str(one.path) for one in scans)}]"]
    content = {
        "title": f"{len(scans)} scans" if several else _title(scans[0]),
        "several": several,
        "scans": [_facts(one) for one in scans],
        "illustrations": illustrations,
        "gallery": shown,
        "command": hints.command("report", *words),
    }
    return write_page(out, "scan.html.j2", content)


def _open(path: Path) -> Scan:
    record = files.read_json(path / RECORD)
    wanted = {"settings": dict, "files": list, "on": list, "headers": list, "counts": dict}
    if not all(isinstance(record.get(name), kind) for name, kind in wanted.items()) or not record["headers"]:
        msg = f"{path / RECORD} is damaged: delete it, and the same command of seti scan writes it again"
        raise SetiError(msg)
    return Scan(path, record, events.read_events(path / EVENTS))


def _identity(scans: Sequence[Scan]) -> str:
    """Key of the labels in the user's browser: the same for other scans of the observations."""
    observed = sorted(f"{head.get('file')} {head.get('tstart_mjd')}" for one in scans for head in one.record["headers"])
    return hashlib.sha256("\n".join(observed).encode()).hexdigest()[:16]


def _title(scan: Scan) -> str:
    head = scan.record["headers"][0]
    return f"{head.get('source') or 'unnamed'}, MJD {head.get('tstart_mjd', float('nan')):.4f}"


def _facts(scan: Scan) -> dict[str, Any]:
    """Texts of a scan on the page."""
    head, counts = scan.record["headers"][0], scan.record["counts"]
    foff, channels = head.get("foff_mhz", 0.0), head.get("channels", 0)
    ends = sorted((head.get("fch1_mhz", 0.0), head.get("fch1_mhz", 0.0) + (channels - 1) * foff))
    tiles = {
        "Events": counts.get("events"),
        "in excluded ranges": counts.get("events_in_excluded_ranges"),
        "Coarse channels searched": counts.get("searched"),
        "Hits": counts.get("hits"),
        "Frequencies (MHz)": f"{ends[0]:.3f} - {ends[1]:.3f}",
        "CPU seconds": f"{scan.record.get('cpu_seconds', 0):.0f}",
    }
    panels = [
        ("ON" if on else "OFF", one.get("source", ""), Path(str(file)).name)
        for on, one, file in zip(scan.record["on"], scan.record["headers"], scan.record["files"], strict=False)
    ]
    defaults = default_settings("scan", "cadence=none")
    own = dict(flatten(scan.record["settings"]))
    settings = [
        Setting(key, show(defaults.get(key, "not set")), show(value))
        for key, value in sorted(own.items())
        if key not in ABOUT_FOLDERS and value != defaults.get(key, "not set")
    ]
    given = own.get("cadence")
    words = [
        f"cadence=[{','.join(map(str, given))}]" if isinstance(given, list) else hints.setting("cadence", str(given))
    ]
    words += [f"{one.key}={one.own}" for one in settings] + [hints.setting("out", scan.path)]
    return {
        "title": _title(scan),
        "folder": str(scan.path),
        "tiles": {name: value for name, value in tiles.items() if value is not None},
        "panels": panels,
        "settings": settings,
        "command": hints.command("scan", *words),
        "versions": scan.record.get("versions", {}),
    }


def _overview(scans: Sequence[Scan]) -> Illustration:
    """Drift rates against frequencies; larger dots are brighter, darker ones more likely."""
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    axis = figure.subplots()
    table = [one.events for one in scans]
    frequency, drift, snr, score = (
        np.concatenate([one[name].to_numpy(float) for one in table])
        for name in ("freq_mhz", "drift_hz_s", "snr", "score")
    )
    drawn = axis.scatter(
        frequency, drift, s=12 * np.sqrt(np.clip(snr, 1, 1000)), c=score, cmap="viridis_r", vmin=0, vmax=1
    )
    figure.colorbar(drawn, ax=axis, label="score")
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.tick_params(axis="x", rotation=15)
    axis.set(xlabel="frequency (MHz)", ylabel="drift rate (Hz/s)", title="Events; larger: higher SNR")
    tidy(axis)
    return Illustration("Events", images.figure_uri(figure))


def _recovery(scans: Sequence[Scan]) -> list[Illustration]:
    """Recovery curves of scans whose signals were known."""
    several = len(scans) > 1
    paths = {f"Recovery{f' of {one.path.name}' * several}": one.path / "recovery.png" for one in scans}
    return [
        Illustration(title, images.data_uri("png", path.read_bytes())) for title, path in paths.items() if path.exists()
    ]
