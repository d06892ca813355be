"""Stream of randomised cadences: labels that are right, reproducible draws, and what the cadences span."""

import numpy as np
import pytest

from seti.data.cadence import OFF_PANELS, ON_PANELS
from seti.errors import SetiError
from seti.simulation.stream import draw_stream_cadence
from seti.simulation.wide import noise
from seti.simulation.wide.signals import DECOYS, add_signal, draw_times


@pytest.fixture(scope="module")
def many():
    return [draw_stream_cadence(7, index, rows=40) for index in range(400)]


def test_a_cadence_follows_from_its_seed_and_index_alone():
    first, again = draw_stream_cadence(3, 11), draw_stream_cadence(3, 11)
    assert first.data.tobytes() == again.data.tobytes()
    assert first.data.shape == (6, 273, 256)
    assert (first.label, first.kind, first.shape) == (again.label, again.kind, again.shape)
    for other in (draw_stream_cadence(3, 12), draw_stream_cadence(4, 11)):
        assert other.data.tobytes() != first.data.tobytes()


@pytest.mark.parametrize("rows", [2, 16, 273])
def test_any_number_of_rows_gives_finite_numbers(rows):
    for index in range(30 if rows < 273 else 5):
        cadence = draw_stream_cadence(1, index, rows=rows)
        assert cadence.data.shape == (6, rows, 256)
        assert cadence.data.dtype in (np.float16, np.float32)
        assert np.isfinite(cadence.data).all()
        assert cadence.data.std(dtype=np.float64) > 0


def test_a_needle_is_in_on_panels_alone_and_every_decoy_in_an_off_panel(many):
    for cadence in many:
        on, off = set(cadence.panels) & set(ON_PANELS), set(cadence.panels) & set(OFF_PANELS)
        assert cadence.label == (cadence.kind == "needle")
        if cadence.kind == "background":
            assert not cadence.panels
        elif cadence.label:
            assert on
            assert not off
        else:
            assert off


def test_kinds_have_their_shares(many):
    kinds = [cadence.kind for cadence in many]
    assert np.mean([kind == "needle" for kind in kinds]) == pytest.approx(0.5, abs=0.08)
    assert set(kinds) == {
        *("needle", "background", "decoy_everywhere", "decoy_faint_off", "decoy_off_only", "decoy_partial")
    }


@pytest.mark.parametrize(("attribute", "least"), [("noise", 8), ("form", 8), ("shape", 11), ("timing", 10)])
def test_every_family_is_drawn(many, attribute, least):
    assert len({getattr(cadence, attribute) for cadence in many}) >= least


def test_a_kind_can_be_asked_for():
    for kind in ("needle", "background", "decoy_partial"):
        assert draw_stream_cadence(0, 0, rows=16, kind=kind).kind == kind


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"index": -1}, {"rows": 1}, {"bins": 4}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SetiError, match="a stream has no cadence of"):
        draw_stream_cadence(**({"seed": 0, "index": 0} | wrong))


def test_an_unknown_kind_is_refused():
    with pytest.raises(SetiError, match=r"kind='decoy': there are needle, decoy_everywhere, .*, background"):
        draw_stream_cadence(0, 0, kind="decoy")


@pytest.mark.parametrize("kind", ["needle", *DECOYS])
def test_a_signal_has_its_snr_and_lies_in_its_panels_alone(kind):
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        panels, deviation = np.zeros((6, 273, 256), np.float32), np.full((6, 273, 256), 2, np.float32)
        drawn = add_signal(rng, kind, panels, deviation, draw_times(rng, 273))
        snr = np.sqrt(np.square(panels, dtype=np.float64).sum(axis=(1, 2))) / 2
        assert not snr[drawn.brightness == 0].any()
        on, off = snr[list(ON_PANELS)].max(), snr[list(OFF_PANELS)].max()
        if kind == "needle":
            assert on > 0.3 * drawn.snr
        else:
            assert off > 0.65 * on or off > 2.5
        found += list(snr[drawn.brightness > 0] / (drawn.snr * drawn.brightness[drawn.brightness > 0]))
    # Some leave the band in a panel, and some fluctuate.
    assert np.median(found) == pytest.approx(1, abs=0.02)
    assert max(found) < 2.5


def test_noise_of_every_family_has_mean_0_and_deviation_1():
    for family, draw in noise.SOURCES.items():
        for freedom in (2, 4, 5, 30, 300):
            values = draw(np.random.default_rng(0), (6, 100, 256), freedom).astype(np.float64)
            assert values.mean() == pytest.approx(0, abs=0.03), (family, freedom)
            assert values.std() == pytest.approx(1, abs=0.12), (family, freedom)


@pytest.mark.parametrize("freedom", [2, 4, 6, 20, 200])
def test_chi_square_noise_has_the_skew_of_its_degrees_of_freedom(freedom):
    values = noise.chi_square(np.random.default_rng(1), (6, 200, 256), freedom).astype(np.float64)
    assert (values**3).mean() == pytest.approx(np.sqrt(8 / freedom), abs=0.05)
