"""What `stack.py` does with its meta-model and its calibration, from experiments to submission."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, roc_auc_score
from stack_helpers import CADENCES, FOLDS, MODELS, TESTED, config, oof_tables, table, write_outputs, write_predictions
from unit_helpers import seal_predictions

from seti import blending, calibration, hill_climbing, logistic, stacking
from seti.errors import SetiError


@pytest.fixture(autouse=True)
def few_values(monkeypatch):
    monkeypatch.setattr(logistic, "C_VALUES", np.logspace(2, -2, 4))


@pytest.fixture
def rows() -> pd.DataFrame:
    return table(0, CADENCES, "a")


@pytest.fixture
def test_rows() -> pd.DataFrame:
    return table(1, TESTED, "t")


@pytest.fixture
def outputs(tmp_path, rows, test_rows) -> Path:
    return write_outputs(tmp_path, oof_tables(rows), test_rows)


def stacked(outputs: Path, **settings) -> tuple[dict, pd.DataFrame, pd.Series]:
    """Its report, out-of-fold table and submission."""
    blending.stack(config(outputs, **settings))
    folder = outputs / "stack"
    submission = pd.read_csv(folder / "submission.csv").set_index("id")["target"]
    return json.loads((folder / "stack.json").read_text()), pd.read_csv(folder / "oof.csv"), submission


@pytest.mark.parametrize("meta", stacking.META_MODELS)
def test_the_chosen_meta_model_is_handed_in_and_all_are_scored(outputs, rows, test_rows, meta, capsys):
    report, oof, submission = stacked(outputs, meta=meta)
    joined = stacking.join_oof(oof_tables(rows)).rows()
    test = test_rows.set_index("id")[list(MODELS)]
    expected = stacking.META_MODELS[meta](joined, 0).predict(test.to_numpy())
    assert list(submission.index) == list(test.index)
    np.testing.assert_allclose(submission, expected, atol=1e-9)
    assert (report["meta"], report["calibrate"]) == (meta, "none")
    assert list(report["meta_models"]) == ["logistic", "hill_climbing", "boosted_trees"]
    told = capsys.readouterr().out
    for name, fit in stacking.META_MODELS.items():
        nested = stacking.nested_probabilities(fit, joined, 0)
        scores = report["meta_models"][name]
        assert scores["oof_auc"] == pytest.approx(roc_auc_score(joined.targets, nested.probs), abs=1e-9)
        inside = joined.folds == 2
        assert scores["fold_auc"]["2"] == pytest.approx(roc_auc_score(joined.targets[inside], nested.probs[inside]))
        assert scores["mean_auc"] == pytest.approx(np.mean(list(scores["fold_auc"].values())))
        assert scores["nested_choices"] == json.loads(json.dumps(nested.choices))
        assert scores["brier"] == pytest.approx(brier_score_loss(joined.targets, nested.probs))
        assert f"{scores['mean_auc']:.4f}" in told
        assert sum(scores["reliability"]["count"]) == CADENCES
        if name == meta:
            np.testing.assert_allclose(oof["prob"], nested.probs, atol=1e-9)
            for key in ("oof_auc", "mean_auc", "calibration_error", "brier", "reliability"):
                assert report["stack"][key] == scores[key]
    weighted = {name for name, scores in report["experiments"].items() if "weight" in scores}
    assert weighted == (set() if meta == "boosted_trees" else set(MODELS))
    assert f"calibration error {report['stack']['calibration_error']:.4f}" in told
    assert "before calibrate" not in told
    assert (outputs / "stack" / "reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def sure(tmp_path) -> Path:
    """Experiments that are three times as sure as they may be."""
    rows, test_rows = table(0, 1600, "a"), table(1, TESTED, "t")
    for given in (rows, test_rows):
        given[list(MODELS)] = expit(3 * logit(given[list(MODELS)]))
    return write_outputs(tmp_path, oof_tables(rows), test_rows)


@pytest.mark.parametrize("calibrate", ["sigmoid", "isotonic"])
def test_calibration_mends_the_blend_and_the_submission(sure, calibrate, capsys):
    raw, before, plain = stacked(sure, meta="hill_climbing")
    capsys.readouterr()
    report, after, submission = stacked(sure, meta="hill_climbing", calibrate=calibrate)
    old, new = report["meta_models"]["hill_climbing"], report["stack"]
    assert old == raw["meta_models"]["hill_climbing"]
    assert old["calibration_error"] > 0.05
    assert new["calibration_error"] < old["calibration_error"] / 2
    assert new["calibration_error"] == calibration.calibration_error(after["target"], after["prob"])
    assert new["brier"] < old["brier"]
    assert new["reliability"] == calibration.reliability(after["target"], after["prob"]).to_dict("list")
    assert list(after["id"]) == list(before["id"])
    told = capsys.readouterr().out
    assert f"before calibrate={calibrate}: calibration error {old['calibration_error']:.4f}" in told
    assert f"probabilities: calibration error {new['calibration_error']:.4f}" in told

    # The submission's calibrator is fitted to all rows, and only bends what the meta-model says.
    assert list(submission.index) == list(plain.index)
    assert (np.diff(submission[plain.sort_values().index]) >= 0).all()
    joined = before.merge(after, on="id")
    for fold in range(FOLDS):
        one = joined[joined["fold_x"] == fold].sort_values("prob_x")
        assert (np.diff(one["prob_y"]) >= 0).all()
    if calibrate == "sigmoid":
        assert list(submission.rank()) == list(plain.rank())
        slopes = np.diff(logit(submission.to_numpy())) / np.diff(logit(plain.to_numpy()))
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-6)
        assert 0 < slopes[0] < 0.9


def test_a_damaged_test_cadence_gets_the_prior_after_calibration_too(outputs, test_rows):
    probs = test_rows["beta"].where(test_rows["id"] != "t0007")
    write_predictions(outputs / "beta", test_rows["id"], probs)
    for meta in stacking.META_MODELS:
        report, oof, submission = stacked(outputs, meta=meta, calibrate="isotonic")
        assert report["test_cadences_without_score"] == 1
        assert submission["t0007"] == pytest.approx(oof["target"].mean())
        assert submission.notna().all()


def test_ranks_of_an_experiment_are_no_probabilities_to_a_meta_model(outputs):
    """`predict.py average=rank` leaves the folds' probabilities, and the blend goes by them."""
    _, _, expected = stacked(outputs)
    path, record = outputs / "beta" / "predictions.csv", outputs / "beta" / "predictions.json"
    predictions = pd.read_csv(path)
    predictions.assign(prob=predictions["prob"].rank() / len(predictions)).to_csv(path, index=False)
    seal_predictions(path.parent)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"average": "rank"}))
    _, _, submission = stacked(outputs)
    np.testing.assert_allclose(submission, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"meta": "forest"}, "meta=forest is none of logistic, hill_climbing, boosted_trees"),
        ({"calibrate": "platt"}, "calibrate=platt is none of none, sigmoid, isotonic"),
    ],
)
def test_unknown_settings_are_refused_in_one_line(outputs, settings, said):
    with pytest.raises(SetiError) as caught:
        blending.stack(config(outputs, **settings))
    assert str(caught.value) == said
    assert not (outputs / "stack").exists()


def test_the_weights_of_hill_climbing_are_told(outputs, rows, capsys):
    report, _, _ = stacked(outputs, meta="hill_climbing")
    weights = [report["experiments"][name]["weight"] for name in MODELS]
    found = hill_climbing.climb(stacking.join_oof(oof_tables(rows)).rows())
    assert weights == pytest.approx(found.weights(3))
    assert f"share of {len(found.picks)} picks" in " ".join(capsys.readouterr().out.split())
