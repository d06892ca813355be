"""A small cadence of six files, and a plain search of it that stands for the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data.filterbank_writer import write_filterbank
from seti.search.channel import CANDIDATE_COLUMNS, EVENT_COLUMNS, HIT_COLUMNS, ChannelResult

WIDTH, CHANNELS, ROWS = 1024, 4, 16
FOFF, TSAMP, FCH1, MJD = -2.7939677238464355e-06, 18.253611008, 8421.386717353016, 60000.25
PANEL_S = 330.0
ON = (True, False, True, False, True, False)
TARGETS = ("VOYAGER-1", "HIP-B", "VOYAGER-1", "HIP-C", "VOYAGER-1", "HIP-D")


@dataclass(frozen=True)
class Tone:
    """A drifting tone: fine channel in ascending frequency at the first row, drift rate, power in a bin, panels."""

    bin: float
    drift_hz_s: float
    power: float = 40.0
    panels: tuple[int, ...] = (0, 2, 4)


# In ascending frequency; coarse channel 3 of the files is the lowest. The third crosses into the next channel.
TONES = (
    Tone(300, 0.3),
    Tone(1500, -0.2, 20),
    Tone(2040, 0.4),
    Tone(3000, 0.0, 15),
    Tone(3500, 0.1, 30, (0, 1, 2, 3, 4, 5)),
)


def frequency(bin_: float, foff: float = FOFF) -> float:
    """MHz of a fine channel counted in ascending frequency over the whole file, whatever the order in the file."""
    lowest = FCH1 + (WIDTH * CHANNELS - 1) * FOFF
    return lowest + bin_ * abs(foff)


def write_cadence(
    folder: Path, tones: Sequence[Tone] = TONES, foff: float = FOFF, suffix: str = ".h5", change=None, seed: int = 0
) -> list[Path]:
    """Write six files; `change(panel, values)` may damage the `(rows, channels)` of one."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for panel, target in enumerate(TARGETS):
        values = random.chisquare(16, (ROWS, WIDTH * CHANNELS)).astype(np.float32)
        for tone in tones:
            if panel in tone.panels:
                times = panel * PANEL_S + np.arange(ROWS) * TSAMP
                bins = np.rint(tone.bin + tone.drift_hz_s * times / abs(FOFF * 1e6)).astype(int)
                inside = (bins >= 0) & (bins < WIDTH * CHANNELS)
                values[np.arange(ROWS)[inside], bins[inside]] += tone.power
        if change is not None:
            values = change(panel, values)
        first = frequency(0) if foff > 0 else FCH1
        header = {
            **{"fch1": first, "foff": foff, "tsamp": TSAMP, "tstart": MJD + panel * PANEL_S / 86400, "nfpc": WIDTH},
            **{"source_name": target, "src_raj": 17.21114472222222, "src_dej": -12.4 if panel else 12.4},
            **{"telescope_id": 6, "machine_id": 20},
        }
        path = folder / f"blc0_{panel:02d}_{target}.rawspec.0000{suffix}"
        write_filterbank(path, header, values)
        paths.append(path)
    return paths


def search_channel(read_panel, *, resolution_hz, row_s, panel_start_s, on, settings, judge=None) -> ChannelResult:
    """Sum every panel along drift rates, and take what stands out in all ON panels and in no OFF panel."""
    panels = [read_panel(panel) for panel in range(6)]
    rows, width = panels[0].shape
    drifts = np.arange(-0.5, 0.501, 0.1)
    snr = np.full((6, len(drifts), width), -np.inf)
    for panel, values in enumerate(panels):
        noise = (values - np.median(values)) / (1.4826 * np.median(np.abs(values - np.median(values))))
        for number, drift in enumerate(drifts):
            times = panel_start_s[panel] + np.arange(rows) * row_s
            shifts = np.rint(drift * times / resolution_hz).astype(int)
            columns = np.arange(width) + shifts[:, None]
            inside = (columns >= 0) & (columns < width)
            moved = np.take_along_axis(noise, np.where(inside, columns, 0), axis=1) * inside
            snr[panel, number] = moved.sum(axis=0) / np.sqrt(rows)
    ons = [panel for panel in range(6) if on[panel]]
    offs = [panel for panel in range(6) if not on[panel]]
    joint = snr[ons].sum(axis=0) / np.sqrt(3)
    joint[(snr[ons].min(axis=0) < 5) | (snr[offs].max(axis=0) > 5)] = 0
    events = []
    while joint.max() > 15:
        number, at = np.unravel_index(joint.argmax(), joint.shape)
        values = snr[:, number, at]
        end = at + drifts[number] * (panel_start_s[5] + rows * row_s) / resolution_hz
        score = float(joint[number, at] / (joint[number, at] + 50))
        row = (
            float(at),
            float(drifts[number]),
            0.0,
            float(joint[number, at]),
            *map(float, values),
            resolution_hz,
            score,
        )
        events.append((*row, min(at, end), max(at, end), 3))
        joint[:, max(0, at - 200) : at + 200] = 0
    table = pd.DataFrame(events, columns=list(EVENT_COLUMNS))
    hits = [
        (
            panel,
            event.bin + event.drift_hz_s * panel_start_s[panel] / resolution_hz,
            event.drift_hz_s,
            snr_of(event, panel),
            1,
        )
        for event in table.itertuples()
        for panel in ons
    ]
    hits = pd.DataFrame(hits, columns=list(HIT_COLUMNS))
    return ChannelResult(table, hits, table.assign(reason="")[list(CANDIDATE_COLUMNS)])


def snr_of(event, panel: int) -> float:
    return getattr(event, f"snr_{panel + 1}")
