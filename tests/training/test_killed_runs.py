"""Training and reports killed between two files: the same command goes on with what is there."""

import shutil
from pathlib import Path

import pytest
import torch
from interruptions import RECIPE, Killed, kill_at
from unit_helpers import assert_same_run

from seti.errors import SetiError
from seti.inference import predict as prediction
from seti.reports import cross_validation
from seti.training import fold as training
from seti.utils import files


@pytest.mark.parametrize(
    ("owner", "name", "call", "done"),
    [
        (
            training.AtomicCheckpointIO,
            "save_checkpoint",
            1,
            True,
        ),  # the first epoch's best.ckpt exists, last.ckpt not
        (training.AtomicCheckpointIO, "save_checkpoint", 3, False),
        (training.AtomicCheckpointIO, "save_checkpoint", 3, True),
        (training.files, "write_csv", 1, True),  # oof.csv exists, result.json does not
        (training.files, "write_json", 1, True),  # result.json exists, but the run has not ended
    ],
)
def test_a_run_killed_between_two_files_resumes(train, fold, trained_once, monkeypatch, owner, name, call, done):
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, call, done)
        with pytest.raises(Killed):
            train(*RECIPE)
    train(*RECIPE)
    assert_same_run(fold, trained_once(*RECIPE))
    best, expected = (
        torch.load(path / "checkpoints/best.ckpt", weights_only=True) for path in (fold, trained_once(*RECIPE))
    )
    assert all(torch.equal(weights, expected["state_dict"][name]) for name, weights in best["state_dict"].items())


@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_a_run_killed_while_clearing_an_old_one_starts_again(train, predict, fold, trained_once, monkeypatch, number):
    shutil.copytree(trained_once(*RECIPE), fold)
    predict()
    with monkeypatch.context() as patch:
        removed = []

        def remove(original, path, **options):
            if "exp" in Path(path).parts and ".part" not in str(path):
                removed.append(path)
                if len(removed) == number:
                    raise Killed
            return original(path, **options)

        unlink, rmtree = Path.unlink, shutil.rmtree
        patch.setattr(Path, "unlink", lambda path, **options: remove(unlink, path, **options))
        patch.setattr(shutil, "rmtree", lambda path, **options: remove(rmtree, path, **options))
        with pytest.raises(Killed):
            train(*RECIPE, "force=true")
    assert number == 1 or not (fold / "result.json").exists()  # a half-deleted fold does not pass for finished
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "INSTANT", 0)
        if number > 1:
            with pytest.raises(SetiError, match="holds no finished fold"):
                predict()
    train(*RECIPE, "force=true")
    assert_same_run(fold, trained_once(*RECIPE))


@pytest.mark.parametrize(
    ("owner", "name", "call", "done"),
    [(cross_validation.files, "write_json", 1, True), (cross_validation.figures, "save_figure", 2, False)],
)
def test_a_report_that_was_killed_is_written_again(fold, trained_once, monkeypatch, owner, name, call, done):
    shutil.copytree(trained_once(*RECIPE), fold)
    cross_validation.report(fold.parent)
    expected = {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()}
    for path in expected:
        (fold.parent / path).unlink()
    with monkeypatch.context() as patch:
        kill_at(patch, owner, name, call, done)
        with pytest.raises(Killed):
            cross_validation.report(fold.parent)
    (fold.parent / f".gallery.{files._host()}-4194305.part.png").write_text("of a killed run")
    cross_validation.report(fold.parent)
    assert {path.name: path.read_bytes() for path in fold.parent.iterdir() if path.is_file()} == expected
