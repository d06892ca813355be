import dataclasses
import hashlib
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import simulation_settings
from seti.data.cadence import OFF_PANELS, read_cadence
from seti.data.competition import cadence_path
from seti.errors import SetiError
from seti.simulation import dataset as sim
from seti.simulation import spectra, wide_field
from seti.simulation.settings import FieldSettings
from seti.simulation.validation import check_settings

BARE = dict.fromkeys(("slope", "comb", "emission", "bursts", "flicker", "spike"), 0.0)


@pytest.fixture(scope="module")
def wide():
    """Settings of fields of 2,048 bins, each with three to eight cadences."""
    fields = FieldSettings(width=2048, cuts=[3, 8], both_splits=0.5, rfi=0.5)
    settings = simulation_settings("workers=1", "train=40", "test=20")
    return dataclasses.replace(settings, shared_backgrounds=0.8, fields=fields)


@pytest.mark.parametrize(("cuts", "width"), [(2, 513), (3, 2048), (60, 4096), (60, 1024), (257, 513)])
def test_every_cut_overlaps_the_next_one_and_fits(cuts, width):
    for seed in range(20):
        places, bins = wide_field.draw_cuts(np.random.default_rng(seed), cuts, width, 256)
        assert len(places) == cuts
        gaps = np.diff(np.sort(places))
        assert gaps.max() <= 256 - wide_field.LEAST_OVERLAP
        assert places.min() == 0
        assert places.max() + 256 <= bins <= width


def test_a_wide_background_has_features_all_along():
    shares = {**BARE, "slope": 1.0, "spike": 0.5}
    background = wide_field.draw_wide_background(np.random.default_rng(0), shares, 2, 5, 4096)
    assert background.brightness.shape == (2, 5, 4096)
    assert background.features == ("slope", "spike")
    # A spike in every second stretch of 256 bins or so, and structure in every stretch.
    assert 2 <= np.count_nonzero(background.spike) <= 16
    assert (np.ptp(background.brightness[0, 0].reshape(-1, 256), axis=1) > 0.05).all()
    # Blended sections: no jumps but those of the sections themselves.
    assert np.abs(np.diff(background.brightness[0, 0])).max() < 1


def test_interference_is_never_a_needle():
    times = np.arange(6)[:, None] * 350.0 + np.arange(273)
    signals = wide_field.draw_interference(np.random.default_rng(1), times, 2048, 50, spectra.DF)
    assert 30 < len(signals) < 75
    for signal in signals:
        assert set(signal.panels) & set(OFF_PANELS)
        assert signal.track[list(signal.panels)].min() > 0
        assert signal.track[list(signal.panels)].max() < 2048
    assert {len(signal.panels) == 6 for signal in signals} == {True, False}


def test_shares_of_shared_cadences_and_of_fields_for_both_splits(wide):
    many = dataclasses.replace(wide, train=3000, test=1000)
    groups = sim.plan(many)
    shared = [group for group in groups if len(group) > 1]
    assert len([one for group in groups for one in group]) == 4000
    assert len({one.id for group in groups for one in group}) == 4000
    assert sum(map(len, shared)) in (3199, 3200)
    assert {len(group) for group in shared[:-2]} == set(range(3, 9))
    both = np.mean([len({one.split for one in group}) == 2 for group in shared])
    assert both == pytest.approx(0.5, abs=0.05)
    for share, wanted in ((0.0, {1}), (1.0, {2})):
        fields = dataclasses.replace(wide.fields, both_splits=share, cuts=[10, 40])
        shared = [one for one in sim.plan(dataclasses.replace(many, fields=fields)) if len(one) > 1]
        # A pool that runs out gives the last fields to the other split.
        assert np.mean([len({one.split for one in group}) in wanted for group in shared]) > 0.95


def test_cadences_of_a_wide_field_hold_the_same_noise_and_interference(wide, tmp_path):
    settings = dataclasses.replace(
        wide, root=str(tmp_path), train=4, test=0, positives=0.0, shared_backgrounds=1.0,
        fields=FieldSettings(width=1024, cuts=[4, 4], rfi=2.0), decoys={"everywhere": 0.0, "off_only": 0.0},
    )  # fmt: skip
    sim.simulate(settings)
    truth = pd.read_csv(tmp_path / "truth.csv", dtype={"id": str}).sort_values("offset")
    assert truth["features"].str.split().map(lambda names: names[-1] == "rfi").all()
    cadences = [read_cadence(cadence_path(tmp_path, "train", one)).astype(np.float64) for one in truth["id"]]
    shifts = np.diff(truth["offset"])
    for (left, right), shift in zip(itertools.pairwise(cadences), shifts, strict=True):
        for one, two in zip(left[:, :, shift:], right[:, :, : 256 - shift], strict=True):
            # One gain and one offset a panel undo the standardisation.
            line = np.polyfit(two.ravel(), one.ravel(), 1)
            assert np.std(one - np.polyval(line, two)) < 0.01 * np.std(one)


def test_files_do_not_depend_on_the_order_in_which_they_are_made(wide, tmp_path):
    settings = dataclasses.replace(wide, root=str(tmp_path), train=6, test=3)
    sim.simulate(settings)
    digests = {path: hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.rglob("*.npy")}
    for path in list(digests)[::2]:
        path.unlink()
    sim.simulate(settings)
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.rglob("*.npy")} == digests


def test_default_settings_are_recorded_as_before():
    settings = simulation_settings("workers=1")
    assert "fields" not in settings.recorded()
    wider = dataclasses.replace(settings, fields=FieldSettings(width=1024))
    assert wider.recorded()["fields"] == {"width": 1024, "cuts": [2, 5], "both_splits": None, "rfi": 0.0}
    json.dumps(wider.recorded())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 300}, "fields.width=300 must be between 512 and 16384 bins"),
        ({"width": 20000}, "fields.width=20000 must be between 512 and 16384 bins"),
        ({"cuts": [1, 5]}, "fields.cuts=[1, 5] must be [fewest, most], between 2 and 257 for this fields.width"),
        ({"cuts": [5, 2]}, "fields.cuts=[5, 2] must be [fewest, most], between 2 and 257 for this fields.width"),
        ({"cuts": [2, 258]}, "fields.cuts=[2, 258] must be [fewest, most], between 2 and 257 for this fields.width"),
        ({"both_splits": 1.5}, "fields.both_splits=1.5 must be a share between 0 and 1"),
        ({"rfi": -1.0}, "fields.rfi=-1.0 must be a number of signals between 0 and 100"),
        ({"rfi": float("nan")}, "fields.rfi=nan must be a number of signals between 0 and 100"),
    ],
)
def test_impossible_fields_are_refused(wide, changed, message):
    with pytest.raises(SetiError) as caught:
        check_settings(dataclasses.replace(wide, fields=dataclasses.replace(FieldSettings(), **changed)))
    assert str(caught.value) == message
