"""Injection: copies of a cadence's six files with simulated signals added, and their truth.

A coarse channel of one file is in memory at a time.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seti.data.coarse_channels import parse_channels
from seti.data.filterbank_writer import CHUNK, writing
from seti.data.observation import Header, Observation, open_observation, read_header
from seti.data.observation_cadence import ObservationCadence
from seti.errors import SetiError
from seti.simulation.claim import TRUTH, check_space, claim
from seti.simulation.injection_settings import InjectionSettings
from seti.simulation.narrowband import Sampling, add_signal, power_of
from seti.simulation.observation_settings import check_population, check_spacing, population_of
from seti.simulation.population import Placed, draw_signals, kinds_of
from seti.simulation.truth import truth_rows
from seti.utils import files, locks

FORMAT = 1  # raised when the same settings give other bytes than before
Progress = Callable[[bool, int, int], None]
WINDOW = 512  # bins on each side of a signal that its noise is measured in


def inject(
    cadence: ObservationCadence,
    settings: InjectionSettings,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Write copies of a cadence with signals added, or go on with copies that were begun.

    Args:
        cadence: the six observations; they are not changed.
        settings: what is injected, and into which coarse channels.
        out: folder of the copies.
        force: replace copies that were made with other settings.
        progress: called with False while the noise of the ON files is measured and True while the copies are written,
            and with the numbers of coarse channels, of all files, that are done and that are to be done.

    Returns:
        The truth, with the columns of `seti.simulation.truth`; channels are counted as in the copies.

    Raises:
        SetiError: a setting cannot work, the folder holds something else, or an observation cannot be read.
    """
    header = cadence.header
    chosen = parse_channels(settings.channels, header.coarse_channels)
    check(settings, header)
    targets = _targets(cadence, out)
    out.mkdir(parents=True, exist_ok=True)
    span = range(chosen[0], chosen[-1] + 1)
    recorded = {
        "format": FORMAT,
        "product": "injection",
        **asdict(settings),
        "channels": list(chosen),
        "coarse_width": header.coarse_width,
        "files": [str(path.resolve()) for path in cadence.files],
        "on": list(cadence.on),
    }
    with locks.hold(out, "injecting", fix="another out can be written to meanwhile"):
        files.remove_stale_parts(out)
        claim(out, recorded, force, "out")
        size = header.rows * header.feeds * len(span) * header.coarse_width * header.bits // 8
        check_space(out, targets, size, "out")
        sampling = sampling_of(cadence)
        placed = {k: _draw(settings, k, sampling, header.coarse_width) for k in chosen}
        missing = [panel for panel, path in enumerate(targets) if not path.is_file()]
        powers = _powers(
            cadence, settings.feed, placed, sampling, _Steps(progress, False, len(chosen) * sum(cadence.on))
        )
        steps = _Steps(progress, True, len(span) * len(missing))
        for panel in missing:
            with open_observation(cadence.files[panel], header.coarse_width) as observation:
                _copy(observation, targets[panel], panel, settings.feed, span, placed, powers, sampling, steps)
        copied = read_header(targets[0], header.coarse_width)
        truth = pd.concat(
            # The copies begin with the first coarse channel of the span.
            [truth_rows(copied, k - span.start, _added(placed[k], powers[k]), sampling) for k in chosen],
            ignore_index=True,
        ).sort_values("freq_mhz", ignore_index=True)
        files.write_csv(out / TRUTH, truth)
    return truth


def check(settings: InjectionSettings, header: Header) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name in ("needles", "decoys", "seed"):
        if getattr(settings, name) < 0:
            msg = f"{name}={getattr(settings, name)} must be 0 or more"
            raise SetiError(msg)
    if not settings.needles + settings.decoys:
        msg = "needles=0 and decoys=0 leave nothing to inject: raise one of them"
        raise SetiError(msg)
    if not 0 <= settings.feed < header.feeds:
        has = f"0 to {header.feeds - 1} ({', '.join(header.feed_names)})"
        msg = f"feed={settings.feed} is not in {header.path}: it has {has}"
        raise SetiError(msg)
    check_population(settings, limits(settings), "")
    check_spacing(settings.needles + settings.decoys, header.coarse_width, "needles and decoys")


def limits(settings: InjectionSettings) -> dict[str, Any]:
    """Limits of the signals' SNR and drift rate."""
    return {"snr": list(settings.snr), "max_drift_rate": settings.max_drift_rate}


def sampling_of(cadence: ObservationCadence) -> Sampling:
    """Times and resolution of a cadence."""
    header = cadence.header
    return Sampling(header.rows, header.tsamp_s, header.resolution_hz, cadence.panel_start_s, cadence.on)


def noise_deviation(panel: np.ndarray, bin: float) -> float:
    """Deviation of the noise of one pixel around a bin.

    It is measured on the differences of neighbouring bins, which slopes and emission do not change, by the median
    absolute deviation, which signals do not change; of the rows' values the median is taken.

    Args:
        panel: `(rows, bins)`.
        bin: place.
    """
    low, high = max(int(bin) - WINDOW, 0), min(int(bin) + WINDOW, panel.shape[1])
    steps = np.diff(panel[:, low:high].astype(np.float64), axis=1)
    steps -= np.median(steps, axis=1, keepdims=True)
    found = float(np.median(1.4826 * np.median(np.abs(steps), axis=1)))
    if not found:  # whole numbers that differ by less than one
        found = float(np.median(steps.std(axis=1)))
    return found / np.sqrt(2) if np.isfinite(found) else 0.0


class _Steps:
    """Count of coarse channels that are done."""

    def __init__(self, progress: Progress | None, writing: bool, total: int) -> None:
        self._progress, self._writing, self._total, self._done = progress, writing, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._writing, self._done, self._total)


def _draw(settings: InjectionSettings, k: int, sampling: Sampling, width: int) -> list[Placed]:
    rng = np.random.default_rng([settings.seed, k])
    kinds = kinds_of(settings.needles, settings.decoys)
    return draw_signals(rng, kinds, population_of(settings, limits(settings)), sampling, width)


def _added(placed: list[Placed], powers: list[float]) -> list[Placed]:
    """Signals that were added: none where there is no noise, as in a channel of zeros."""
    return [one for one, power in zip(placed, powers, strict=True) if power]


def _powers(
    cadence: ObservationCadence, feed: int, placed: dict[int, list[Placed]], sampling: Sampling, steps: _Steps
) -> dict[int, list[float]]:
    """Find the power of every signal from the noise of the ON panels; 0 where there is none."""
    width = cadence.header.coarse_width
    squares = {k: np.zeros(len(signals)) for k, signals in placed.items()}
    for panel in sampling.on_panels:
        middle = sampling.times[panel, sampling.rows // 2]
        with open_observation(cadence.files[panel], width) as observation:
            for k, signals in placed.items():
                values = observation.coarse_channel(k, feed)
                for number, one in enumerate(signals):
                    track = one.signal.track(np.array([middle]), sampling.span_s, sampling.resolution_hz)
                    squares[k][number] += noise_deviation(values, float(track[0])) ** 2
                steps()
    sigmas = {k: np.sqrt(sums / len(sampling.on_panels)) for k, sums in squares.items()}
    return {
        k: [power_of(one.snr, sigma, one.signal, sampling) for one, sigma in zip(placed[k], sigmas[k], strict=True)]
        for k in placed
    }


def _copy(
    observation: Observation,
    target: Path,
    panel: int,
    feed: int,
    span: range,
    placed: dict[int, list[Placed]],
    powers: dict[int, list[float]],
    sampling: Sampling,
    steps: _Steps,
) -> None:
    header = observation.header
    width = header.coarse_width
    first = header.fch1_mhz + span.start * width * header.foff_mhz
    attributes = {**header.attributes, "fch1": first, "nfpc": width}  # so that the copy needs no coarse_width
    shape = (header.rows, header.feeds, len(span) * width)
    with writing(target, attributes, shape, observation.dtype, min(width, CHUNK)) as writer:
        for k in span:
            for number in range(header.feeds):
                values = observation.coarse_channel(k, number)
                if number == feed and k in placed:
                    for one, power in zip(placed[k], powers[k], strict=True):
                        add_signal(values, panel, one.signal, power, sampling)
                writer.write((k - span.start) * width, values, number)
            steps()


def _targets(cadence: ObservationCadence, out: Path) -> list[Path]:
    """Paths of the copies, named as the files are."""
    names = [path.name for path in cadence.files]
    if len(set(names)) < len(names):
        names = [f"{panel + 1}_{name}" for panel, name in enumerate(names)]
    targets = [out / name for name in names]
    if any(path.resolve().parent == out.resolve() for path in cadence.files):
        msg = f"out={out} is the folder of the observations, which the copies would replace: set out to another folder"
        raise SetiError(msg)
    return targets
