"""Recovery curves: recall of known signals at stated numbers of false alarms.

A known signal is found if an event lies within `NEAR_HZ` of its frequency at the cadence's first row, and its drift
rate within `NEAR_DRIFT` Hz/s plus `NEAR_DRIFT_SHARE` of the signal's; each event finds one signal, the nearest. Every
other event is a false alarm, decoys included. Events are accepted from the highest score on, until the allowed number
of false alarms is reached.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seti.errors import SetiError
from seti.reports.figures import save_figure
from seti.reports.recovery_figures import draw_recovery
from seti.utils import files

TRUTH_COLUMNS = ["kind", "freq_mhz", "drift_hz_s", "snr"]
SIGNAL = "needle"  # kind of a signal to be found; all others are decoys
NEAR_HZ = 50.0
NEAR_DRIFT, NEAR_DRIFT_SHARE = 0.1, 0.05
STARTS, SAME_START = "starts_mjd", 1.0 / 86400  # column of the start times, and days by which they may differ
FALSE_ALARMS = (0.0, 1.0, 3.0)  # allowed a coarse channel
SNR_BINS = (0, 8, 10, 12, 15, 20, 30, 50, 100, np.inf)
DRIFT_BINS = (0, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, np.inf)
SIGMA = 1.0  # of the intervals: 68 %


def read_truth(path: Path) -> pd.DataFrame:
    """Read the known signals of a cadence.

    Raises:
        SetiError: the table lacks a column, or holds no signal that is to be found.
    """
    truth = files.read_csv(path, TRUTH_COLUMNS)
    if not (truth["kind"] == SIGNAL).any():
        msg = f"truth={path} lists no {SIGNAL}: give the table that was written with the signals"
        raise SetiError(msg)
    wrong = truth[TRUTH_COLUMNS[1:]].apply(pd.to_numeric, errors="coerce").isna().any(axis=1)
    wrong &= truth["kind"] == SIGNAL
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0]) + 2
        msg = f"truth={path} has no numbers for the {SIGNAL} in line {line}: restore the file"
        raise SetiError(msg)
    return truth


def of_cadence(truth: pd.DataFrame, path: Path, starts_mjd: Sequence[float]) -> pd.DataFrame:
    """Known signals of one cadence.

    Args:
        truth: of `read_truth`; without the column `starts_mjd` all of it is taken for the cadence's.
        path: its file, for the message.
        starts_mjd: start times of the cadence's observations, in days.

    Raises:
        SetiError: the table is of other observations.
    """
    if STARTS not in truth:
        return truth
    known = {text: _same(text, starts_mjd) for text in truth[STARTS].astype(str).unique()}
    kept = truth[truth[STARTS].astype(str).map(known)]
    if kept.empty:
        here = " ".join(f"{start:.5f}" for start in starts_mjd)
        there = " ".join(f"{float(start):.5f}" for start in next(iter(known)).split() if _is_number(start))
        msg = (
            f"truth={path} is of another cadence: its observations begin at {there or 'no time'} (MJD), those that are "
            f"searched at {here}; give the truth.csv that was written with them"
        )
        raise SetiError(msg)
    return kept.reset_index(drop=True)


def _same(text: str, starts_mjd: Sequence[float]) -> bool:
    """Check that the start times in a cell are those of a cadence."""
    words = text.split()
    return len(words) == len(starts_mjd) and all(
        _is_number(word) and abs(float(word) - start) <= SAME_START
        for word, start in zip(words, starts_mjd, strict=True)
    )


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def match(events: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Find the known signal of every event.

    Args:
        events: `freq_mhz`, `drift_hz_s`, most likely first.
        truth: of `read_truth`.

    Returns:
        `(events,)` row of `truth` that the event finds, -1 for none. Only needles are found, each by one event.
    """
    found = np.full(len(events), -1)
    rows = np.flatnonzero(truth["kind"] == SIGNAL)
    frequency = truth["freq_mhz"].to_numpy(float)[rows] * 1e6
    drift = truth["drift_hz_s"].to_numpy(float)[rows]
    free = np.ones(len(rows), bool)
    for number, event in enumerate(events.itertuples()):
        apart = np.abs(frequency - event.freq_mhz * 1e6)
        slope = np.abs(drift - event.drift_hz_s)
        near = free & (apart <= NEAR_HZ) & (slope <= NEAR_DRIFT + NEAR_DRIFT_SHARE * np.abs(drift))
        if near.any():
            best = int(np.argmin(np.where(near, apart, np.inf)))
            found[number], free[best] = rows[best], False
    return found


def curves(
    events: pd.DataFrame,
    truth: pd.DataFrame,
    channels: int,
    resolution_hz: float,
    row_s: float,
    false_alarms: Sequence[float] = FALSE_ALARMS,
) -> pd.DataFrame:
    """Recall by SNR and by drift rate.

    The tables of `seti simulate` and `seti inject` have the SNR that a search can measure. In other tables, those
    without their column `snr_one_channel`, the SNR is taken for that of a signal with all power of a row in one bin.
    Recall is then given by effective SNR too, SNR / sqrt(max(1, bins drifted in a row)).

    Args:
        events: of `events.table`, most likely first; excluded ones are left out.
        truth: of `read_truth`.
        channels: coarse channels that were searched.
        resolution_hz: width of a fine channel.
        row_s: duration of a row.
        false_alarms: allowed a coarse channel.

    Returns:
        Columns `by` (all, snr, effective_snr or drift), `low`, `high`, `false_alarms` (allowed), `threshold` (score of
        the last accepted event), `signals`, `found`, `recall`, `recall_low`, `recall_high` (Wilson's 68 % interval).
    """
    events = events[events["excluded"] == 0]
    found = match(events, truth)
    alarms = np.cumsum(found < 0)
    needles = truth[truth["kind"] == SIGNAL]
    drift = needles["drift_hz_s"].abs().to_numpy(float)
    snr = needles["snr"].to_numpy(float)
    effective = snr / np.sqrt(np.maximum(1, drift * row_s / resolution_hz))
    kinds = [("all", np.zeros(len(needles)), (0, np.inf)), ("snr", snr, SNR_BINS), ("drift", drift, DRIFT_BINS)]
    if "snr_one_channel" not in truth:
        kinds.insert(2, ("effective_snr", effective, SNR_BINS))
    rows = []
    for allowed in false_alarms:
        accepted = alarms <= allowed * channels
        hit = needles.index.isin(truth.index[found[accepted & (found >= 0)]])
        threshold = float(events["score"].to_numpy()[accepted][-1]) if accepted.any() else np.nan
        for by, values, limits in kinds:
            for low, high in itertools.pairwise(limits):
                inside = (values >= low) & (values < high)
                counted, seen = int(inside.sum()), int((hit & inside).sum())
                rows.append((by, low, high, allowed, threshold, counted, seen, *_wilson(seen, counted)))
    columns = ["by", "low", "high", "false_alarms", "threshold", "signals", "found"]
    return pd.DataFrame(rows, columns=[*columns, "recall", "recall_low", "recall_high"])


def write(folder: Path, table: pd.DataFrame, title: str) -> tuple[Path, Path]:
    """Write the curves as `recovery.csv` and `recovery.png`."""
    files.write_csv(folder / "recovery.csv", table.round(6))
    shown = table[table["signals"] > 0].copy()
    for side, factor in (("low", 0.5), ("high", 2.0)):  # open bins end within a factor of two of their other limit
        other = "high" if side == "low" else "low"
        open_end = (shown[side] == 0) & (shown["by"] != "drift") if side == "low" else np.isinf(shown[side])
        shown.loc[open_end, side] = shown.loc[open_end, other] * factor
    return folder / "recovery.csv", save_figure(draw_recovery(shown, title), folder / "recovery.png")


def _wilson(found: int, count: int) -> tuple[float, float, float]:
    """Share and Wilson's score interval of it (Wilson 1927, JASA 22, 209)."""
    if count == 0:
        return np.nan, np.nan, np.nan
    share, z = found / count, SIGMA
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return share, max(0.0, middle - half), min(1.0, middle + half)
