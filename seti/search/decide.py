"""ON against OFF: the decision about every fitted track, and the score that ranks events."""

import numpy as np
import pandas as pd

from seti.search.hits import Times, is_linked, positions
from seti.search.settings import SearchSettings

STRONGER = 1.6  # a signal next to one so much stronger is a part of it
LEAK = np.linspace(0.2, 1.0, 33)  # strength in OFF panels relative to ON, of interference
LARGEST_NOISE, NOISE_SPREAD = 3.4, 0.6  # SNR of noise where the largest in a window is taken
FADING = np.exp(0.3 * np.linspace(-6.5, 2.5, 46))  # strength in the weakest ON panel relative to the others
FADED = np.exp(-0.5 * np.linspace(-6.5, 2.5, 46) ** 2) + 0.1  # and how often that is so; some needles fade more


def measurements(fitted: np.ndarray, times: Times, resolution_hz: float) -> pd.DataFrame:
    """Rows of `process` as a table with physical units."""
    panels = len(times.on)
    p0, p1, p2, width, snr, source = fitted[:, :6].T
    u, linked = times.u, is_linked(fitted)
    path = positions(fitted, times)
    even = p0[:, None, None] + u * (p1[:, None, None] + u * p2[:, None, None])
    # A piece in an OFF panel is the brightest noise near the track: there the parabola through the ON panels says more.
    path = np.where(linked[:, None, None] & ~times.on[:, None], even, path)
    table = pd.DataFrame({"bin": path[:, 0, 0]})
    middle = 0.5 * (u[0, 0] + u[-1, -1])
    # The ON panels' middle, u = 0, is not the cadence's: a curved track has another drift rate there.
    half_s = times.half * times.row_s
    table["drift_hz_s"] = (p1 + 2 * p2 * middle) / half_s * resolution_hz
    table["curvature_hz_s2"] = 2 * p2 / half_s**2 * resolution_hz
    snrs = fitted[:, 10 + 2 * panels : 10 + 3 * panels]
    limited = fitted[:, 6 : 6 + panels]
    table["snr"] = snrs[:, times.on].sum(1) / np.sqrt(times.on.sum())
    table["z"] = limited[:, times.on].sum(1) / np.sqrt(times.on.sum())
    for p in range(panels):
        table[f"z_{p + 1}"] = limited[:, p]
    for p in range(panels):
        table[f"snr_{p + 1}"] = snrs[:, p]
    table["width_hz"] = width * resolution_hz
    table["bin_start"], table["bin_end"] = path.min((1, 2)) - width / 2, path.max((1, 2)) + width / 2
    table["source"] = source
    table["free"] = fitted[:, 6 + panels : 6 + 2 * panels][:, ~times.on].min(1) if panels > times.on.sum() else 1.0
    table["near"], table["together"], table["curved"] = fitted[:, 6 + 2 * panels : 9 + 2 * panels].T
    table["linked"], table["curved"] = linked, np.minimum(table.curved, 1.0)
    table["fit_snr"] = snr
    table["p0"], table["p1"], table["p2"], table["width"] = p0, p1, p2, width
    table["level"] = fitted[:, 9 + 2 * panels]
    return table


def hits(fitted: np.ndarray, listed: np.ndarray, times: Times, resolution_hz: float) -> pd.DataFrame:
    """Rows of `HIT_COLUMNS`: one for a track and a panel in which it is listed, `(tracks, 6)`."""
    panels = len(times.on)
    track, p = np.nonzero(listed)
    path = positions(fitted, times)[track, p]
    table = pd.DataFrame({"panel": p, "bin": path[:, 0]})
    table["drift_hz_s"] = (path[:, -1] - path[:, 0]) / (path.shape[1] - 1) * resolution_hz / times.row_s
    table["snr"] = fitted[track, 10 + 2 * panels + p]
    table["width_bins"] = fitted[track, 3]
    return table.sort_values(["panel", "snr"], ascending=[True, False], kind="stable").reset_index(drop=True)


def leak_ratio(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of an OFF SNR: nothing is there, or a part (`LEAK`) of the signal."""
    nothing = -0.5 * off**2
    part = -0.5 * (off[:, None] - LEAK * np.maximum(on, 0)[:, None]) ** 2
    top = part.max(1)
    return nothing - (top + np.log(np.exp(part - top[:, None]).mean(1)))


def presence_ratio(weakest: np.ndarray, others: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of the weakest ON panel: the signal is there, or noise alone.

    `others` is the mean SNR of the other ON panels; noise is 0.5 higher than none, and `freedom` more, for the fit
    had a choice.
    """
    present = -0.5 * (weakest[:, None] - FADING * np.maximum(others, 0)[:, None]) ** 2
    top = present.max(1)
    ratio = top + np.log((np.exp(present - top[:, None]) * FADED).sum(1) / FADED.sum())
    return ratio + 0.5 * np.maximum(weakest - 0.5 - freedom, 0) ** 2


def reasons(
    table: pd.DataFrame, on: np.ndarray, settings: SearchSettings, judged: np.ndarray | None = None
) -> pd.Series:
    """Reason why each track is not an event; empty for events.

    `judged` are a judge's probabilities, NaN where it gave none: a track is unlikely where both find it so.
    """
    unlikely = table.score < settings.least_score
    if judged is not None:
        unlikely &= ~(judged >= settings.least_judged)
    snrs = table[[f"z_{p + 1}" for p in range(len(on))]].to_numpy()
    reason = np.full(len(table), "", object)
    most = np.where(table.linked, settings.off_snr + 1.0, settings.off_snr)  # the largest in a window
    for name, wrong in (
        ("crossed", table.free < 0.5),
        ("off nearby", table.near >= most),
        ("off", (snrs[:, ~on] >= most[:, None]).any(1)),
        ("not in every ON", (snrs[:, on] <= settings.on_snr).any(1)),
        ("weak", table.z <= settings.snr),
        ("unlikely", unlikely),
        ("drift", table.drift_hz_s.abs() > settings.max_drift * 1.05),
    ):
        reason[np.asarray(wrong, bool)] = name
    return pd.Series(reason, index=table.index)


def parts(table: pd.DataFrame) -> np.ndarray:
    """Row of a stronger signal that each track is a sidelobe or skirt of, or -1.

    Over the ON panels the tracks must be closer than 1.5 times both widths, and the other `STRONGER` times as strong.
    """
    strength = table[[name for name in table.columns if name.startswith("snr_")]].max(axis=1).to_numpy(float)
    order = np.flatnonzero(strength > STRONGER * max(strength[table.reason == ""].min(initial=np.inf), 1))
    whole = np.full(len(table), -1)
    if not len(order):
        return whole
    ends = np.stack([table.p0 + u * (table.p1 + u * table.p2) for u in (-1, 0, 1)])
    width = table.width.to_numpy()
    for row in np.flatnonzero(table.reason == ""):
        apart = np.abs(ends[:, order] - ends[:, row, None]).max(0)
        near = (apart < 1.5 * (width[order] + width[row]) + 4) & (strength[order] > STRONGER * strength[row])
        if near.any():
            whole[row] = order[near][strength[order[near]].argmax()]
    return whole


def linked_leak_ratio(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of OFF SNRs that are the largest in a window around a track.

    Args:
        on: mean SNR of the ON panels.
        off: SNR of each OFF panel, `(tracks, panels)`.
    """
    nothing = (-0.5 * ((off - LARGEST_NOISE) / NOISE_SPREAD) ** 2 - np.log(NOISE_SPREAD)).sum(1)
    seen = np.maximum(LEAK * np.maximum(on, 0)[:, None], LARGEST_NOISE)
    part = -0.5 * (off[:, None] - seen[:, :, None]) ** 2
    part = part.sum(2)
    top = part.max(1)
    return nothing - (top + np.log(np.exp(part - top[:, None]).mean(1)))


def scores(table: pd.DataFrame, on: np.ndarray, least_snr: float = 7.0) -> pd.Series:
    """Score from 0 to 1 of tracks: strong, in every ON panel, and nothing in OFF.

    `least_snr` is that of an event; tracks that hardly exceed it, or 7 where it is more, are likelier noise.
    """
    snrs = table[[f"z_{p + 1}" for p in range(len(on))]].to_numpy()
    strength = 2.5 * (table.z.to_numpy() - min(least_snr, 7.0) - 0.2)
    weakest = snrs[:, on].min(1)
    others = (snrs[:, on].sum(1) - weakest) / max(1, on.sum() - 1)
    least = presence_ratio(weakest, others, table.curved.to_numpy()) - 1
    exact = snrs[:, ~on].sum(1) / np.sqrt(max(1, (~on).sum()))
    off = leak_ratio(table.z.to_numpy(), np.maximum(exact, table.together.to_numpy() - 0.8))
    linked = table.linked.to_numpy(bool)
    if linked.any() and (~on).any():
        off[linked] = linked_leak_ratio(snrs[linked][:, on].mean(1), snrs[linked][:, ~on])
    total = sum(np.logaddexp(0, -np.clip(value, -30, 30)) for value in (strength, least, off))
    return pd.Series(np.exp(-total), index=table.index)
