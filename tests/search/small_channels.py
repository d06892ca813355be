"""Small coarse channels with noise, tones and interference at known places, and their search."""

import numpy as np

from seti.search.channel import ChannelResult, search_channel
from seti.search.judge import Judge
from seti.search.settings import SearchSettings

HZ, ROW, ROWS, WIDTH = 2.7939677238, 18.253611008, 16, 2**14
ON = (True, False, True, False, True, False)
STARTS = [p * 320.0 for p in range(6)]
MIDDLE = (STARTS[5] + 15 * ROW) / 2  # of the cadence
AVERAGED = 51


def noise(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_gamma(AVERAGED, (6, ROWS, WIDTH)) / AVERAGED).astype(np.float32)


def add(
    planes: np.ndarray, bin_: float, drift: float, snr: float, panels=(0, 2, 4), curvature: float = 0.0, walk=None
) -> None:
    """Add a tone whose SNR in one panel would be `snr` without smearing; `walk(t)` in Hz is added to its drift.

    `drift` is the rate in the middle of the cadence, in Hz/s, and `curvature` its change, in Hz/s^2.
    """
    level = snr / np.sqrt(AVERAGED * ROWS)
    sub = (np.arange(30) + 0.5) / 30 - 0.5
    for p in panels:
        for r in range(ROWS):
            t = STARTS[p] + (r + sub) * ROW
            path = bin_ + (drift * t + 0.5 * curvature * t * (t - 2 * MIDDLE)) / HZ
            if walk is not None:
                path = path + walk(t) / HZ
            low = max(int(path.min()) - 20, 0)
            high = min(int(path.max()) + 20, WIDTH)
            if high > low:
                planes[p, r, low:high] += level * (np.sinc(np.arange(low, high)[:, None] - path) ** 2).mean(1)


def search(planes: np.ndarray, judge: Judge | None = None, on=ON, **settings) -> ChannelResult:
    return search_channel(
        lambda p: planes[p],
        resolution_hz=HZ,
        row_s=ROW,
        panel_start_s=STARTS,
        on=on,
        settings=SearchSettings(**settings),
        judge=judge,
    )
