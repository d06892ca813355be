"""Hits and events in the formats that turboSETI writes and reads.

Formats of turbo_seti 2.3.2: `find_doppler/file_writers.py` for the hits of one file, `.dat`, and what
`find_event/find_event_pipeline.py` saves with `filter_threshold=3` for the events of a cadence: a row an event and ON
file.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.observation import Header
from seti.search.coarse_channel import ScanTask
from seti.search.events import place, track_hz
from seti.utils import files

COLUMNS = (
    *(
        "TopHitNum",
        "DriftRate",
        "SNR",
        "Freq",
        "ChanIndx",
        "FreqStart",
        "FreqEnd",
        "CoarseChanNum",
        "FullNumHitsInRange",
    ),
    *("FileID", "Source", "MJD", "RA", "DEC", "DELTAT", "DELTAF", "max_drift_rate", "obs_length"),
    *("Hit_ID", "status", "in_n_ons", "RFI_in_range", "delta_t"),
)
RULE = "# -------------------------- o --------------------------\n"
THIN_RULE = "# --------------------------\n"
NAMES = (
    *(
        "Top_Hit_#",
        "Drift_Rate",
        "SNR",
        "Uncorrected_Frequency",
        "Corrected_Frequency",
        "Index",
        "freq_start",
        "freq_end",
    ),
    *("SEFD", "SEFD_freq", "Coarse_Channel_Number", "Full_number_of_hits"),
)
SAME_BINS = 6.0  # an event's hit in a panel is no further than this from its track, or than its width


def write(task: ScanTask, events: pd.DataFrame, hits: pd.DataFrame) -> list[Path]:
    """Write a `.dat` for each observation, the table of events, and lists of the files.

    The lists, `dat_files.lst` and `h5_files.lst`, are what turboSETI's pipelines are started with.

    Args:
        task: the scan.
        events: of `events.table`.
        hits: of `events.collect`.

    Returns:
        The files, the table of events last.
    """
    folder = task.folder.turboseti
    tables = [panel_hits(task, panel, hits, events) for panel in range(len(task.cadence.files))]
    written = []
    for panel, table in enumerate(tables):
        path = folder / f"{task.cadence.files[panel].stem}.dat"
        with files.atomic_write(path) as temporary:
            temporary.write_text(dat_text(path.stem, task.cadence.headers[panel], task.settings.max_drift, table))
        written.append(path)
    for name, paths in (("dat_files.lst", written), ("h5_files.lst", task.cadence.files)):
        with files.atomic_write(folder / name) as temporary:
            temporary.write_text("".join(f"{Path(path).resolve()}\n" for path in paths))
    path = folder / f"{task.cadence.source.replace('/', '_')}_f3_snr{task.settings.snr:g}.csv"
    with files.atomic_write(path) as temporary:
        event_table(task, tables, events).to_csv(temporary)
    return [*written, path]


def panel_hits(task: ScanTask, panel: int, hits: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Hits of one panel, in the order in which turboSETI lists them.

    In an ON panel every event has a hit: the search's own where there is one close to the event's track, and otherwise
    one with the SNR along the track.

    Returns:
        Columns `freq_mhz`, `drift_hz_s`, `snr`, `coarse_channel`, `index`, and `event`: number of the event that the
        hit belongs to, 0 for none. The index is 0, 1, ...
    """
    header, start = task.cadence.headers[panel], task.cadence.panel_start_s[panel]
    columns = ["freq_mhz", "drift_hz_s", "snr"]
    own = hits.loc[hits["panel"] == panel, columns] if not hits.empty else pd.DataFrame(columns=columns, dtype=float)
    own = own.assign(event=0)
    if task.cadence.on[panel]:
        number = sum(bool(on) for on in task.cadence.on[: panel + 1])
        added = []
        order = np.argsort(own["freq_mhz"].to_numpy(float), kind="stable")
        sorted_mhz, taken = own["freq_mhz"].to_numpy(float)[order], np.zeros(len(own), int)
        last = task.span_s - header.tsamp_s
        ends = np.array([start, start + (header.rows - 1) * header.tsamp_s])
        for event in events.itertuples():
            first, end = track_hz(ends, event.drift_hz_s, event.curvature_hz_s2, last)
            expected = event.freq_mhz + first / 1e6
            reach = max(SAME_BINS * header.resolution_hz, event.width_hz) / 1e6
            low, high = np.searchsorted(sorted_mhz, [expected - reach, expected + reach])
            near = [one for one in order[low:high] if not taken[one]]
            if near:
                apart = np.abs(own["freq_mhz"].to_numpy(float)[near] - expected)
                taken[near[int(apart.argmin())]] = event.event
            else:
                snr = getattr(event, f"snr_on_{number}", np.nan)
                rate = (end - first) / max(ends[1] - ends[0], header.tsamp_s)
                added.append((expected, rate, snr, event.event))
        own["event"] = taken
        own = pd.concat([own, pd.DataFrame(added, columns=own.columns)]) if added else own
    coarse, index = place(header, own["freq_mhz"].to_numpy(float))
    own = own.assign(coarse_channel=coarse, index=index)
    return own.sort_values(["coarse_channel", "index", "snr"], kind="stable", ignore_index=True)


def dat_text(stem: str, header: Header, max_drift: float, hits: pd.DataFrame) -> str:
    """Text of a `.dat`, the hits of one observation.

    Args:
        stem: name of the observation without its suffix.
        header: of the observation.
        max_drift: largest drift rate searched, Hz/s.
        hits: of `panel_hits`.
    """
    lines = [
        f"{RULE}# File ID: {stem}.h5 \n{RULE}",
        f"# Source:{header.source}\n",
        f"# MJD: {header.tstart_mjd:18.12f}\tRA: {sexagesimal(header.ra_deg / 15, 'h')}"
        f"\tDEC: {sexagesimal(header.dec_deg, 'd')}\n",
        f"# DELTAT: {header.tsamp_s:10.6f}\tDELTAF(Hz): {header.foff_mhz * 1e6:10.6f}"
        f"\tmax_drift_rate: {max_drift:10.6f}\tobs_length: {header.rows * header.tsamp_s:10.6f}\n",
        THIN_RULE,
        "# " + "".join(f"{name} \t" for name in NAMES) + "\n",
        THIN_RULE,
    ]
    return "".join([*lines, *("\t".join([*fields, "\n"]) for fields in _fields(header, max_drift, hits))])


def event_table(task: ScanTask, tables: list[pd.DataFrame], events: pd.DataFrame) -> pd.DataFrame:
    """Events as `find_event_pipeline` saves them: the hits in all ON files, with one `Hit_ID`.

    Args:
        task: the scan.
        tables: of `panel_hits`, one a panel.
        events: of `events.table`; excluded ones are left out.
    """
    panels = [panel for panel, on in enumerate(task.cadence.on) if on]
    first = task.cadence.headers[panels[0]].tstart_mjd
    rows, offset = [], 0
    for number, panel in enumerate(panels, 1):
        header, table = task.cadence.headers[panel], tables[panel]
        for row, fields in zip(table.itertuples(), _fields(header, task.settings.max_drift, table), strict=True):
            if row.event:
                values = [float(fields[column]) for column in (1, 2, 3)]
                counts = [int(fields[0]), *values, int(fields[5]), float(fields[6]), float(fields[7])]
                rows.append(
                    {
                        **dict(zip(COLUMNS, [*counts, int(fields[10]), int(fields[11])], strict=False)),
                        "FileID": f"{task.cadence.files[panel].stem}.h5",
                        "Source": header.source.upper(),
                        "MJD": f"{header.tstart_mjd:18.12f}".strip(),
                        "RA": sexagesimal(header.ra_deg / 15, "h"),
                        "DEC": sexagesimal(header.dec_deg, "d"),
                        "DELTAT": f"{header.tsamp_s:10.6f}".strip(),
                        "DELTAF": f"{header.foff_mhz * 1e6:10.6f}".strip(),
                        "max_drift_rate": f"{task.settings.max_drift:10.6f}".strip(),
                        "obs_length": f"{header.rows * header.tsamp_s:10.6f}".strip(),
                        "status": f"on_table_{number}",
                        "in_n_ons": len(panels) - 1 if number == 1 else "",
                        "RFI_in_range": 0,
                        "delta_t": (float(f"{header.tstart_mjd:18.12f}") - float(f"{first:18.12f}")) * 3600 * 24,
                        "event": row.event,
                        "row": offset + row.Index,
                    }
                )
        offset += len(table)
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    made = pd.DataFrame(rows)
    made = made[made["event"].isin(events.loc[events["excluded"] == 0, "event"])]
    made = made.sort_values(["event", "status"], kind="stable")
    # turboSETI names an event after the row of its first hit among the hits of all ON files.
    made["Hit_ID"] = made["Source"] + "_" + made.groupby("event")["row"].transform("first").astype(str)
    return made.set_index("row").rename_axis(None)[list(COLUMNS)]


def sexagesimal(value: float, unit: str) -> str:
    """Format an angle as astropy prints it: `17h12m40.121s`, `-0d30m15.12s`.

    Args:
        value: hours or degrees.
        unit: `h` or `d`.
    """
    whole = round(abs(value) * 3600, 8)
    minutes, seconds = divmod(whole, 60)
    first, minutes = divmod(int(minutes), 60)
    text = f"{seconds:011.8f}"
    if text.startswith("60"):  # the remainder of a division may round up to a minute
        return sexagesimal(np.copysign(round(abs(value) * 60) / 60, value), unit)
    sign = "-" if value < 0 else ""
    return f"{sign}{first}{unit}{minutes:02d}m{text.rstrip('0').rstrip('.')}s"


def _fields(header: Header, max_drift: float, hits: pd.DataFrame) -> list[list[str]]:
    """The twelve fields of every hit's line, as text."""
    lines = []
    width, span = header.coarse_width, max((header.rows - 1) * header.tsamp_s, header.tsamp_s)
    step = header.resolution_hz / span  # one bin over the observation: turboSETI's grid of drift rates
    distance = 2 * int(np.ceil(max_drift / step))
    counts = hits["coarse_channel"].value_counts() if len(hits) else {}
    for number, hit in enumerate(hits.itertuples(), 1):
        low, high = max(0, hit.index - distance), min(width, hit.index + distance) - 1
        first = header.fch1_mhz + hit.coarse_channel * width * header.foff_mhz
        # Frequencies are those of the middle of a channel, as turboSETI's; events.csv has finer ones.
        # Below half a step turboSETI would find 0, which its pipeline takes for a signal that does not drift.
        drift = hit.drift_hz_s if abs(hit.drift_hz_s) >= step / 2 else 0.0
        lines.append(
            [
                f"{number:06d}",
                f"{drift:10.6f}",
                f"{hit.snr:10.6f}",
                *(f"{first + hit.index * header.foff_mhz:14.6f}" for _ in ("uncorrected", "corrected")),
                f"{hit.index:d}",
                *(f"{first + index * header.foff_mhz:14.6f}" for index in (low, high)),
                "0.0",
                f"{0.0:14.6f}",
                f"{hit.coarse_channel:d}",
                f"{counts[hit.coarse_channel]:d}",
            ]
        )
    return lines
