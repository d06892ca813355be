"""Search of one coarse channel of a cadence, from six panels to events, hits and candidates.

Times are counted from the middle of the cadence's first row. Bins are counted in ascending frequency, and an integer is
the middle of a bin: a tone at `bin` 10.0 at time 0 with no drift lies in the middle of column 10 in the first row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seti.search.decide import hits, measurements, parts, reasons, scores
from seti.search.flatten import flatten
from seti.search.hits import Times, fit, joint_hits, panel_hits
from seti.search.judge import Judge
from seti.search.settings import SearchSettings
from seti.search.stamps import straightened_stamps, unmask

EVENT_COLUMNS = (
    "bin",  # float, at the middle of the cadence's first row
    "drift_hz_s",  # mean over the cadence, which is the rate half-way of a curved track; sky's sign
    "curvature_hz_s2",  # change of the drift rate, Hz/s^2
    "snr",  # of the ON panels together, along the track
    "snr_1",  # along the track in each panel, in the order of time
    "snr_2",
    "snr_3",
    "snr_4",
    "snr_5",
    "snr_6",
    "width_hz",
    "score",  # 0 to 1, higher is likelier
    "bin_start",  # extent over the whole cadence, ascending
    "bin_end",
    "n_hits",  # rows of `hits` that belong to the signal
)
CANDIDATE_COLUMNS = (*EVENT_COLUMNS, "reason")
HIT_COLUMNS = ("panel", "bin", "drift_hz_s", "snr", "width_bins")


@dataclass(frozen=True)
class ChannelResult:
    """Tables of one coarse channel, likeliest first.

    They have `EVENT_COLUMNS`, `HIT_COLUMNS` and `CANDIDATE_COLUMNS`. `hits` has a row a signal and panel; its bin is
    that at the middle of the panel's own first row. `candidates` has every signal that was fitted, with the reason
    why it is not an event (empty for events); `stamps` has their straightened cut-outs, `(n, 6, rows, stamp_bins)`,
    where asked for.
    """

    events: pd.DataFrame
    hits: pd.DataFrame
    candidates: pd.DataFrame
    stamps: np.ndarray | None = None


def search_channel(
    read_panel: Callable[[int], np.ndarray],
    *,
    resolution_hz: float,
    row_s: float,
    panel_start_s: Sequence[float],
    on: Sequence[bool],
    settings: SearchSettings,
    judge: Judge | None = None,
) -> ChannelResult:
    """Search one coarse channel for signals that are in the ON panels and in no OFF panel.

    `read_panel(p)` gives panel p as `(rows, width)` in ascending frequency and is called once a panel. `panel_start_s`
    are the seconds from the first row of panel 0 to the first row of each panel. `judge` gives the likeliest candidates
    their scores; those of the others come from SNR and contrast, as all do without a judge.
    """
    times = Times.of(panel_start_s, on, row_s)
    planes = None
    peaks = []
    for p in range(len(on)):
        panel = np.asarray(read_panel(p))
        if planes is None:
            planes = _take_planes((len(on), *panel.shape))
            times = times.with_rows(panel.shape[0])
        np.copyto(planes[p], panel)
        del panel
        flatten(planes[p])
        peaks.append(panel_hits(planes[p], p, times, resolution_hz, settings))
    fitted = [fit(planes, np.concatenate(peaks), times, resolution_hz, settings)]
    fitted.append(fit(planes, joint_hits(planes, times, resolution_hz, settings), times, resolution_hz, settings))
    fitted = np.concatenate(fitted)
    table = measurements(fitted, times, resolution_hz)
    table["score"] = scores(table, times.on, settings.snr)
    if judge is not None or settings.stamp_bins:
        unmask(planes)
    judged = None if judge is None else judge(planes, table, times)
    result = tables(fitted, table, judged, times, resolution_hz, planes.shape[2], settings)
    if settings.stamp_bins:
        stamps = straightened_stamps(planes, result.candidates, times.u, settings.stamp_bins)
        result = replace(result, stamps=stamps)
    _kept_planes.append(planes)
    return result


_kept_planes: list[np.ndarray] = []  # at most one for each thread that searches


def _take_planes(shape: tuple[int, ...]) -> np.ndarray:
    """Array for the panels: that of the channel before where it has this shape.

    It is the largest of a search. Freed and allocated again for each channel, it would at times not fit into the gap
    that it left, for the next panel is read first, and the process would grow by as much.
    """
    planes = _kept_planes.pop() if _kept_planes else None
    return planes if planes is not None and planes.shape == shape else np.empty(shape, np.float32)


def tables(
    fitted: np.ndarray,
    table: pd.DataFrame,
    judged: np.ndarray | None,
    times: Times,
    resolution_hz: float,
    width: int,
    settings: SearchSettings,
) -> ChannelResult:
    """Tables of the tracks of one coarse channel.

    Args:
        fitted: rows of `process`.
        table: their measurements, and the score of stage one.
        judged: probability of each track by a judge, NaN where it gave none; None without a judge.
        times: of the cadence.
        resolution_hz: width of a bin.
        width: of the coarse channel, in bins.
        settings: limits.
    """
    table["reason"] = reasons(table, times.on, settings, judged)
    if judged is not None:
        table["score"] = np.where(np.isnan(judged), table["score"], judged)
    whole = parts(table)
    part = np.flatnonzero(whole >= 0)
    event = (table.reason == "").to_numpy() & (whole < 0)
    # An event has a hit in every ON panel, however weak: turboSETI's filter asks for one.
    listed = (fitted[:, 6 : 6 + len(times.on)] >= settings.hit_snr) | (event[:, None] & times.on)
    table["n_hits"] = listed.sum(1)
    np.add.at(table["n_hits"].to_numpy(), whole[part], table["n_hits"].to_numpy()[part])
    table.loc[part, "reason"] = "part of a stronger signal"
    inside = table.bin.between(-0.5, width - 0.5)
    table = table[inside].sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    events = table.loc[table.reason == "", list(EVENT_COLUMNS)].reset_index(drop=True)
    found = hits(fitted, listed, times, resolution_hz)
    found = found[found.bin.between(-0.5, width - 0.5)].reset_index(drop=True)
    return ChannelResult(events, found, table.head(max(settings.candidates, len(events))))
