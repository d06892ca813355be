import numpy as np
import pytest
import shared_fields

from seti.backgrounds.verification import CHECKED, CONSTANT, DIFFERENT, fit, judge, noise, sample_overlap


def verify(one, two, shift):
    gain, offset, residual, thermal = fit(*(side[None] for side in sample_overlap(one, two, shift)))
    return gain[0], offset[0], residual[0], thermal[0], int(judge(gain, residual)[0])


def scales(field, offset):
    part = field[:, :, offset : offset + shared_fields.BINS]
    return part.mean(axis=(1, 2)), part.std(axis=(1, 2))


@pytest.mark.parametrize("rows", [16, 273])
@pytest.mark.parametrize("shift", [0, 20, -20, 44, -44])
def test_gain_and_offset_of_each_panel_are_found(rows, shift):
    field = shared_fields.draw_field(0, 150, rows)
    start = 50
    one, two = shared_fields.cut(field, start), shared_fields.cut(field, start + shift)
    gain, offset, residual, thermal, verdict = verify(one, two, shift)
    assert verdict == CHECKED
    (mean_one, deviation_one), (mean_two, deviation_two) = scales(field, start), scales(field, start + shift)
    np.testing.assert_allclose(gain, deviation_two / deviation_one, rtol=1e-3)
    np.testing.assert_allclose(offset, (mean_two - mean_one) / deviation_one, atol=2e-3)
    assert residual.max() < 0.002
    np.testing.assert_allclose(thermal, 1 / deviation_one, rtol=0.6)


@pytest.mark.parametrize("panels", [(0, 2, 4), (1, 3, 5), tuple(range(6))])
def test_signals_of_one_or_both_cadences_do_not_spoil_the_fit(panels):
    field = shared_fields.draw_field(1, 150, 273)
    one = shared_fields.cut(shared_fields.add_line(field, 60, 0.05, panels), 50)
    two = shared_fields.cut(shared_fields.add_line(field, 85, -0.04, panels), 60)
    gain, _, residual, _, verdict = verify(one, two, 10)
    assert verdict == CHECKED
    assert residual.max() < 0.01
    back = verify(two, one, -10)[0]
    np.testing.assert_allclose(gain * back, 1, rtol=2e-3)


def test_a_needle_in_most_of_a_narrow_overlap_leaves_the_link():
    field = shared_fields.draw_field(2, 150, 273)
    one = shared_fields.cut(field, 50)
    two = shared_fields.cut(shared_fields.add_line(field, 95.5, 0.0), 92)  # six bins, four of them in the line
    assert verify(one, two, 42)[-1] == CHECKED


@pytest.mark.parametrize("rows", [16, 273])
@pytest.mark.parametrize("shift", [0, 19, 21, -20, 44])
def test_other_noise_is_refused(rows, shift):
    field, other = shared_fields.draw_field(3, 150, rows), shared_fields.draw_field(4, 150, rows)
    one = shared_fields.cut(field, 50)
    *_, residual, _, verdict = verify(one, shared_fields.cut(other, 70), shift)
    assert verdict == DIFFERENT
    assert residual.min() > 0.25
    # The same field at a shift that is wrong by a bin or more.
    assert verify(one, shared_fields.cut(field, 70), shift)[-1] == DIFFERENT


def test_one_panel_of_other_noise_refuses_the_link():
    field = shared_fields.draw_field(5, 150, 273)
    one, two = shared_fields.cut(field, 50), shared_fields.cut(field, 60)
    two[4] = shared_fields.cut(shared_fields.draw_field(6, 150, 273), 60)[4]
    assert verify(one, two, 10)[-1] == DIFFERENT


def test_a_constant_panel_refuses_the_link_for_that_reason():
    field = shared_fields.draw_field(7, 150, 273)
    one, two = shared_fields.cut(field, 50), shared_fields.cut(field, 60)
    two[4] = 0
    *_, residual, _, verdict = verify(one, two, 10)
    assert verdict == CONSTANT
    assert np.isinf(residual[4])
    one[4] = 0
    assert verify(one, two, 10)[-1] == CONSTANT
    assert verify(np.zeros_like(one), np.zeros_like(one), 0)[-1] == CONSTANT


def test_a_negative_gain_is_other_noise():
    field = shared_fields.draw_field(8, 150, 273)
    one = shared_fields.cut(field, 50)
    assert verify(one, -shared_fields.cut(field, 60), 10)[-1] == DIFFERENT


def test_noise_is_the_thermal_noise_whatever_the_structure():
    rng = np.random.default_rng(0)
    blocks = 3 * rng.standard_normal((2, 4, 4000))
    structure = 50 * np.array([0, 1, 0, 1])[:, None] + 7 * np.array([0, 0, 1, 1])[:, None]
    np.testing.assert_allclose(noise(blocks + structure), 3, rtol=0.05)
