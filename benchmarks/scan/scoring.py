"""Compare events with the truth: recall at a number of false alarms, rows an event, errors."""

import numpy as np
import pandas as pd

BANDS = ((0, 4), (4, 8), (8, 12), (12, np.inf))


def match(events: pd.DataFrame, truth: pd.DataFrame, resolution_hz: float, hz: float = 60.0) -> np.ndarray:
    """Index of the needle that each event belongs to, or -1: near in frequency and in drift rate."""
    needles = truth[truth.kind == "needle"]
    found = np.full(len(events), -1)
    if not len(needles) or not len(events):
        return found
    apart = np.abs(events.bin.to_numpy()[:, None] - needles.bin.to_numpy()) * resolution_hz
    rate = np.abs(events.drift_hz_s.to_numpy()[:, None] - needles.drift_hz_s.to_numpy())
    fits = (apart < hz) & (rate < 0.1 + 0.05 * np.abs(needles.drift_hz_s.to_numpy()))
    nearest = np.where(fits, apart, np.inf).argmin(1)
    return np.where(fits.any(1), needles.index.to_numpy()[nearest], -1)


def summary(
    channels: list[tuple[pd.DataFrame, pd.DataFrame]], resolution_hz: float, hz: float = 60.0
) -> dict[str, float]:
    """Scores of the events and truths of some channels, pooled."""
    rows, needles = [], []
    for number, (events, truth) in enumerate(channels):
        events = events.reset_index(drop=True)
        which = match(events, truth, resolution_hz, hz)
        needle = truth.reindex(which)
        rows.append(
            pd.DataFrame(
                {
                    "score": events.score,
                    "key": [f"{number}:{w}" if w >= 0 else "" for w in which],
                    "frequency": (events.bin - needle.bin.to_numpy()) * resolution_hz,
                    "drift": events.drift_hz_s - needle.drift_hz_s.to_numpy(),
                    "excess": np.abs(events.drift_hz_s - needle.drift_hz_s.to_numpy())
                    - 0.02 * np.abs(needle.drift_hz_s.to_numpy()),
                }
            )
        )
        mine = truth[truth.kind == "needle"]
        needles.append(
            pd.DataFrame({"key": [f"{number}:{i}" for i in mine.index], "eff": mine.effective_snr.to_numpy()})
        )
    table = pd.concat(rows).sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    needles = pd.concat(needles)
    hit = table[table.key != ""]
    out: dict[str, float] = {"needles": len(needles), "events": len(table), "false": int((table.key == "").sum())}
    false = (table.key == "").cumsum()
    for name, allowed in (("recall at 1 a channel", len(channels)), ("recall at 0", 0)):
        out[name] = table.key[(false <= allowed) & (table.key != "")].nunique() / max(1, len(needles))
    out["recall"] = hit.key.nunique() / max(1, len(needles))
    kept = set(table.key[(false <= len(channels)) & (table.key != "")])
    for low, high in BANDS:
        inside = needles[(needles.eff >= low) & (needles.eff < high)]
        out[f"recall {low}-{high}"] = float(np.mean([k in kept for k in inside.key])) if len(inside) else np.nan
    single = hit.key.value_counts()
    out["one row"] = float((single == 1).mean()) if len(single) else np.nan
    out["frequency error"] = float(hit.frequency.abs().median())
    out["drift error"] = float(hit["drift"].abs().median())
    out["drift beyond"] = float((hit.excess > 0.02).mean()) if len(hit) else np.nan
    return out
