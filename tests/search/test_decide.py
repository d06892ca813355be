import numpy as np
import pandas as pd

from seti.search.decide import leak_ratio, parts, presence_ratio


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
