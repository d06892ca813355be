"""Folders as `seti scan` leaves them, with a few events, for the tests of pages."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from seti.data.filterbank_writer import write_filterbank
from seti.search.events import COLUMNS

RESOLUTION = 2.7939677238464355e-06  # MHz
BINS, ROWS = 256, 16
SOURCES = ("HIP1", "HIP2", "HIP1", "HIP3", "HIP1", "HIP4")


def scan_record(files: list[str], source: str) -> dict:
    sources = (source, *SOURCES[1:2], source, *SOURCES[3:4], source, *SOURCES[5:])
    headers = [
        {
            **{"file": file, "source": one, "tstart_mjd": 59000.25, "fch1_mhz": 8438.0, "foff_mhz": -RESOLUTION},
            **{"channels": 4096, "rows": ROWS, "tsamp_s": 18.25},
        }
        for file, one in zip(files, sources, strict=True)
    ]
    settings = {"cadence": "observations", "out": None, "workers": 1, "scan": {"snr": 8.0, "max_drift": 4.0}}
    counts = {"searched": 2, "hits": 9, "events": 3, "events_in_excluded_ranges": 1}
    return {
        **{"settings": settings, "files": files, "on": [True, False] * 3, "headers": headers, "counts": counts},
        **{"cpu_seconds": 34.3, "versions": {"seti": "0.2.0"}},
    }


def write_scan(folder: Path, source: str = "HIP1", first_mhz: float = 8437.2) -> pd.DataFrame:
    """Write four events: two with cut-outs, of which the first has a figure too; one with a figure; one excluded."""
    files = [f"panel_{number}.h5" for number in range(6)]
    events = pd.DataFrame(
        {
            **{"event": [1, 2, 3, 4], "source": source, "ra_deg": 302.916, "dec_deg": -4.5, "mjd": 59000.25},
            **{"freq_mhz": [first_mhz + 0.1, first_mhz, first_mhz + 0.3, first_mhz + 0.2]},
            **{"drift_hz_s": [0.5, -2.0, 1.0, 0.1], "snr": [20.0, 50.0, 9.0, 90.0], "score": [0.9, 0.8, 0.3, 0.95]},
            **{f"snr_on_{number}": [11.5, 28.0, 5.0, 50.0] for number in (1, 2, 3)},
            **{f"snr_off_{number}": [0.1, -0.2, 3.5, 0.3] for number in (1, 2, 3)},
            **{"width_hz": 5.0, "coarse_channel": 0, "index": 1, "n_hits": 3, "excluded": [0, 0, 0, 1]},
            "files": ";".join(files),
        }
    )
    events["f_start_mhz"], events["f_end_mhz"] = events["freq_mhz"], events["freq_mhz"] + 2e-5
    (folder / "figures").mkdir(parents=True)
    for number in (1, 3):
        Image.new("RGB", (90, 93), (0, 90 * number % 256, 0)).save(folder / "figures" / f"event_{number:06d}.png")
    rng = np.random.default_rng(0)
    for row in events.head(2).itertuples():
        for file in files:
            attributes = {"fch1": row.freq_mhz + BINS // 2 * RESOLUTION, "foff": -RESOLUTION, "tsamp": 18.25}
            attributes |= {"tstart": row.mjd, "nfpc": BINS, "source_name": source, "src_raj": 20.0, "src_dej": 4.0}
            path = folder / "cutouts" / f"event_{row.event:06d}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            write_filterbank(path, attributes, rng.gamma(10, size=(ROWS, BINS)).astype(np.float32))
    events[list(COLUMNS)].to_csv(folder / "events.csv", index=False)
    (folder / "scan.json").write_text(json.dumps(scan_record(files, source)))
    return events
