"""Candidates that stage one finds in simulated channels: input of the judge, and whether they are needles."""

import numpy as np
import pandas as pd
from judge.channels import NEEDLE, RESOLUTION_HZ, ROW_S, Drawn, Habits, draw_channel

from seti.search.channel import search_channel
from seti.search.hits import Times
from seti.search.judge_features import features, plausible
from seti.search.settings import SearchSettings
from seti.search.stamps import BINS

NEAR = 6.0  # bins, or the width of the track where that is more


def candidates(seed: int, number: int) -> dict[str, np.ndarray]:
    """Search one channel; inputs of the network, labels and what evaluation needs of each plausible candidate."""
    planes, habits, signals = draw_channel(seed, number)
    settings = SearchSettings(stamp_bins=BINS, candidates=1000)
    found = search_channel(
        planes.__getitem__,
        resolution_hz=RESOLUTION_HZ,
        row_s=ROW_S,
        panel_start_s=habits.starts,
        on=habits.on,
        settings=settings,
    )
    table = found.candidates
    kind, snr, which = labels(table, habits, signals)
    keep = plausible(table, habits.on) & (table["reason"] != "part of a stronger signal").to_numpy() & (kind != "again")
    of_panels, of_whole = features(found.stamps[keep], table[keep], habits.on)
    return {
        "panels": of_panels.astype(np.float16),
        "whole": of_whole,
        "kind": kind[keep].astype("U16"),
        "snr": snr[keep],
        "which": which[keep],
        "score": table["score"].to_numpy(float)[keep],
        "event": (table["reason"] == "").to_numpy()[keep],
        "reason": table["reason"].to_numpy()[keep].astype("U24"),
        "channel": np.full(int(keep.sum()), number),
        # All needles of the channel, found or not.
        "needles": np.array([one.snr for one in signals if one.kind == NEEDLE]),
    }


def labels(table: pd.DataFrame, habits: Habits, signals: list[Drawn]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind of the signal that each candidate lies on, its effective SNR, and its number; "" where there is none."""
    u = Times.of(habits.starts, habits.on, ROW_S).u
    kind, snr, which = np.full(len(table), "", object), np.zeros(len(table)), np.full(len(table), -1)
    if not signals or not len(table):
        return kind, snr, which
    tracks = np.stack([one.track for one in signals])  # (signals, 6, rows)
    seen = np.stack([one.power > 0 for one in signals])
    p0, p1, p2, width = table[["p0", "p1", "p2", "width"]].to_numpy(float).T
    taken: set[int] = set()
    for row in range(len(table)):  # best score first
        path = p0[row] + u * (p1[row] + u * p2[row])
        # Needles by their ON panels, interference by the panels that it is in.
        apart = np.abs(tracks - path)
        apart = np.where(seen, apart, 0).sum((1, 2)) / np.maximum(seen.sum((1, 2)), 1)
        nearest = int(apart.argmin())
        if apart[nearest] < max(NEAR, 1.5 * width[row]):
            kind[row], snr[row], which[row] = signals[nearest].kind, signals[nearest].snr, nearest
            if kind[row] == NEEDLE and nearest in taken:
                kind[row] = "again"
            taken.add(nearest)
    return kind, snr, which
