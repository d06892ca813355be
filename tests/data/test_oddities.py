import logging

import numpy as np
import pandas as pd
import pytest
from unit_helpers import DATA, NO_AUGMENT, make_cadences, make_train_set

from seti.data import competition, integrity
from seti.data.oddities import describe_constant, describe_scale, describe_shape, sample_places
from seti.data.sources import CadenceArray
from seti.dataloading.datamodule import CadenceDataModule

NOISE = np.random.default_rng(0).normal(size=(4, 6, 30, 40))
NOISE = (NOISE - NOISE.mean((2, 3), keepdims=True)) / NOISE.std((2, 3), keepdims=True)
SCALE = (
    "the panels have mean {} and deviation {}, not 0 and 1: data.normalise=panel (or robust, flatten, whiten) "
    "standardises them, data.normalise=none does not"
)
SHAPE = (
    "the panels are 256 x 273, the competition's 273 x 256 (time x frequency): exchange the last two axes unless these "
    "panels have them right"
)


def rewrite(root, change) -> None:
    for path in root.rglob("*.npy"):
        np.save(path, change(np.load(path).astype(np.float32)))


def test_constant_panels_are_counted_and_the_first_is_named():
    cadences = NOISE.copy()
    cadences[1, 2:4], cadences[3] = 7.0, 1 + 1e-12 * cadences[3]  # the latter are constant as 32-bit floats
    source = CadenceArray(cadences, tuple(range(6)))
    assert describe_constant(source, [0, 2]) is None
    assert describe_constant(source, range(4)) == (
        "2 of 4 cadences have a constant panel, first 1, panel 2 (A), 3 (C): such a score means nothing"
    )
    assert describe_constant(source, [1, 2]) == (
        "1 of 2 cadences looked at has a constant panel, first 1, panel 2 (A), 3 (C): such a score means nothing"
    )


@pytest.mark.parametrize(
    "cadences",
    [NOISE, NOISE * 2 + 0.3, NOISE * 0.4, NOISE.astype(np.float16), [], np.full((3, 6, 4, 5), 7.0)],
    ids=["standardised", "nearly", "weak", "float16", "none", "constant"],
)
def test_standardised_panels_are_not_odd(cadences):
    assert describe_scale(cadences) is None


def test_a_strong_signal_in_one_panel_is_not_odd():
    cadences = NOISE.copy()
    cadences[1, 2, :, 7] += 500
    assert describe_scale(cadences) is None


@pytest.mark.parametrize(
    ("cadences", "mean", "deviation"),
    [
        ((NOISE * 0.15 + 1) * 3e9, "3e+09", "4.5e+08"),
        (NOISE * 0.15 + 1, "1", "0.15"),
        (NOISE * 30 + 1, "1", "30"),
        (NOISE**2, "1", "1.4"),
        (NOISE - 20, "-20", "1,"),
    ],
    ids=["power", "relative power", "scaled", "exponential", "shifted"],
)
def test_raw_powers_are(cadences, mean, deviation):
    line = describe_scale(cadences)
    assert line.endswith(SCALE.split(" and deviation {}", 1)[1])
    assert mean is None or f"mean {mean}" in line
    assert f"deviation {deviation}" in line


def test_only_the_competitions_size_shows_that_axes_are_exchanged():
    assert describe_shape(256, 273) == SHAPE
    assert [describe_shape(*size) for size in ((273, 256), (16, 512), (256, 256))] == [None] * 3


@pytest.mark.parametrize(("count", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (31, list(range(0, 31, 2)))])
def test_cadences_that_are_looked_at_are_spread_evenly(count, places):
    assert sample_places(count).tolist() == places


def test_the_check_warns_of_both(tmp_path):
    make_train_set(tmp_path, 6, 2, rows=256, bins=273)
    make_cadences(tmp_path, "test", ["ta", "tb"], rows=256, bins=273)
    pd.DataFrame({"id": ["ta", "tb"], "target": 0.5}).to_csv(tmp_path / competition.SUBMISSION, index=False)
    rewrite(tmp_path / "test", lambda cadence: cadence * 1e8 + 1e9)
    rewrite(tmp_path / "train", lambda cadence: cadence)
    findings = integrity.check(tmp_path)
    assert [(each.level, each.problem, each.split, each.id, each.path) for each in findings] == [
        ("warning", "not standardised", "test", "", str(tmp_path / "test")),
        ("warning", "transposed panels", "test", "", str(tmp_path / "test")),
        ("warning", "transposed panels", "train", "", str(tmp_path / "train")),
    ]
    assert [each.detail for each in findings] == [SCALE.format("1e+09", "1e+08"), SHAPE, SHAPE]


@pytest.mark.parametrize("normalise", ["none", "panel"])
def test_training_warns_of_raw_powers_once_and_only_where_it_matters(tmp_path, caplog, normalise):
    make_train_set(tmp_path, 12, 6)
    rewrite(tmp_path / "train", lambda cadence: cadence * 1e8 + 1e9)
    for fold in (0, 1):
        data = DATA | {"root": str(tmp_path), "normalise": normalise}
        with caplog.at_level(logging.WARNING):
            assert CadenceDataModule(data, NO_AUGMENT, fold, 0).fingerprint
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (normalise == "none")
    assert all(line.startswith(f"{tmp_path / 'train'}: the panels have mean 1e+09 and deviation") for line in lines)
