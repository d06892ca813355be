import numpy as np
import pandas as pd
import pytest

from seti.search.decide import leak_ratio, measurements, parts, presence_ratio
from seti.search.hits import Times
from seti.search.pieces import LINK, as_piece


def tracks(*rows: tuple[float, float, float, float, str]) -> pd.DataFrame:
    """Tracks of (position, drift, width, SNR in a panel, reason)."""
    table = pd.DataFrame(rows, columns=["p0", "p1", "width", "snr_1", "reason"])
    return table.assign(p2=0.0)


def test_a_weaker_track_along_a_stronger_one_is_a_part_of_it():
    table = tracks((1000, -100, 3, 90, ""), (1037, -101, 35, 40, ""), (5000, 0, 3, 40, ""))
    assert parts(table).tolist() == [-1, 0, -1]


def test_interference_has_parts_too():
    assert parts(tracks((1000, 0, 3, 900, "off"), (1005, 0, 3, 40, ""))).tolist() == [-1, 0]


def test_tracks_that_cross_or_are_as_strong_stay():
    assert parts(tracks((1000, 0, 3, 900, "off"), (1000, 200, 3, 40, ""))).tolist() == [-1, -1]
    assert parts(tracks((1000, 0, 3, 60, ""), (1008, 0, 3, 50, ""))).tolist() == [-1, -1]
    assert parts(tracks((1000, 0, 3, 60, ""), (1040, 0, 3, 20, ""))).tolist() == [-1, -1]


def test_no_track_has_no_part():
    assert parts(tracks()).tolist() == []


def test_a_faint_signal_in_off_is_likelier_a_leak_the_stronger_the_signal_is():
    on, off = np.array([10.0, 30.0, 10.0, 10.0]), np.array([0.0, 0.0, 3.0, 6.0])
    ratio = leak_ratio(on, off)
    assert ratio[1] > ratio[0] > 1
    assert ratio[2] < 0
    assert ratio[3] < -10


def test_a_panel_without_the_signal_is_likelier_noise():
    weakest, others = np.array([9.0, 3.6, 1.0, 2.0]), np.array([10.0, 10.0, 10.0, 4.0])
    ratio = presence_ratio(weakest, others, np.zeros(4))
    assert ratio[0] > 10
    assert ratio[1] > 0
    assert ratio[2] < -1
    assert ratio[3] > ratio[2]


@pytest.mark.parametrize("on", [(True, False) * 3, (False, True) * 3, (True, True, True, False, False, False)])
def test_the_drift_rate_is_that_in_the_middle_of_the_cadence_however_a_track_was_fitted(on):
    times = Times.of([p * 320.0 for p in range(6)], on, 18.25).with_rows(16)
    track = np.array([9000.0, 35.0, 110.0])
    fitted = np.zeros((2, 46))
    fitted[:, :3], fitted[:, 3] = track, 4.0
    fitted[1, 20] = LINK
    for p in range(6):
        piece = as_piece(track, times.u[p].mean())
        # Noise near the track in OFF panels.
        fitted[1, 28 + 3 * p : 31 + 3 * p] = piece + (0 if on[p] else np.array([15.0, 3.0, 0.0]))
    table = measurements(fitted, times, 2.79)
    u = times.u.ravel()
    path = track[0] + u * (track[1] + u * track[2])
    middle = (u.min() + u.max()) / 2
    rate = (track[1] + 2 * track[2] * middle) / times.half * 2.79 / 18.25
    mean = (path[-1] - path[0]) / (95 + 5 * (320 / 18.25 - 16)) * 2.79 / 18.25
    assert rate == pytest.approx(mean)  # of a parabola they are the same
    np.testing.assert_allclose(table.drift_hz_s, rate)
    np.testing.assert_allclose(table.bin, path[0])
    np.testing.assert_allclose(table.bin_start, path.min() - 2)
    np.testing.assert_allclose(table.bin_end, path.max() + 2)
