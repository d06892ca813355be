"""Calibration: its numbers by hand, and calibrators on probabilities that are too sure of themselves."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from seti import calibration

COUNT = 20_000


def overconfident(count: int = COUNT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, true probabilities, and what a network says that is three times as sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1.0, 1.0, count)
    return (rng.random(count) < expit(logits)).astype(int), expit(logits), expit(3 * logits)


def test_numbers_by_hand():
    probs, targets = np.repeat([0.1, 0.8], [20, 10]), np.repeat([1, 0, 1, 0], [6, 14, 8, 2])
    curve = calibration.reliability(targets, probs)
    assert curve.to_dict("list") == {
        "prob": pytest.approx([0.1, 0.8]),
        "share": pytest.approx([0.3, 0.8]),
        "count": [20, 10],
    }
    assert calibration.calibration_error(targets, probs) == pytest.approx((20 * 0.2 + 10 * 0) / 30)
    brier = (6 * 0.9**2 + 14 * 0.1**2 + 8 * 0.2**2 + 2 * 0.8**2) / 30
    assert calibration.scores(targets, probs)["brier"] == pytest.approx(brier)


def test_bins_hold_equally_many_rows_and_keep_equal_probabilities_together():
    targets, probs, _ = overconfident(3000)
    curve = calibration.reliability(targets, probs)
    assert len(curve) == 15
    assert curve["count"].between(199, 201).all()
    assert curve["prob"].is_monotonic_increasing
    constant = calibration.reliability(targets, np.full(3000, 0.25))
    assert (len(constant), constant["count"][0], constant["share"][0]) == (1, 3000, pytest.approx(targets.mean()))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_overconfident_probabilities_are_mended_on_other_rows(method):
    targets, true, probs = overconfident()
    half = COUNT // 2
    mended = calibration.fit(method, targets[:half], probs[:half])(probs[half:])
    before, after = (calibration.scores(targets[half:], given) for given in (probs[half:], mended))
    assert before["calibration_error"] > 0.1
    assert after["calibration_error"] < 0.02
    assert after["brier"] < before["brier"] - 0.01
    assert np.abs(mended - true[half:]).mean() < 0.03
    was, now = (roc_auc_score(targets[half:], given) for given in (probs[half:], mended))
    assert now == was if method == "sigmoid" else now == pytest.approx(was, abs=0.002)


def test_sigmoid_leaves_calibrated_probabilities_and_finds_the_slope():
    targets, true, probs = overconfident()
    np.testing.assert_allclose(calibration.fit("sigmoid", targets, true)(true), true, atol=0.02)
    mended = logit(calibration.fit("sigmoid", targets, probs)(expit(np.array([0.0, 3.0]))))
    assert mended[1] - mended[0] == pytest.approx(1.0, abs=0.05)  # a third of the logit


def test_sigmoid_never_turns_ranks_round_and_bears_certainty():
    targets, true, _ = overconfident(500)
    flat = calibration.fit("sigmoid", 1 - targets, true)(np.sort(true))
    assert (np.diff(flat) > 0).all()
    assert flat.mean() == pytest.approx((1 - targets).mean(), abs=0.01)
    certain = np.repeat([0.0, 1.0], [40, 10])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mended = calibration.fit("sigmoid", certain.astype(int), certain)(certain)
    np.testing.assert_allclose(np.unique(mended), [1 / 42, 11 / 12], atol=1e-3)  # Platt's targets


def test_none_changes_nothing():
    targets, _, probs = overconfident(50)
    np.testing.assert_array_equal(calibration.fit("none", targets, probs)(probs), probs)
