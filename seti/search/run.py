"""Scan of observations: cadences searched channel by channel, and their events written."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import OmegaConf

from seti.config.scan_checks import check_scan
from seti.data.observation import Header
from seti.data.observation_cadence import ObservationCadence, find_cadences
from seti.errors import SetiError
from seti.experiments import provenance
from seti.search import borders, cutouts, events, recovery, turboseti
from seti.search.coarse_channel import ScanTask, search_coarse_channel
from seti.search.judge import NO_JUDGE, check_judge
from seti.search.parts import one_thread_each, search_parts, spreading
from seti.search.scan_folder import ScanFolder
from seti.search.selection import Range, Selection, channel_range, parse_ranges, select, within
from seti.search.settings import SearchSettings
from seti.search.warm_up import compile_search
from seti.utils import files, locks, ray_pool
from seti.utils.console import console
from seti.utils.shards import parse_shard, shard_of

if TYPE_CHECKING:
    from seti.config.commands import ScanConfig

SCANS = Path("scans")  # folder of scans whose folder is not given
NEVER = 2.0  # a probability that none reaches
LEAST_ROWS = 2  # of an observation
SHOWN = 10  # events in the terminal
MERGE_PATIENCE = 3600.0  # s to wait for another process that merges the same scan


def scan(cfg: "ScanConfig") -> list[ScanFolder]:
    """Search the cadences that the settings name.

    Args:
        cfg: settings of `conf/scan.yaml`.

    Returns:
        The folders of the scans.

    Raises:
        SetiError: the settings or the observations cannot work, or the folder holds another scan.
    """
    check_scan(cfg)
    exclude = parse_ranges("scan.exclude", OmegaConf.to_container(cfg.scan).get("exclude"))
    frequencies = parse_ranges("scan.frequencies", OmegaConf.to_container(cfg.scan).get("frequencies"))
    parse_shard(cfg.shard)
    where = OmegaConf.to_container(cfg.cadence) if OmegaConf.is_config(cfg.cadence) else str(cfg.cadence)
    cadences = find_cadences(where, cfg.pattern, cfg.coarse_width)
    judge = check_judge(cfg.ckpt_dir, cadences[0].header.rows)
    if cfg.truth is not None:
        recovery.read_truth(Path(cfg.truth))
    folders = []
    with one_thread_each(), ray_pool.cluster(cfg.launcher, cfg.ray) as cluster:
        for number, cadence in enumerate(cadences, 1):
            folder = ScanFolder(_out(cfg.out, cadence, len(cadences)))
            if len(cadences) > 1:
                print(f"cadence {number} of {len(cadences)}: {cadence.source}, {folder.path}", flush=True)
            scan_cadence(cfg, cadence, folder, frequencies, exclude, judge, cluster)
            folders.append(folder)
    return folders


def scan_cadence(
    cfg: "ScanConfig",
    cadence: ObservationCadence,
    folder: ScanFolder,
    frequencies: tuple[Range, ...] = (),
    exclude: tuple[Range, ...] = (),
    judge: str = "",
    cluster: ray_pool.Cluster | None = None,
) -> None:
    """Search one cadence or a shard of it, and write its events once all shards are done.

    `judge` identifies what gave the scores: see `check_judge`. `cluster` has the actors that search; None: worker
    processes of this machine do.
    """
    header = cadence.header
    if cfg.feed >= header.feeds:
        msg = (
            f"feed={cfg.feed} is none of the {header.feeds} polarisation products of {header.path}: "
            f"0 to {header.feeds - 1} ({', '.join(header.feed_names)})"
        )
        raise SetiError(msg)
    if header.rows < LEAST_ROWS:
        msg = f"{header.path} has {header.rows} row, in which nothing drifts: give observations of {LEAST_ROWS} or more"
        raise SetiError(msg)
    if header.feeds > 1:
        named = ", ".join(f"feed={number} {name}" for number, name in enumerate(header.feed_names))
        print(
            f"{header.path.name} has {header.feeds} polarisation products ({named}): feed={cfg.feed} is searched",
            flush=True,
        )
    channels = OmegaConf.to_container(cfg.scan).get("channels")
    selection = select(header, channels, frequencies, exclude)
    if cfg.truth is not None:
        searched_truth(Path(cfg.truth), cadence, selection)
    settings = SearchSettings(max_drift=cfg.scan.max_drift, snr=cfg.scan.snr)
    if cfg.ckpt_dir is not None:  # networks of the user's own rank: how honest their probabilities are is not known
        settings = replace(settings, least_judged=NEVER)
    task = ScanTask(folder, cadence, settings, cfg.feed)
    edge = borders.edge_width(header, settings.max_drift, task.span_s)
    task = ScanTask(folder, cadence, settings, cfg.feed, edge, cfg.ckpt_dir)

    shard = parse_shard(cfg.shard)
    mine = [str(k) for k in shard_of(selection.search, shard)]
    networks = cfg.ckpt_dir not in (None, NO_JUDGE)
    folder.claim(_identity(cfg, cadence, selection, frequencies, exclude) | {"judge": judge})
    still = len(mine) - len(folder.done(mine))
    folder.check_space(still, 2 * edge * header.rows * len(cadence.files) * 4)
    folder.remove_stale_parts()
    with one_thread_each(), spreading(cfg.workers, header, max(1, len(mine)), networks, cluster) as spread:
        if still and cluster is None:
            compile_search()
        search_parts(task, mine, search_coarse_channel, spread, "coarse channel")
        done = len(folder.done([str(k) for k in selection.search]))
        if shard is not None:
            print(
                f"{folder.path}: shard {cfg.shard} is done, {done} of {len(selection.search)} coarse channels of the "
                "scan are. The shard that ends last merges them",
                flush=True,
            )
        if shard is None or done == len(selection.search):
            with locks.hold(folder.path, "merging a scan", patience=MERGE_PATIENCE):
                merge(cfg, task, selection, exclude, spread)


def merge(
    cfg: "ScanConfig",
    task: ScanTask,
    selection: Selection,
    exclude: tuple[Range, ...],
    spread: Callable[..., Iterator[Any]],
) -> pd.DataFrame:
    """Search the borders, and write the results of all channels together, `scan.json` last."""
    folder = task.folder
    channels = [str(k) for k in selection.search]
    crossings = borders.border_parts(list(selection.search))
    search_parts(task, crossings, borders.search_border, spread, "border")
    signals, hits = events.collect(task, [*channels, *crossings])
    table = events.table(task, signals, exclude, cfg.scan.score)
    _write_events(folder, table)
    if cfg.ecsv:
        write_ecsv(folder.path / "events.ecsv", table)
    turboseti.write(task, table, hits)
    cutouts.make_cutouts(task, table, cfg.cutouts, cfg.figures, spread)
    summaries = {part: files.read_json(folder.summary(part)) for part in channels}
    if cfg.truth is not None:
        write_recovery(Path(cfg.truth), task, selection, table)
    files.write_json(folder.record, _record(cfg, task, selection, table, hits, summaries))
    folder.remove_edges()
    report(folder, table, summaries)
    return table


def write_recovery(path: Path, task: ScanTask, selection: Selection, table: pd.DataFrame) -> None:
    """Write recovery curves of the signals that a table says are in the files."""
    header = task.header
    truth = searched_truth(path, task.cadence, selection)
    count = len(selection.search)
    curves = recovery.curves(table, truth, count, header.resolution_hz, header.tsamp_s)
    needles = int((truth["kind"] == recovery.SIGNAL).sum())
    title = f"{needles} signals in {count} coarse channel{'s' * (count != 1)} of {task.cadence.source}"
    written, _ = recovery.write(task.folder.path, curves, title)
    overall = curves[curves["by"] == "all"].set_index("false_alarms")
    said = (f"{row.recall:.2f} at {alarms:g}" for alarms, row in overall.iterrows())
    print(f"recall of {needles} signals: {', '.join(said)} false alarms a coarse channel; {written} has the curves")


def searched_truth(path: Path, cadence: ObservationCadence, selection: Selection) -> pd.DataFrame:
    """Signals of a table in the coarse channels that are searched.

    Raises:
        SetiError: there is none, or the table is of another cadence.
    """
    truth = recovery.of_cadence(recovery.read_truth(path), path, [one.tstart_mjd for one in cadence.headers])
    searched = within(truth["freq_mhz"], [channel_range(cadence.header, k) for k in selection.search])
    truth = truth[searched].reset_index(drop=True)
    if not (truth["kind"] == recovery.SIGNAL).any():
        msg = f"truth={path} lists no {recovery.SIGNAL} in the frequencies that are searched: give the cadence's table"
        raise SetiError(msg)
    return truth


def write_ecsv(path: Path, table: pd.DataFrame) -> None:
    """Write the events with units, as astropy reads them: `astropy.table.QTable.read(path)`.

    Raises:
        SetiError: astropy is not installed.
    """
    try:
        from astropy.table import Table
    except ImportError as error:
        msg = f"ecsv=true needs astropy, which is not installed ({error}): pip install 'seti[scan]', or set ecsv=false"
        raise SetiError(msg) from error
    made = Table.from_pandas(table[list(events.COLUMNS)])
    for name, unit in events.UNITS.items():
        made[name].unit = unit
    with files.atomic_write(path) as temporary:
        made.write(temporary, format="ascii.ecsv", overwrite=True)


def report(folder: ScanFolder, table: pd.DataFrame, summaries: dict[str, dict[str, Any]]) -> None:
    """Print the most likely events, what was not searched, and where the results are."""
    from rich.table import Table

    kept = table[table["excluded"] == 0]
    if not kept.empty:
        shown = Table("event", "frequency (MHz)", "drift (Hz/s)", "SNR", "score", "SNR ON", "SNR OFF")
        for row in kept.head(SHOWN).itertuples():
            values = [[getattr(row, f"snr_{target}_{number}") for number in (1, 2, 3)] for target in ("on", "off")]
            snrs = (" ".join(f"{value:.1f}" for value in each) for each in values)
            numbers = (f"{row.freq_mhz:.6f}", f"{row.drift_hz_s:+.4f}", f"{row.snr:.1f}", f"{row.score:.3f}")
            shown.add_row(str(row.event), *numbers, *snrs)
        console().print(shown)
    empty = {part: one["reason"] for part, one in summaries.items() if not one["searched"]}
    if empty:
        first = next(iter(empty))
        print(
            f"{_count(len(empty), 'coarse channel')} of {len(summaries)} held nothing to search, first {first}: "
            f"{empty[first]}; scan.json lists all"
        )
    more = f" (the {SHOWN} most likely above)" if len(kept) > SHOWN else ""
    aside = f", and {len(table) - len(kept)} in excluded ranges" if len(table) > len(kept) else ""
    searched = len(summaries) - len(empty)
    print(
        f"{folder.path}: {_count(len(kept), 'event')}{more}{aside} in {_count(searched, 'coarse channel')}. "
        f"{folder.events} lists them" + (f", {folder.figures} shows them" if folder.figures.is_dir() else "")
    )


def _write_events(folder: ScanFolder, table: pd.DataFrame) -> None:
    """Write the table, after deleting figures and cut-outs that belong to another one."""
    text = table[list(events.COLUMNS)].to_csv(index=False)
    if folder.events.exists() and folder.events.read_text(encoding="utf-8") == text:
        return
    cutouts.remove(folder)
    with files.atomic_write(folder.events) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _identity(
    cfg: "ScanConfig",
    cadence: ObservationCadence,
    selection: Selection,
    frequencies: tuple[Range, ...],
    exclude: tuple[Range, ...],
) -> dict[str, Any]:
    """All that results depend on, by the names that the user types."""
    return {
        "cadence": [path.name for path in cadence.files],
        "headers": [_header(header) for header in cadence.headers],
        "pattern": "".join("A" if on else "B" for on in cadence.on),
        "coarse_width": cadence.header.coarse_width,
        "feed": cfg.feed,
        "ckpt_dir": cfg.ckpt_dir,
        "scan.channels": list(selection.search),
        "scan.frequencies": [list(one) for one in frequencies],
        "scan.exclude": [list(one) for one in exclude],
        "scan.max_drift": cfg.scan.max_drift,
        "scan.snr": cfg.scan.snr,
        "scan.score": cfg.scan.score,
    }


def _header(header: Header) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(header).items() if name not in ("path", "attributes")}
    return {"file": header.path.name, **kept}


def _record(
    cfg: "ScanConfig",
    task: ScanTask,
    selection: Selection,
    table: pd.DataFrame,
    hits: pd.DataFrame,
    summaries: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Content of `scan.json`."""
    empty = {part: one["reason"] for part, one in summaries.items() if not one["searched"]}
    return {
        "settings": OmegaConf.to_container(cfg, resolve=True),
        "search": asdict(task.settings),
        "files": [str(path) for path in task.cadence.files],
        "on": [bool(on) for on in task.cadence.on],
        "headers": [_header(header) for header in task.cadence.headers],
        "counts": {
            "coarse_channels": task.header.coarse_channels,
            "searched": len(summaries) - len(empty),
            "nothing_to_search": len(empty),
            "excluded": len(selection.excluded),
            "hits": len(hits),
            "candidates": sum(one["candidates"] for one in summaries.values()),
            "events": int((table["excluded"] == 0).sum()),
            "events_in_excluded_ranges": int((table["excluded"] == 1).sum()),
        },
        "nothing_to_search": empty,
        "excluded_channels": list(selection.excluded),
        "values_filled": {part: one["filled"] for part, one in summaries.items() if one["filled"]},
        "cpu_seconds": round(sum(one["seconds"] for one in summaries.values()), 3),
        "versions": {"seti": provenance.version("seti")},
    }


def _out(out: str | None, cadence: ObservationCadence, count: int) -> Path:
    """Folder of a scan: the one given, or `scans/<source>_<mjd>`; one for each cadence."""
    own = re.sub(r"[^\w.+-]+", "_", cadence.name or f"{cadence.source or 'unnamed'}_{cadence.mjd:.4f}").lstrip(".")
    if out is None:
        return SCANS / own
    return Path(out) if count == 1 else Path(out) / own


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
