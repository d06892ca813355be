"""Small filterbank files for tests of observations."""

from pathlib import Path

import numpy as np

from seti.data.filterbank_writer import write_filterbank

FOFF = -2.7939677238464355e-06
TSAMP = 18.253611008
ATTRIBUTES = {
    "telescope_id": 6,
    "fch1": 8400.0,
    "foff": FOFF,
    "tsamp": TSAMP,
    "tstart": 59000.25,
    "source_name": "HIP123",
    "src_raj": 17.7875,
    "src_dej": -28.3831,
    "rawdatafile": "guppi_59000_HIP123_0001.0000.raw",
    "nfpc": 64,
}
ABACAD = ("HIP123", "HIP7", "HIP123", "HIP8", "HIP123", "HIP9")


def power(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return (20 * np.random.default_rng(seed).standard_gamma(10, shape)).astype(np.float32)


def write_cadence(folder: Path, sources=ABACAD, suffix=".h5", channels=128, rows=4, **changed) -> list[Path]:
    """Six files in time order, five minutes apart; `changed` are attributes, or functions of the panel's number."""
    paths = []
    for panel, source in enumerate(sources):
        attributes = {**ATTRIBUTES, "source_name": source, "tstart": 59000.25 + panel * 320 / 86400}
        attributes |= {name: value(panel) if callable(value) else value for name, value in changed.items()}
        paths.append(folder / f"{'feacdb'[panel]}{suffix}")  # not in time order by name
        write_filterbank(paths[-1], attributes, power((rows, channels), panel))
    return paths
