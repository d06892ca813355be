import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import compose, read_json
from sklearn.metrics import roc_auc_score

from seti.errors import SetiError
from seti.experiments import provenance
from seti.inference.predict import predict as run
from seti.inference.scoring import load_ensemble
from seti.reports import gallery


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, and galleries of one cadence a row."""
    monkeypatch.setattr(gallery, "GALLERY_COUNT", 1)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def score(*overrides: str) -> float:
    fast = ["device=cpu", "precision=32", "data.num_workers=0"]
    return run(compose("predict", ["ckpt_dir=pretrained", *fast, *overrides]))


def read(folder):
    return pd.read_csv(folder / "predictions.csv", dtype={"id": str})


def test_a_labelled_data_set_gets_the_files_of_an_experiment_and_an_auc(here, data_root, capsys):
    auc = score(f"data.root={data_root}")
    out = here / "outputs" / "pretrained"
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("predictions.csv", "submission.csv", "predictions.json"),
        *("gallery.png", "roc.png", "reliability.png"),
    }
    table, ids = read(out), pd.read_csv(data_root / "sample_submission.csv", dtype=str)["id"]
    assert list(table["id"]) == list(ids)
    expected = load_ensemble().score_folder(data_root, device="cpu", precision="32")
    pd.testing.assert_frame_equal(table, expected)
    truth = pd.read_csv(data_root / "test_labels.csv", dtype={"id": str}).set_index("id")["target"]
    assert auc == pytest.approx(roc_auc_score(truth.loc[ids], table["prob"]), abs=1e-12)
    record = read_json(out / "predictions.json")
    assert record["networks"] == "pretrained"
    assert record["precision"] == "32 on cpu"
    assert record["files"]["predictions.csv"] == provenance.sha256(out / "predictions.csv")
    assert record["checkpoints"] == load_ensemble().digests
    printed = capsys.readouterr().out
    assert "test AUC" in printed
    assert (
        "wrote outputs/pretrained/predictions.csv, submission.csv and gallery.png, roc.png, reliability.png" in printed
    )


def test_a_folder_without_labels_is_ranked(here, data_root, capsys):
    shutil.copytree(data_root / "test", here / "night")
    assert np.isnan(score("data.root=night", "out=mine"))
    table = read(here / "mine")
    assert list(table["id"]) == sorted(table["id"])
    assert not (here / "mine" / "roc.png").exists()
    assert (here / "mine" / "gallery.png").exists()
    assert not (here / "outputs").exists()
    printed = capsys.readouterr().out
    assert "highest scores" in printed
    assert table.sort_values("prob")["id"].iloc[-1] in printed


def test_a_second_prediction_leaves_no_figure_of_the_first(here, data_root):
    score(f"data.root={data_root}")
    score(f"data.root={data_root / 'test' / next((data_root / 'test').iterdir()).name}")
    assert not (here / "outputs" / "pretrained" / "roc.png").exists()


def test_a_damaged_cadence_is_submitted_with_the_share_of_needles_that_is_expected(here, data_root, caplog):
    shutil.copytree(data_root / "test", here / "night")
    victim = sorted((here / "night").rglob("*.npy"))[0]
    victim.write_bytes(b"")
    score("data.root=night", "data.on_error=skip")
    out = here / "outputs" / "pretrained"
    assert read(out).set_index("id")["prob"].isna()[victim.stem]
    submission = pd.read_csv(out / "submission.csv", dtype={"id": str}).set_index("id")["target"]
    assert submission[victim.stem] == 0.1
    assert re.search(
        r"1 of \d+ cadences is damaged: empty in \S+, the assumed share of needles 0\.1 in \S+", caplog.text
    )


def test_an_experiment_predicts_any_folder_elsewhere(here, finished, outputs, predict, data_root):
    finished("trainer.max_epochs=1", "optimizer.lr=0.01")
    predict()
    score(f"ckpt_dir={outputs / 'exp'}", f"data.root={data_root / 'test'}", "out=elsewhere")
    expected = read(outputs / "exp").sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(read(here / "elsewhere"), expected, atol=1e-6)


def test_without_a_root_an_experiment_predicts_its_own_data_set_elsewhere(here, finished, outputs, predict):
    finished("trainer.max_epochs=1", "optimizer.lr=0.01")
    predict()
    score(f"ckpt_dir={outputs / 'exp'}", "out=elsewhere")
    pd.testing.assert_frame_equal(read(here / "elsewhere"), read(outputs / "exp"), atol=1e-6)
    with pytest.raises(SetiError) as error:
        score("ckpt_dir=pretrained", "out=elsewhere", "data.root=gone")
    assert str(error.value) == (
        f"out=elsewhere holds predictions of {outputs / 'exp'}: set out=<another folder>, or remove it"
    )


def test_a_folder_of_predictions_is_replaced_by_the_same_networks_alone(here, data_root, tmp_path):
    night = here / "night"
    night.mkdir()
    shutil.copy(next((data_root / "test").rglob("*.npy")), night)
    score("data.root=night", "out=mine")
    score("data.root=night", "out=mine", "ckpt_dir=pretrained/needle_net/")  # another word for them
    before = (here / "mine" / "predictions.csv").read_bytes()
    with pytest.raises(SetiError) as error:
        score("data.root=night", "out=mine", "ckpt_dir=pretrained/needle_net_broad")
    assert str(error.value) == (
        "out=mine holds predictions of pretrained/needle_net/: set out=<another folder>, or remove it"
    )
    assert (here / "mine" / "predictions.csv").read_bytes() == before
    (here / "mine" / "predictions.json").unlink()
    score("data.root=night", "out=mine", "ckpt_dir=pretrained/needle_net_broad")


def test_a_name_that_no_font_can_draw_gives_no_warning(here, data_root, recwarn):
    (here / "night").mkdir()
    shutil.copy(next((data_root / "test").rglob("*.npy")), here / "night" / "\N{ROCKET}\N{DEVANAGARI LETTER KA}.npy")
    score("data.root=night", "out=mine")
    assert not [str(warning.message) for warning in recwarn if "font" in str(warning.message).lower()]


def test_released_networks_and_experiments_predict_in_one_command(here, finished, outputs, data_root):
    finished("trainer.max_epochs=1", "optimizer.lr=0.01")
    auc = score(f"ckpt_dir=[pretrained,{outputs / 'exp'}]", f"data.root={data_root}")
    assert (here / "outputs" / "pretrained" / "predictions.csv").exists()
    assert (outputs / "exp" / "predictions.csv").exists()
    assert 0 <= auc <= 1


def test_threads_are_set_for_the_run_alone(here, data_root, monkeypatch):
    import torch

    from seti.inference import folder_scores

    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(folder_scores, "_draw", lambda *_: seen.append(torch.get_num_threads()))
    score(f"data.root={data_root}", "threads=3")
    assert seen == [3]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "data.root is not set: give the folder of cadences to score, data.root=<folder>"),
        (["data.root=gone"], "data.root=gone is not a folder: give a folder of cadences (.npy), at any depth"),
        (["threads=0"], "threads=0 must be at least 1, or null for all cores"),
        (
            ["data.root=gone", "ckpt_dir=[pretrained,pretrained/needle_net]", "out=x"],
            "out=x is one folder for the predictions of 2 ensembles: give one ckpt_dir",
        ),
    ],
)
def test_a_mistake_is_one_line(here, words, message):
    with pytest.raises(SetiError) as error:
        score(*words)
    assert str(error.value) == message
    assert not list(here.iterdir())


def test_predictions_are_not_written_among_the_cadences(here, data_root):
    shutil.copytree(data_root / "test", here / "night")
    with pytest.raises(SetiError) as error:
        score("data.root=night", "out=night/")
    assert str(error.value) == "out=night is data.root: give another folder for the predictions"


def test_an_experiments_own_folder_is_left_alone(here, finished, outputs, data_root):
    finished("trainer.max_epochs=1", "optimizer.lr=0.01")
    with pytest.raises(SetiError, match=r"is the folder of an experiment, .*: set out=<another folder>"):
        score(f"data.root={data_root}", f"out={outputs / 'exp'}")


def test_a_cleaned_data_set_is_refused(here, own_data, finished, outputs, predict):
    (own_data / "clean.json").write_text('{"root": "gone"}')
    (own_data / "coverage.csv").write_text("id,split,group,covered,partners\n")
    message = r"needle_net was trained with data\.normalise=contrast, which would divide the rounding noise"
    for root in (own_data, own_data / "test"):
        with pytest.raises(SetiError, match=message):
            score(f"data.root={root}")
        with pytest.raises(SetiError, match=message):
            load_ensemble().score_folder(root)
    assert not list(here.iterdir())
    finished("trainer.max_epochs=1", "optimizer.lr=0.01", "data.normalise=whiten")
    with pytest.raises(SetiError, match=r"exp was trained with data\.normalise=whiten"):
        predict(f"data.root={own_data}")
