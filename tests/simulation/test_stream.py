"""Stream of randomised cadences: labels that are right, reproducible draws, and what the cadences span."""

import numpy as np
import pytest

from seti.data.cadence import OFF_PANELS, ON_PANELS
from seti.errors import SetiError
from seti.simulation.stream import draw_stream_cadence

DRAWN = [draw_stream_cadence(7, index, rows=40) for index in range(400)]


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


def test_a_needle_is_in_on_panels_alone_and_every_decoy_in_an_off_panel():
    for cadence in DRAWN:
        on, off = set(cadence.panels) & set(ON_PANELS), set(cadence.panels) & set(OFF_PANELS)
        assert cadence.label == (cadence.kind == "needle")
        if cadence.kind == "background":
            assert not cadence.panels
        elif cadence.label:
            assert on
            assert not off
        else:
            assert off


def test_kinds_have_their_shares():
    kinds = [cadence.kind for cadence in DRAWN]
    assert np.mean([kind == "needle" for kind in kinds]) == pytest.approx(0.5, abs=0.08)
    assert set(kinds) == {
        *("needle", "background", "decoy_everywhere", "decoy_faint_off", "decoy_off_only", "decoy_partial")
    }


@pytest.mark.parametrize(("attribute", "least"), [("noise", 8), ("form", 8), ("shape", 11), ("timing", 10)])
def test_every_family_is_drawn(attribute, least):
    assert len({getattr(cadence, attribute) for cadence in DRAWN}) >= least


def test_a_kind_can_be_asked_for():
    for kind in ("needle", "background", "decoy_partial"):
        assert draw_stream_cadence(0, 0, rows=16, kind=kind).kind == kind


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"index": -1}, {"rows": 1}, {"bins": 4}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SetiError, match="a stream has no cadence of"):
        draw_stream_cadence(**({"seed": 0, "index": 0} | wrong))
