"""Folds of the label table's own column, from training to the blend."""

import pandas as pd
import pytest

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


def test_a_word_that_is_no_source_of_folds(train):
    with pytest.raises(SetiError, match=r"^data.folds=stratified is none of column; null draws stratified folds$"):
        train("data.folds=stratified")
