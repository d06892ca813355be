import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from seti.evaluation.calibration import calibration_error
from seti.stacking import out_of_fold
from seti.stacking.meta_models import base, boosted_trees, hill_climbing, logistic
from seti.stacking.meta_models.base import Rows

FOLDS = 4


@pytest.fixture(autouse=True)
def few_values(monkeypatch):
    monkeypatch.setattr(logistic, "C_VALUES", np.logspace(2, -2, 3))


def rows_of(seed: int, count: int, *noises: float, signal: float = 1.5) -> Rows:
    """Rows of experiments that see the signal with independent noise of these deviations; infinite is pure noise."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(count) % 4 == 0).astype(int)
    seen = [
        rng.normal(size=count) if np.isinf(noise) else signal * targets + noise * rng.normal(size=count)
        for noise in noises
    ]
    return Rows(expit(np.transpose(seen)), targets, rng.permutation(count) % FOLDS)


def mean_auc(rows: Rows, scores: np.ndarray) -> float:
    folds = [rows.folds == fold for fold in np.unique(rows.folds)]
    return float(np.mean([roc_auc_score(rows.targets[f], scores[f]) for f in folds]))


def test_climbing_finds_the_pair_and_omits_noise():
    """Two equally good experiments, a copy of the first one, and two of noise."""
    rows = rows_of(0, 4000, 1.5, 1.5, np.inf, np.inf)
    rows = Rows(np.column_stack([rows.features, rows.features[:, 0]]), rows.targets, rows.folds)
    found = hill_climbing.climb(rows)
    weights = found.weights(5)
    assert weights[2:].tolist() == [0, 0, 0]
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=0.12)
    assert found.auc == pytest.approx(mean_auc(rows, rows.features @ weights), abs=1e-12)
    alone = [mean_auc(rows, rows.features[:, column]) for column in range(5)]
    assert found.picks[0] == int(np.argmax(alone))
    assert found.auc > max(alone) + 0.05


def test_every_pick_is_the_one_that_raises_the_mean_most():
    """Checked with scikit-learn's AUC, ties included."""
    rows = rows_of(1, 600, 1.0, 1.5, 2.0, 3.0)
    rows = Rows(rows.features.round(1), rows.targets, rows.folds)
    found = hill_climbing.climb(rows)
    total, best = np.zeros(600), 0.0
    for pick in found.picks:
        scores = [mean_auc(rows, total + rows.features[:, column]) for column in range(4)]
        assert scores[pick] == pytest.approx(max(scores), abs=1e-9)
        total += rows.features[:, pick]
        best = max(best, scores[pick])
    assert found.auc == pytest.approx(best, abs=1e-12)
    assert mean_auc(rows, total) == pytest.approx(best, abs=1e-9)


def test_climbing_passes_a_step_without_gain():
    """Half of the second experiment is too much, a third is right, and picking the first one twice gains nothing."""
    rng = np.random.default_rng(5)
    targets = rng.permutation(np.arange(4000) % 2).astype(int)
    first = targets + rng.normal(size=4000)
    second = targets + 2 * rng.normal(size=4000)
    features = np.column_stack([0.5 + first / 50, 0.5 + second / 50]).clip(0, 1)
    rows = Rows(features, targets, rng.permutation(4000) % FOLDS)
    alone, half = mean_auc(rows, features[:, 0]), mean_auc(rows, features.sum(axis=1))
    assert half < alone
    found = hill_climbing.climb(rows)
    assert found.auc > alone + 0.005
    assert found.weights(2)[1] == pytest.approx(0.2, abs=0.15)  # optimal for variances of 1 and 4


def test_climbing_returns_the_best_experiment_if_no_other_helps():
    rows = rows_of(2, 800, 0.5)
    copies = Rows(np.repeat(rows.features, 3, axis=1), rows.targets, rows.folds)
    assert hill_climbing.climb(copies).picks == [0]
    assert hill_climbing.climb(rows).picks == [0]


def test_climbing_does_not_compare_folds_on_different_scales():
    """One experiment ranks every fold perfectly, on scales so different that its pooled AUC is near chance."""
    rng = np.random.default_rng(3)
    targets, folds = np.tile([0, 1], 400), np.repeat(np.arange(FOLDS), 200)
    perfect = 0.25 * folds + 0.1 * targets + 0.01 * rng.random(800)
    decent = expit(targets + rng.normal(size=800))
    rows = Rows(np.column_stack([decent, perfect]), targets, folds)
    assert roc_auc_score(targets, perfect) < roc_auc_score(targets, decent)
    found = hill_climbing.climb(rows)
    assert found.picks == [1]
    assert found.auc == 1.0


def test_folds_of_one_class_each_are_compared_together():
    rows = rows_of(4, 400, 0.5, np.inf)
    rows = Rows(rows.features, rows.targets, rows.targets)
    assert hill_climbing.climb(rows).auc == pytest.approx(roc_auc_score(rows.targets, rows.features[:, 0]))


@pytest.mark.parametrize("meta", out_of_fold.META_MODELS)
def test_on_noise_the_nested_score_is_at_chance(meta):
    fit = out_of_fold.META_MODELS[meta]
    searched, nested = [], []
    for seed in range(3):
        rows = rows_of(seed, 2400, *[np.inf] * 6)
        searched.append(fit(rows, 0, 1).auc)
        nested.append(mean_auc(rows, out_of_fold.nested_probabilities(fit, rows, seed=0).probs))
    # The standard deviation of a chance AUC is 0.014 for one seed, and 0.008 for their mean.
    assert np.mean(nested) == pytest.approx(0.5, abs=0.025)
    if meta == "hill_climbing":  # the search is scored on the same rows
        assert np.mean(searched) > np.mean(nested) + 0.01


@pytest.mark.parametrize("meta", out_of_fold.META_MODELS)
def test_a_blend_beats_its_best_experiment(meta):
    rows = rows_of(6, 4000, 1.2, 1.4, 1.6, np.inf)
    fit = out_of_fold.META_MODELS[meta]
    nested = out_of_fold.nested_probabilities(fit, rows, seed=0).probs
    best = max(mean_auc(rows, column) for column in rows.features.T)
    # Independent noise of 1.2, 1.4 and 1.6 deviations averages to 0.79: an AUC of at most 0.91 instead of 0.81.
    assert best == pytest.approx(0.81, abs=0.02)
    assert 0.88 < mean_auc(rows, nested) < 0.91
    assert ((nested >= 0) & (nested <= 1)).all()


@pytest.mark.parametrize("meta", out_of_fold.META_MODELS)
def test_threads_change_nothing_and_a_refit_is_the_same_model(meta):
    rows = rows_of(7, 1000, 1.0, 1.5, 2.0)
    one, two = (out_of_fold.META_MODELS[meta](rows, 3, n_jobs) for n_jobs in (1, 2))
    assert (one.auc, one.choices) == (two.auc, two.choices)
    np.testing.assert_array_equal(one.predict(rows.features), two.predict(rows.features))
    np.testing.assert_array_equal(one.predict(rows.features), one.refit(rows)(rows.features))


def test_trees_rise_with_every_experiment_and_do_not_invert_a_bad_one():
    rows = rows_of(8, 2000, 1.0, 1.5)
    upside_down = Rows(np.column_stack([rows.features[:, 0], 1 - rows.features[:, 1]]), rows.targets, rows.folds)
    fitted = boosted_trees.fit(upside_down, 0)
    grid = np.linspace(0, 1, 50)
    assert (np.diff(fitted.predict(np.column_stack([grid, np.full(50, 0.5)]))) >= 0).all()
    flat = fitted.predict(np.column_stack([np.full(50, 0.7), grid]))
    assert np.ptp(flat) == pytest.approx(0, abs=1e-12)


def test_trees_use_the_size_and_number_with_the_best_inner_score():
    rows = rows_of(9, 1500, 1.0, 1.5)
    fitted = boosted_trees.fit(rows, 0)
    splits = list(base.inner_splits(rows.targets, 0))
    means = {}
    for leaves in boosted_trees.LEAVES:
        for trees in boosted_trees.ROUNDS:
            probs = [boosted_trees._fit(rows[train], leaves, trees)(rows.features[test]) for train, test in splits]
            aucs = [roc_auc_score(rows.targets[test], p) for (_, test), p in zip(splits, probs, strict=True)]
            means[leaves, trees] = np.mean(aucs)
    assert fitted.auc == pytest.approx(max(means.values()), abs=1e-12)
    assert means[fitted.choices["leaves"], fitted.choices["trees"]] == pytest.approx(fitted.auc, abs=1e-12)


@pytest.mark.parametrize("calibrate", ["sigmoid", "isotonic"])
def test_calibration_corrects_overconfident_experiments(calibrate):
    rows = rows_of(10, 4000, 1.0, 1.2)
    sure = Rows(expit(4 * logit(rows.features) + 1), rows.targets, rows.folds)
    nested = out_of_fold.nested_probabilities(hill_climbing.fit, sure, seed=0, calibrate=calibrate)
    before, after = (calibration_error(rows.targets, probs) for probs in (nested.probs, nested.calibrated))
    assert before > 0.3
    assert after < 0.03
    if calibrate == "sigmoid":
        assert mean_auc(rows, nested.calibrated) == pytest.approx(mean_auc(rows, nested.probs), abs=1e-12)
    else:
        assert mean_auc(rows, nested.calibrated) == pytest.approx(mean_auc(rows, nested.probs), abs=0.005)


@pytest.mark.parametrize("calibrate", ["sigmoid", "isotonic"])
def test_a_calibrator_is_fitted_to_held_out_probabilities(monkeypatch, calibrate):
    """No row is predicted by a meta-model that was fitted to it."""
    rows, fitted_to, asked = rows_of(11, 400, 1.0, 1.5), [], []

    def refit(other):
        known = {tuple(row) for row in other.features}

        def predict(features):
            asked.append(len(features))
            assert not known & {tuple(row) for row in features}
            return features[:, 0]

        fitted_to.append(len(known))
        return predict

    fitted = base.Fitted(predict=None, refit=refit, auc=0.5, choices={})
    calibrator = out_of_fold.fit_calibrator(calibrate, fitted, rows, seed=0)
    assert fitted_to == [320] * 5
    assert asked == [80] * 5
    assert calibrator(np.array([0.1, 0.9])).shape == (2,)
