"""The commands as a person types them, one after the other."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL, Finished, read_json
from sklearn.metrics import roc_auc_score

from seti.data import competition

PNG = b"\x89PNG"


def assert_quiet(done: Finished) -> None:
    """Nothing but what the programs say themselves: no warning of a library."""
    assert done.code == 0, done.err
    assert done.err == ""
    for word in ("Warning", "warning", "deprecated", "lightning.ai", "Tip:", "GPU available", "`"):
        assert word not in done.out, done.out


def settings(data_root, **more):
    changed = [f"{key}={value}" for key, value in more.items()]
    return [*(word for word in SMALL if not word.startswith("exp_name")), f"data.root={data_root}", *changed]


def test_train_predict_stack_show_and_baseline(run_command, run, data_root, tmp_path):
    """Train with a fresh interpreter, which imports what the others do; run those with torch imported already."""
    cwd = tmp_path / "cwd"
    trained = run_command("train.py", "-m", "fold=0,1", *settings(data_root), folder=cwd)
    assert_quiet(trained)
    exp = cwd / "outputs" / "test_resnet-A-spatial-24x32"
    assert f"next:  python {ROOT / 'predict.py'} ckpt_dir=outputs/{exp.name}" in trained.out

    predicted = run("predict.py", f"ckpt_dir=outputs/{exp.name}", "data.num_workers=1")
    assert_quiet(predicted)
    stacked = run("stack.py", "n_jobs=1")
    assert stacked.code == 0, stacked.err
    shown = run("seti/show.py", f"ckpt_dir=outputs/{exp.name}")
    assert_quiet(shown)
    scored = run("seti/baseline.py", f"data.root={data_root}")
    assert_quiet(scored)
    assert "test AUC 0." in scored.out or "test AUC 1." in scored.out

    # Nothing but the folder of experiments is left where the commands were typed.
    assert [path.name for path in cwd.iterdir() if path.name[:4] not in (".out", ".err")] == ["outputs"]
    assert {path.name for path in (cwd / "outputs").iterdir()} == {exp.name, "stack", "multirun.yaml"}
    assert {path.name for path in exp.iterdir()} == {
        *("fold_0", "fold_1", "cv.json", "roc.png", "curves.png", "gallery.png"),
        *("predictions.csv", "predictions.json", "submission.csv"),
    }
    for fold in (0, 1):
        folder = exp / f"fold_{fold}"
        assert {path.name for path in folder.iterdir()} == {
            *("checkpoints", "tensorboard", "oof.csv", "metrics.csv", "result.json", "train.log", ".hydra"),
        }
        assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        log = (folder / "train.log").read_text()
        assert f"fold {fold} of {exp.name} is finished" in log
        assert "epoch 2 of 2" in log
    assert {path.name for path in (cwd / "outputs" / "stack").iterdir()} == {
        *("stack.json", "oof.csv", "submission.csv", "roc.png", "reliability.png"),
    }
    for figure in cwd.rglob("*.png"):
        assert figure.read_bytes().startswith(PNG)

    # What the files say agrees.
    labels = competition.read_labels(data_root)
    oof = pd.concat([pd.read_csv(exp / f"fold_{fold}" / "oof.csv", dtype={"id": str}) for fold in (0, 1)])
    oof = oof.sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(oof[["id", "target"]], labels)
    auc = roc_auc_score(oof["target"], oof["prob"])
    cv, report = read_json(exp / "cv.json"), read_json(cwd / "outputs" / "stack" / "stack.json")
    assert cv["pooled_auc"] == pytest.approx(auc, abs=1e-12)
    assert report["experiments"][exp.name]["oof_auc"] == pytest.approx(auc, abs=1e-12)
    nested = pd.read_csv(cwd / "outputs" / "stack" / "oof.csv", dtype={"id": str})
    assert list(nested["id"]) == list(labels["id"])
    assert list(nested["fold"]) == list(oof["fold"])
    assert report["stack"]["oof_auc"] == pytest.approx(roc_auc_score(nested["target"], nested["prob"]), abs=1e-12)

    sample = pd.read_csv(data_root / "sample_submission.csv", dtype={"id": str})
    truth = pd.read_csv(data_root / "test_labels.csv", dtype={"id": str})
    predictions = pd.read_csv(exp / "predictions.csv", dtype={"id": str})
    scores = {}
    for folder in (exp, cwd / "outputs" / "stack"):
        submission = pd.read_csv(folder / "submission.csv", dtype={"id": str})
        assert list(submission.columns) == list(sample.columns)
        assert list(submission["id"]) == list(sample["id"])
        assert submission["target"].between(0, 1).all()
        joined = submission.merge(truth, on="id", suffixes=("", "_true"))
        scores[folder.name] = roc_auc_score(joined["target_true"], joined["target"])
    assert report["experiments"][exp.name]["test_auc"] == pytest.approx(scores[exp.name], abs=1e-12)
    assert report["stack"]["test_auc"] == pytest.approx(scores["stack"], abs=1e-12)
    assert f"{scores[exp.name]:.4f}" in predicted.out
    search = report["meta_models"]["logistic"]["choices"]
    logits = search["intercept"] + report["experiments"][exp.name]["weight"] * predictions["prob"]
    blended = pd.read_csv(cwd / "outputs" / "stack" / "submission.csv")["target"]
    np.testing.assert_allclose(blended, 1 / (1 + np.exp(-logits)), rtol=1e-9)


@pytest.mark.slow
def test_a_sweep_over_processes_trains_the_same_folds(run_command, data_root, tmp_path):
    sequential = run_command("train.py", "-m", "fold=0,1", *settings(data_root, exp_name="one"))
    assert_quiet(sequential)
    parallel = run_command(
        "train.py",
        *("-m", "fold=0,1", *settings(data_root, exp_name="two"), "data.num_workers=1"),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    )
    assert parallel.code == 0, parallel.err
    one, two = (tmp_path / "outputs" / name for name in ("one", "two"))
    for fold in ("fold_0", "fold_1"):
        assert (one / fold / "oof.csv").read_bytes() == (two / fold / "oof.csv").read_bytes()
        assert "is finished" in (two / fold / "train.log").read_text()
    cvs = [read_json(path / "cv.json") for path in (one, two)]
    assert cvs[0]["pooled_auc"] == cvs[1]["pooled_auc"]
    assert cvs[1]["finished_folds"] == [0, 1]

    failing = run_command(
        "train.py",
        *("-m", "fold=1,5", *settings(data_root, exp_name="two")),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    )
    assert failing.code == 1
    assert "jobs failed:" in failing.err
    assert "fold_5: fold=5 is none of the 2 folds" in failing.err


@pytest.mark.slow
def test_help_and_mistakes_need_no_traceback(run_command, tmp_path):
    for program in (("train.py",), ("predict.py",), ("stack.py",), ("-m", "seti.simulate"), ("-m", "seti.show")):
        done = run_command(*program, "--help")
        assert done.code == 0
        assert "== Config ==" in done.out
    done = run_command("train.py", "data.root=nowhere", "model=tiny")
    assert done.code == 1
    assert done.err == "error: data.root=nowhere is not a folder: set data.root to a folder that holds " + (
        "train_labels.csv and train/\n"
    )
    assert run_command("predict.py").code == 1
    assert run_command("predict.py", "ckpt_dir=nowhere").err.startswith("error: ckpt_dir=nowhere is not a folder")
