"""Residual energy as an experiment of its own."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import compose

from seti.config.baseline_checks import check_baseline
from seti.errors import SetiError
from seti.evaluation.residual_energy import residual_energy
from seti.experiments import predictions
from seti.experiments.experiment import Experiment
from seti.inference.untrained import score
from seti.stacking.stack import stack

ROWS, BINS = 40, 64


def cadence(on: float = 0.0, off: float = 0.0, rest: float = 0.001, seed: int = 0) -> np.ndarray:
    panels = np.maximum(np.random.default_rng(seed).normal(0, rest, (6, ROWS, BINS)), 0)
    for panel in range(6):
        panels[panel, np.arange(ROWS), 20 + np.arange(ROWS) // 4] += off if panel % 2 else on
    return panels.astype(np.float16)


def test_energy_in_on_panels_alone_counts():
    none, needle, decoy, away = (residual_energy(cadence(*heights)) for heights in ((0, 0), (1, 0), (1, 1), (0, 1)))
    assert abs(none) < 0.1
    assert abs(decoy) < 0.1
    assert needle > 3
    assert away == pytest.approx(-needle, abs=0.1)
    bright = residual_energy(cadence(1000))
    assert bright == pytest.approx(residual_energy(cadence(20)), abs=0.1)


def test_untouched_cadences_are_flattened_first():
    noise = np.random.default_rng(0).normal(0, 1, (6, ROWS, BINS))
    steady = 50 * np.exp(-0.5 * ((np.arange(BINS) - 30) / 3) ** 2)
    plain = residual_energy((noise + steady).astype(np.float16))
    assert abs(plain) < 0.1
    with_needle = noise + steady + cadence(4, 0, 0)
    assert residual_energy((3 * with_needle + 5).astype(np.float16)) > plain + 0.1


def settings(data_root, **changes) -> dict:
    return {"root": str(data_root), "n_folds": 2, "fold_seed": 42, "folds": None, "groups": "auto"} | changes


def test_it_is_an_experiment_that_is_blended(data_root, outputs, finished, predict, small_searches, capsys):
    auc = score(settings(data_root), outputs / "residual", 1)
    assert 0.5 < auc <= 1
    assert "outputs/residual: stack.py blends it" in capsys.readouterr().out
    experiment = Experiment(outputs / "residual")
    assert experiment.is_finished()
    oof, table = experiment.read_oof(), predictions.read_predictions(experiment)
    assert len(oof) == 40
    assert list(table) == ["id", "fold_0", "fold_1", "prob"]
    assert json.loads(experiment.cv_path.read_text())["mean_auc"] > 0.5
    submission = pd.read_csv(experiment.submission_path)
    assert list(submission) == ["id", "target"]
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}")
    predict()
    stack(compose("stack", [f"output_dir={outputs}", "n_jobs=1"]))
    assert set(json.loads((outputs / "stack" / "stack.json").read_text())["experiments"]) == {"exp", "residual"}
    # The same again gives the same; another experiment is not replaced.
    score(settings(data_root), outputs / "residual", 1)
    assert Experiment(outputs / "residual").read_oof().equals(oof)
    with pytest.raises(SetiError, match=r"exp is the experiment of a network: give another folder, out=<folder>"):
        score(settings(data_root), outputs / "exp", 1)


def test_settings_of_the_baseline(tmp_path):
    assert check_baseline(compose("baseline", ["data.root=x", "data.groups=none"]))["groups"] is None
    for words, message in (
        (["score=noise"], r"score=noise is none of brightness, residual"),
        (["out=outputs/stack"], r"exp_name='stack' cannot name a folder"),
        (["data.n_folds=1"], r"data.n_folds=1 must be at least 2"),
    ):
        with pytest.raises(SetiError, match=message):
            check_baseline(compose("baseline", words))


def test_scores_of_another_data_set_are_not_overwritten(data_root, own_data, outputs):
    score(settings(data_root), outputs / "residual", 1)
    before = (outputs / "residual" / "cv.json").read_bytes()
    labels = pd.read_csv(own_data / "train_labels.csv", dtype={"id": str})
    labels.iloc[1:].to_csv(own_data / "train_labels.csv", index=False)
    with pytest.raises(SetiError) as error:
        score(settings(own_data), outputs / "residual", 1)
    assert str(error.value) == (
        f"{outputs / 'residual'} holds the scores of another data set, {data_root}: give this one a folder of its own, "
        f"out={outputs / 'residual_own_data'}"
    )
    assert (outputs / "residual" / "cv.json").read_bytes() == before
    score(settings(data_root, n_folds=4), outputs / "other", 1)
    score(settings(data_root, n_folds=4, fold_seed=1), outputs / "other", 1)  # the same data set, other folds
