import signal

import numpy as np
import pandas as pd
import pytest
from conftest import compose

from seti.config.schema import job_suffix
from seti.errors import SetiError
from seti.models.classifier import CadenceClassifier
from seti.training import lr_range

STEPS, MIN_LR, MAX_LR = 24, 1e-5, 0.1


def smoothed(losses, beta=0.9):
    """The running mean by its recursion, with the start's bias divided out."""
    mean, values = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = beta * mean + (1 - beta) * loss
        values.append(mean / (1 - beta**number))
    return np.array(values)


def steepest(curve, skip=10):
    """The rate of the steepest fall over log(rate), from the tenth step to the lowest point, by finite differences."""
    rates, values = curve["lr"].to_numpy(), curve["smoothed"].to_numpy()
    last = skip + int(np.argmin(values[skip:]))
    if last - skip < 2:
        return None
    slopes = {}
    for k in range(skip, last + 1):
        low, high = max(k - 1, skip), min(k + 1, last)
        slopes[k] = (values[high] - values[low]) / (np.log(rates[high]) - np.log(rates[low]))
    best = min(slopes, key=slopes.get)
    return rates[best] if slopes[best] < 0 else None


def tree(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def test_a_sweep_of_range_tests_leaves_two_files(run, small, outputs, tmp_path, data_root):
    args = [
        "lr_range_test=true",
        "data.batch_size=8,16",
        "optimizer.weight_decay=0,1e-4",
        f"lr_range.steps={STEPS}",
        f"lr_range.min_lr={MIN_LR}",
        f"lr_range.max_lr={MAX_LR}",
    ]
    data_before = tree(data_root)
    few = [word for word in small if not word.startswith("trainer.")]  # a long list would be cut in the curves' names
    done = run("train.py", "-m", *few, *args)
    assert done.code == 0, done.err
    assert done.err == ""
    assert tree(outputs) == ["exp/fold_0/lr_range.csv", "exp/fold_0/lr_range.png", "multirun.yaml"]
    assert tree(tmp_path / "cwd") == [".err0", ".out0"]
    assert not [path for path in (tmp_path / "cwd").iterdir() if path.is_dir()]
    assert tree(data_root) == data_before
    assert (outputs / "exp/fold_0/lr_range.png").read_bytes().startswith(b"\x89PNG")

    table = pd.read_csv(outputs / "exp/fold_0/lr_range.csv")
    assert list(table.columns) == ["curve", "step", "lr", "loss", "smoothed"]
    curves = dict(list(table.groupby("curve")))
    assert len(curves) == 4
    names = lr_range.short_names(list(curves))
    for name, curve in curves.items():
        assert list(curve["step"]) == list(range(STEPS))
        # Evenly spaced in the logarithm; Lightning's tuner leaves out the second of the rates.
        rates = np.geomspace(MIN_LR * (MAX_LR / MIN_LR) ** (1 / STEPS), MAX_LR, STEPS)
        np.testing.assert_allclose(curve["lr"], [MIN_LR, *rates[1:]], rtol=1e-6)
        np.testing.assert_allclose(curve["smoothed"], smoothed(curve["loss"]), rtol=1e-9)
        rate = steepest(curve)
        assert lr_range.suggestion(curve) == (None if rate is None else pytest.approx(rate))
        hint = "no suggestion" if rate is None else f"suggested optimizer.lr={rate:.1e}"
        assert f"{names[name]}: {hint}\n" in done.out
    assert sorted(names.values()) == sorted(
        f"data.batch_size={size}, optimizer.weight_decay={decay}" for size in (8, 16) for decay in ("0", "0.0001")
    )


def range_test(outputs, config, *overrides, name="default"):
    """Run in this process as `train.py` does; gives the curve and the suggestion."""
    folder = outputs / "exp" / "fold_0" / "lr_range" / name
    rate = lr_range.run(config("lr_range_test=true", *overrides), folder)
    assert tree(folder) == ["lr_range.csv"]
    curve = pd.read_csv(folder / "lr_range.csv")
    lr_range.collect(folder.parent.parent)
    return curve, rate


def test_the_loss_is_that_of_the_batch_and_divergence_ends_the_test(outputs, config, monkeypatch, caplog):
    losses, rates = [], []
    step = CadenceClassifier.training_step

    def watch(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        if len(losses) >= 15:
            loss = loss * 100
        losses.append(loss.item())
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    monkeypatch.setattr(CadenceClassifier, "training_step", watch)
    with caplog.at_level("INFO"):
        curve, _ = range_test(outputs, config, "lr_range.steps=40", "lr_range.max_lr=0.01")
    assert 15 < len(curve) < 40
    assert f"stopped after {len(curve)} of 40 steps, the loss diverged" in caplog.text
    np.testing.assert_allclose(curve["loss"], losses[: len(curve)], rtol=1e-6)
    np.testing.assert_allclose(curve["lr"], rates[: len(curve)], rtol=1e-6)  # what the optimiser stepped with
    assert curve["lr"].max() < 0.01


def test_a_range_test_changes_nothing_for_the_training_after_it(train, outputs, config):
    train("exp_name=without")
    range_test(outputs, config, "lr_range.steps=12")
    train()
    without, exp = outputs / "without" / "fold_0", outputs / "exp" / "fold_0"
    assert (exp / "oof.csv").read_bytes() == (without / "oof.csv").read_bytes()
    assert (exp / "lr_range.csv").exists()


def test_a_finished_fold_stays_as_it_is(run, small, outputs):
    fold = outputs / "exp" / "fold_0"
    assert run("train.py", *small, "trainer.max_epochs=1").code == 0
    before = {path: path.read_bytes() for path in fold.parent.rglob("*") if path.is_file()}
    assert {"train.log", "result.json", "best.ckpt", "overrides.yaml"} <= {path.name for path in before}
    done = run("train.py", *small, "lr_range_test=true", "lr_range.steps=12", "data.batch_size=4")
    assert done.code == 0, done.err
    after = {path: path.read_bytes() for path in fold.parent.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {fold / "lr_range.csv", fold / "lr_range.png"}
    assert all(after[path] == content for path, content in before.items())


def test_the_same_test_gives_the_same_curve_and_replaces_it(outputs, config):
    first, rate = range_test(outputs, config, "lr_range.steps=15", name="a")
    second, again = range_test(outputs, config, "lr_range.steps=15", name="a")
    pd.testing.assert_frame_equal(first, second)
    assert rate == again or (np.isnan(rate) and np.isnan(again))
    range_test(outputs, config, "lr_range.steps=12", "augment=none", name="b")
    table = pd.read_csv(outputs / "exp" / "fold_0" / "lr_range.csv")
    assert table.groupby("curve", sort=False).size().to_dict() == {"a": 15, "b": 12}


def test_suggestion_on_a_curve_made_by_hand():
    rates = np.logspace(-6, 0, 100)
    # A fall centred at 1e-3, then a rise from 1e-1 on, and a second and steeper fall behind the lowest point.
    values = 0.7 - 0.3 / (1 + np.exp(-4 * np.log(rates / 1e-3))) + np.where(rates > 0.1, 2.0, 0.0)
    values[-3:] = [2.0, 1.5, 1.0]
    rate = lr_range.suggestion(pd.DataFrame({"lr": rates, "smoothed": values}))
    assert rate == pytest.approx(1e-3, rel=0.1)
    rising = pd.DataFrame({"lr": rates, "smoothed": np.linspace(0.5, 0.9, 100)})
    assert lr_range.suggestion(rising) is None
    assert lr_range.suggestion(rising.iloc[:8]) is None
    np.testing.assert_allclose(lr_range.smooth(values), smoothed(values))


def test_names_of_curves_tell_what_differs():
    assert lr_range.short_names(["a=1__b=2", "a=1__b=3"]) == {"a=1__b=2": "b=2", "a=1__b=3": "b=3"}
    assert lr_range.short_names(["a=1__b=2"]) == {"a=1__b=2": "loss"}
    assert job_suffix(True, "") == "/lr_range/default"
    assert job_suffix(True, "data.image_size=[24,32]__model=tiny") == "/lr_range/data.image_size=_24,32___model=tiny"
    assert job_suffix(False, "model=tiny") == ""
    long = "__".join(f"trainer.option_{number}=1" for number in range(12))
    folders = {job_suffix(True, f"{long}__{last}") for last in ("z=1", "z=2")}
    assert len(folders) == 2
    assert max(map(len, folders)) < 220


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr_range.steps=2", "lr_range.steps=2 must be at least 5"),
        ("lr_range.min_lr=2.0", "lr_range.min_lr=2.0 must be between"),
        ("data.root=nowhere", "data.root=nowhere is not a folder"),
    ],
)
def test_what_cannot_be_tested_is_refused(outputs, small, override, message):
    cfg = compose("train", [*small, "lr_range_test=true", override])
    with pytest.raises(SetiError, match=message):
        lr_range.run(cfg, outputs / "exp" / "fold_0" / "lr_range" / "default")
    assert not outputs.exists()


def test_ctrl_c_ends_a_sweep_of_range_tests(start, small, outputs):
    settings = ("lr_range_test=true", "lr_range.steps=100000", "optimizer.weight_decay=0,1e-4", "data.num_workers=2")
    program = start("train.py", "-m", *small, *settings)
    program.wait_for_children(2)
    program.send_group(signal.SIGINT)
    done = program.finish()
    assert done.code == 130
    assert done.err == "interrupted: the same command goes on with what is there\n"
    assert "Traceback" not in done.out
    assert len(list((outputs / "exp/fold_0/lr_range").iterdir())) == 1  # no second job


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer.name=lookahead_radam", "loss.name=focal", "model.pool=gem"),
        ("schedule.name=cosine", "schedule.warmup_epochs=1", "ema.decay=0.9", "model.head_epochs=1"),
    ],
)
def test_the_rates_are_the_tests_own_whatever_training_is_set_to(outputs, config, overrides):
    curve, _ = range_test(outputs, config, "lr_range.steps=12", *overrides)
    plain, _ = range_test(outputs, config, "lr_range.steps=12", name="plain")
    np.testing.assert_allclose(curve["lr"], plain["lr"], rtol=1e-12)
    assert np.isfinite(curve["loss"]).all()
    # Neither the schedule, nor the average, nor a head that comes first, has a say in a range test.
    assert curve["loss"].equals(plain["loss"]) == ("ema.decay=0.9" in overrides)


def test_one_rate_for_all_layers_and_layers_with_their_own_contradict_each_other(outputs, config):
    with pytest.raises(SetiError, match=r"lr_range_test=true .*optimizer\.layer_decay=0\.8 .*=null for the test"):
        range_test(outputs, config, "optimizer.layer_decay=0.8")
    assert not outputs.exists()
