"""Six filterbank files of a channel, as Green Bank writes them: descending frequency, bitshuffle and LZ4."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from scan.channels import RESOLUTION_HZ, ROW_S, ROWS, Channel

FIRST_MHZ, MJD = 1926.26953125, 59000.25
SOURCES = ("HIP1", "HIP2", "HIP1", "HIP3", "HIP1", "HIP4")


def write(channel: Channel, folder: Path) -> list[Path]:
    """Write the six panels of a channel; their paths in order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for p, source in enumerate(SOURCES):
        path = folder / f"panel_{p}_{source}.rawspec.0000.h5"
        with h5py.File(path, "w") as file:
            file.attrs.update({"CLASS": "FILTERBANK", "VERSION": "1.0"})
            data = file.create_dataset(
                "data",
                (ROWS, 1, channel.width),
                "f4",
                chunks=(1, 1, channel.width),
                **hdf5plugin.Bitshuffle(cname="lz4"),
            )
            data[:, 0] = channel.panel(p)[:, ::-1]
            data.attrs.update(
                {
                    "fch1": FIRST_MHZ,
                    "foff": -RESOLUTION_HZ / 1e6,
                    "tsamp": ROW_S,
                    "tstart": MJD + channel.starts[p] / 86400,
                    "nchans": channel.width,
                    "nifs": 1,
                    "nbits": 32,
                    "nfpc": channel.width,
                    "source_name": source,
                    "src_raj": 10.0 + p / 100,
                    "src_dej": 20.0,
                    "telescope_id": 6,
                    "machine_id": 20,
                    "data_type": 1,
                    "az_start": 0.0,
                    "za_start": 0.0,
                    "rawdatafile": "simulated.raw",
                }
            )
            data.dims[0].label, data.dims[1].label, data.dims[2].label = "time", "feed_id", "frequency"
        paths.append(path)
    return paths


def bin_of(mhz: np.ndarray, width: int) -> np.ndarray:
    """Bin in ascending frequency."""
    return width - 1 - (FIRST_MHZ - np.asarray(mhz, float)) * 1e6 / RESOLUTION_HZ
