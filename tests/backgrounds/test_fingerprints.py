import numpy as np
import pytest
import shared_fields

from seti.backgrounds.fingerprints import DEAD, REPEATED, as_float32, fingerprint


def differing_bits(one, two):
    return np.bitwise_count(one ^ two)


@pytest.mark.parametrize("rows", [16, 24, 273, 1000])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_keys_do_not_depend_on_gain_and_offset(rows, kind):
    panels = np.random.default_rng(0).standard_normal((3, rows, 40))
    plain = fingerprint(panels.astype(np.float32))
    scaled = fingerprint((0.37 * panels + 5).astype(kind))
    assert plain.shape == (3, 39)
    assert plain.dtype == np.uint64
    # Rounding to float16 at a level of 5 is up to 0.002, of noise of 0.37.
    most = 6 if kind == np.float16 else 1
    assert differing_bits(plain, scaled).max() <= most
    assert differing_bits(plain, scaled).mean() < (1.5 if kind == np.float16 else 0.1)


def test_keys_of_the_same_noise_move_with_it():
    field = shared_fields.draw_field(0, 120, 273)
    one, two = (fingerprint(shared_fields.cut(field, offset)) for offset in (0, 31))
    assert differing_bits(one[:, 31:], two[:, : 47 - 31]).max() <= 2
    assert differing_bits(one, two).mean() == pytest.approx(32, abs=1)


def test_a_steady_step_between_bins_changes_no_key():
    panels = np.random.default_rng(0).standard_normal((1, 32, 40)).astype(np.float32)
    stepped = panels + 20 * (np.arange(40) > 20).astype(np.float32) + np.linspace(0, 9, 40, dtype=np.float32)
    assert differing_bits(fingerprint(panels), fingerprint(stepped)).max() <= 1


def test_unrelated_keys_differ_in_half_of_their_bits():
    rng = np.random.default_rng(0)
    keys = fingerprint(rng.standard_normal((2, 273, 256)).astype(np.float16))
    bits = differing_bits(keys[0], keys[1])
    assert bits.mean() == pytest.approx(32, abs=1)
    assert bits.min() > 12


def test_bins_without_noise_are_dead_and_a_periodic_panel_repeats():
    rng = np.random.default_rng(0)
    panels = rng.standard_normal((4, 64, 40)).astype(np.float16)
    panels[0] = 3
    panels[1] = np.arange(40)  # a steady spectrum: the same in every row
    panels[2] = np.tile(panels[2, :, :10], 4)
    panels[3, :, 5:8] = panels[3, :, 5:6]
    keys = fingerprint(panels)
    assert (keys[:2] == DEAD).all()
    assert (keys[2] == REPEATED).sum() == 39
    assert np.flatnonzero(keys[3] == DEAD).tolist() == [5, 6]
    assert not (keys[3] == REPEATED).any()


def test_every_float16_is_converted_exactly():
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(as_float32(values), values.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(as_float32(values)), np.signbit(values))


def test_a_level_far_above_the_noise_is_no_hindrance():
    noise = np.random.default_rng(0).standard_normal((1, 16, 30))
    high = (noise + 3e4).astype(np.float32)
    assert differing_bits(fingerprint(high), fingerprint(high.astype(np.float64))).max() <= 1
    assert differing_bits(fingerprint(high), fingerprint(noise.astype(np.float32))).mean() < 1
