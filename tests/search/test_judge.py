import json

import numpy as np
import pandas as pd
import pytest
from small_channels import ON, ROW, STARTS, add, noise, search

from seti.errors import SetiError
from seti.search import judge_network
from seti.search.hits import Times
from seti.search.judge import SHIPPED, check_judge, load_judge
from seti.search.judge_features import DRIFTS, GROUPS, PANEL_COLUMNS, REACH, WHOLE, features, plausible
from seti.search.judge_network import panel_inputs, probabilities, read_weights

NOW = np.array(ON)


@pytest.fixture(scope="module")
def channel():
    """Needles, interference that is faint in OFF panels, and interference of all panels."""
    planes = noise(3)
    for number, drift in enumerate((0.3, -1.2, 2.5)):
        add(planes, 2000.0 + 1500 * number, drift, 30.0 * (1 + abs(drift)) ** 0.5)
    add(planes, 7500.0, 0.5, 40.0)
    add(planes, 7500.0, 0.5, 24.0, panels=(1, 3, 5))
    add(planes, 10000.0, 0.0, 300.0, panels=range(6))
    return planes


def candidates(count: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = ("snr", "drift_hz_s", "near", "together", "curved")
    table = pd.DataFrame({name: rng.normal(0, 1, count) for name in names})
    table["z"], table["free"], table["score"], table["width"] = 12.0, 1.0, rng.uniform(0, 1, count), 1.3
    table["linked"] = False
    for p in range(6):
        table[f"z_{p + 1}"] = 7.0 if ON[p] else 0.3
    return table


def test_the_shipped_judge_ranks_and_loses_no_event(channel):
    without = search(channel).events
    found = search(channel, load_judge()).events
    assert set(found.bin.round(1)) == set(without.bin.round(1))
    needles = found[found.drift_hz_s.round(1).isin([0.3, -1.2, 2.5])]
    assert len(needles) == 3
    assert (needles.score > 0.8).all()
    assert (found.score.diff().dropna() <= 0).all()


def test_a_score_is_the_judges_and_others_keep_that_of_stage_one(channel):
    plain = search(channel, None).candidates
    chosen = plain.score.max()

    def judge(planes, table, times):
        assert planes.min() > -100  # no bin is masked
        return np.where(table.score == chosen, 0.0625, np.nan)

    table = search(channel, judge).candidates
    assert (table.score == 0.0625).sum() == 1
    assert sorted(table.score[table.score != 0.0625]) == sorted(plain.score[plain.score != chosen])


def test_a_judge_lets_in_what_is_only_unlikely_and_nothing_else(channel):
    plain = search(channel, None).candidates
    assert (plain.reason == "unlikely").any()
    sure = search(channel, lambda planes, table, times: np.ones(len(table)), least_judged=0.9)
    unsure = search(channel, lambda planes, table, times: np.ones(len(table)), least_judged=2.0)
    alone = search(channel, lambda planes, table, times: np.zeros(len(table)))
    assert len(unsure.events) == len(alone.events) == (plain.reason == "").sum()
    assert not (sure.candidates.reason == "unlikely").any()
    for reason in ("off", "off nearby", "weak", "crossed", "not in every ON"):
        assert (sure.candidates.reason == reason).sum() >= (plain.reason == reason).sum()


def test_the_order_of_on_panels_among_each_other_changes_nothing():
    rng = np.random.default_rng(1)
    stamps = rng.normal(size=(5, 6, 16, 64)).astype(np.float32)
    table = candidates()
    members, _ = read_weights(SHIPPED)
    first = probabilities(members, *features(stamps, table, NOW))
    order = [4, 1, 0, 5, 2, 3]
    moved = table.copy()
    for place, panel in enumerate(order):
        moved[f"z_{place + 1}"] = table[f"z_{panel + 1}"]
    second = probabilities(members, *features(stamps[:, order], moved, NOW))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_features_put_on_panels_first_and_sum_along_extra_drifts():
    stamps = np.zeros((1, 6, 16, 64), np.float32)
    stamps[0, 1, :, 32] = 1.0  # along the track in the first OFF panel
    stamps[0, 2, np.arange(16), np.rint(np.linspace(-5, 5, 16)).astype(int) + 32] = 1.0  # across it in the second ON
    of_panels, of_whole = features(stamps, candidates(1), NOW)
    assert of_panels.shape == (1, 6, PANEL_COLUMNS)
    assert of_whole.shape == (1, len(WHOLE))
    planes = np.sinh(of_panels[0, :, : len(DRIFTS) * (2 * REACH + 1)]).reshape(6, len(DRIFTS), -1)
    assert planes[3, DRIFTS.index(0.0), REACH] == pytest.approx(4.0)  # 16 / sqrt(16)
    assert planes[3].argmax() == planes[1:4].reshape(3, -1)[2].argmax()
    assert np.unravel_index(planes[1].argmax(), planes[1].shape) == (DRIFTS.index(10.0), REACH)
    assert not planes[[0, 2, 4, 5]].any()
    curve = np.sinh(of_panels[0, 3, -GROUPS - 3 : -3])
    np.testing.assert_allclose(curve, np.sqrt(2) / np.sqrt(1.3), rtol=1e-5)  # 2 rows a group, a track of 1.3 bins


@pytest.mark.parametrize("rows", [4, 15, 32])
def test_observations_of_other_numbers_of_rows_are_read_too(rows):
    of_panels, _ = features(np.ones((2, 6, rows, 64), np.float32), candidates(2), NOW)
    assert of_panels.shape == (2, 6, PANEL_COLUMNS)
    assert np.isfinite(of_panels).all()


def test_the_network_in_numpy_is_that_of_training():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    of_panels = rng.normal(size=(7, 6, PANEL_COLUMNS)).astype(np.float32)
    of_whole = rng.normal(size=(7, len(WHOLE))).astype(np.float32)
    weights = read_weights(SHIPPED)[0][0]
    inputs = torch.from_numpy(panel_inputs(of_panels))
    layer = lambda name, x: torch.nn.functional.linear(  # noqa: E731
        x, *(torch.from_numpy(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
    )
    read = torch.relu(layer("panel_2", torch.relu(layer("panel_1", inputs))))
    on, off = read[:, :3], read[:, 3:]
    parts = [on.mean(1), on.amax(1), on.amin(1), off.mean(1), off.amax(1), torch.from_numpy(of_whole)]
    odds = layer("head_2", torch.relu(layer("head_1", torch.cat(parts, 1))))[:, 0].numpy()
    odds = odds + weights["stage_one"] * np.sinh(of_whole[:, -1])
    expected = 1 / (1 + np.exp(-(2 * odds - 1)))
    np.testing.assert_allclose(probabilities([weights], of_panels, of_whole, 2.0, -1.0), expected, rtol=1e-4)


def test_only_candidates_near_the_limits_are_search():
    table = candidates(5)
    table.loc[0, "z"] = 5.0  # far too weak
    table.loc[1, "z_2"] = 9.0  # in an OFF panel
    table.loc[2, "z_1"] = 0.2  # not in an ON panel
    table.loc[4, "linked"] = True  # not on one track
    assert plausible(table, NOW).tolist() == [False, False, False, True, False]


def test_cadences_of_other_patterns_keep_the_score_of_stage_one():
    times = Times.of(STARTS, [True, True, False, True, True, False], ROW).with_rows(16)
    score = load_judge()(np.zeros((6, 16, 100), np.float32), candidates(3), times)
    assert np.isnan(score).all()


def test_no_judge_and_the_shipped_one_are_told_apart():
    assert load_judge("none") is None
    assert check_judge("none", 16) == "none"
    assert len(check_judge(None, 16)) == 12


def test_damaged_weights_are_one_line(tmp_path):
    path = tmp_path / "judge.npz"
    path.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(SetiError, match=r"the judge's weights .*judge\.npz cannot be read .*install seti again"):
        read_weights(path)


def test_weights_that_hold_objects_are_refused(tmp_path):
    path = tmp_path / "judge.npz"
    np.savez(path, settings=np.array({"members": 1}, object))
    with pytest.raises(SetiError, match="cannot be read"):
        read_weights(path)


def test_the_record_beside_the_weights_says_how_they_were_made():
    record = json.loads((SHIPPED.parent / "judge.json").read_text())
    assert record["command"].startswith("python benchmarks/judge/train.py --seed ")
    assert {"numpy", "torch", "seti"} <= set(record["versions"])
    curves = pd.read_csv(SHIPPED.parent / "judge.csv")
    whole = curves[(curves.low == 0) & (curves["false alarms for 60 needles"] == 1)].set_index("scored by").recall
    assert whole["judge"] > whole["stage one"]
    assert SHIPPED.stat().st_size < 200_000


def test_scoring_a_channels_candidates_takes_little_time():
    members, _ = read_weights(SHIPPED)
    inputs = np.zeros((400, 6, PANEL_COLUMNS), np.float32), np.zeros((400, len(WHOLE)), np.float32)
    assert probabilities(members, *inputs).shape == (400,)
    assert judge_network.ON_PANELS == 3
