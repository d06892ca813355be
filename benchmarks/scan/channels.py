"""Whole coarse channels with needles and decoys, made in memory for the benchmark of the search.

Noise is the power of many averaged spectra, a chi-square variable; a tone adds its power and its interference with
the noise. A tone's power is spread by the sinc^2 of the fine channels and by its own motion within a row. The level
follows the response of a polyphase filterbank, slopes, row gains, wide emission and bursts. `Making` holds the
habits, so that a search can be adjusted on one making and judged on another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

RESOLUTION_HZ, ROW_S, ROWS = 2.7939677238464355, 18.253611008, 16
ON = (True, False, True, False, True, False)
DECOYS = {"static": 30, "drifting": 25, "off_only": 15, "faint_off": 30, "partial": 20, "comb": 10}


@dataclass(frozen=True)
class Making:
    """Habits of a generator."""

    averaged: float = 51.0  # spectra averaged in a row
    response: str = "pfb"  # pfb, measured or flat
    taps: int = 12
    gap_s: float = 28.0  # between two panels, while the telescope moves
    slope: float = 0.15
    row_gain: float = 0.004
    emissions: int = 6
    bursts: int = 4
    dc: float = 40.0
    needles: int = 60
    snr: tuple[float, float] = (10.0, 100.0)
    uniform_snr: bool = False
    max_drift: float = 4.0
    scintillating: float = 0.25  # share of needles
    curved: float = 0.2
    curvature: float = 0.0006  # Hz/s^2, at most
    width_hz: float = 0.0  # intrinsic, at most
    decoys: dict[str, int] = field(default_factory=lambda: dict(DECOYS))
    rfi_snr: tuple[float, float] = (10.0, 2000.0)
    wandering: float = 0.1  # share of RFI whose frequency walks at random
    pulsed: float = 0.1  # share of RFI that is off in some rows


FIRST = Making()
SECOND = Making(
    averaged=25.0, response="measured", gap_s=45.0, slope=0.4, row_gain=0.02, emissions=15, bursts=10, dc=8.0,
    uniform_snr=True,
    scintillating=0.4, curved=0.4, curvature=0.001, width_hz=6.0, wandering=0.35, pulsed=0.3, rfi_snr=(8.0, 20000.0),
    decoys={"static": 45, "drifting": 20, "off_only": 10, "faint_off": 25, "partial": 20, "comb": 10},
)  # fmt: skip
MAKINGS = {"first": FIRST, "second": SECOND}


@dataclass
class Signal:
    """One signal: its frequency over time, and its power in every row of every panel."""

    kind: str
    bin: float  # middle of the first row
    drift_hz_s: float
    snr: float
    curvature: float = 0.0  # Hz/s^2; drift_hz_s is the rate at the middle of the cadence
    width_hz: float = 0.0
    power: np.ndarray | None = None  # (6, rows), 1 where the signal has its nominal strength
    walk: np.ndarray | None = None  # (6, rows), Hz


def panel_starts(making: Making) -> list[float]:
    """Seconds from the first row of panel 0 to that of each panel."""
    return [p * (ROWS * ROW_S + making.gap_s) for p in range(6)]


class Channel:
    """A coarse channel of six panels; `panel(p)` makes one, the same at each call."""

    def __init__(self, seed: int, making: Making = FIRST, width: int = 2**20, share: float = 1.0) -> None:
        self.seed, self.making, self.width = seed, making, width
        self.starts = panel_starts(making)
        rng = np.random.default_rng([seed, 0])
        self.signals = _signals(rng, making, width, self.starts, share)
        self.band = _band(rng, making, width)

    @property
    def truth(self) -> pd.DataFrame:
        """Needles and decoys: kind, bin, drift_hz_s, snr, width_hz, curvature."""
        names = ("kind", "bin", "drift_hz_s", "snr", "width_hz", "curvature")
        table = pd.DataFrame([{name: getattr(s, name) for name in names} for s in self.signals], columns=list(names))
        drifted = np.maximum(1.0, np.abs(table.drift_hz_s) * ROW_S / RESOLUTION_HZ)
        table["effective_snr"] = table.snr / np.sqrt(drifted)
        return table

    def panel(self, p: int) -> np.ndarray:
        """Panel p, `(16, width)` float32, ascending frequency."""
        rng = np.random.default_rng([self.seed, 1, p])
        making, width = self.making, self.width
        noise = rng.standard_gamma(making.averaged, (ROWS, width), dtype=np.float32)
        noise /= np.float32(making.averaged)
        added = np.zeros((ROWS, width), np.float32)
        for signal in self.signals:
            _add(added, signal, p, self.starts[p], making)
        where = np.nonzero(added)
        power = added[where]
        noise[where] += power + np.sqrt(2 * power / making.averaged) * rng.standard_normal(len(power), np.float32)
        np.maximum(noise, 1e-3, out=noise)
        noise *= self.band
        noise *= rng.normal(1, making.row_gain, (ROWS, 1)).astype(np.float32)
        x = np.arange(width, dtype=np.float32) / width
        for _ in range(rng.poisson(making.emissions)):  # wide emission, fixed in frequency or not, over some rows
            centre, extent = rng.uniform(0, 1), 10 ** rng.uniform(-3.2, -1.3)
            rows = slice(*sorted(rng.integers(0, ROWS + 1, 2)))
            noise[rows] *= 1 + np.float32(rng.uniform(0.02, 0.3)) * np.exp(-0.5 * ((x - centre) / extent) ** 2).astype(
                "f4"
            )
        for _ in range(rng.poisson(making.bursts)):  # bursts: one or two rows, part of the band or all of it
            row, low = rng.integers(0, ROWS), rng.uniform(-0.5, 0.9)
            part = slice(max(0, int(low * width)), int((low + rng.uniform(0.02, 1.5)) * width))
            noise[row : row + rng.integers(1, 3), part] *= np.float32(1 + rng.uniform(0.02, 0.6))
        dc = width // 2
        noise[:, dc] *= np.float32(making.dc)
        noise[:, dc - 1 : dc + 2 : 2] *= np.float32(1 + making.dc / 20)
        return noise * np.float32(3.2e9)


def _band(rng: np.random.Generator, making: Making, width: int) -> np.ndarray:
    x = (np.arange(width) + 0.5) / width - 0.5
    shape = np.ones(width)
    if making.response == "pfb":
        shape = polyphase_response(width, making.taps)
    elif making.response == "measured":  # a shallower edge with ripples, as analog filters leave
        edge = 0.5 + 0.5 * np.tanh((0.5 - np.abs(x)) / 0.035)
        shape = edge**0.6 * (1 + 0.03 * np.cos(2 * np.pi * 9 * x + 1) + 0.01 * np.cos(2 * np.pi * 41 * x))
    slope = rng.uniform(-making.slope, making.slope, 2)
    shape *= 1 + slope[0] * x * 2 + slope[1] * (x * 2) ** 2
    for _ in range(making.emissions):  # wide emission that stays
        extent = 10 ** rng.uniform(-3.2, -1)
        shape *= 1 + rng.uniform(0.02, 0.5) * np.exp(-0.5 * ((x - rng.uniform(-0.5, 0.5)) / extent) ** 2)
    return shape.astype(np.float32)


def polyphase_response(width: int, taps: int, channels: int = 64) -> np.ndarray:
    """Power response of a critically sampled polyphase filterbank over one coarse channel, aliases included."""
    count = taps * channels
    n = np.arange(count) - (count - 1) / 2
    prototype = np.sinc(n / channels) * np.hamming(count)
    grid = np.linspace(-0.5, 0.5, 513)
    response = np.zeros(len(grid))
    for alias in (-1, 0, 1):
        phase = np.exp(-2j * np.pi * np.outer((grid + alias) / channels, n))
        response += np.abs(phase @ prototype) ** 2
    return np.interp((np.arange(width) + 0.5) / width - 0.5, grid, response / response[256])


def _signals(
    rng: np.random.Generator, making: Making, width: int, starts: Sequence[float], share: float
) -> list[Signal]:
    signals = []
    count = lambda n: round(n * share)  # noqa: E731
    for _ in range(count(making.needles)):
        signal = Signal(
            "needle", _place(rng, width), rng.uniform(-making.max_drift, making.max_drift), _snr(rng, making)
        )
        signal.width_hz = rng.uniform(0, making.width_hz)
        if rng.random() < making.curved:
            signal.curvature = rng.uniform(-making.curvature, making.curvature)
        signal.power = np.outer(ON, np.ones(ROWS))
        if rng.random() < making.scintillating:
            signal.power *= _scintillation(rng)
        signals.append(signal)
    for kind, number in making.decoys.items():
        for _ in range(count(number)):
            signals.extend(_decoy(rng, kind, making, width))
    return signals


def _place(rng: np.random.Generator, width: int) -> float:
    return rng.uniform(0.01, 0.99) * width


def _snr(rng: np.random.Generator, making: Making) -> float:
    low, high = making.snr
    return rng.uniform(low, high) if making.uniform_snr else np.exp(rng.uniform(np.log(low), np.log(high)))


def _scintillation(rng: np.random.Generator) -> np.ndarray:
    """Modulation of mean 1 with a correlation time of 1 to 20 rows."""
    length = 6 * (ROWS + 1)
    time = rng.uniform(1, 20)
    kernel = np.exp(-0.5 * (np.arange(-60, 61) / time) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    depth = rng.uniform(0.2, 0.6)
    walk = np.exp(depth * np.convolve(rng.standard_normal(length + 120), kernel, "valid"))
    return (walk / walk.mean()).reshape(6, ROWS + 1)[:, :ROWS]


def _decoy(rng: np.random.Generator, kind: str, making: Making, width: int) -> list[Signal]:
    ones = np.ones((6, ROWS))
    log = np.log(making.rfi_snr)
    drift = rng.uniform(-making.max_drift, making.max_drift)
    signal = Signal(kind, _place(rng, width), drift, np.exp(rng.uniform(*log)), power=ones)
    signal.width_hz = rng.choice([0, 0, rng.uniform(0, 30)])
    if kind in ("static", "comb"):
        signal.drift_hz_s = rng.choice([0.0, rng.normal(0, 0.02)])
    if kind in ("faint_off", "partial", "off_only"):
        signal.snr, signal.width_hz = _snr(rng, making), 0.0
        if rng.random() < 0.3:
            signal.drift_hz_s = rng.normal(0, 0.1)
    if kind == "off_only":
        signal.power = np.outer(~np.array(ON), np.ones(ROWS))
    elif kind == "faint_off":
        signal.power = np.outer(np.where(ON, 1, rng.uniform(0.3, 0.6)), np.ones(ROWS))
    elif kind == "partial":
        here = np.zeros(6)
        here[rng.choice([0, 2, 4], rng.integers(1, 3), replace=False)] = 1
        signal.power = np.outer(here, np.ones(ROWS))
    elif rng.random() < making.pulsed:
        signal.power = ones * (rng.random((6, ROWS)) < rng.uniform(0.3, 0.9))
    if kind in ("static", "drifting") and rng.random() < making.wandering:
        steps = rng.normal(0, rng.uniform(0.5, 8), 6 * (ROWS + 1))
        signal.walk = np.cumsum(steps).reshape(6, ROWS + 1)[:, :ROWS]
    if kind != "comb":
        return [signal]
    spacing, teeth = rng.uniform(100, 4000), rng.integers(5, 13)
    return [
        Signal(
            "comb", b, signal.drift_hz_s, signal.snr * rng.uniform(0.3, 1), width_hz=signal.width_hz, power=signal.power
        )
        for b in signal.bin + spacing * np.arange(teeth)
        if b < 0.99 * width
    ]


def _add(added: np.ndarray, signal: Signal, p: int, start: float, making: Making, sub: int = 24) -> None:
    """Add the signal's power in units of the noise level; positions are averaged over each row."""
    power = np.ones(ROWS) if signal.power is None else signal.power[p]
    if not power.any():
        return
    half = 5 * making.gap_s / 2 + 3 * ROWS * ROW_S
    times = start + (np.arange(ROWS)[:, None] + (np.arange(sub) + 0.5)[None] / sub - 0.5) * ROW_S
    shift = lambda t: signal.drift_hz_s * t + 0.5 * signal.curvature * t * (t - 2 * half)  # noqa: E731
    path = signal.bin + (shift(times) - shift(0.0)) / RESOLUTION_HZ
    if signal.walk is not None:
        path = path + signal.walk[p][:, None] / RESOLUTION_HZ
    if signal.width_hz:
        rng = np.random.default_rng([int(signal.bin), p])
        path = path[:, :, None] + rng.normal(0, signal.width_hz / 2.355 / RESOLUTION_HZ, (ROWS, sub, 6))
        path = path.reshape(ROWS, -1)
    level = signal.snr / np.sqrt(making.averaged) / np.sqrt(ROWS)
    reach = int(np.clip(np.sqrt(level * np.sqrt(making.averaged)), 4, 60))
    low, high = int(path.min()) - reach, int(path.max()) + reach + 2
    low, high = max(low, 0), min(high, added.shape[1])
    if high <= low:
        return
    for row in range(ROWS):
        if not power[row]:
            continue
        a, b = max(int(path[row].min()) - reach, low), min(int(path[row].max()) + reach + 2, high)
        if b > a:
            kernel = (np.sinc(np.arange(a, b)[:, None] - path[row][None]) ** 2).mean(1)
            added[row, a:b] += np.float32(level * power[row]) * kernel.astype(np.float32)
