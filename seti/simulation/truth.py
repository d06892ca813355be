"""Table of the signals in an observation: `truth.csv`."""

import numpy as np
import pandas as pd

from seti.data.observation import Header
from seti.simulation.narrowband import Sampling, channels_filled
from seti.simulation.population import Placed

DAY = 86400  # s
COLUMNS = (
    "kind",  # needle, or the decoy's name
    "freq_mhz",  # at the middle of the cadence's first row
    # Mean over the cadence, which is the rate half-way of a curved track; positive: the frequency rises with time,
    # whatever the file's order.
    "drift_hz_s",
    "snr",  # of the three ON panels together, as seti.simulation.narrowband.power_of defines it
    "width_hz",  # of the line, without what drifting spreads in a row
    "coarse_channel",  # counted from 0 in the file's order
    "index",  # fine channel in the file, counted from 0, with a fraction
    "snr_one_channel",  # the same SNR if all of a row's power were in one fine channel
    "curve_bins",  # distance of a curved track from the straight line, half-way through the cadence
    "scintillating",  # 1: the brightness changes from row to row
    "panels",  # panels that hold the signal, in time order from 1
    "starts_mjd",  # when the observations begin, in time order: a scan of another cadence refuses the table
)


def truth_rows(header: Header, coarse: int, placed: list[Placed], sampling: Sampling) -> pd.DataFrame:
    """Tabulate the signals of a coarse channel.

    Args:
        header: of the first observation.
        coarse: number of the coarse channel in that file.
        placed: its signals.
        sampling: of the cadence.
    """
    starts = " ".join(f"{header.tstart_mjd + start / DAY:.8f}" for start in sampling.panel_start_s)
    rows = []
    for one in placed:
        signal = one.signal
        filled = channels_filled(signal.drift_hz_s, signal.width_hz, sampling.row_s, sampling.resolution_hz)
        bright = signal.brightness[list(signal.panels())]
        rows.append(
            {
                "kind": one.kind,
                "freq_mhz": round(header.frequency_mhz(coarse, signal.bin), 9),
                "drift_hz_s": round(signal.drift_hz_s, 6),
                "snr": round(one.snr, 3),
                "width_hz": round(signal.width_hz, 3),
                "coarse_channel": coarse,
                "index": round(header.file_index(coarse, signal.bin), 3),
                "snr_one_channel": round(one.snr * float(np.sqrt(filled)), 3),
                "curve_bins": round(signal.curve_bins, 3),
                "scintillating": int(bool(np.ptp(bright, axis=1).any())),
                "panels": " ".join(str(panel + 1) for panel in signal.panels()),
                "starts_mjd": starts,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
