import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from unit_helpers import make_cadences, make_train_set

from seti.errors import SetiError
from seti.evaluation import brightness_baseline as baseline
from seti.evaluation.brightness_baseline import panel_statistics, score


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_statistics_equal_scipys(dtype):
    cadence = np.random.default_rng(0).gamma(2, size=(6, 20, 30)).astype(dtype)
    described = panel_statistics(cadence)
    expected = []
    for statistic in (np.mean, np.std, np.min, np.max, stats.skew):
        expected += [statistic(panel.ravel().astype(np.float64)) for panel in cadence]
    np.testing.assert_allclose(described, expected, rtol=1e-9)
    assert described.shape == (30,)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, 0.1, 7, 1e-120])
def test_a_constant_panel_has_finite_statistics(value):
    described = panel_statistics(np.full((6, 5, 7), value, np.float64))
    assert np.isfinite(described).all()
    np.testing.assert_allclose(described[:6], value)
    np.testing.assert_allclose(described[6:12], 0, atol=1e-15)


def test_without_test_labels_there_is_no_score(tmp_path):
    make_train_set(tmp_path, 8, 4)
    with pytest.raises(SetiError, match="only a simulated data set can be scored") as caught:
        score(tmp_path)
    assert str(tmp_path / "test_labels.csv") in str(caught.value)


def test_the_score_is_the_test_auc_of_the_regression(tmp_path, monkeypatch):
    def features(root, split, ids):
        return np.stack([panel_statistics(cadences[split][i]) for i in ids])

    monkeypatch.setattr(baseline, "_features", features)  # one process
    train = make_train_set(tmp_path, 40, 20)
    test_ids = [f"t{n:02d}" for n in range(30)]
    targets = np.arange(30) % 3 == 0
    rng = np.random.default_rng(5)
    cadences = {
        "train": {i: rng.normal(0.15 * t, size=(6, 8, 12)) for i, t in zip(train["id"], train["target"], strict=True)},
        "test": {i: rng.normal(0.15 * t, size=(6, 8, 12)) for i, t in zip(test_ids, targets, strict=True)},
    }
    rows = "".join(f"{i},{int(t)}\n" for i, t in zip(test_ids, targets, strict=True))
    (tmp_path / "test_labels.csv").write_text("id,target\n" + rows)

    seen, unseen = features(None, "train", train["id"]), features(None, "test", test_ids)
    scaler = StandardScaler().fit(seen)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(seen), train["target"])
    expected = roc_auc_score(targets, model.decision_function(scaler.transform(unseen)))
    assert score(tmp_path) == pytest.approx(expected, abs=1e-12)
    assert 0.6 < expected < 1


def test_features_are_in_the_order_of_the_ids(tmp_path):
    ids = ["b1", "a1", "c2"]
    cadences = make_cadences(tmp_path, "test", ids)
    described = [baseline._file_statistics(tmp_path / "test" / i[0] / f"{i}.npy") for i in ids]
    np.testing.assert_allclose(described, [panel_statistics(cadence) for cadence in cadences])
