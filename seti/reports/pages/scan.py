"""Write the page of one scan of observations, or of several: their events with waterfalls."""

import contextlib
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import ListConfig

from seti.errors import SetiError
from seti.experiments.run_identity import flatten
from seti.reports import labels
from seti.reports.figures import tidy
from seti.reports.pages import events, images, plots
from seti.reports.pages.events import Scan
from seti.reports.pages.experiment_facts import Setting, default_settings, show
from seti.reports.pages.image_files import Illustration, ImageFiles
from seti.reports.pages.rendering import write_page
from seti.utils import files, hints, near_paths

log = logging.getLogger(__name__)

RECORD, EVENTS = "scan.json", "events.csv"
RECOVERY_COLUMNS = ["by", "low", "high", "false_alarms", "signals", "recall", "recall_low", "recall_high"]
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


def folder_names(key: str, given: Any, above: str) -> list[str]:
    """Names of folders in a setting, each once: one name, or a list.

    Args:
        key: of the setting.
        given: its value.
        above: folder of such folders, for the message.

    Raises:
        SetiError: it is neither.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | ListConfig) or not names or not all(isinstance(name, str) for name in names):
        what = "an experiment's" if key == "ckpt_dir" else "a scan's"
        msg = f"{key}={given} is neither {what} folder nor a list: {key}=[{above}<a>,{above}<b>]"
        raise SetiError(msg)
    return list({Path(name).resolve(): name for name in names}.values())


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
    drawn = ImageFiles(out)
    illustrations = drawn.place([_overview(scans), *_recovery(scans)])
    shown = {} if count == 0 else events.gallery_of(scans, _identity(scans), drawn, count, given, labels_path)
    several = len(scans) > 1
    typed = [hints.setting("scan", scans[0].path)]
    if several:
        typed = [f"scan=[{','.join(str(one.path) for one in scans)}]"]
    content = {
        "title": f"{len(scans)} scans" if several else _title(scans[0]),
        "several": several,
        "scans": [_facts(one, f"{_title(one)}, {one.path.name}" if several else _title(one)) for one in scans],
        "illustrations": illustrations,
        "gallery": shown,
        "command": hints.command("report", *typed),
    }
    write_page(out, "scan.html.j2", content)
    drawn.remove_others()
    return out


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


def _facts(scan: Scan, title: str) -> dict[str, Any]:
    """Texts of a scan on the page, with its title there."""
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
    settings = changed_settings(scan)
    return {
        "title": title,
        "folder": str(scan.path),
        "tiles": {name: value for name, value in tiles.items() if value is not None},
        "panels": panels,
        "settings": settings,
        "command": hints.command("scan", *words(scan)),
        "versions": scan.record.get("versions", {}),
    }


def changed_settings(scan: Scan) -> list[Setting]:
    """List the settings of a scan that are not the defaults."""
    defaults = default_settings("scan", "cadence=none")
    return [
        Setting(key, show(defaults.get(key, "not set")), show(value))
        for key, value in sorted(flatten(scan.record["settings"]))
        if key not in ABOUT_FOLDERS and value != defaults.get(key, "not set")
    ]


def words(scan: Scan) -> list[str]:
    """Words of the command line that has made a scan."""
    given = scan.record["settings"].get("cadence")
    cadence = (
        f"cadence=[{','.join(map(str, given))}]" if isinstance(given, list) else hints.setting("cadence", str(given))
    )
    return [cadence, *(f"{one.key}={one.own}" for one in changed_settings(scan)), hints.setting("out", scan.path)]


def _overview(scans: Sequence[Scan]) -> Illustration:
    """Drift rates against frequencies; larger dots are brighter, darker ones more likely."""
    figure = Figure(figsize=plots.SIZE, layout="constrained")
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
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.set(xlabel="frequency (MHz)", ylabel="drift rate (Hz/s)")
    tidy(axis)
    return Illustration("Events (larger: higher SNR)", images.figure_uri(figure))


def _recovery(scans: Sequence[Scan]) -> list[Illustration]:
    """Recovery curves of scans with known signals; the scan's own figure if it has no table."""
    found = []
    for one in scans:
        of = f" of {one.path.name}" * (len(scans) > 1)
        try:
            curves = files.read_csv(one.path / "recovery.csv", RECOVERY_COLUMNS)
        except SetiError:
            figure = one.path / "recovery.png"
            with contextlib.suppress(OSError):
                found.append(Illustration(f"Found signals{of}", images.file_uri(figure)))
            continue
        for kind, name in {"snr": "SNR", "drift": "drift rate"}.items():
            own = curves[curves["by"] == kind].dropna(subset=["recall"])
            if len(own):
                title = f"Signals found by {name}{of} (legend: false alarms a coarse channel)"
                found.append(Illustration(title, images.figure_uri(plots.draw_recovery(own))))
    return found
