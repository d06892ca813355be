"""Backgrounds: bands, combs, persistent emission, bursts, flicker, gain steps, DC spikes.

Brightness is in deviations of the noise, above an even level of 0.
"""

import numpy as np

from seti.data.cadence import ON_PANELS
from seti.simulation.wide.draws import log_uniform, pick, sign, smooth, unit

SHARES = {
    "slope": 0.65,
    "ripple": 0.25,
    "steps": 0.2,
    "rolloff": 0.12,
    "comb": 0.25,
    "bumps": 0.3,
    "lines": 0.25,
}
LEVELS = (0.2, 30.0)  # of bands
QUIET = 0.12  # share of cadences without any background
SLANTED = {True: 0.5, False: 0.12}  # share of profiles that drift, in panels of few and of many rows


def draw_background(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw the brightness of each pixel.

    Returns:
        float32 `(panels, rows, bins)`.
    """
    panels, rows, bins = shape
    brightness = np.zeros(shape, np.float32)
    if rng.random() < QUIET:
        return brightness
    slanted = rng.random() < SLANTED[rows < 64]
    drift = rng.uniform(-40, 40) * rng.random() if slanted else 0.0  # bins a panel
    pitch = 1 + rng.uniform(0, 0.4)
    reach = int(np.ceil(abs(drift) * pitch * panels))
    profile = draw_profile(rng, bins + reach)
    _add_profile(rng, brightness, profile, drift, pitch, reach)
    if rng.random() < 0.35:
        for _ in range(1 + rng.poisson(0.4)):
            add_emission(rng, brightness)
    response = 1 + rng.uniform(0, 1) * unit(profile[:bins]) + rng.uniform(0, 0.6) * unit(_slope(rng, bins))
    along = np.zeros((panels, rows))
    if rng.random() < 0.4:
        along += _bursts(rng, panels, rows)
    if rng.random() < 0.35:
        along += _flicker(rng, panels, rows)
    if rng.random() < 0.3:
        along += _gain_steps(rng, panels, rows)
    if rng.random() < 0.4:  # panels of another level, or levels that wander
        along += log_uniform(rng, 0.05, 10) * rng.standard_normal((panels, 1))
        along += log_uniform(rng, 0.05, 3) * np.array([smooth(rng, rows, rng.integers(2, 9)) for _ in range(panels)])
    if rng.random() < 0.1:  # the target's own continuum, or another elevation
        along[list(ON_PANELS)] += sign(rng) * log_uniform(rng, 0.1, 5)
    if along.any():
        if rng.random() < 0.2:  # a part of the band alone
            response = response * _window(rng, bins)
        brightness += (along[..., None] * response).astype(np.float32)
    return brightness


def draw_spike(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Draw the DC bin, mostly one bin wide; zeros in the share of cadences that lack it.

    Returns:
        `(bins,)`.
    """
    spike = np.zeros(bins)
    if rng.random() < 0.4:
        at, height = bins // 2 if rng.random() < 0.2 else int(rng.integers(bins)), log_uniform(rng, 3, 400)
        spike[at] = height
        if rng.random() < 0.3:
            spike[max(at - 1, 0)] += height * rng.uniform(0.05, 0.6)
            spike[min(at + 1, bins - 1)] += height * rng.uniform(0.05, 0.6)
    return spike


def draw_profile(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Draw a brightness along frequency that is constant in time, `(bins,)`."""
    profile = np.zeros(bins)
    for name, share in SHARES.items():
        if rng.random() < share:
            profile += _PARTS[name](rng, bins)
    return profile * (sign(rng) if rng.random() < 0.1 else 1.0)


def _add_profile(
    rng: np.random.Generator, brightness: np.ndarray, profile: np.ndarray, drift: float, pitch: float, reach: int
) -> None:
    panels, rows, bins = brightness.shape
    steadiness = rng.uniform(0, 0.3)
    levels = 1 + rng.uniform(0, 0.3) * rng.standard_normal(panels)
    if rng.random() < 0.1:
        levels = rng.uniform(0, 1.5, panels)
    for number, panel in enumerate(brightness):
        along = levels[number] * (1 + steadiness * smooth(rng, rows, 6))
        if not drift:
            panel += np.outer(along, profile).astype(np.float32)
            continue
        moved = np.rint(drift * (number * pitch + np.arange(rows) / rows)).astype(int) + (reach if drift < 0 else 0)
        at = np.clip(moved, 0, reach)[:, None] + np.arange(bins)
        panel += (along[:, None] * profile[at]).astype(np.float32)


def _slope(rng: np.random.Generator, bins: int) -> np.ndarray:
    x = np.linspace(-1, 1, bins)
    band = sum(rng.normal() * x**power for power in range(1, 2 + rng.integers(1, 4)))
    return log_uniform(rng, *LEVELS) * unit(band)


def _ripple(rng: np.random.Generator, bins: int) -> np.ndarray:
    return log_uniform(rng, 0.1, 6) * np.sin(2 * np.pi * (np.arange(bins) / log_uniform(rng, 4, 300) + rng.random()))


def _steps(rng: np.random.Generator, bins: int) -> np.ndarray:
    at, width = rng.uniform(0, bins, 1 + rng.poisson(0.7))[:, None], log_uniform(rng, 0.3, 40)
    steps = np.tanh((np.arange(bins) - at) / width)
    return log_uniform(rng, 0.3, 15) * (rng.normal(size=len(at)) @ steps)


def _rolloff(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Edges of a coarse channel, on one side or both."""
    distance = np.arange(bins)
    width, depth = log_uniform(rng, 5, 150), log_uniform(rng, 1, 30)
    low, high = np.exp(-distance / width), np.exp(-distance[::-1] / width)
    return -depth * (low if rng.random() < 0.4 else high if rng.random() < 0.67 else low + high)


def _comb(rng: np.random.Generator, bins: int) -> np.ndarray:
    at = np.arange(bins)
    sharpness = log_uniform(rng, 1, 30)
    teeth = (0.5 + 0.5 * np.cos(2 * np.pi * (at / log_uniform(rng, 6, 80) + rng.random()))) ** sharpness
    from_edge = at if rng.random() < 0.5 else at[::-1]
    envelope = np.exp(-from_edge / log_uniform(rng, 40, 1000))
    return log_uniform(rng, 0.5, 25) * envelope * (teeth + rng.uniform(0, 0.5))


def _bumps(rng: np.random.Generator, bins: int) -> np.ndarray:
    total = np.zeros(bins)
    for _ in range(1 + rng.poisson(1.0)):
        off = (np.arange(bins) - rng.uniform(-20, bins + 20)) / log_uniform(rng, 2, 80)
        form = np.exp(-0.5 * off**2) if rng.random() < 0.5 else 1 / (1 + off**2)
        total += log_uniform(rng, 0.3, 40) * form * (1.0 if rng.random() < 0.85 else -0.4)
    return total


def _lines(rng: np.random.Generator, bins: int) -> np.ndarray:
    """Steady lines of fixed frequency, one to three bins wide."""
    total = np.zeros(bins)
    for _ in range(1 + rng.poisson(1.5)):
        width = log_uniform(rng, 0.3, 1.5)
        total += log_uniform(rng, 0.3, 30) * np.exp(-0.5 * ((np.arange(bins) - rng.uniform(0, bins)) / width) ** 2)
    return total


_PARTS = {
    "slope": _slope,
    "ripple": _ripple,
    "steps": _steps,
    "rolloff": _rolloff,
    "comb": _comb,
    "bumps": _bumps,
    "lines": _lines,
}


def add_emission(rng: np.random.Generator, brightness: np.ndarray) -> None:
    """Add a bright band with a halo, in place; it may pulse, come and go, or move."""
    _, rows, bins = brightness.shape
    centre = rng.uniform(0, bins)
    core, halo = log_uniform(rng, 1.5, 40), rng.uniform(8, 80)
    level, share = log_uniform(rng, 0.5, 60), rng.uniform(0, 0.4)
    beat, depth = rows * log_uniform(rng, 0.03, 1), rng.uniform(0, 0.8)
    roaming, intermittent, rough, wandering = rng.random(4) < (0.2, 0.35, 0.4, 0.15)
    at = np.arange(bins)
    for number, panel in enumerate(brightness):
        if roaming and rng.random() < 0.4:
            centre = rng.uniform(0, bins)
        middle = centre + (rng.uniform(2, 12) * smooth(rng, rows, 8)[:, None] if wandering else 0.0)
        off = at - middle
        across = (1 - share) / (1 + (off / core) ** 2) + share * np.exp(-0.5 * (off / halo) ** 2)
        along = 1 + depth * np.sin(2 * np.pi * (np.arange(rows) / beat + rng.random())) + 0.2 * smooth(rng, rows, 8)
        # Never in ON panels alone: panel 1 always holds it.
        if intermittent and number != 1:
            along *= smooth(rng, rows, 5) > rng.uniform(-1, 0.5)
        if rough:
            along *= rng.gamma(3, 1 / 3, rows)
        panel += (level * np.maximum(along, 0)[:, None] * across).astype(np.float32)


def _bursts(rng: np.random.Generator, panels: int, rows: int) -> np.ndarray:
    """Draw stretches of bright rows."""
    along = np.zeros((panels, rows))
    rate, brightest = log_uniform(rng, 0.2, 5), log_uniform(rng, 0.5, 40)
    for panel in along:
        for _ in range(rng.poisson(rate)):
            start = rng.integers(rows)
            window = panel[start : start + max(1, int(log_uniform(rng, 1 / 273, 0.15) * rows))]
            window += brightest * rng.random() * rng.uniform(0.5, 1.0, len(window))
    return along


def _flicker(rng: np.random.Generator, panels: int, rows: int) -> np.ndarray:
    level, form = log_uniform(rng, 0.05, 3), log_uniform(rng, 0.5, 8)
    stretches = np.exp(0.8 * np.array([smooth(rng, rows, rng.integers(3, 12)) for _ in range(panels)]))
    return level * stretches * rng.gamma(form, 1 / form, (panels, rows))


def _gain_steps(rng: np.random.Generator, panels: int, rows: int) -> np.ndarray:
    along = np.zeros((panels, rows))
    for _ in range(1 + rng.poisson(1.5)):
        along[rng.integers(panels), rng.integers(rows) :] += sign(rng) * log_uniform(rng, 0.1, 10)
    if rng.random() < 0.2:  # a calibration signal that is switched
        period = rows * log_uniform(rng, 0.02, 0.5)
        along += log_uniform(rng, 0.1, 5) * (np.arange(rows) / period % 1 < 0.5)
    return along


def _window(rng: np.random.Generator, bins: int) -> np.ndarray:
    at, kind = np.arange(bins), pick(rng, {"part": 0.6, "edge": 0.4})
    width = log_uniform(rng, 0.3, 20)
    low = 1 / (1 + np.exp(-np.clip((at - rng.uniform(0, bins)) / width, -50, 50)))
    return low if kind == "edge" else low * (1 - np.roll(low, int(rng.integers(30, bins))))
