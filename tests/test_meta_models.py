"""Meta-models on rows: what they find, what they leave alone, and what they must not see."""

from itertools import product

import numpy as np
import pytest
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from seti import boosted_trees, hill_climbing, logistic, stacking
from seti.meta_model import Fitted, Rows, held_out

FOLDS = 4


@pytest.fixture(autouse=True)
def few_values(monkeypatch):
    monkeypatch.setattr(logistic, "C_VALUES", np.logspace(2, -2, 4))


def rows_of(noises: list[float], count: int = 1200, seed: int = 0) -> Rows:
    """Experiments that see the target under noise of their own; with infinite noise they see nothing."""
    rng = np.random.default_rng(seed)
    targets, folds = (rng.permutation(np.arange(count) % 5 == 0)).astype(int), rng.permutation(count) % FOLDS
    seen = [rng.normal(size=count) + (0 if np.isinf(noise) else 2 * targets / noise) for noise in noises]
    return Rows(expit(np.stack(seen, axis=1) - 2), targets, folds)


def fold_auc(rows: Rows, probs: np.ndarray) -> float:
    inside = [rows.folds == fold for fold in range(FOLDS)]
    return float(np.mean([roc_auc_score(rows.targets[fold], probs[fold]) for fold in inside]))


def test_hill_climbing_finds_the_best_pair_and_leaves_noise_out():
    rows = rows_of([np.inf, 1.0, 4.0, 1.0, np.inf])
    fitted = hill_climbing.fit(rows, 0)
    assert fitted.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(fitted.weights[[1, 3]], 0.5, atol=0.15)
    assert fitted.weights[[0, 4]].max() <= 0.1
    pairs = {pair: fold_auc(rows, rows.features[:, pair].mean(axis=1)) for pair in product(range(5), repeat=2)}
    assert max(pairs, key=pairs.get) == (1, 3)
    assert fitted.auc >= pairs[1, 3] > max(auc for pair, auc in pairs.items() if set(pair) != {1, 3})
    np.testing.assert_allclose(fitted.predict(rows.features), rows.features @ fitted.weights, atol=1e-12)


def test_a_pair_that_is_right_everywhere_is_found_exactly():
    """One experiment finds half of the needles, the other one the rest; the third is nearly as good as either."""
    targets = np.repeat([1, 1, 0, 0], 50)
    first, second = (np.repeat(values, 50) for values in ([0.9, 0.3, 0.1, 0.3], [0.3, 0.9, 0.3, 0.1]))
    third = np.random.default_rng(0).permutation(200) / 200
    rows = Rows(np.stack([third, first, second], axis=1), targets, np.arange(200) % FOLDS)
    found = hill_climbing.climb(rows)
    assert found.auc == 1
    assert sorted(found.picks) == [1, 2]


def test_a_climb_is_scored_by_the_mean_of_the_folds_auc_ties_counting_half():
    rows = rows_of([1.0, 2.0, 1.5], count=400)
    rows = Rows(np.round(rows.features, 1), rows.targets, rows.folds)  # ties in plenty
    found = hill_climbing.climb(rows)
    assert found.auc == pytest.approx(fold_auc(rows, np.round(rows.features @ found.weights(3), 9)), abs=1e-9)
    assert found.auc >= max(fold_auc(rows, column) for column in rows.features.T)
    assert found == hill_climbing.climb(rows, n_jobs=2)


def test_a_climb_does_not_pay_for_the_folds_scales():
    """By all rows at once the third would win, which knows nothing but its fold's share of needles."""
    targets, folds = np.tile([0, 0, 0, 1], 100), np.repeat(np.arange(FOLDS), 100)
    targets[(folds == 3) & (np.arange(400) % 4 == 2)] = 1
    rng = np.random.default_rng(1)
    good = expit(targets + rng.normal(size=400))
    rows = Rows(np.stack([good, 0.1 + 0.2 * folds], axis=1), targets, folds)
    assert set(hill_climbing.climb(rows).picks) == {0}


def test_boosted_trees_are_scikit_learns_grid_search():
    rows = rows_of([1.0, 2.0])
    fitted = boosted_trees.fit(rows, seed=3)
    model = HistGradientBoostingClassifier(
        learning_rate=0.2, l2_regularization=1.0, max_bins=63, monotonic_cst=[1, 1], early_stopping=False
    )
    grid = {"max_iter": list(boosted_trees.ROUNDS), "max_leaf_nodes": list(boosted_trees.LEAVES)}
    splitter = StratifiedKFold(5, shuffle=True, random_state=3)
    search = GridSearchCV(model.set_params(min_samples_leaf=20), grid, scoring="roc_auc", cv=splitter)
    search.fit(rows.features, rows.targets)
    assert fitted.auc == pytest.approx(search.best_score_, abs=1e-9)
    assert fitted.choices == {"leaves": search.best_params_["max_leaf_nodes"], "trees": search.best_params_["max_iter"]}
    np.testing.assert_allclose(fitted.predict(rows.features), search.predict_proba(rows.features)[:, 1], atol=1e-9)


def test_boosted_trees_only_rise_and_leave_out_who_ranks_the_wrong_way_round():
    rows = rows_of([1.0, 2.0])
    turned = Rows(np.c_[rows.features, 1 - rows.features[:, :1]], rows.targets, rows.folds)
    predict = boosted_trees.fit(turned, 0).predict
    points = np.linspace(0, 1, 50)
    for column in range(2):
        line = np.full((50, 3), 0.4)
        line[:, column] = points
        assert (np.diff(predict(line)) >= 0).all()
        assert predict(line)[-1] > predict(line)[0] + 0.01
    alone = Rows(turned.features[:, 2:], rows.targets, rows.folds)
    assert len(np.unique(boosted_trees.fit(alone, 0).predict(alone.features))) == 1


@pytest.mark.parametrize("meta", stacking.META_MODELS)
def test_the_nested_score_of_noise_is_a_half(meta):
    """Searches find something in noise, and say so; what they find is worth nothing on the fold that they never saw."""
    rows = rows_of([np.inf] * 8, count=2000)
    nested = stacking.nested_probabilities(stacking.META_MODELS[meta], rows, seed=0)
    assert fold_auc(rows, nested.probs) == pytest.approx(0.5, abs=0.035)
    fitted = stacking.META_MODELS[meta](rows, 0)
    assert fold_auc(rows, fitted.predict(rows.features)) > fold_auc(rows, nested.probs) + 0.01


@pytest.mark.parametrize("meta", stacking.META_MODELS)
@pytest.mark.parametrize("calibrate", ["none", "sigmoid", "isotonic"])
def test_nothing_is_fitted_to_the_fold_that_is_scored(meta, calibrate):
    """Other targets in a fold change what is said of the other folds, but not of itself."""
    rows = rows_of([1.0, 2.0, np.inf], count=600)
    inside = rows.folds == 1
    turned = Rows(rows.features, np.where(inside, 1 - rows.targets, rows.targets), rows.folds)
    fit = stacking.META_MODELS[meta]
    nested, again = (stacking.nested_probabilities(fit, given, 0, 1, calibrate) for given in (rows, turned))
    np.testing.assert_array_equal(nested.probs[inside], again.probs[inside])
    np.testing.assert_array_equal(nested.calibrated[inside], again.calibrated[inside])
    assert nested.choices["1"] == again.choices["1"]
    assert not np.allclose(nested.calibrated[~inside], again.calibrated[~inside])
    assert np.array_equal(nested.probs, nested.calibrated) == (calibrate == "none")


@pytest.mark.parametrize("meta", stacking.META_MODELS)
def test_threads_change_nothing(meta):
    rows = rows_of([1.0, 2.0, 3.0], count=600)
    one, two = (stacking.META_MODELS[meta](rows, 5, jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.predict(rows.features), two.predict(rows.features))
    assert (one.auc, one.choices) == (two.auc, two.choices)


def test_calibrators_are_fitted_to_probabilities_of_rows_that_were_held_out():
    """A meta-model that knows its rows by heart says 1 of those that it has seen."""

    def refit(seen: Rows):
        return lambda features: np.isin(features[:, 0], seen.features[:, 0]).astype(float)

    numbers = np.arange(100) / 100
    rows = Rows(numbers[:, None], np.arange(100) % 2, np.arange(100) % FOLDS)
    np.testing.assert_array_equal(refit(rows)(rows.features), 1)
    np.testing.assert_array_equal(held_out(Fitted(refit(rows), refit, 1.0, {}), rows, 0), 0)
