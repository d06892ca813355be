"""Rows between two panels: one rule for training, injection, prediction and export."""

from dataclasses import replace

import numpy as np
import pytest
from unit_helpers import DATA, NO_AUGMENT, make_train_set

from seti.dataloading.datamodule import CadenceDataModule
from seti.transforms.gaps import scale_gap
from seti.transforms.injection import Injection
from seti.transforms.input_spec import InputSpec

FAN = {"max_drift": 8, "drifts": 9, "gap": [0.1, 56]}


def trained_on(root, rows: int) -> InputSpec:
    """Input of a network that is trained on panels of so many rows."""
    make_train_set(root, 12, 6, rows=rows)
    data = DATA | {"root": str(root), "groups": None, "layout": "dedoppler", "normalise": "whiten", "dedoppler": FAN}
    return CadenceDataModule(data, NO_AUGMENT, 0, 1).spec


def test_a_gap_keeps_its_length_relative_to_a_panels():
    assert scale_gap([0, 56], 16) == pytest.approx([0, 56 * 16 / 273])
    assert scale_gap((0, 56), 546) == [0, 112]
    assert scale_gap((2, 4), 8, of=16) == [1, 2]


@pytest.mark.parametrize("gap", [[0.1, 56], [1 / 3, 0.7], [0, 1e-9]])
def test_the_competitions_panels_have_it_as_it_is_written(gap):
    assert scale_gap(gap, 273) == gap


@pytest.mark.parametrize("rows", [8, 16, 273, 400])
def test_training_and_prediction_have_the_same_gap_for_panels_of_any_size(tmp_path, rows):
    spec = trained_on(tmp_path, rows)
    assert spec.rows == rows
    assert spec.dedoppler["gap"] == [gap * rows / 273 if rows != 273 else gap for gap in FAN["gap"]]
    elsewhere = replace(spec, rows=273, dedoppler=FAN).for_panels(rows, spec.bins)
    assert elsewhere == spec


@pytest.mark.parametrize("rows", [16, 80, 273, 546])
def test_injected_signals_go_on_between_the_panels_for_as_long(rows):
    injection = Injection(needles=1.0, shapes=("line",), gap=(54.6, 54.6))  # a fifth of a panel
    signal = injection.draw(np.random.default_rng(1), (0, 2, 4), rows, 64)
    slope = np.diff(signal.track, axis=1)
    np.testing.assert_allclose(slope, slope[0, 0])
    np.testing.assert_allclose(np.diff(signal.track[:, 0]), slope[0, 0] * rows * 1.2)
