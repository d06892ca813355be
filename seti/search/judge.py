"""Judges of candidates: the network that ships with seti, or networks of the user's own.

A judge reads what stage one measured of a candidate and a straightened cut-out of the data, and says how likely the
candidate is a signal of the target. It ranks events, and lets in some that stage one finds a little too unlikely. It
takes none away: that is what `scan.score` is for.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from seti.search.hits import Times
from seti.search.judge_features import features, plausible
from seti.search.judge_network import ON_PANELS, probabilities, read_weights
from seti.search.stamps import BINS, straightened_stamps

SHIPPED = Path(__file__).parent / "trained" / "judge.npz"
NO_JUDGE = "none"  # value of ckpt_dir

# From the unmasked planes `(6, rows, width)`, the table of candidates and the times to a probability for each
# candidate, NaN for those that are not judged.
Judge = Callable[[np.ndarray, pd.DataFrame, Times], np.ndarray]


@functools.lru_cache(maxsize=2)
def load_judge(ckpt_dir: str | None = None) -> Judge | None:
    """Load the judge that ckpt_dir names.

    Args:
        ckpt_dir: None for the one that ships with seti, "none" for no judge, or an experiment's folder.

    Raises:
        SetiError: the weights or the networks cannot be used.
    """
    if ckpt_dir == NO_JUDGE:
        return None
    if ckpt_dir is None:
        return _shipped()
    # torch, only where networks of the user's own are used
    from seti.search.own_networks import OwnNetworks

    return OwnNetworks.of(Path(ckpt_dir))


def check_judge(ckpt_dir: str | None, rows: int) -> str:
    """Refuse networks that do not fit the observations.

    Args:
        ckpt_dir: the setting.
        rows: of an observation.

    Returns:
        A text that identifies the judge.

    Raises:
        SetiError: the experiment has no finished fold, or its networks do not fit.
    """
    if ckpt_dir == NO_JUDGE:
        return NO_JUDGE
    if ckpt_dir is None:
        _shipped()
        return hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]
    from seti.search.own_networks import check_networks

    return check_networks(Path(ckpt_dir), rows)


@functools.lru_cache(maxsize=1)
def _shipped() -> Judge:
    members, settings = read_weights(SHIPPED)

    def judge(planes: np.ndarray, candidates: pd.DataFrame, times: Times) -> np.ndarray:
        score = np.full(len(candidates), np.nan)
        if times.on.sum() != ON_PANELS or len(times.on) != 2 * ON_PANELS:
            return score  # no other cadence was learned
        chosen = plausible(candidates, times.on)
        if not chosen.any():
            return score
        some = candidates[chosen]
        stamps = straightened_stamps(planes, some, times.u, BINS)
        score[chosen] = probabilities(members, *features(stamps, some, times.on), settings["slope"], settings["offset"])
        return score

    return judge
