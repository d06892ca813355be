"""Simulated observations: six small filterbank files with needles and interference.

One file's coarse channel is in memory at a time. Everything random follows from the seed and what is drawn.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data.filterbank_writer import writing
from seti.data.hdf5_filterbank import import_h5py
from seti.data.observation import read_header
from seti.simulation.bandpass import SPIKE, draw_bandpass, draw_gains, draw_noise
from seti.simulation.claim import TRUTH, check_space, claim
from seti.simulation.narrowband import Sampling, add_signal, power_of
from seti.simulation.observation_settings import CadenceSettings, check_cadence, population_of
from seti.simulation.population import Placed, draw_signals, kinds_of
from seti.simulation.truth import truth_rows
from seti.utils import files, locks

FORMAT = 1  # raised when the same settings give other bytes than before
PANELS = 6
RESOLUTION_HZ = 2.7939677238464355  # Breakthrough Listen's high-resolution product, Lebofsky et al. 2019
ROW_S = 18.253611008
LEVEL = 1e9  # mean power of a pixel, as in real files
HIGHEST_MHZ = 8437.5
MJD = 59000.25
SLEW = (30.0, 60.0)  # s between panels
PURPOSES = ("times", "signals", "bandpass", "gains", "noise")
OFF_SOURCES = ("HIP98677", "HIP99317", "HIP99572")


def simulate_cadence(settings: CadenceSettings, root: Path, seed: int, limits: dict[str, Any], force: bool) -> Path:
    """Write six observations and `truth.csv`, or go on with those that were begun.

    Args:
        settings: what to simulate.
        root: the folder.
        seed: of everything random.
        limits: `snr` and `max_drift_rate` of the signals.
        force: replace a simulation that was made with other settings.

    Returns:
        The folder.

    Raises:
        SetiError: a setting cannot work, the folder holds something else, the disk is too small, or h5py is missing.
    """
    check_cadence(settings, limits)
    if settings.format == "h5":
        import_h5py()  # before anything is written
    recorded = {"format": FORMAT, "product": "cadence", "seed": seed, **limits, **asdict(settings)}
    root.mkdir(parents=True, exist_ok=True)
    with locks.hold(root, "simulating", fix="another root can be simulated meanwhile"):
        files.remove_stale_parts(root)
        claim(root, recorded, force)
        samples = settings.rows * settings.coarse_width * settings.coarse_channels
        check_space(root, [root / _name(settings, panel) for panel in range(PANELS)], 4 * samples)
        sampling = draw_sampling(np.random.default_rng([seed, 0]), settings.rows)
        population = population_of(settings, limits)
        placed = []
        for k in range(settings.coarse_channels):
            kinds = kinds_of(settings.needles, settings.decoys)[k :: settings.coarse_channels]
            placed.append(draw_signals(_rng(seed, "signals", k), kinds, population, sampling, settings.coarse_width))
        for panel in range(PANELS):
            path = root / _name(settings, panel)
            if not path.is_file():
                _write_panel(path, settings, seed, panel, sampling, placed)
        header = read_header(root / _name(settings, 0), settings.coarse_width)
        tables = [truth_rows(header, k, signals, sampling) for k, signals in enumerate(placed)]
        truth = pd.concat(tables, ignore_index=True).sort_values("freq_mhz", ignore_index=True)
        files.write_csv(root / TRUTH, truth)
    return root


def draw_sampling(rng: np.random.Generator, rows: int) -> Sampling:
    """Draw the times of a cadence: six panels with slews between them."""
    starts = np.concatenate([[0], np.cumsum(rows * ROW_S + rng.uniform(*SLEW, PANELS - 1))])
    return Sampling(rows, ROW_S, RESOLUTION_HZ, tuple(np.round(starts, 3).tolist()))


def _write_panel(
    path: Path, settings: CadenceSettings, seed: int, panel: int, sampling: Sampling, placed: list[list[Placed]]
) -> None:
    width, rows = settings.coarse_width, settings.rows
    shape = (rows, 1, width * settings.coarse_channels)
    with writing(path, _attributes(settings, panel, sampling), shape, chunk=width) as writer:
        for k, signals in enumerate(placed):
            rng = _rng(seed, "bandpass", k)
            bandpass = draw_bandpass(rng, width)
            spike = rng.uniform(*SPIKE)
            gains = draw_gains(_rng(seed, "gains", k), PANELS, rows)[panel]
            noise = draw_noise(_rng(seed, "noise", k, panel), rows, width, sampling.looks)
            noise *= bandpass.astype(np.float32)
            noise[:, width - 1 - width // 2] *= np.float32(spike)  # the file's bin width / 2; it counts downwards
            for one in signals:
                place = int(np.clip(round(one.signal.bin), 0, width - 1))
                sigma = bandpass[place] / np.sqrt(sampling.looks)
                add_signal(noise, panel, one.signal, power_of(one.snr, sigma, one.signal, sampling), sampling)
            noise *= (LEVEL * gains[:, None]).astype(np.float32)
            writer.write(k * width, noise)


def _attributes(settings: CadenceSettings, panel: int, sampling: Sampling) -> dict[str, Any]:
    away = panel % 2 * panel  # OFF positions lie at different distances
    attributes = {
        "machine_id": 20,
        "telescope_id": 6,
        "src_raj": 20.1944 + 0.02 * away,
        "src_dej": 44.9 + 0.5 * away,
        "az_start": 0.0,
        "za_start": 0.0,
        "data_type": 1,
        "fch1": HIGHEST_MHZ,
        "foff": -RESOLUTION_HZ / 1e6,
        "nbeams": 1,
        "ibeam": -1,
        "tstart": MJD + sampling.panel_start_s[panel] / 86400,
        "tsamp": ROW_S,
        "source_name": _source(settings, panel),
        "rawdatafile": f"{_stem(settings, panel)}.0000.raw",
    }
    if settings.format == "h5":  # .fil has no such keyword
        attributes["nfpc"] = settings.coarse_width
    return attributes


def _source(settings: CadenceSettings, panel: int) -> str:
    return settings.source if panel % 2 == 0 else OFF_SOURCES[panel // 2]


def _stem(settings: CadenceSettings, panel: int) -> str:
    return f"blc00_guppi_{int(MJD)}_{_source(settings, panel)}_{panel + 1:04d}"


def _name(settings: CadenceSettings, panel: int) -> str:
    return f"{_stem(settings, panel)}.rawspec.0000.{settings.format}"


def _rng(seed: int, purpose: str, *unit: int) -> np.random.Generator:
    return np.random.default_rng([seed, PURPOSES.index(purpose), *unit])
