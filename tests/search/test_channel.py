"""Search of small coarse channels that are made here: noise, tones and interference at known places."""

import numpy as np
import pytest
from small_channels import HZ, MIDDLE, ON, ROW, ROWS, STARTS, WIDTH, add, noise, search

from seti.search.channel import EVENT_COLUMNS, HIT_COLUMNS


@pytest.mark.parametrize("drift", [0.05, 0.4, -1.3, 2.7, -3.9])
def test_a_drifting_tone_in_on_panels_is_one_event(drift):
    planes = noise()
    add(planes, 8000.3, drift, 60.0)
    events = search(planes).events
    assert len(events) == 1
    assert tuple(events.columns) == EVENT_COLUMNS
    event = events.iloc[0]
    assert abs(event.bin - 8000.3) * HZ < 6
    assert abs(event.drift_hz_s - drift) < 0.02 + 0.02 * abs(drift)
    assert event.score > 0.9
    assert event.n_hits == 3
    ends = 8000.3 + np.array([0, drift * (STARTS[5] + 15 * ROW) / HZ])
    assert abs(event.bin_start - ends.min()) < 20
    assert abs(event.bin_end - ends.max()) < 20


def test_the_snr_of_a_tone_that_does_not_drift_is_that_of_its_strength():
    planes = noise()
    add(planes, 5000.0, 0.0, 30.0)
    event = search(planes).events.iloc[0]
    # In the middle of a bin all power is in that bin; the box holds 0.15 of the noise of the bins on either side.
    assert event.snr_1 == pytest.approx(30 / np.sqrt(1 + 2 * 0.15**2), abs=2.5)
    assert event.snr == pytest.approx(np.sqrt(3) * event.snr_1, rel=0.1)
    assert event[["snr_2", "snr_4", "snr_6"]].abs().max() < 3.5


def test_strong_tones_keep_their_snr():
    planes = noise()
    add(planes, 5000.0, 0.0, 3000.0)
    assert search(planes).events.snr_1.iloc[0] == pytest.approx(3000 / np.sqrt(1 + 2 * 0.15**2), rel=0.02)


@pytest.mark.parametrize(
    ("panels", "reason"),
    [(range(6), "off"), ((1, 3, 5), "not in every ON"), ((0,), "not in every ON"), ((2, 4), "not in every ON")],
)
def test_interference_is_a_candidate_with_its_reason(panels, reason):
    planes = noise()
    add(planes, 6000.0, 0.7, 80.0, panels)
    result = search(planes)
    assert len(result.events) == 0
    near = result.candidates[(result.candidates.bin - 6000).abs() < 30]
    strongest = near.loc[near[[f"z_{p}" for p in range(1, 7)]].max(axis=1).idxmax()]
    assert strongest.reason in (reason, "unlikely", "off nearby", "off")


def test_a_signal_that_is_faint_in_off_is_no_event():
    planes = noise()
    add(planes, 6000.0, 0.7, 100.0)
    add(planes, 6000.0, 0.7, 30.0, (1, 3, 5))
    assert len(search(planes).events) == 0


def test_a_curved_track_is_one_event():
    planes = noise()
    add(planes, 8000.0, 1.0, 100.0, curvature=4e-4)
    events = search(planes).events
    assert len(events) == 1
    assert events.iloc[0].drift_hz_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("curvature", [0.00095, -0.00095])
@pytest.mark.parametrize("source", range(3))
def test_the_strongest_curvature_is_reached_from_every_on_panel(source, curvature):
    planes = noise()
    for number in range(3):  # the brightest ON panel is fitted first, and the others from it
        add(planes, 8000.0, 0.27, 120.0 if number == source else 50.0, (2 * number,), curvature)
    result = search(planes)
    assert len(result.events) == 1
    event, found = result.events.iloc[0], result.candidates.iloc[0]
    assert (found.source, found.linked, found.curved) == (2 * source, False, True)
    assert abs(event.drift_hz_s - 0.27) < 0.02 + 0.02 * 0.27
    assert abs(event.bin - 8000.0) * HZ < 15


@pytest.mark.parametrize(("curvature", "first"), [(-8e-4, True), (-8e-4, False), (8e-4, False)])
def test_the_drift_rate_of_a_track_in_pieces_is_that_in_the_middle_of_the_cadence(curvature, first):
    planes, on = noise(), ON if first else tuple(not one for one in ON)
    add(planes, 8000.0, 0.27, 90.0, np.flatnonzero(on), curvature, walk=ripple)
    result = search(planes, on=on)
    assert len(result.events) == 1
    event, found = result.events.iloc[0], result.candidates.iloc[0]
    assert found.linked
    assert abs(event.drift_hz_s - 0.27) < 0.02 + 0.02 * 0.27
    assert abs(event.bin - 8000.0) * HZ < 50
    times = np.linspace(0, 2 * MIDDLE)
    path = 8000.0 + (0.27 * times + 0.5 * curvature * times * (times - 2 * MIDDLE)) / HZ
    assert event.bin_start == pytest.approx(path.min(), abs=20)
    assert event.bin_end == pytest.approx(path.max(), abs=20)


def ripple(t: np.ndarray) -> np.ndarray:
    """15 Hz to both sides in 5 minutes: more than a parabola follows."""
    return 15 * np.sin(2 * np.pi * t / 310)


def test_a_curved_track_of_all_on_panels_together_has_its_drift_rate():
    planes = noise(3)
    add(planes, 6000.0, 0.05, 8.0, curvature=2e-5)
    result = search(planes)
    assert len(result.events) == 1
    assert result.candidates.iloc[0].source == -1
    assert abs(result.events.drift_hz_s.iloc[0] - 0.05) < 0.005
    assert abs(result.events.bin.iloc[0] - 6000.0) * HZ < 6


def swing(t: np.ndarray) -> np.ndarray:
    """60 Hz to both sides in 25 minutes."""
    return 60 * np.sin(2 * np.pi * t / 1500)


def walk(seed: int):
    """Random walk of 1.5 Hz a row."""
    steps = np.cumsum(np.random.default_rng(seed).normal(0, 1.5, 120))
    return lambda t: np.interp(t, np.arange(120) * ROW, steps - steps[0])


@pytest.mark.parametrize("path", [swing, walk(1), walk(2)])
def test_a_track_that_does_not_drift_evenly_is_one_event(path):
    planes = noise()
    add(planes, 8000.3, 0.6, 40.0, walk=path)
    result = search(planes)
    assert len(result.events) == 1
    event = result.events.iloc[0]
    assert abs(event.bin - 8000.3 - path(np.zeros(1))[0] / HZ) * HZ < 6
    times = np.concatenate([STARTS[p] + np.arange(ROWS) * ROW for p in (0, 2, 4)])
    seen = 8000.3 + (0.6 * times + path(times)) / HZ
    assert abs(event.drift_hz_s - np.polyfit(times, seen * HZ, 1)[0]) < 0.02
    assert event.bin_start - 10 < seen.min()
    assert seen.max() < event.bin_end + 10
    assert event.n_hits == 3
    hits = result.hits.set_index("panel")
    for p in (0, 2, 4):
        start = 8000.3 + (0.6 * STARTS[p] + path(np.array([STARTS[p]]))[0]) / HZ
        assert abs(hits.bin[p] - start) < 4


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_a_swinging_signal_that_is_in_off_too_is_no_event(share):
    planes = noise()
    add(planes, 8000.3, 0.6, 80.0, walk=swing)
    add(planes, 8000.3, 0.6, 80.0 * share, panels=(1, 3, 5), walk=swing)
    assert search(planes).events.empty


def test_a_swinging_signal_that_is_missing_from_an_on_panel_is_no_event():
    planes = noise()
    add(planes, 8000.3, 0.6, 80.0, panels=(0, 2), walk=swing)
    assert search(planes).events.empty


def test_noise_has_no_event():
    assert sum(len(search(noise(seed)).events) for seed in range(4)) == 0


def test_a_needle_that_crosses_a_strong_line_is_found():
    planes = noise()
    add(planes, 6000.0, 0.0, 5000.0, range(6))
    add(planes, 5800.0, 1.0, 60.0)
    events = search(planes).events
    assert len(events) == 1
    assert events.iloc[0].drift_hz_s == pytest.approx(1.0, abs=0.04)


def test_a_needle_next_to_a_stronger_one_is_its_own_event():
    planes = noise()
    add(planes, 6000.0, 0.5, 500.0)
    add(planes, 6060.0, 0.5, 50.0)
    events = search(planes).events.sort_values("bin")
    assert len(events) == 2
    np.testing.assert_allclose(events.bin, [6000, 6060], atol=2)


def test_rolloff_slopes_bursts_and_the_dc_spike_are_no_signals():
    planes = noise()
    x = np.linspace(-1, 1, WIDTH)
    planes *= (1 / (1 + np.exp((np.abs(x) - 0.95) / 0.02)) + 0.3) * (1 + 0.3 * x)
    planes[3, 5] *= 1.4
    planes[0, 7, 2000:9000] *= 1.2
    planes[:, :, WIDTH // 2] *= 40
    add(planes, 3000.0, 0.9, 60.0)
    events = search(planes * 3e9).events
    assert len(events) == 1
    assert abs(events.iloc[0].bin - 3000) < 2


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_channels_without_a_level_have_no_event(fill):
    result = search(np.full((6, ROWS, WIDTH), fill, np.float32))
    assert len(result.events) == 0
    assert tuple(result.events.columns) == EVENT_COLUMNS
    assert tuple(result.hits.columns) == HIT_COLUMNS


def test_a_few_bad_values_do_not_spoil_the_rest():
    planes = noise()
    planes[:, :, 1000:1100] = np.nan
    planes[2, 3, :500] = np.inf
    planes[:, :, 12000:12500] = 0
    add(planes, 6000.0, 0.7, 60.0)
    assert len(search(planes).events) == 1


def test_hits_have_a_row_a_panel_at_its_own_first_row():
    planes = noise()
    add(planes, 6000.0, 1.2, 60.0)
    hits = search(planes).hits
    hits = hits[hits.snr > 7]
    assert hits.panel.tolist() == [0, 2, 4]
    expected = 6000 + 1.2 * np.array(STARTS)[[0, 2, 4]] / HZ
    np.testing.assert_allclose(hits.bin, expected, atol=3)


def test_a_weak_event_has_a_hit_in_every_on_panel():
    planes = noise()
    add(planes, 6000.0, 0.05, 6.5)
    result = search(planes)
    assert result.events.n_hits.tolist() == [3]
    assert result.events[["snr_1", "snr_3", "snr_5"]].min(axis=1).iloc[0] < 5
    assert {0, 2, 4} <= set(result.hits.panel[(result.hits.bin - 6000).abs() < 60])


def test_a_reversed_channel_has_the_same_events_with_the_other_sign():
    planes = noise()
    add(planes, 6000.0, 1.2, 60.0)
    add(planes, 11000.0, -0.2, 40.0)
    events = search(planes).events.sort_values("bin")
    mirrored = search(planes[:, :, ::-1]).events.sort_values("bin", ascending=False)
    np.testing.assert_allclose(mirrored.bin, WIDTH - 1 - events.bin, atol=0.5)
    np.testing.assert_allclose(mirrored.drift_hz_s, -events.drift_hz_s, atol=0.005)


def test_max_drift_limits_the_search():
    planes = noise()
    add(planes, 8000.0, 2.5, 80.0)
    assert len(search(planes, max_drift=1.0).events) == 0
    assert len(search(planes, max_drift=3.0).events) == 1


def test_other_numbers_of_rows_are_searched():
    planes = noise()[:, :13]
    add(full := noise(), 6000.0, 0.4, 60.0)
    assert len(search(full[:, :13]).events) == 1
    assert len(search(planes).events) == 0


def test_the_same_channel_gives_the_same_events():
    planes = noise()
    add(planes, 8000.0, 0.5, 60.0)
    first, second = search(planes), search(planes)
    assert first.events.equals(second.events)
    assert first.candidates.equals(second.candidates)
    assert len(search(planes[:, :, 6000:10000]).events) == 1  # works in another array, between two that share one
    assert first.candidates.equals(search(planes).candidates)


def test_a_skirt_of_a_strong_signal_is_no_second_event():
    planes = noise()
    add(planes, 6000.0, -0.4, 600.0)
    for offset in np.linspace(8, 40, 40):
        add(planes, 6000.0 + offset, -0.4, 15.0)
    events = search(planes).events
    assert len(events) == 1
    assert abs(events.iloc[0].bin - 6000) < 2


def test_a_very_strong_drifting_signal_leaves_no_event_around_it():
    planes = noise()
    add(planes, 9000.0, -2.2, 30000.0, range(6))
    add(planes, 3000.0, 0.9, 60.0)
    events = search(planes).events
    assert len(events) == 1
    assert abs(events.iloc[0].bin - 3000) < 2


def test_a_needle_that_fades_in_one_panel_is_found():
    planes = noise()
    add(planes, 6000.0, 0.4, 50.0, (0, 2))
    add(planes, 6000.0, 0.4, 16.0, (4,))
    events = search(planes).events
    assert len(events) == 1
