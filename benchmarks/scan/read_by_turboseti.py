"""Read the results of `seti scan` with turboSETI's own programs, and compare their events with those of the scan.

    make demo-scan .venv-turboseti/.installed
    .venv-turboseti/bin/python benchmarks/scan/read_by_turboseti.py demo/scan

It runs `find_event_pipeline` on the .dat files, and `plot_event_pipeline` on the events that it found. An event whose
OFF panels hold other hits near by is not one for turboSETI.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

from turbo_seti.find_event.find_event_pipeline import find_event_pipeline
from turbo_seti.find_event.plot_event_pipeline import plot_event_pipeline

NEAR_MHZ = 2e-4


def main(scan: Path) -> None:
    """Run both programs and print how many events of the scan turboSETI finds in its files."""
    folder = scan / "turboseti"
    csv, files = folder / "read_by_turboseti.csv", folder / "h5_files.lst"
    found = find_event_pipeline(
        str(folder / "dat_files.lst"),
        h5_file_list_str=str(files),
        filter_threshold=3,
        number_in_cadence=6,
        check_zero_drift=True,
        csv_name=str(csv),
    )
    events = pd.read_csv(scan / "events.csv")
    frequencies = np.array([float(f) for f in found["Freq"]]) if found is not None else np.zeros(0)
    seen = [
        bool((np.abs(frequencies - f) < NEAR_MHZ + abs(d) * 2000 / 1e6).any())
        for f, d in zip(events["freq_mhz"], events["drift_hz_s"], strict=True)
    ]
    (folder / "plots").mkdir(exist_ok=True)
    plot_event_pipeline(str(csv), str(files), filter_spec="f3", plot_dir=f"{folder / 'plots'}/")  # it joins the texts
    plots = len(list((folder / "plots").glob("*.png")))
    print(f"turboSETI finds {sum(seen)} of {len(events)} events in {folder}, and has drawn {plots} figures")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
