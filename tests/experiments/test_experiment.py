import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import compose, read_json
from unit_helpers import seal

from seti.config.schema import plain
from seti.data.folds import fingerprint
from seti.errors import SetiError
from seti.experiments.experiment import (
    RELEASED,
    Experiment,
    FoldFolder,
    find_experiments,
    open_experiment,
    unset_experiment,
)
from seti.experiments.run_identity import RunIdentity, differences

IDS = ["b2", "a1", "d4", "c3"]


def write_fold(path, number, ids, n_folds=2, config=None, label_print="f", **changes):
    folder = path / f"fold_{number}"
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"id": ids, "fold": number, "target": [0, 1], "prob": [0.25, 0.75]})
    table.assign(**changes).to_csv(folder / "oof.csv", index=False)
    result = {
        "fold": number,
        "n_folds": n_folds,
        "exp_name": path.name,
        "scores": {"auc": 1.0, "loss": 0.3},
        "checkpoint": "checkpoints/best.ckpt",
        "data": {"root": "data", "fingerprint": label_print},
        "config": config or {},
    }
    (folder / "result.json").write_text(json.dumps(result))
    seal(path)


@pytest.fixture
def experiment(tmp_path):
    write_fold(tmp_path / "exp", 0, IDS[:2])
    write_fold(tmp_path / "exp", 1, IDS[2:])
    return Experiment(tmp_path / "exp")


def test_the_tables_are_joined_by_id(experiment):
    oof = experiment.read_oof()
    assert list(oof["id"]) == ["a1", "b2", "c3", "d4"]
    assert list(oof["fold"]) == [0, 0, 1, 1]
    assert list(oof["prob"]) == [0.75, 0.25, 0.75, 0.25]
    assert experiment.is_finished()
    assert experiment.missing_folds() == []
    assert experiment.name == "exp"


def test_ids_stay_text(tmp_path):
    """Fifteen hex digits may look like a number: 12e4 is 120000, and 0012 is not 12."""
    write_fold(tmp_path / "exp", 0, ["12e4", "0012"], n_folds=2)
    assert list(Experiment(tmp_path / "exp").read_oof()["id"]) == ["0012", "12e4"]


def test_only_a_result_makes_a_fold_finished(experiment):
    (experiment.path / "fold_1" / "result.json").unlink()
    begun = Experiment(experiment.path)
    assert begun.finished_folds() == [0]
    assert begun.missing_folds() == [1]
    assert not begun.is_finished()
    assert set(begun.read_oof()["fold"]) == {0}
    assert FoldFolder(experiment.path / "fold_1").read_result() is None


def test_more_than_nine_folds_are_in_order(tmp_path):
    for fold in (10, 2, 0):
        write_fold(tmp_path / "exp", fold, [f"{fold}a", f"{fold}b"], n_folds=11)
    experiment = Experiment(tmp_path / "exp")
    assert experiment.finished_folds() == [0, 2, 10]
    assert experiment.missing_folds() == [1, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "changes", [{"prob": [0.5, 1.5]}, {"prob": [0.5, None]}, {"prob": ["x", 0.5]}, {"fold": 0}, {"target": [0, 2]}]
)
def test_a_damaged_table_is_named(experiment, changes):
    write_fold(experiment.path, 1, IDS[2:], **changes)
    with pytest.raises(SetiError, match=r"fold_1/oof.csv is damaged .*: train fold 1 again with force=true"):
        experiment.read_oof()


def test_a_table_without_a_column_or_file_is_named(experiment):
    path = experiment.path / "fold_1" / "oof.csv"
    pd.read_csv(path).drop(columns="prob").to_csv(path, index=False)
    with pytest.raises(SetiError, match=r"fold_1/oof.csv is not the file that result.json was written about"):
        experiment.read_oof()
    seal(experiment.path)
    with pytest.raises(SetiError, match=r"fold_1/oof.csv has no column prob"):
        Experiment(experiment.path).read_oof()
    path.unlink()
    with pytest.raises(SetiError, match=r"fold_1/oof.csv is missing"):
        experiment.read_oof()


def test_an_id_that_is_held_out_twice_is_named(experiment):
    write_fold(experiment.path, 1, IDS[1:3])
    with pytest.raises(SetiError, match="1 ids are held out twice, first a1"):
        Experiment(experiment.path).read_oof()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"config": {"optimizer": {"lr": 1.0}}}, "optimizer.lr: None -> 1.0"),
        ({"label_print": "other"}, "other labelled cadences: train_labels.csv has changed"),
    ],
)
def test_folds_of_different_runs_are_refused(experiment, changes, named):
    write_fold(experiment.path, 1, IDS[2:], **changes)
    with pytest.raises(SetiError, match=rf"folds 0 and 1 were trained differently \({named}\): train one of them"):
        _ = Experiment(experiment.path).results


def test_a_damaged_result_is_named(experiment):
    path = experiment.path / "fold_0" / "result.json"
    result = read_json(path)
    del result["scores"], result["data"]
    path.write_text(json.dumps(result))
    with pytest.raises(SetiError, match=r"fold_0/result.json lacks scores, data: train this fold again"):
        _ = Experiment(experiment.path).results
    path.write_text('{"fold": 0')
    with pytest.raises(SetiError, match=r"cannot read .*fold_0/result.json"):
        _ = Experiment(experiment.path).results


def test_experiments_are_found_and_opened(experiment, tmp_path):
    write_fold(tmp_path / "another", 0, IDS[:2])
    write_fold(tmp_path / "stack", 0, IDS[:2])
    (tmp_path / "begun" / "fold_0").mkdir(parents=True)
    assert [found.name for found in find_experiments(tmp_path)] == ["another", "exp"]
    assert open_experiment(tmp_path / "exp").finished_folds() == [0, 1]
    with pytest.raises(SetiError, match=r"ckpt_dir=.*gone is not a folder: .*has another, exp"):
        open_experiment(tmp_path / "gone")
    with pytest.raises(SetiError, match=r"holds no finished fold .*: train it first, or give outputs/<exp_name>"):
        open_experiment(tmp_path / "begun")


def test_the_fingerprint_tells_labels_and_not_their_order():
    labels = pd.DataFrame({"id": IDS, "target": [0, 1, 0, 1]})
    digest = fingerprint(labels)
    assert len(digest) == 16
    assert fingerprint(labels.sample(frac=1, random_state=0)) == digest
    assert fingerprint(labels.astype({"target": float})) == digest
    assert fingerprint(labels.assign(target=[1, 0, 0, 1])) != digest
    assert fingerprint(labels.assign(id=["b2", "a1", "d4", "c5"])) != digest
    assert fingerprint(labels.iloc[:3]) != digest


def test_differences_are_those_that_change_the_outcome(small):
    def settings(*overrides):
        return plain(compose("train", [*small, *overrides]))

    old = settings()
    assert differences(old, settings()) == []
    assert differences(json.loads(json.dumps(old)), old) == []  # as a result.json gives it back
    earlier = json.loads(json.dumps(old))
    del earlier["data"]["folds"]  # as records of version 0.2.0 are
    assert differences(earlier, old) == []
    assert differences(earlier, settings("data.folds=column")) == ["data.folds: None -> column"]
    same = [
        "fold=1",
        "data.num_workers=3",
        "data.augment_on=device",
        "data.root=elsewhere",
        "force=true",
        "threads=2",
        "trainer=auto",
    ]
    assert differences(old, settings(*same, "trainer.precision=32", "trainer.max_epochs=2", "lr_range.steps=7")) == []
    changed = ["seed=1", "data.fold_seed=42", "data.image_size=[24,33]", "augment=none", "+trainer.min_epochs=1"]
    assert differences(old, settings(*changed)) == [
        "augment.affine: 0.5 -> 0.0",
        "augment.flip_frequency: 0.5 -> 0.0",
        "augment.flip_time: 0.5 -> 0.0",
        "augment.rotate: 10.0 -> 0.0",
        "augment.scale: 0.1 -> 0.0",
        "augment.shift: 0.1 -> 0.0",
        "data.image_size: [24, 32] -> [24, 33]",
        "seed: 42 -> 1",
        "trainer.min_epochs: None -> 1",
    ]


def test_a_wrong_folder_names_the_right_one(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp" / "fold_4").mkdir()
    for fold in ("fold_0", "fold_1", "fold_4"):
        with pytest.raises(SetiError) as caught:
            open_experiment(Path("exp") / fold)
        assert (
            str(caught.value) == f"ckpt_dir=exp/{fold} is the folder of one fold: give its experiment's, ckpt_dir=exp"
        )
    write_fold(tmp_path / "another", 0, IDS[:2])
    with pytest.raises(SetiError) as caught:
        open_experiment(tmp_path)
    assert str(caught.value) == (
        f"ckpt_dir={tmp_path} is not an experiment, it holds another, exp: give one of them, such as "
        f"ckpt_dir={tmp_path}/another"
    )
    assert unset_experiment() == "ckpt_dir is not set: give an experiment's folder, ckpt_dir=outputs/<exp_name>"
    assert unset_experiment(Path()) == (
        "ckpt_dir is not set: give an experiment's folder, such as ckpt_dir=another; . has another, exp"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"on_error": "skip"}, {"on_error": "raise"}, "data.on_error: skip -> raise, with other labelled cadences"),
        ({"root": "a"}, {"root": "b"}, "data.root: a -> b, with other labelled cadences"),
        (
            {"on_error": "skip"},
            {"on_error": "skip"},
            "other labelled cadences: train_labels.csv, or which cadences could be read, has changed",
        ),
        ({}, {}, "other labelled cadences: train_labels.csv has changed"),
    ],
)
def test_other_cadences_name_what_changed_them(old, new, said):
    one, other = RunIdentity({"data": old}, "1"), RunIdentity({"data": new}, "2")
    assert one.differences(other) == [said]
    assert one.differences(RunIdentity({"data": new}, "1")) == []


def test_commands_that_take_released_networks_name_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert unset_experiment(also=RELEASED) == (
        "ckpt_dir is not set: give an experiment's folder, ckpt_dir=outputs/<exp_name>, or ckpt_dir=pretrained, the "
        "networks that come with the package"
    )
    with pytest.raises(
        SetiError, match=r"<exp_name>, or ckpt_dir=pretrained, the networks that come with the package$"
    ):
        open_experiment(Path("nowhere"), RELEASED)
    with pytest.raises(SetiError, match=r"did you mean ckpt_dir=pretrained\?$"):
        open_experiment(Path("pretraned"), RELEASED)
    Path("outputs/pretrained").mkdir(parents=True)
    with pytest.raises(SetiError, match=r"or give outputs/<exp_name>, or ckpt_dir=pretrained"):
        open_experiment(Path("outputs/pretrained"), RELEASED)
