"""Judges that a user has trained on snippets of observations."""

import numpy as np
import pandas as pd
import pytest
from conftest import compose

from seti.config.compose import simulation_settings
from seti.errors import SetiError
from seti.search.hits import Times
from seti.search.judge import check_judge, load_judge
from seti.search.own_networks import snippets
from seti.simulation.products import make

STARTS = [p * 320.0 for p in range(6)]


@pytest.fixture(scope="module")
def snippets_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("snippets") / "data"
    settings = simulation_settings("preset=observation", "workers=1", "train=24", "test=2", f"root={root}")
    made = make(settings)
    assert made.words == ("experiment=judge", f"data.root={root}")
    return root


@pytest.fixture(scope="module")
def judge_of(snippets_root, tmp_path_factory):
    """Train a fold with experiment=judge for one epoch; gives the experiment's folder."""

    def trained(*overrides):
        from seti.training import fold as training

        outputs = tmp_path_factory.mktemp("outputs")
        words = ["experiment=judge", "data.n_folds=2", "data.num_workers=0", "trainer.max_epochs=1"]
        places = [f"data.root={snippets_root}", f"output_dir={outputs}"]
        training.train(compose("train", [*words, *places, *overrides]))
        return outputs / "judge"

    return trained


def candidates(count: int) -> pd.DataFrame:
    table = pd.DataFrame(
        {"z": [20.0] * count, "score": 0.9, "p0": 400.0, "p1": 30.0, "p2": 0.0, "width": 1.3, "linked": False}
    )
    for p in range(6):
        table[f"z_{p + 1}"] = 0.2 if p % 2 else 11.0
    table.loc[table.index == 1, "z"] = 3.0  # too weak to be judged
    return table


def test_networks_of_the_users_own_judge_what_is_plausible(judge_of):
    folder = judge_of()
    assert check_judge(str(folder), 16) == check_judge(str(folder), 16) != ""
    judge = load_judge(str(folder))
    times = Times.of(STARTS, [True, False] * 3, 18.25).with_rows(16)
    planes = np.random.default_rng(0).normal(size=(6, 16, 800)).astype(np.float32)
    score = judge(planes, candidates(20), times)
    assert np.isnan(score).tolist() == [False, True, *[False] * 18]
    rest = np.delete(score, 1)
    assert ((rest > 0) & (rest < 1)).all()
    assert np.ptp(rest) < 1e-5  # the same candidate, whatever its batch


def test_networks_for_other_rows_or_raw_power_are_refused_in_one_line(judge_of):
    folder = judge_of(
        "data.normalise=none", "data.clip=null", "data.layout=channel", "model=tiny", "data.image_size=[32,64]"
    )
    with pytest.raises(SetiError) as error:
        check_judge(str(folder), 32)
    assert str(error.value) == (
        f"ckpt_dir={folder} was trained on panels of 16 rows, and the observations have 32: train on cadences of 32 "
        "rows (experiment=judge), or set ckpt_dir=null for the judge that comes with seti"
    )
    with pytest.raises(SetiError) as error:
        check_judge(str(folder), 16)
    assert str(error.value) == (
        f"ckpt_dir={folder} was trained with data.normalise=none, and candidates have no raw power: train with "
        "data.normalise=whiten (experiment=judge), or set ckpt_dir=null for the judge that comes with seti"
    )


def test_a_network_for_the_competitions_snippets_is_refused_before_the_search(scan, trained_once):
    folder = trained_once().parent
    with pytest.raises(SetiError, match=r"was trained on panels of 273 rows, and the observations have 16: train on"):
        scan(f"ckpt_dir={folder}")


@pytest.mark.parametrize("first", [True, False])
def test_snippets_follow_the_track_by_whole_bins_with_on_panels_first(first):
    on = [first, not first] * 3
    times = Times.of(STARTS, on, 18.25).with_rows(16)
    planes = np.zeros((6, 16, 800), np.float32)
    track = np.rint(400 + times.u * 120).astype(int)
    for p in range(6):
        planes[p, np.arange(16), track[p]] = p + 1
    table = pd.DataFrame({"p0": [400.0], "p1": [120.0], "p2": [0.0]})
    (cut,) = snippets(planes, table, times, 256)
    assert cut.shape == (6, 16, 256)
    assert cut[:, :, 128].mean(1).tolist() == ([1, 2, 3, 4, 5, 6] if first else [2, 1, 4, 3, 6, 5])
    assert cut.sum() == 16 * 21


def test_snippets_beyond_the_channel_are_filled_with_the_level():
    times = Times.of(STARTS, [True, False] * 3, 18.25).with_rows(16)
    cut = snippets(np.ones((6, 16, 300), np.float32), candidates(1).assign(p0=2.0, p1=0.0), times, 64)
    assert cut[0, 0, 0, :30].tolist() == [0.0] * 30
    assert cut[0, 0, 0, 30:].tolist() == [1.0] * 34
