"""Data sets of snippets of observations: 16 rows of raw power, cut along tracks."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import simulation_settings
from seti.data.cadence import read_cadence
from seti.data.competition import cadence_path, read_labels, read_test_labels
from seti.data.integrity import check
from seti.errors import SetiError
from seti.simulation.observation_settings import SnippetSettings
from seti.simulation.observation_snippets import draw_cadence, plan, simulate_snippets
from seti.simulation.plan import Planned
from seti.simulation.population import DECOYS
from seti.simulation.products import make


@pytest.fixture(scope="module")
def preset():
    return simulation_settings("preset=observation", "workers=1", "train=20", "test=10")


def change(settings, root=None, **changed):
    """Settings with other values in group `observation`, or at the top where they are not settings of the group."""
    names = {one.name for one in dataclasses.fields(SnippetSettings)}
    group = dataclasses.replace(settings.observation, **{k: v for k, v in changed.items() if k in names})
    top = {k: v for k, v in changed.items() if k not in names}
    return dataclasses.replace(settings, observation=group, **top, **({} if root is None else {"root": str(root)}))


def content(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def draw(settings, kind="needle", index=0, **changed):
    return draw_cadence(change(settings, **changed), Planned("x", "train", index, kind))


def test_a_data_set_has_the_competitions_layout_with_16_rows_of_raw_power(preset, tmp_path):
    root = simulate_snippets(change(preset, tmp_path / "set"))
    labels, truth = read_labels(root), pd.read_csv(root / "truth.csv", dtype={"id": str})
    assert (len(labels), labels["target"].sum()) == (20, 10)
    assert (len(read_test_labels(root)), read_test_labels(root)["target"].sum()) == (10, 5)
    assert labels["id"].is_unique
    assert set(truth["kind"]) == {"needle", "background", *(f"decoy_{kind}" for kind in DECOYS)}
    assert ((truth["kind"] == "needle") == (truth["target"] == 1)).all()
    # Raw power: the check says that it has to be normalised, and nothing else.
    assert {finding.problem for finding in check(root, workers=1)} == {"not standardised"}
    for name in labels["id"]:
        panels = read_cadence(cadence_path(root, "train", name))
        assert (panels.shape, panels.dtype) == ((6, 16, 256), np.float32)
        assert panels.min() > 0
        assert 1e7 < np.median(panels) < 1e12


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers_and_a_stopped_run_goes_on(preset, tmp_path):
    settings = change(preset, tmp_path / "a", seed=3)
    root = simulate_snippets(settings)
    before = content(root)
    assert content(simulate_snippets(change(settings, tmp_path / "b", workers=2))) == before
    next((root / "train").rglob("*.npy")).unlink()
    (root / "train_labels.csv").unlink()
    simulate_snippets(settings)
    assert content(root) == before
    with pytest.raises(SetiError, match=r"made with other settings \(seed: 3, now 4\)"):
        simulate_snippets(change(settings, seed=4))


def test_kinds_are_exact(preset):
    kinds = pd.Series([one.kind for one in plan(change(preset, train=1000, test=0))]).value_counts()
    assert kinds["needle"] == 500
    assert kinds["background"] == 150
    assert [kinds[f"decoy_{kind}"] for kind in DECOYS] == [50] * 7


@pytest.mark.parametrize("index", range(4))
def test_a_snippet_is_cut_along_its_signal_whatever_the_drift_rate(preset, index):
    plain = dict.fromkeys(("curved", "scintillating", "neighbours", "drift_error", "max_width_hz"), 0.0)
    panels, truth = draw(preset, index=index, snr=[2000, 3000], **plain)
    assert truth["cut_drift_rate"] == truth["drift_rate"]
    spread = max(1, round(abs(truth["drift_rate"]) * 18.25 / 2.794))  # bins that the signal crosses in a row
    for panel in panels[::2]:
        sums = [np.convolve(row, np.ones(spread), "same") for row in panel]
        middle = np.argmax(sums, axis=1)
        assert np.abs(middle - 128).max() <= 10  # within 8 of the middle of the snippet
        assert np.ptp(middle) <= 4
    assert panels[::2].max() > 2 * panels[1::2].max()
    assert truth["panels"] == "0 2 4"


def test_a_snippet_at_fixed_frequencies_shows_the_drift(preset):
    settings = change(preset, straighten=False, max_drift_rate=0.15, snr=[900, 1000], curved=0.0, scintillating=0.0)
    panels, truth = draw(settings, neighbours=0.0, max_width_hz=0.0)
    place = [int(panels[panel].sum(axis=0).argmax()) for panel in (0, 4)]
    expected = truth["drift_rate"] * 4 * (16 * 18.25 + 45) / 2.794
    assert np.diff(place)[0] == pytest.approx(expected, abs=abs(expected) / 4 + 6)
    assert truth["cut_drift_rate"] == 0
    with pytest.raises(SetiError, match=r"max_drift_rate=0.5 must be at most 0.327 Hz/s: a faster signal leaves"):
        simulate_snippets(change(settings, max_drift_rate=0.5))


def test_noise_is_chi_square_in_every_row(preset):
    panels, truth = draw(preset, "background", neighbours=0.0)
    assert np.isnan(truth["snr"])
    steps = np.diff(panels, axis=2) / np.median(panels, axis=2, keepdims=True)
    assert steps.std() / np.sqrt(2) == pytest.approx(1 / np.sqrt(102), rel=0.15)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": 1}, "observation.rows=1 must be 2 or more"),
        ({"bins": 8}, "observation.bins=8 must be 32 or more"),
        ({"decoys": 1.5}, "observation.decoys=1.5 must be a share between 0 and 1"),
        ({"drift_error": -1.0}, "observation.drift_error=-1.0 must be 0 Hz/s or more"),
        ({"decoy_snr": [5, 4]}, "observation.decoy_snr=[5, 4] must be [lowest, highest], both above 0"),
        ({"train": 0, "test": 0}, "train=0 and test=0 leave nothing to simulate: raise one of them"),
        ({"positives": 2.0}, "positives=2.0 must be a share between 0 and 1"),
        ({"workers": 0}, "workers=0 must be 1 or more, or null for one per core"),
    ],
)
def test_settings_that_cannot_work_are_refused(preset, tmp_path, changed, said):
    with pytest.raises(SetiError) as error:
        simulate_snippets(change(preset, tmp_path / "set", **changed))
    assert str(error.value) == said
    assert not (tmp_path / "set").exists()


def test_conf_has_the_defaults_of_the_code(preset):
    assert preset.observation == SnippetSettings()
    assert (preset.product, preset.max_drift_rate) == ("observation", 4)


def test_the_product_is_what_the_settings_name(preset, tmp_path):
    made = make(change(preset, tmp_path / "set", train=4, test=0))
    assert made.summary.endswith("4 train (2 with a needle), 0 test (0 with a needle), 0.4 MB")
    assert made.command == "train"
    with pytest.raises(SetiError, match="product='cadense' is none: did you mean 'cadence'"):
        make(dataclasses.replace(preset, product="cadense"))
    with pytest.raises(SetiError, match="seed=-1 must be 0 or more"):
        make(dataclasses.replace(preset, seed=-1))
