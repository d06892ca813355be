import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from seti.errors import SetiError
from seti.models.needle_net import NeedleNet
from seti.models.release_files import PACKAGED, read_release, write_release
from seti.release import card
from seti.release.evaluation import ensemble, fit_calibration, set_scores, survey_weights, weighted_quantile
from seti.release.fixed_sets import GENERATORS, draw_of_generator, fixed_set, in_float16
from seti.release.settings import SPEC
from seti.simulation.stream import draw_stream_cadence


def survey(count=4000, seed=0):
    """Logits of two members and the truth of cadences, half of them needles."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, count)
    kinds = np.where(targets == 1, "needle", rng.choice(["background", "decoy_everywhere"], count))
    truth = pd.DataFrame({"target": targets, "kind": kinds, "snr": rng.uniform(5, 200, count)})
    truth["drift"], truth["shape"] = rng.uniform(-40, 40, count), rng.choice(["line", "sine"], count)
    shared = 3 * targets + 1.5 * rng.standard_normal(count)
    return shared[:, None] + 0.3 * rng.standard_normal((count, 2)), truth


def test_weights_give_the_shares_of_a_survey():
    _, truth = survey()
    weights = survey_weights(truth)
    shares = pd.Series(weights).groupby(truth["kind"]).sum()
    assert shares.round(6).to_dict() == {"background": 0.54, "decoy_everywhere": 0.36, "needle": 0.1}


def test_fitted_probabilities_are_calibrated_for_a_tenth_of_needles():
    logits, truth = survey()
    slope, offset = fit_calibration([(logits, truth)])
    before, after = (set_scores(each, truth)["calibration_error"] for each in (logits, slope * logits + offset))
    assert after < 0.02 < before
    assert ensemble(slope * logits + offset) @ survey_weights(truth) == pytest.approx(0.1, abs=0.01)


def test_an_ensemble_is_the_mean_probability():
    logits = np.array([[0.0, 2.0]])
    assert ensemble(logits) == pytest.approx([(0.5 + expit(2.0)) / 2])


def test_a_weighted_quantile_is_that_of_repeated_values():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1, 5, 4])
    for share in (0.3, 0.5, 0.7, 0.95):
        expected = np.quantile(np.repeat(values, weights), share, method="inverted_cdf")
        assert weighted_quantile(values, weights, share) == expected


def test_recall_is_given_by_snr_drift_and_shape():
    logits, truth = survey()
    scored = set_scores(logits, truth)["at_0.01"]
    for key in ("by_snr", "by_drift", "by_shape"):
        counts = [row[-2] for row in scored[key]]
        assert sum(counts) == truth["target"].sum()
        assert sum(row[-1] * row[-2] for row in scored[key]) / sum(counts) == pytest.approx(scored["recall"], abs=1e-3)
    assert scored["by_snr"][-1][:2] == [100, None]
    assert [row[0] for row in scored["alarms_by_kind"]] == ["background", "decoy_everywhere"]
    json.dumps(scored, allow_nan=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fixed_set_follows_from_its_seed(workers):
    drawn = fixed_set("stream", draw_stream_cadence, 3, 18, workers)
    assert drawn.panels.shape == (18, 6, 273, 256)
    expected = [draw_stream_cadence(3, index) for index in range(18)]
    assert drawn.truth["target"].tolist() == [each.label for each in expected]
    assert drawn.truth["kind"].tolist() == [each.kind for each in expected]
    assert torch.equal(drawn.panels[17], torch.from_numpy(in_float16(expected[17].data)))


@pytest.mark.parametrize("name", GENERATORS)
def test_half_of_a_generators_cadences_hold_a_needle(name):
    drawn = [draw_of_generator(name, 0, index) for index in range(4)]
    assert [each.label for each in drawn] == [0, 1, 0, 1]
    assert all(in_float16(each.data).dtype == np.float16 for each in drawn)
    assert all(np.isfinite(in_float16(each.data)).all() for each in drawn)


def test_raw_power_keeps_its_contrast_in_float16():
    data = 1e10 * (1 + 0.1 * np.random.default_rng(0).standard_normal((6, 20, 30))).astype(np.float32)
    kept = in_float16(data)
    assert kept.astype(float).std() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(kept[0].ravel().astype(float), data[0].ravel().astype(float))[0, 1] > 0.9999


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A folder of one small release with its card, and an empty package."""
    logits, truth = survey()
    weights = {fold: NeedleNet(width=2).state_dict() for fold in (0, 1)}
    made = write_release(tmp_path / "made" / "mine", "needle_net", SPEC, weights)
    trained = {"command": "make it", "cadences": 1234, "steps": 99, "minutes": 1.5, "device": "a CPU"}
    trained["settings"] = {"seed": 4}
    content = {"trained": trained, "sets": {"stream": set_scores(logits, truth)}}
    (made.folder / "card.json").write_text(json.dumps(content))
    package = tmp_path / "package"
    package.mkdir()
    for module in ("seti.release.card", "seti.models.release_files"):
        monkeypatch.setattr(f"{module}.PACKAGED", package)
    return tmp_path / "made"


def test_releases_are_installed_and_described(released, tmp_path):
    package = tmp_path / "package"
    assert card.install(released, package) == ["mine"]
    page = tmp_path / "pretrained.md"
    page.write_text(f"# Card\n{card.BEGIN}\nold\n{card.END}\nkept\n")
    card.write_card(page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("# Card\n")
    assert text.endswith("\nkept\n")
    assert "2 networks `needle_net`, trained on 1,234 cadences in 99 steps and 1.5 minutes on a CPU, seed 4:" in text
    assert {path.name for path in tmp_path.glob("*.png")} == {"pretrained_recall.png", "pretrained_calibration.png"}


def test_a_damaged_release_is_not_installed(released, tmp_path):
    path = released / "mine" / "fold_1.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SetiError, match=r"fold_1.safetensors are damaged"):
        card.install(released, tmp_path / "package")
    assert not any((tmp_path / "package").iterdir())


def test_releases_too_large_for_the_package_are_refused(released, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "LIMIT", 10_000)
    with pytest.raises(SetiError, match=r"the releases have 0.0 MB together, 0 MB at most: train smaller networks"):
        card.install(released, tmp_path / "package")


def test_a_folder_without_a_release_is_refused(tmp_path):
    with pytest.raises(SetiError, match=r"holds no release: give the folder that seti.release.train names"):
        card.install(tmp_path, tmp_path)


def test_the_packages_card_is_up_to_date():
    """`python -m seti.release.card` was run after the last release was installed."""
    cards = {path.parent.name: json.loads(path.read_text()) for path in sorted(PACKAGED.glob("*/card.json"))}
    assert card.tables(cards) in (card.DOCS / "pretrained.md").read_text()


def test_the_scores_of_real_snippets_are_those_of_the_packages_networks():
    """They are written by hand: a new release must score the snippets again."""
    first = read_release("needle_net").sums["fold_0.safetensors"]
    assert f"SHA-256 that begins with `{first[:8]}`" in (card.DOCS / "pretrained.md").read_text()
