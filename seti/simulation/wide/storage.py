"""Forms in which power is stored: standardised, raw, decibels, clipped, flattened.

Networks normalise whatever they are given, but rounding, clipping and flattening leave traces.
"""

import numpy as np

from seti.simulation.wide.draws import log_uniform, pick

FORMS = {
    "panel": 0.66,  # each panel of mean 0 and deviation 1, as the competition's
    "cadence": 0.06,  # the cadence of mean 0 and deviation 1
    "raw": 0.08,
    "decibel": 0.06,
    "clipped": 0.05,
    "rows": 0.03,
    "bins": 0.03,
    "robust": 0.03,
}


def store(rng: np.random.Generator, panels: np.ndarray, growth: float) -> tuple[str, np.ndarray]:
    """Turn power into the numbers of a file.

    Args:
        rng: source of all random draws.
        panels: float32 `(6, rows, bins)` in deviations of the noise, above the even level; it is overwritten.
        growth: of the noise with brightness, which gives the even level: `1 / growth` deviations.

    Returns:
        Name out of `FORMS`, and the numbers: float16 or float32.
    """
    form = pick(rng, FORMS)
    if rng.random() < 0.08:
        step = np.float32(log_uniform(rng, 0.05, 1.5))
        np.rint(panels / step, out=panels)
        panels *= step
    if form == "raw":
        panels += np.float32(_level(rng, growth))
        return form, panels * np.float32(log_uniform(rng, 1e-2, 1e11))
    if form == "decibel":
        level = np.float32(_level(rng, growth))
        panels += level
        decibels = np.log10(np.maximum(panels, np.float32(0.05) * level), out=panels)
        decibels *= 10
        if rng.random() < 0.5:
            return form, decibels
    elif form == "clipped":
        low, high = np.percentile(panels[:, ::5, ::3], [rng.uniform(0, 3), rng.uniform(97, 100)])
        np.clip(panels, low, high, out=panels)
    elif form == "rows":
        panels -= np.median(panels[:, :, ::2], axis=2, keepdims=True)
    elif form == "bins":
        panels -= panels.mean(axis=1, keepdims=True)
    elif form == "robust":
        some = panels[:, ::5, ::3]
        middle = np.median(some, axis=(1, 2), keepdims=True)
        panels -= middle
        panels /= np.maximum(1.4826 * np.median(np.abs(some - middle), axis=(1, 2), keepdims=True), 1e-3)
        np.clip(panels, -1e4, 1e4, out=panels)
    if form != "robust":
        standardise(panels, (0, 1, 2) if form == "cadence" else (1, 2))
    return form, panels.astype(np.float16) if rng.random() < 0.9 else panels


def standardise(panels: np.ndarray, axes: tuple[int, ...] = (1, 2)) -> None:
    """Scale to mean 0 and deviation 1 over some axes, in place; constant values become 0."""
    panels -= panels.mean(axis=axes, keepdims=True)
    square = np.square(panels).mean(axis=axes, keepdims=True)
    panels /= np.sqrt(np.where(square > 0, square, 1))


def _level(rng: np.random.Generator, growth: float) -> float:
    return float(np.clip(1 / growth, 1.5, 300)) if growth else log_uniform(rng, 5, 300)


def as_float16(panels: np.ndarray) -> np.ndarray:
    """Convert to float16; float32 numbers, which may not fit, are standardised first."""
    if panels.dtype == np.float16:
        return panels
    deviation = panels.std(dtype=np.float64)
    return ((panels - panels.mean(dtype=np.float64)) / (deviation if deviation > 0 else 1)).astype(np.float16)
