"""Search the six files of a channel with turboSETI: `python turboseti.py <folder> <out.json>`."""

import json
import logging
import resource
import sys
import time
from pathlib import Path

from turbo_seti.find_doppler.find_doppler import FindDoppler
from turbo_seti.find_event.find_event_pipeline import find_event_pipeline

NAMES = ("Freq", "DriftRate", "SNR", "MJD")


def main(folder: Path, out: Path) -> None:
    """Search at turboSETI's usual threshold of 10, and list events of filters 3 and 2."""
    paths = sorted(folder.glob("*.h5"))
    begun = time.process_time()
    for path in paths:
        dat = folder / f"{path.stem}.dat"
        dat.unlink(missing_ok=True)
        FindDoppler(str(path), max_drift=4.0, snr=10, out_dir=str(folder), log_level_int=logging.ERROR).search()
    seconds = time.process_time() - begun
    events = {}
    (folder / "dat.lst").write_text("\n".join(str(folder / f"{path.stem}.dat") for path in paths))
    for strict in (3, 2):
        begun = time.process_time()
        name = str(folder / f"events_{strict}.csv")
        table = find_event_pipeline(
            str(folder / "dat.lst"), filter_threshold=strict, number_in_cadence=6, csv_name=name, on_off_first="ON"
        )
        found = table is not None and len(table)
        events[strict] = {name: [float(v) for v in table[name]] if found else [] for name in NAMES}
        seconds += (time.process_time() - begun) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out.write_text(json.dumps({"seconds": seconds, "peak_mb": peak, "events": events}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
