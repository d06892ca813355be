import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from seti.evaluation import calibration
from seti.reports import score_plots


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities and targets for which they are exact."""
    rng = np.random.default_rng(seed)
    probs = expit(rng.normal(-2, 1.5, count))
    return (rng.random(count) < probs).astype(int), probs


def test_the_reliability_curve_by_hand():
    targets = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    probs = np.array([0.1, 0.2, 0.1, 0.2, 0.6, 0.7, 0.7, 1.0])
    curve = calibration.reliability(targets, probs, bins=2)
    np.testing.assert_allclose(curve["prob"], [0.15, 0.75])
    np.testing.assert_allclose(curve["share"], [0.25, 0.75])
    assert list(curve["count"]) == [4, 4]
    assert calibration.calibration_error(targets, probs, bins=2) == pytest.approx(0.05)
    brier = (0.01 + 0.04 + 0.01 + 0.64 + 0.16 + 0.49 + 0.09 + 0) / 8
    assert calibration.scores(targets, probs)["brier"] == pytest.approx(brier)


def test_bins_hold_equal_numbers_of_rows_and_keep_ties_together():
    targets, probs = drawn(0, 3000)
    curve = calibration.reliability(targets, probs)
    assert list(curve["count"]) == [200] * 15
    share, prob = calibration_curve(targets, probs, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(curve["share"], share)
    np.testing.assert_allclose(curve["prob"], prob)
    tied = calibration.reliability(np.array([0, 1] * 50), np.where(np.arange(100) < 97, 0.5, 0.9))
    assert list(tied["count"]) == [97, 3]
    constant = calibration.reliability(np.array([0, 1, 1, 1]), np.full(4, 0.3))
    assert (list(constant["prob"]), list(constant["share"])) == ([0.3], [0.75])


def test_the_order_of_rows_does_not_matter():
    targets, probs = drawn(1, 1000)
    probs = probs.round(2)
    order = np.random.default_rng(0).permutation(1000)
    expected = calibration.calibration_error(targets, probs)
    assert calibration.calibration_error(targets[order], probs[order]) == pytest.approx(expected, abs=1e-12)


def test_the_error_separates_calibrated_from_overconfident_probabilities():
    targets, probs = drawn(2, 60_000)
    assert calibration.calibration_error(targets, probs) < 0.006
    assert calibration.calibration_error(targets, expit(3 * logit(probs))) > 0.05
    assert calibration.calibration_error(targets, np.clip(probs + 0.07, 0, 1)) == pytest.approx(0.07, abs=0.01)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("bent", [lambda z: 3 * z + 1, lambda z: 0.4 * z, lambda z: z - 2], ids=["sure", "shy", "low"])
def test_a_calibrator_works_on_other_rows(method, bent):
    targets, probs = drawn(3, 40_000)
    given = expit(bent(logit(probs)))
    half = np.arange(40_000) < 20_000
    calibrator = calibration.fit(method, targets[half], given[half])
    fixed = calibrator(given[~half])
    before, after = (calibration.calibration_error(targets[~half], p) for p in (given[~half], fixed))
    assert before > 0.05
    assert after < 0.012
    assert ((fixed >= 0) & (fixed <= 1)).all()
    if method == "sigmoid":  # the distortion is linear in the logits, which it inverts exactly
        np.testing.assert_allclose(fixed, probs[~half], atol=0.03)


def test_the_sigmoid_keeps_calibrated_probabilities_and_ranks():
    targets, probs = drawn(4, 60_000)
    fixed = calibration.fit("sigmoid", targets, probs)(probs)
    np.testing.assert_allclose(fixed, probs, atol=0.02)
    np.testing.assert_array_equal(fixed.argsort(), probs.argsort())


def test_the_sigmoid_is_platt_scaling():
    """It minimises the cross-entropy with his soft targets, also where the classes do not overlap."""
    probs = np.array([0.1, 0.2, 0.3, 0.7, 0.8])
    targets = np.array([0, 0, 0, 1, 1])
    soft = np.array([1 / 5] * 3 + [3 / 4] * 2)
    calibrator = calibration.fit("sigmoid", targets, probs)

    def loss(calibrated):
        return log_loss(np.repeat([1, 0], 5), np.tile(calibrated, 2), sample_weight=np.concatenate([soft, 1 - soft]))

    own = calibrator(probs)
    slope, intercept = np.polyfit(logit(probs), logit(own), 1)
    for change in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert loss(own) < loss(expit((slope + change[0]) * logit(probs) + intercept + change[1]))


def test_the_sigmoid_accepts_zeros_and_ones_and_never_reverses_ranks():
    probs = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0] * 20)
    upside_down = (probs < 0.5).astype(int)
    calibrated = calibration.fit("sigmoid", upside_down, probs)(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(calibrated).all()
    assert calibrated[0] < calibrated[1] < calibrated[2]
    np.testing.assert_allclose(calibrated, 0.5, atol=0.02)


def test_the_isotonic_calibrator_rises_in_steps_that_cost_auc():
    targets, probs = drawn(5, 4000)
    half = np.arange(4000) < 2000
    calibrator = calibration.fit("isotonic", targets[half], probs[half])
    stepped = calibrator(probs[~half])
    assert len(np.unique(stepped)) < len(np.unique(probs[~half])) / 2
    assert roc_auc_score(targets[~half], stepped) < roc_auc_score(targets[~half], probs[~half])
    assert (np.diff(calibrator(np.linspace(0, 1, 100))) >= 0).all()


def test_the_calibrator_none_changes_nothing():
    targets, probs = drawn(6, 100)
    assert calibration.fit("none", targets, probs)(probs) is probs


def test_a_reliability_figure_shows_the_error_and_the_bins():
    targets, probs = drawn(7, 3000)
    figure = score_plots.draw_reliability({"stack": (targets, probs), "_sure": (targets, expit(3 * logit(probs)))})
    axis = figure.axes[0]
    errors = [calibration.calibration_error(targets, p) for p in (probs, expit(3 * logit(probs)))]
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["as it says", f"error {errors[0]:.4f}  stack", f"error {errors[1]:.4f}  _sure"]
    curve = calibration.reliability(targets, probs)
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), curve[["prob", "share"]])
    assert axis.lines[1].get_zorder() > axis.lines[2].get_zorder()
