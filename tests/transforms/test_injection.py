import numpy as np
import pytest

from seti.simulation.signals import SHAPES
from seti.transforms.injection import Injection, add, thermal_noise

ROWS, BINS, SIX = 80, 64, tuple(range(6))


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(6, ROWS, BINS)).astype(np.float16)


def changed(before: np.ndarray, after: np.ndarray) -> tuple[int, ...]:
    return tuple(panel for panel in range(len(before)) if not np.array_equal(before[panel], after[panel]))


def test_a_signal_has_the_snr_that_was_asked_for_and_the_panel_keeps_its_mean_and_deviation():
    panel = 3 * noise()[0].astype(np.float32) + 5
    before, track = panel.copy(), np.linspace(20, 30, ROWS).round()
    add(panel, track, np.ones(ROWS), snr=40.0, width=2.0)
    assert panel.mean() == pytest.approx(before.mean(), abs=1e-4)
    assert panel.std() == pytest.approx(before.std(), rel=1e-4)
    # Undo the scaling by a place that the signal does not reach.
    scale = panel[:, 50:].std() / before[:, 50:].std()
    added = (panel - panel[:, 50:].mean()) / scale - (before - before[:, 50:].mean())
    along = added[np.arange(ROWS), track.astype(int)]
    assert along.sum() / (thermal_noise(before) * np.sqrt(ROWS)) == pytest.approx(40, rel=0.01)
    neighbour = added[np.arange(ROWS), track.astype(int) + 1]
    np.testing.assert_allclose(neighbour / along, 0.5, atol=0.02)  # half of its height at half of its width


def test_thermal_noise_is_that_of_neighbouring_rows():
    panel = 2 * noise()[0].astype(np.float32)
    panel += 100 * np.sin(np.arange(BINS))
    assert thermal_noise(panel) == pytest.approx(2, rel=0.05)


def test_signals_beyond_the_band_are_cut_off():
    panel = noise()[0].astype(np.float32)
    add(panel, np.linspace(-30, BINS + 30, ROWS), np.ones(ROWS), snr=50.0, width=2.0)
    assert np.isfinite(panel).all()


def test_needles_are_positives_and_stand_in_on_panels_alone():
    cadence, seen = noise(), set()
    for seed in range(40):
        after, target = Injection(needles=1.0)(cadence, SIX, 0.0, np.random.default_rng(seed))
        assert target == 1
        assert set(changed(cadence, after)) <= {0, 2, 4}
        seen.add(changed(cadence, after))
    assert (0, 2, 4) in seen
    assert len(seen) > 3  # in one or two of them as well
    assert np.array_equal(cadence, noise())


def test_decoys_stay_negatives_in_all_panels_or_in_off_panels():
    cadence, kinds = noise(), []
    for seed in range(60):
        # Slow ones, which are inside of the band in every panel.
        after, target = Injection(decoys=1.0, drift=2.0)(cadence, SIX, 0.0, np.random.default_rng(seed))
        assert target == 0
        kinds.append(changed(cadence, after))
    everywhere = kinds.count(SIX)
    assert 18 < everywhere < 42
    assert all(set(kind) <= {1, 3, 5} for kind in kinds if kind != SIX)


def test_positives_are_left_as_they_are():
    cadence = noise()
    after, target = Injection(needles=0.5, decoys=0.5)(cadence, SIX, 1.0, np.random.default_rng(0))
    assert after is cadence
    assert target == 1


def test_shares_are_those_asked_for():
    cadence, injection = noise(), Injection(needles=0.2, decoys=0.3)
    made = [injection(cadence, SIX, 0.0, np.random.default_rng(seed)) for seed in range(400)]
    needles = sum(target for _, target in made)
    decoys = sum(after is not cadence and not target for after, target in made)
    assert needles / 400 == pytest.approx(0.2, abs=0.06)
    assert decoys / 400 == pytest.approx(0.3, abs=0.07)


def test_on_panels_alone_get_their_part_of_the_signal():
    whole = noise()
    for seed in range(10):
        after, _ = Injection(needles=1.0)(whole, SIX, 0.0, np.random.default_rng(seed))
        picked, _ = Injection(needles=1.0)(whole[[0, 2, 4]], (0, 2, 4), 0.0, np.random.default_rng(seed))
        np.testing.assert_array_equal(picked, after[[0, 2, 4]])


def test_drift_gap_snr_and_shape_are_within_their_limits():
    injection = Injection(needles=1.0, shapes=("line",), snr=(20.0, 30.0), drift=10.0, gap=(27.3, 27.3))  # 8 of 80
    drawn = [injection.draw(np.random.default_rng(seed), (0, 2, 4), ROWS, BINS) for seed in range(80)]
    assert {signal.shape for signal in drawn} == {"line"}
    assert 20 <= min(signal.snr for signal in drawn) < 21.5 < 28.5 < max(signal.snr for signal in drawn) <= 30
    for signal in drawn:
        slope = np.diff(signal.track, axis=1)
        np.testing.assert_allclose(slope, slope[0, 0])  # straight, and the same in all panels
        assert abs(slope[0, 0]) * ROWS <= 10
        # From panel to panel it goes on for the rows between them too.
        np.testing.assert_allclose(signal.track[1, 0] - signal.track[0, 0], slope[0, 0] * (ROWS + 8))
    assert max(abs(signal.track[0, 1] - signal.track[0, 0]) * ROWS for signal in drawn) > 9


def test_every_shape_is_drawn():
    drawn = {Injection().draw(np.random.default_rng(seed), (0,), ROWS, BINS).shape for seed in range(60)}
    assert drawn == set(SHAPES)
