"""Simulated coarse channels of many kinds, from which the judge of candidates learns.

Every channel draws its own habits: noise, response, slopes, gains, bursts, emission, times, and how many signals of
which kind, how strong, how wide and how unsteady. None of it is taken from the benchmark's channels
(`benchmarks/scan/channels.py`), which the judge never sees in training.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from seti.simulation.bandpass import polyphase_response

RESOLUTION_HZ, ROW_S, ROWS = 2.7939677238464355, 18.253611008, 16
FULL = 1 << 20  # fine channels of the coarse channel that these are parts of
PANELS = 6
STEPS = 40  # positions of a signal within a row
NEEDLE = "needle"
# Kinds and how often each is drawn.
KINDS = {
    NEEDLE: 8.0,
    "static": 2.0,
    "drifting": 3.0,
    "faint_off": 6.0,
    "partial": 3.0,
    "off_only": 1.5,
    "mixed": 1.0,  # in some ON and some OFF panels
    "comb": 0.5,
    "unsteady": 1.5,  # in all panels, fading deeply
}


@dataclass
class Habits:
    """Properties of one channel, drawn at random."""

    rng: np.random.Generator
    looks: float = field(init=False)
    starts: np.ndarray = field(init=False)
    on: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng
        self.looks = float(np.exp(rng.uniform(np.log(20), np.log(110))))
        gaps = rng.uniform(15, 80) + rng.uniform(-8, 8, PANELS - 1)
        self.starts = np.concatenate([[0], np.cumsum(ROWS * ROW_S + gaps)])
        self.on = (np.arange(PANELS) % 2 == 0) ^ bool(rng.random() < 0.15)

    @property
    def times(self) -> np.ndarray:
        """Middles of the rows in s, `(6, rows)`."""
        return self.starts[:, None] + ROW_S * np.arange(ROWS)


@dataclass
class Drawn:
    """One signal: kind, track in bins `(6, rows, STEPS, lines)`, power a row `(6, rows)`, effective SNR."""

    kind: str
    path: np.ndarray
    power: np.ndarray
    snr: float

    @property
    def track(self) -> np.ndarray:
        """Bin in the middle of each row, `(6, rows)`."""
        return self.path.mean(axis=(2, 3))


def draw_channel(seed: int, number: int, width: int = 1 << 17) -> tuple[np.ndarray, Habits, list[Drawn]]:
    """Draw a channel: six panels `(6, rows, width)` in ascending frequency, its habits and its signals."""
    rng = np.random.default_rng([seed, number])
    habits = Habits(rng)
    signals = draw_signals(rng, habits, width)
    added = np.zeros((PANELS, ROWS, width), np.float32)
    for one in signals:
        reach = int(np.clip(np.sqrt(one.power.max() * np.sqrt(habits.looks) * 4), 5, 400))
        _render(added, one.path, one.power.astype(np.float32), reach)
    looks = np.float32(habits.looks)
    band = _band(rng, width)
    planes = np.empty_like(added)
    gain = rng.choice([0.001, 0.005, 0.02])
    level = np.float32(np.exp(rng.uniform(*np.log((1e5, 1e11)))))
    for p in range(PANELS):
        plane = rng.standard_gamma(looks, (ROWS, width), dtype=np.float32)
        plane /= looks
        where = np.nonzero(added[p])
        power = added[p][where]
        # A tone's power, and its interference with the noise.
        plane[where] += power + np.sqrt(2 * power / looks) * rng.standard_normal(len(power), np.float32)
        np.maximum(plane, 1e-4, out=plane)
        plane *= band * level * rng.normal(1, gain, (ROWS, 1)).astype(np.float32)
        _disturb(rng, plane)
        planes[p] = plane
    dc = width // 2
    if rng.random() < 0.7:
        planes[:, :, dc] *= np.float32(np.exp(rng.uniform(0, 4)))
    return planes, habits, signals


def _band(rng: np.random.Generator, width: int) -> np.ndarray:
    """Mean power of every bin: part of a filterbank's response, a slope, ripples and emission."""
    x = np.linspace(-1, 1, width)
    form = rng.choice(["polyphase", "taper", "flat"], p=[0.6, 0.2, 0.2])
    band = np.ones(width)
    if form == "polyphase":
        first = rng.choice([0, FULL - width, rng.integers(FULL - width + 1)])
        band = polyphase_response(FULL, int(rng.choice([4, 8, 16])))[first : first + width].copy()
    elif form == "taper":
        side = rng.choice([-1, 1])
        band = 1 - rng.uniform(0.1, 0.8) * np.clip((side * x - rng.uniform(0, 0.9)) / 1.0, 0, 1) ** 2
    band *= np.maximum(1 + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * x**2, 0.2)
    for _ in range(rng.poisson(1)):
        band *= 1 + rng.uniform(0.002, 0.03) * np.sin(rng.uniform(2, 40) * x + rng.uniform(0, 6))
    for _ in range(rng.poisson(1.5)):
        spread = np.exp(rng.uniform(*np.log((400 / width, 0.5))))
        band *= 1 + np.exp(rng.uniform(*np.log((0.01, 0.6)))) * np.exp(-0.5 * ((x - rng.uniform(-1, 1)) / spread) ** 2)
    return band.astype(np.float32)


def _disturb(rng: np.random.Generator, plane: np.ndarray) -> None:
    """Bursts of a few rows and emission that comes and goes, in place."""
    rows, width = plane.shape
    for _ in range(rng.poisson(1.2)):
        row, first = rng.integers(rows), int(rng.uniform(-0.5, 1) * width)
        part = slice(max(first, 0), max(first + int(rng.uniform(0.05, 1.5) * width), 1))
        plane[row : row + rng.integers(1, 4), part] *= np.float32(1 + np.exp(rng.uniform(*np.log((0.005, 0.8)))))
    x = np.linspace(-1, 1, width, dtype=np.float32)
    for _ in range(rng.poisson(1.0)):
        spread = np.exp(rng.uniform(*np.log((300 / width, 0.3))))
        bump = np.exp(-0.5 * ((x - rng.uniform(-1, 1)) / spread) ** 2).astype(np.float32)
        first, last = sorted(rng.integers(0, rows + 1, 2))
        plane[first:last] *= 1 + np.float32(rng.uniform(0.01, 0.4)) * bump


def draw_signals(rng: np.random.Generator, habits: Habits, width: int) -> list[Drawn]:
    """Draw all signals of a channel."""
    shares = np.array(list(KINDS.values())) * np.exp(rng.normal(0, 0.6, len(KINDS)))
    if rng.random() < 0.1:
        shares[0] = 0.0  # no needles at all
    count = rng.integers(15, 110)
    kinds = rng.choice(list(KINDS), count, p=shares / shares.sum())
    strongest = rng.choice([200.0, 2000.0, 20000.0])
    uneven = rng.choice([0.1, 0.3, 0.6])  # share of signals that do not drift evenly
    signals: list[Drawn] = []
    for kind in kinds:
        signals.extend(_draw(rng, habits, str(kind), width, strongest, uneven))
    return signals


def _draw(
    rng: np.random.Generator, habits: Habits, kind: str, width: int, strongest: float, uneven: float
) -> list[Drawn]:
    drift = rng.uniform(-4.1, 4.1)
    still = {"static": 1.0, "comb": 0.6, NEEDLE: 0.05}.get(kind, 0.25)
    if rng.random() < still:
        drift = 0.0 if rng.random() < 0.5 else rng.normal(0, 0.05)
    hours = habits.times[..., None] + ROW_S * ((np.arange(STEPS) + 0.5) / STEPS - 0.5)
    half = habits.times.mean()
    path = drift * (hours - half)
    if rng.random() < uneven:
        path = path + _bend(rng, hours, half, kind)
    crossed = max(1.0, abs(drift) * ROW_S / RESOLUTION_HZ)
    interference = kind in ("static", "drifting", "comb", "unsteady")
    if interference and rng.random() < 0.7:
        effective = np.exp(rng.uniform(*np.log((4, strongest))))
    elif rng.random() < 0.65:
        effective = np.exp(rng.uniform(*np.log((3.2, 14))))
    else:
        effective = np.exp(rng.uniform(*np.log((8, 150))))
    line = 0.0
    if rng.random() < (0.4 if interference else 0.3):
        line = np.exp(rng.uniform(*np.log((1.0, 40.0 if interference else 12.0))))
        if rng.random() < 0.5:  # of the same strength in what the line fills
            crossed = max(crossed, line / RESOLUTION_HZ)
    lines = 6 if line > 0.5 else 1
    if rng.random() < 0.5:
        spread = rng.normal(0, line / 2.355, (PANELS, ROWS, STEPS, lines))
    else:
        spread = rng.uniform(-line / 2, line / 2, (PANELS, ROWS, STEPS, lines))
    level = effective * np.sqrt(crossed) / np.sqrt(habits.looks * ROWS)
    power = level * _brightness(rng, habits, kind)
    start = rng.uniform(0.01, 0.99) * width
    bins = start + (path[..., None] + (spread if line else 0)) / RESOLUTION_HZ
    if kind != "comb":
        return [Drawn(kind, bins, power, effective)]
    spacing, teeth = rng.uniform(40, 3000), rng.integers(3, 10)
    return [Drawn(kind, bins + spacing * n, power * rng.uniform(0.3, 1), effective) for n in range(teeth)]


def _bend(rng: np.random.Generator, times: np.ndarray, half: float, kind: str) -> np.ndarray:
    """Distance in Hz from an even drift: a parabola, a sine or a random walk."""
    form = rng.choice(
        ["parabola", "sine", "walk", "walk"] if kind != NEEDLE else ["parabola", "parabola", "sine", "walk"]
    )
    if form == "parabola":
        return 0.5 * rng.uniform(-0.001, 0.001) * (times - half) ** 2
    if form == "sine":
        period = rng.uniform(0.6, 4) * times.max()
        return np.exp(rng.uniform(*np.log((3, 60)))) * np.sin(2 * np.pi * times / period + rng.uniform(0, 6.3))
    step = np.exp(rng.uniform(*np.log((0.3, 1.5 if kind == NEEDLE else 10))))
    grid = np.arange(0, times.max() + 2 * ROW_S, ROW_S)
    walk = np.cumsum(rng.normal(0, step, len(grid)))
    return np.interp(times, grid, walk)


def _brightness(rng: np.random.Generator, habits: Habits, kind: str) -> np.ndarray:
    on, off = np.flatnonzero(habits.on), np.flatnonzero(~habits.on)
    panels = np.zeros(PANELS)
    if kind in (NEEDLE, "faint_off"):
        panels[on] = 1
    if kind == "faint_off":
        panels[off] = rng.uniform(0.1, 0.9) if rng.random() < 0.5 else rng.uniform(0.25, 0.65)
        if rng.random() < 0.4:  # not the same in all pointings
            panels[off] *= rng.uniform(0.5, 1.3, 3)
            panels[on] *= rng.uniform(0.7, 1.3, 3)
    elif kind == "partial":
        panels[rng.choice(on, rng.integers(1, 3), replace=False)] = 1
        if rng.random() < 0.2:
            panels[rng.choice(on)] += rng.uniform(0, 0.3)
    elif kind == "off_only":
        panels[off if rng.random() < 0.6 else rng.choice(off, rng.integers(1, 3), replace=False)] = 1
    elif kind == "mixed":
        panels[on if rng.random() < 0.4 else rng.choice(on, 2, replace=False)] = 1
        panels[rng.choice(off, rng.integers(1, 3), replace=False)] = rng.uniform(0.3, 1)
    elif kind in ("static", "drifting", "comb", "unsteady"):
        panels[:] = 1
    rows = np.repeat(panels[:, None], ROWS, axis=1)
    share = {NEEDLE: 0.35, "unsteady": 1.0}.get(kind, 0.3)
    if rng.random() < share:
        rows = rows * _fading(rng, habits.times, deep=kind == "unsteady")
    if kind not in (NEEDLE, "faint_off") and rng.random() < 0.15:  # pulsed
        rows = rows * (rng.random((PANELS, ROWS)) < rng.uniform(0.3, 0.95))
    if rng.random() < 0.2:  # a slow change of gain or of distance
        rows = rows * np.exp(rng.uniform(-0.4, 0.4) * np.linspace(-1, 1, PANELS * ROWS).reshape(PANELS, ROWS))
    return rows


def _fading(rng: np.random.Generator, times: np.ndarray, deep: bool) -> np.ndarray:
    """Brightness of mean 1 that changes within a row to an hour."""
    grid = np.arange(0, times.max() + 2 * ROW_S, ROW_S / 2)
    extent = np.exp(rng.uniform(*np.log((20, 1500 if deep else 500)))) / (ROW_S / 2)
    kernel = np.exp(-0.5 * (np.arange(-4 * extent, 4 * extent + 1) / extent) ** 2)
    kernel /= np.sqrt((kernel**2).sum())

    def smooth() -> np.ndarray:
        return np.convolve(rng.standard_normal(len(grid) + len(kernel) - 1), kernel, "valid")

    if rng.random() < 0.5:
        series = np.exp(rng.uniform(0.15, 1.2 if deep else 0.65) * smooth())
    else:  # coherent and scattered parts, as Rice's distribution has them
        steady = rng.uniform(0.2 if deep else 0.8, 3)
        series = (steady + smooth() * 0.7) ** 2 + (smooth() * 0.7) ** 2
    return np.interp(times, grid, series / series.mean())


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def _render(added, path, power, reach):
    """Spread each row's power over bins: sinc^2 around every position of the signal in that row."""
    panels, rows, width = added.shape
    steps, lines = path.shape[2], path.shape[3]
    for p in range(panels):
        for r in range(rows):
            if power[p, r] <= 0:
                continue
            share = power[p, r] / (steps * lines)
            for s in range(steps):
                for i in range(lines):
                    x = path[p, r, s, i]
                    sine = np.sin(np.pi * x)
                    squared = share * sine * sine / (np.pi * np.pi)
                    middle = int(np.floor(x + 0.5))
                    for b in range(max(middle - reach, 0), min(middle + reach + 1, width)):
                        d = b - x
                        added[p, r, b] += share if abs(d) < 1e-4 else squared / (d * d)
