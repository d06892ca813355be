"""Data sets of generators of different making: their files, labels, limits, and what sets them apart."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import simulation_settings
from seti.data.cadence import OFF_PANELS, ON_PANELS, read_cadence
from seti.data.competition import cadence_path
from seti.errors import SetiError
from seti.simulation import crowded, radiometer
from seti.simulation.generated import draw_cadence, plan, simulate_generated
from seti.simulation.products import make

PRODUCTS = ("setigen", "crowded", "radiometer", "wide")


def settings(preset, *overrides):
    return simulation_settings(f"preset={preset}", "workers=1", *overrides)


@pytest.fixture(scope="module", params=PRODUCTS)
def made(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("generated") / request.param
    return request.param, simulate_generated(settings(request.param, f"root={root}", "train=4", "test=2"))


def test_a_set_has_the_competitions_layout(made):
    product, root = made
    truth = pd.read_csv(root / "truth.csv", dtype={"id": str, "panels": str})
    labels = pd.read_csv(root / "train_labels.csv", dtype={"id": str})
    assert list(truth) == ["id", "split", "target", "kind", "shape", "snr", "drift", "panels"]
    assert len(truth) == 6
    assert len(labels) == 4
    assert labels["target"].sum() == (2 if product == "wide" else 1)
    types = set()
    for row in truth.itertuples():
        panels = read_cadence(cadence_path(root, row.split, row.id), size=(273, 256))
        types.add(panels.dtype)
        shown = {int(panel) for panel in str(row.panels).split()} if isinstance(row.panels, str) else set()
        on, off = shown & set(ON_PANELS), shown & set(OFF_PANELS)
        assert row.target == (row.kind == "needle")
        assert bool(shown) == (row.kind != "background")
        assert (bool(on) and not off) if row.target else (bool(off) or not shown)
    assert types == {np.dtype(np.float32 if product == "radiometer" else np.float16)}


def test_a_finished_set_is_left_as_it_is_and_one_of_other_settings_is_refused(made):
    product, root = made
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.npy")}
    simulate_generated(settings(product, f"root={root}", "train=4", "test=2"))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.npy")} == before
    with pytest.raises(SetiError, match="holds a set made with other settings"):
        simulate_generated(settings(product, f"root={root}", "train=4", "test=2", "seed=1"))


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_cadence_follows_from_the_seed_and_its_place(product):
    first = settings(product, "train=3", "test=2")
    one = plan(first)[1]
    again, other = (draw_cadence(dataclasses.replace(first, seed=seed), one)[0] for seed in (0, 1))
    assert draw_cadence(first, one)[0].tobytes() == again.tobytes()
    assert again.tobytes() != other.tobytes()


@pytest.mark.parametrize("product", PRODUCTS)
def test_kinds_have_exact_shares(product):
    kinds = pd.Series([one.kind for one in plan(settings(product, "train=200", "test=0", "positives=0.5"))])
    assert kinds.value_counts().to_dict() == {
        **{"needle": 100, "background": 40, "decoy_everywhere": 20},
        **{"decoy_off_only": 15, "decoy_partial": 15, "decoy_faint_off": 10},
    }


@pytest.mark.parametrize("product", ["setigen", "crowded", "radiometer"])
def test_a_stronger_needle_changes_its_own_panels_alone(product, monkeypatch):
    monkeypatch.setattr(crowded, "OTHERS", 0)
    monkeypatch.setattr(radiometer, "NEIGHBOURS", 0)
    weak, strong = (settings(product, "train=6", "test=0", "positives=1", f"snr=[{snr},{snr}]") for snr in (10, 100))
    for one in plan(weak):
        (faint, truth), (bright, _) = draw_cadence(weak, one), draw_cadence(strong, one)
        changed = [panel for panel in range(6) if faint[panel].tobytes() != bright[panel].tobytes()]
        assert " ".join(map(str, changed)) == truth["panels"]


@pytest.mark.parametrize(("product", "fastest"), [("setigen", "0.329"), ("crowded", "0.281"), ("radiometer", "0.262")])
def test_a_signal_that_leaves_the_band_is_refused(product, fastest):
    with pytest.raises(SetiError, match=f"max_drift_rate=0.5 must be between 0 and {fastest} Hz/s"):
        simulate_generated(settings(product, "max_drift_rate=0.5"))


@pytest.mark.parametrize(
    ("override", "message"),
    [("snr=[5]", "snr=.* must be"), ("complete=2", "complete=2.0 must be a share"), ("train=-1", "train=-1 must be 0")],
)
def test_wrong_limits_are_refused(override, message):
    with pytest.raises(SetiError, match=message):
        simulate_generated(settings("crowded", override))


def test_the_summary_names_the_next_command(tmp_path):
    made = make(settings("wide", f"root={tmp_path / 'set'}", "train=2", "test=1"))
    assert made.command == "check"  # two cadences are too few for folds
    assert "2 train (1 with a needle)" in made.summary
