"""Table of events: one row a signal, most likely first, in frequencies of the sky."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seti.data.observation import Header
from seti.search.borders import sides, without_duplicates
from seti.search.coarse_channel import ScanTask
from seti.search.selection import Range, within

COLUMNS = (
    *("event", "source", "ra_deg", "dec_deg", "freq_mhz", "drift_hz_s", "snr", "score", "width_hz"),
    *("snr_on_1", "snr_on_2", "snr_on_3", "snr_off_1", "snr_off_2", "snr_off_3"),
    *("mjd", "coarse_channel", "index", "f_start_mhz", "f_end_mhz", "n_hits", "excluded", "files"),
)
# Astropy's names of units, for tables that carry them.
UNITS = {
    "ra_deg": "deg",
    "dec_deg": "deg",
    "freq_mhz": "MHz",
    "drift_hz_s": "Hz / s",
    "width_hz": "Hz",
    "mjd": "d",
    "f_start_mhz": "MHz",
    "f_end_mhz": "MHz",
}
CURVATURE = "curvature_hz_s2"  # for what is drawn and listed along the track; events.csv does not have it
# Digits behind the point. 1e-7 MHz are 0.1 Hz, a thirtieth of the finest channel in use.
DIGITS = {
    **{"ra_deg": 6, "dec_deg": 6, "freq_mhz": 7, "f_start_mhz": 7, "f_end_mhz": 7, "mjd": 9},
    **{"drift_hz_s": 5, "width_hz": 2, "score": 6, "snr": 3},
    **{f"snr_{target}_{number}": 3 for target in ("on", "off") for number in (1, 2, 3)},
}


def collect(task: ScanTask, parts: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read events and hits of all parts, with frequencies in place of bins.

    Args:
        task: the scan.
        parts: coarse channels and borders that are done.

    Returns:
        Events, one row a signal: the columns of `ChannelResult.events`, with `freq_mhz`, `f_start_mhz`, `f_end_mhz`
        (lowest and highest frequency) and `part`. Hits of the coarse channels: those of `ChannelResult.hits`, with
        `freq_mhz` and `coarse_channel`.
    """
    events, hits = [], []
    for part in parts:
        found, seen, _ = task.folder.read(part)
        if not found.empty:
            ends = {name: bin_frequency(task, part, found[name]) for name in ("bin_start", "bin_end")}
            events.append(
                found.assign(
                    **({} if CURVATURE in found else {CURVATURE: 0.0}),  # a channel of an older version
                    part=part,
                    freq_mhz=bin_frequency(task, part, found["bin"]),
                    f_start_mhz=np.minimum(ends["bin_start"], ends["bin_end"]),
                    f_end_mhz=np.maximum(ends["bin_start"], ends["bin_end"]),
                )
            )
        if not seen.empty and "-" not in part:
            hits.append(seen.assign(freq_mhz=bin_frequency(task, part, seen["bin"]), coarse_channel=int(part)))
    none = pd.DataFrame()
    signals = pd.concat(events, ignore_index=True) if events else none
    signals = without_duplicates(signals, 0.0, task.span_s, task.header.resolution_hz)
    return signals, pd.concat(hits, ignore_index=True) if hits else none


def table(task: ScanTask, signals: pd.DataFrame, exclude: Sequence[Range], least_score: float = 0.0) -> pd.DataFrame:
    """Make the table of events from signals.

    Events in excluded ranges come after all others; within both, those of higher score come first, then those of higher
    SNR.

    Args:
        task: the scan.
        signals: of `collect`.
        exclude: ranges in MHz; an event whose frequency at any time lies in one is marked 1 in `excluded`.
        least_score: events of lower score are left out.

    Returns:
        The columns of `COLUMNS`, rounded as they are written, and `CURVATURE`.
    """
    if signals.empty:
        return pd.DataFrame(columns=[*COLUMNS, CURVATURE])
    signals = signals[signals["score"] >= least_score]
    header, cadence = task.header, task.cadence
    made = signals[["freq_mhz", "drift_hz_s", "snr", "score", "width_hz", "f_start_mhz", "f_end_mhz", "n_hits"]].copy()
    made[CURVATURE] = signals[CURVATURE]
    for wanted, target in ((True, "on"), (False, "off")):
        panels = [number for number, on in enumerate(cadence.on, 1) if bool(on) is wanted]
        for number in (1, 2, 3):
            name = f"snr_{target}_{number}"
            made[name] = signals[f"snr_{panels[number - 1]}"] if number <= len(panels) else np.nan
    made["source"], made["mjd"] = cadence.source, header.tstart_mjd
    made["ra_deg"], made["dec_deg"] = header.ra_deg, header.dec_deg
    made["files"] = ";".join(path.name for path in cadence.files)
    made["coarse_channel"], made["index"] = place(header, made["freq_mhz"].to_numpy())
    ends = [within(made[name], exclude) for name in ("freq_mhz", "f_start_mhz", "f_end_mhz")]
    made["excluded"] = np.logical_or.reduce(ends).astype(int)
    made = made.sort_values(
        ["excluded", "score", "snr", "freq_mhz"], ascending=[True, False, False, True], kind="stable", ignore_index=True
    )
    made["event"] = np.arange(1, len(made) + 1)
    made["n_hits"] = made["n_hits"].astype(int)
    return made.round(DIGITS)[[*COLUMNS, CURVATURE]]


def track_hz(
    times_s: np.ndarray | float, drift_hz_s: float, curvature_hz_s2: float, last_row_s: float
) -> np.ndarray | float:
    """Frequency of a track relative to the middle of the cadence's first row.

    Args:
        times_s: from the middle of that row.
        drift_hz_s: mean over the cadence.
        curvature_hz_s2: change of the drift rate.
        last_row_s: middle of the cadence's last row.
    """
    return drift_hz_s * times_s + 0.5 * curvature_hz_s2 * times_s * (times_s - last_row_s)


def bin_frequency(task: ScanTask, part: str, bins: pd.Series) -> np.ndarray:
    """Convert bins of a part, counted in ascending frequency, to MHz.

    Args:
        task: the scan.
        part: a coarse channel; or a border, whose bins begin `task.edge` bins below it.
        bins: float; an integer is the middle of a fine channel.
    """
    header, bins = task.header, np.asarray(bins, float)
    if "-" in part:
        number, bins = sides(header, part)[0], bins + header.coarse_width - task.edge
    else:
        number = int(part)
    in_file = bins if header.ascending else header.coarse_width - 1 - bins
    return header.fch1_mhz + (number * header.coarse_width + in_file) * header.foff_mhz


def place(header: Header, frequency_mhz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coarse channel, and fine channel within it, of frequencies, counted in the file's order."""
    fine = np.round((np.asarray(frequency_mhz, float) - header.fch1_mhz) / header.foff_mhz).astype(int)
    fine = np.clip(fine, 0, header.coarse_channels * header.coarse_width - 1)
    return fine // header.coarse_width, fine % header.coarse_width
