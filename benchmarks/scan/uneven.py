"""Measure how many needles are found whose frequency does not drift evenly: sines and random walks over the cadence.

    python benchmarks/scan/uneven.py --seeds 601 602 603

A sine has a period of half a cadence to two cadences and an amplitude in Hz; a random walk takes a step a row, in Hz.
Both are added to the drift of needles with an SNR of 15 to 100 in an ON panel. The interference is that of the making.
Searched in memory, on one core; about 10 s a channel.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from scan.channels import MAKINGS, ON, RESOLUTION_HZ, ROW_S, ROWS, Channel  # noqa: E402
from scan.no_needles import searched  # noqa: E402

from seti.search.settings import SearchSettings  # noqa: E402

KINDS = {"sine": (2.0, 200.0), "walk": (0.3, 10.0)}  # limits of the amplitude, and of a step, in Hz; log-uniform
LARGEST_DRIFT = 2.0  # Hz/s; the sine adds to it
NEAR_HZ, NEAR_DRIFT = 150.0, 0.5  # of the track's straight line: an event so near is the signal


def uneven_channel(seed: int, kind: str, making: str) -> Channel:
    """Channel whose needles do not drift evenly."""
    channel = Channel(seed, replace(MAKINGS[making], snr=(15.0, 100.0), curved=0.0, max_drift=4.0))
    rng = np.random.default_rng([seed, 7])
    times = np.array(channel.starts)[:, None] + np.arange(ROWS) * ROW_S
    span = times[-1, -1]
    for signal in channel.signals:
        if signal.kind != "needle":
            continue
        signal.drift_hz_s *= LARGEST_DRIFT / 4.0
        size = np.exp(rng.uniform(*np.log(KINDS[kind])))
        if kind == "sine":
            period = span * rng.uniform(0.5, 2.0)
            signal.walk = size * np.sin(2 * np.pi * (times / period + rng.uniform()))
        else:
            steps = np.cumsum(rng.normal(0, size, int(span / ROW_S) + 2))
            signal.walk = np.interp(times, np.arange(len(steps)) * ROW_S, steps)
        signal.size = size
    return channel


def needles(channel: Channel) -> pd.DataFrame:
    """Needles of a channel: straight line through the ON rows, largest distance from it, and effective SNR."""
    rows = []
    times = np.array(channel.starts)[:, None] + np.arange(ROWS) * ROW_S
    on = np.array(ON)
    for signal in channel.signals:
        if signal.kind != "needle":
            continue
        path = signal.drift_hz_s * times + signal.walk
        slope, offset = np.polyfit(times[on].ravel(), path[on].ravel(), 1)
        rate = np.abs(np.gradient(path, ROW_S, axis=1)).mean()
        rows.append(
            {
                "bin": signal.bin + offset / RESOLUTION_HZ,
                "drift_hz_s": slope,
                "size": signal.size,
                "away_hz": np.abs(path - slope * times - offset)[on].max(),
                "effective_snr": signal.snr / np.sqrt(max(1.0, rate * ROW_S / RESOLUTION_HZ)),
            }
        )
    return pd.DataFrame(rows)


def found(events: pd.DataFrame, signals: pd.DataFrame) -> np.ndarray:
    """Row of the event that each signal belongs to, or -1, and of the signal that each event belongs to."""
    half = (5 * 320 + 292) / 2
    at = lambda table: table.bin.to_numpy() * RESOLUTION_HZ + table.drift_hz_s.to_numpy() * half  # noqa: E731
    apart = np.abs(at(events)[:, None] - at(signals))
    near = apart < NEAR_HZ + signals.away_hz.to_numpy()
    near &= np.abs(events.drift_hz_s.to_numpy()[:, None] - signals.drift_hz_s.to_numpy()) < NEAR_DRIFT
    return near


def main() -> None:
    """Search the channels and print recall by distance from a straight line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[601, 602, 603])
    parser.add_argument("--making", nargs="+", default=list(MAKINGS), choices=list(MAKINGS))
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    arguments = parser.parse_args()
    for kind in arguments.kind:
        tables, false, seconds = [], 0, 0.0
        for making in arguments.making:
            for seed in arguments.seeds:
                channel = uneven_channel(seed, kind, making)
                signals = needles(channel)
                panels = [channel.panel(p) for p in range(len(ON))]
                began = time.process_time()
                events = searched(panels.__getitem__, channel.starts, SearchSettings()).events
                seconds += time.process_time() - began
                near = found(events, signals)
                tables.append(signals.assign(rows=near.sum(0)))
                false += int((~near.any(1)).sum())
        table = pd.concat(tables)
        channels = len(tables)
        print(
            f"{kind}: {len(table)} needles, {false / channels:.2f} false alarms and {seconds / channels:.2f} CPU s "
            "a channel"
        )
        table["strength"] = pd.cut(table.effective_snr, [0, 8, 12, 25, np.inf], right=False)
        table["away"] = pd.cut(table.away_hz, [0, 5, 15, 40, 100, np.inf], right=False)
        table["found"] = table.rows > 0
        grouped = table.pivot_table("found", "strength", "away", ["mean", "size"], observed=False)
        print("recall by effective SNR (down) and largest distance from a straight line, Hz (across)")
        print(grouped["mean"].round(2).to_string())
        print(grouped["size"].to_string())
        print(f"all: {table.found.mean():.3f}; more than one row: {(table.rows > 1).mean():.3f}", flush=True)


if __name__ == "__main__":
    main()
