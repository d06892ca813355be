import math

import pandas as pd
import pytest
from conftest import compose, read_json

from seti.errors import SetiError, SettingsError
from seti.training import tuning
from seti.training.search_space import parse_space
from seti.training.tuning import tune
from seti.utils import locks

pytest.importorskip("optuna", reason="optuna is not installed: the extra tune has it")

SPACE = "space=[optimizer.lr=log(1e-4,1e-2),mixup.alpha=choice(null,0.4)]"


class Fake:
    """Training whose AUC depends on the settings alone: highest at a rate of 1e-3 with mixup."""

    def __init__(self, stop_at=None, error=None):
        self.trained, self.stop_at, self.error = [], stop_at, error

    def __call__(self, words):
        chosen = dict(word.split("=", 1) for word in words)
        if len(self.trained) == self.stop_at:
            raise KeyboardInterrupt
        if self.error is not None:
            raise self.error
        self.trained.append((chosen["exp_name"], int(chosen["fold"])))
        away = abs(math.log10(float(chosen["optimizer.lr"])) + 3)
        return 0.8 - 0.1 * away - 0.05 * (chosen["mixup.alpha"] == "null") + 0.01 * int(chosen["fold"])


@pytest.fixture
def plain(monkeypatch):
    """No figure and no importance, which take most of the time."""
    monkeypatch.setattr(tuning, "_importance", lambda *_: {})
    monkeypatch.setattr(tuning, "report", lambda _, table, __: table["auc"].max())


@pytest.fixture
def search(tmp_path):
    def run(*overrides, train=None, name="tune"):
        fake = train or Fake()
        words = [f"output_dir={tmp_path}", f"name={name}", "settings=[experiment=demo]", SPACE, "startup=3"]
        best = tune(compose("tune", [*words, "trials=8", *overrides]), fake)
        return best, fake, tmp_path / name

    return run


def read(folder):
    return pd.read_csv(folder / "trials.csv", dtype={"mixup.alpha": str}, keep_default_na=False)


def test_the_best_of_the_trials_is_recorded_and_the_first_has_the_defaults(search, capsys):
    best, fake, folder = search("prune=false")
    table = read(folder)
    assert list(table["trial"]) == [f"trial_{number:03d}" for number in range(8)]
    assert fake.trained == [(name, fold) for name in table["trial"] for fold in (0, 1, 2)]
    assert table["mixup.alpha"][0] == "null"
    assert float(table["optimizer.lr"][0]) == compose("train", ["experiment=demo"]).optimizer.lr
    away = (table["optimizer.lr"].astype(float).map(math.log10) + 3).abs()
    expected = 0.8 - 0.1 * away - 0.05 * (table["mixup.alpha"] == "null") + 0.01
    assert best == pytest.approx(expected.max())
    record = read_json(folder / "tune.json")
    assert record["best"] == table["trial"][expected.idxmax()]
    assert record["settings"][1].startswith("mixup.alpha=")
    assert set(record["importance"]) == {"optimizer.lr", "mixup.alpha"}
    assert sum(record["importance"].values()) == pytest.approx(1)
    assert (folder / "tune.png").exists()
    said = capsys.readouterr().out
    assert "tune: the best of 8 trials" in said
    assert f"the default settings, trial_000: mean AUC {expected[0]:.4f}" in said
    assert "importance: " in said


def test_a_trial_below_the_median_of_the_others_ends_early(plain, search):
    _, fake, folder = search("trials=12", "seed=48")
    table = read(folder)
    ended = table[table["state"] == "pruned"]
    assert len(ended) > 0
    assert ended.index.min() >= 3
    assert len(fake.trained) == table["folds"].sum() < 36


@pytest.mark.parametrize("stop_at", [1, 4, 11])
def test_a_stopped_search_goes_on_and_ends_as_an_undisturbed_one(plain, search, stop_at):
    _, whole, one = search(name="one")
    stopped = Fake(stop_at)
    with pytest.raises(KeyboardInterrupt):
        search(train=stopped, name="two")
    _, rest, two = search(name="two")
    assert (two / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert (two / "tune.json").read_bytes() == (one / "tune.json").read_bytes()
    again = search(name="two")[1]
    assert again.trained == []  # there are enough trials
    assert len(search("trials=9", name="two")[1].trained) > 0
    assert sorted(set(stopped.trained) | set(rest.trained)) == sorted(whole.trained)


def test_a_trial_of_another_process_is_left_alone(plain, search, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        search(train=Fake(stop_at=1))
    with locks.hold(tmp_path / "tune" / "trial_000", "trial 0", name=".trial.lock"):
        _, fake, _ = search("trials=3")
    assert {name for name, _ in fake.trained} == {"trial_001", "trial_002"}
    assert {name for name, _ in search("trials=3")[1].trained} == {"trial_000"}


def test_other_settings_in_the_same_folder_are_refused(plain, search, tmp_path):
    search("trials=1")
    with pytest.raises(SettingsError) as refused:
        search("trials=1", "folds=[0,1]")
    assert str(refused.value) == (
        f"{tmp_path}/tune holds a search with folds=[0, 1, 2], and now folds=[0, 1]: set name to another one"
    )


def test_failures_are_counted_and_many_in_a_row_end_the_search(search, tmp_path):
    with pytest.raises(SetiError) as refused:
        search(train=Fake(error=SetiError("the loss is not finite")))
    assert str(refused.value) == f"{tmp_path}/tune: 3 trials in a row failed, the last one: the loss is not finite"
    assert list(read(tmp_path / "tune")["state"][:2]) == ["fail", "fail"]
    with pytest.raises(SettingsError, match="wrong"):
        search(train=Fake(error=SettingsError("wrong")), name="other")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "optimizer.lr=log(1e-2,1e-4)",
            "space: optimizer.lr=log(1e-2,1e-4) takes two numbers above 0, the lower one first",
        ),
        ("optimizer.lr=log(0,1)", "space: optimizer.lr=log(0,1) takes two numbers above 0, the lower one first"),
        ("trainer.max_epochs=int(1,2.5)", "takes two whole numbers, the lower one first"),
        ("mixup.alpha=choice(0.4)", "space: mixup.alpha=choice(0.4) takes two or more values, each once"),
        ("optimizer.lr=1e-3", "is not read: write <setting>=log(low,high), float(low,high)"),
        ("optimizer.lrr=log(1,2)", "space: optimizer.lrr is not a setting: did you mean optimizer.lr?"),
        ("fold=choice(0,1)", "space: fold is set by each trial: take it out"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(word, said):
    with pytest.raises(SettingsError) as refused:
        parse_space([word])
    assert said in str(refused.value)


def test_an_empty_space_a_setting_named_twice_and_one_of_the_trial_are_refused(search):
    with pytest.raises(SettingsError, match="space is empty"):
        parse_space([])
    with pytest.raises(SettingsError, match=r"space names optimizer\.lr twice"):
        parse_space(["optimizer.lr=log(1e-4,1e-2)", "optimizer.lr=float(0,1)"])
    with pytest.raises(SettingsError, match="settings: fold=1 is set by each trial: take it out"):
        search("settings=[fold=1]")
    with pytest.raises(SettingsError, match=r"folds=\[1, 1\] must name one fold or more, each once"):
        search("folds=[1,1]")
