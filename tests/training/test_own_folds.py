"""Folds of the label table's own column and folds that keep groups together, from training to the blend."""

import logging
import shlex

import numpy as np
import pandas as pd
import pytest

from seti.backgrounds import table as twins
from seti.data import competition
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.stacking.out_of_fold import join_oof

OWN = ("data.folds=column", "trainer.max_epochs=1")


def write_folds(root, shift: int) -> pd.DataFrame:
    """Give every other needle, and every other cadence without one, to the second fold."""
    table = pd.read_csv(root / "train_labels.csv", dtype={"id": str})
    table["fold"] = (table.groupby("target").cumcount() + shift) % 2
    table.to_csv(root / "train_labels.csv", index=False)
    return table


def test_the_columns_folds_are_held_out_predicted_with_and_recorded(train, predict, outputs, own_data):
    table = write_folds(own_data, 0)
    own = (*OWN, f"data.root={own_data}")
    with pytest.raises(SetiError, match=r"has 2 folds in its fold column: set data.n_folds=2, not 5"):
        train(*own, "data.n_folds=5")
    for fold in (0, 1):
        train(*own, f"fold={fold}")
    experiment = Experiment(outputs / "exp")
    oof = experiment.read_oof().merge(table, on="id", suffixes=("", "_given"))
    assert len(oof) == len(table)
    assert (oof["fold"] == oof["fold_given"]).all()
    assert experiment.first_result.config["data"]["folds"] == "column"
    predict()
    assert list(pd.read_csv(experiment.predictions_path)) == ["id", "fold_0", "fold_1", "prob"]

    write_folds(own_data, 1)
    for fold in (0, 1):
        with pytest.raises(
            SetiError,
            match=r"was trained with other settings \(other labelled cadences: train_labels.csv has changed\)",
        ):
            train(*own, f"fold={fold}")
    train("trainer.max_epochs=1", "fold=0", "exp_name=drawn", f"data.root={own_data}")
    train("trainer.max_epochs=1", "fold=1", "exp_name=drawn", f"data.root={own_data}")
    with pytest.raises(SetiError, match=r"same data.n_folds, data.fold_seed and data.folds"):
        join_oof({name: Experiment(outputs / name).read_oof() for name in ("exp", "drawn")})


def test_a_column_of_other_folds_is_refused_before_a_batch_size_is_chosen(train, outputs, own_data):
    write_folds(own_data, 0)
    with pytest.raises(SetiError, match=r"has 2 folds in its fold column: set data.n_folds=2, not 5"):
        train(*OWN, f"data.root={own_data}", "data.n_folds=5", "data.batch_size=auto")
    assert not outputs.exists()


def test_a_refused_fold_stores_no_folds(train, outputs, own_data, tmp_path):
    write_twins(own_data, 2)
    with pytest.raises(SetiError, match="is not a file"):
        train("trainer.max_epochs=1", f"data.root={own_data}", f"model.weights={tmp_path / 'none.pth'}")
    assert not (outputs / "exp" / "folds.csv").exists()


def test_a_word_that_is_no_source_of_folds(train):
    with pytest.raises(SetiError, match=r"^data.folds=stratified is none of column; null draws stratified folds$"):
        train("data.folds=stratified")


def write_twins(root, size: int) -> pd.DataFrame:
    """Write a table of twins in which cadences that follow each other share a background."""
    tables = {
        split: pd.read_csv(root / name, dtype={"id": str})["id"].sort_values(ignore_index=True)
        for split, name in (("train", "train_labels.csv"), ("test", "sample_submission.csv"))
    }
    rows = [
        {"id": one, "split": split, "group": place // size if split == "train" else "", "offset": 0, "members": size}
        for split, ids in tables.items()
        for place, one in enumerate(ids)
    ]
    table = pd.DataFrame(rows).assign(covered=0.0, partners="", verdict="")
    found = {split: competition.list_files(root, split) for split in tables}
    sources = table[["id", "split"]].assign(checksum="")
    sources["size"] = [found[row.split][row.id][0] for row in sources.itertuples()]
    sources["mtime_ns"] = [found[row.split][row.id][1] for row in sources.itertuples()]
    none = np.zeros((0, 6), np.float32)
    links = twins.Links(*np.zeros((3, 0), np.int32), none, none, none)
    twins.write_twins(root, table, links, sources, {})
    return table


def test_folds_keep_groups_together(train, outputs, own_data, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    data = ("trainer.max_epochs=1", f"data.root={own_data}")
    train(*data, "exp_name=before")
    assert not (outputs / "before" / "folds.csv").exists()
    table = write_twins(own_data, 2)
    for fold in (0, 1):
        train(*data, f"fold={fold}")
    said = [record.getMessage() for record in caplog.records if "keep the groups" in record.getMessage()]
    assert said == [
        f"folds keep the groups of {own_data / 'twins.csv'} together: 20 groups of 2 to 2 cadences, 40 in all; 0 are "
        "alone; data.groups=none draws folds without them"
    ]
    oof = Experiment(outputs / "exp").read_oof().merge(table, on="id")
    assert len(oof) == 40
    assert oof.groupby("group")["fold"].nunique().max() == 1
    stored = pd.read_csv(outputs / "exp" / "folds.csv", dtype={"id": str})
    assert list(stored) == ["id", "target", "group", "fold", "fold_seed"]
    assert (stored["fold"] == oof["fold"]).all()

    # The folds that were drawn before remain those of their experiment.
    for fold in (0, 1):
        with pytest.raises(SetiError) as caught:
            train(*data, "exp_name=before", f"fold={fold}")
        assert str(caught.value) == (
            f"{outputs / 'before' / 'fold_0'} was trained with folds that keep no groups together: add "
            "data.groups=none to go on, or give another exp_name"
        )
    with pytest.raises(
        SetiError,
        match=r"\(data.fold_seed: 42 -> 1; seed: 42 -> 1; folds that keep no groups together, as data.groups=none\): g",
    ):
        train(*data, "exp_name=before", "seed=1")
    train(*data, "exp_name=before", "fold=1", "data.groups=none")
    with pytest.raises(SetiError, match=r"hold out in different folds .* data.folds, and data.groups"):
        join_oof({name: Experiment(outputs / name).read_oof() for name in ("exp", "before")})

    # The same groups, as a table that the user brings, give the same folds.
    table[table["split"] == "train"][["id", "group"]].to_csv(tmp_path / "own.csv", index=False)
    train(*data, "fold=1", f"data.groups={tmp_path / 'own.csv'}")
    write_twins(own_data, 4)
    with pytest.raises(SetiError, match=r"other labelled cadences or folds"):
        train(*data, "fold=1")


def test_a_table_without_shared_groups_leaves_folds_as_they_were(train, outputs, own_data, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    data = ("trainer.max_epochs=1", f"data.root={own_data}")
    train(*data)
    table = write_twins(own_data, 1)
    table[table["split"] == "train"][["id", "group"]].to_csv(tmp_path / "own.csv", index=False)
    for choice in ("auto", tmp_path / "own.csv"):
        caplog.clear()
        train(*data, f"data.groups={choice}")
        assert "fold 0 of exp is finished" in caplog.text
    assert not (outputs / "exp" / "folds.csv").exists()


def test_the_next_command_keeps_the_groups_and_is_not_printed_once_refused(run, small, outputs, own_data):
    words = [word for word in small if not word.startswith("data.root=")]
    words += [f"data.root={own_data}", "trainer.max_epochs=1", "data.n_folds=2"]
    first = run("train.py", *words)
    assert first.code == 0, first.err
    write_twins(own_data, 2)
    again = run("train.py", *words, "data.groups=none")
    assert again.code == 0, again.err
    (line,) = (line for line in again.out.splitlines() if line.startswith("next, the missing folds:"))
    assert line.endswith(" data.n_folds=2 data.groups=none")

    (line,) = (line for line in first.out.splitlines() if line.startswith("next, the missing folds:"))
    refused = run("train.py", *shlex.split(line.split("train.py ")[1]))
    assert refused.code == 1
    assert "next, the missing folds" not in refused.out
    assert "add data.groups=none to go on" in refused.err
    both = run("train.py", "-m", *words, "data.n_folds=4", "fold=2,3")
    (line,) = (line for line in both.err.splitlines() if line.startswith("  "))
    assert line.startswith(f"  {outputs / 'exp' / 'fold_2'}, {outputs / 'exp' / 'fold_3'}: ")


def test_a_table_of_twins_that_is_out_of_date(train, own_data):
    write_twins(own_data, 2)
    with (own_data / "twins.csv").open("a") as stream:
        stream.write("\n")
    with pytest.raises(SetiError, match=r"twins.csv is not the file that .*; data.groups=none draws folds without it$"):
        train(f"data.root={own_data}")


def test_groups_and_the_tables_own_folds(train, own_data, tmp_path):
    write_folds(own_data, 0)
    (tmp_path / "own.csv").write_text("id,group\n")
    own = (*OWN, f"data.root={own_data}")
    with pytest.raises(SetiError, match=r"own.csv is for folds that are drawn, and data.folds=column takes those of"):
        train(*own, f"data.groups={tmp_path / 'own.csv'}")
    train(*own, "data.groups=auto")
