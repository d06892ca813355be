import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import read_json
from unit_helpers import DATA, NO_AUGMENT, make_train_set

from seti.data import pack_writer as pack
from seti.data import competition
from seti.data.cadence import ON_PANELS, read_cadence
from seti.data.pack_reader import PackedCadences, PackFiles
from seti.data.sources import CadenceFiles
from seti.data.splits import open_split
from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.dataset import CadenceDataset
from seti.errors import SetiError

SKIP = "data.on_error=skip"


def module(root, fold=0, **data) -> CadenceDataModule:
    return CadenceDataModule(DATA | {"root": str(root)} | data, NO_AUGMENT, fold, seed=0)


def path_of(root, cadence_id: str, split: str = "train"):
    return competition.cadence_path(root, split, cadence_id)


def spoil(root, ids: list[str], split: str = "train") -> None:
    """Remove the first, cut the second, put a NaN into the third, replace the fourth by other panels."""
    path_of(root, ids[0], split).unlink()
    content = path_of(root, ids[1], split).read_bytes()
    path_of(root, ids[1], split).unlink()
    path_of(root, ids[1], split).write_bytes(content[:-3])
    cadence = np.load(path_of(root, ids[2], split))
    for i, array in ((ids[2], cadence), (ids[3], np.swapaxes(cadence, 1, 2).copy())):
        path_of(root, i, split).unlink()
        np.save(path_of(root, i, split), array)
    cadence[2, 3, 4] = np.nan
    path_of(root, ids[2], split).unlink()
    np.save(path_of(root, ids[2], split), cadence)


def test_damaged_cadences_are_left_out_and_folds_stay_as_they_were(tmp_path, caplog):
    table = make_train_set(tmp_path, 24, 12)
    whole = module(tmp_path).table.set_index("id")["fold"]
    ids = table["id"].tolist()[::6]
    spoil(tmp_path, ids)
    with pytest.raises(SetiError, match="have no file"):
        _ = module(tmp_path).table
    with caplog.at_level(logging.WARNING):
        skipping = module(tmp_path, on_error="skip")
        kept = skipping.table.set_index("id")["fold"]
    assert kept.to_dict() == whole.drop(ids).to_dict()
    assert sorted(skipping.skipped) == ids
    reasons = ("no such file", "bytes, most others have", "NaN or infinite", "panels of 12 x 8, the others have 8 x 12")
    for i, reason in zip(ids, reasons, strict=True):
        assert reason in skipping.skipped[i]
    assert "leaves out 4 of 24 train cadences" in caplog.text
    make_train_set(tmp_path / "sound", 24, 12)
    assert skipping.fingerprint != module(tmp_path / "sound").fingerprint, "another set was trained on"
    assert sum(len(batch[2]) for batch in skipping.val_dataloader()) == (kept == 0).sum()


def test_nothing_is_left_out_of_a_sound_set(tmp_path):
    make_train_set(tmp_path, 12, 6)
    skipping, stopping = module(tmp_path, on_error="skip"), module(tmp_path)
    assert skipping.skipped == {}
    assert skipping.fingerprint == stopping.fingerprint
    pd.testing.assert_frame_equal(skipping.table, stopping.table)


def test_damage_in_panels_that_are_not_read_does_not_matter(tmp_path):
    table = make_train_set(tmp_path, 12, 6)
    path = path_of(tmp_path, table["id"][0])
    cadence = np.load(path)
    cadence[1] = np.nan
    np.save(path, cadence)
    assert module(tmp_path, on_error="skip").skipped == {}
    assert list(module(tmp_path, on_error="skip", panels="all").skipped) == [table["id"][0]]


def test_a_class_that_is_gone_from_a_fold_is_one_line(tmp_path):
    table = make_train_set(tmp_path, 12, 3)
    held_out = module(tmp_path).table
    needle = held_out["id"][(held_out["fold"] == 0) & (held_out["target"] == 1)].item()
    os.truncate(path_of(tmp_path, needle), 20)
    with pytest.raises(SetiError, match="held out in fold 0 one class is gone"):
        _ = module(tmp_path, on_error="skip").table
    assert len(module(tmp_path, fold=1, on_error="skip").table) == len(table) - 1


def test_nothing_left(tmp_path):
    table = make_train_set(tmp_path, 12, 6)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(SetiError, match="no cadence that can be read"):
        open_split(tmp_path, "train", table["id"].to_numpy(), ON_PANELS, on_error="skip")


def test_a_pack_that_serves_needs_no_files(tmp_path):
    table = make_train_set(tmp_path, 12, 6)
    pack.pack_split(tmp_path, "train", "A")
    shutil.rmtree(tmp_path / "train")
    for on_error in ("raise", "skip"):
        opened = module(tmp_path, on_error=on_error)
        assert isinstance(opened.train_set.source, PackedCadences)
        assert len(opened.table) == len(table)
        assert (opened.spec.rows, opened.spec.bins) == (8, 12)


def test_a_fold_opens_a_pack_once(tmp_path, monkeypatch):
    """A large pack's table takes a while; both parts of the fold read the cadences that are theirs."""
    make_train_set(tmp_path, 12, 6)
    made = pack.pack_split(tmp_path, "train", "A")
    opened, read_table = [], PackFiles.read_table
    monkeypatch.setattr(PackFiles, "read_table", lambda files: opened.append(files) or read_table(files))
    fold = module(tmp_path)
    parts = [fold.train_set, fold.val_set]
    assert opened == [made]
    assert sorted(i for part in parts for i in part.ids) == fold.table["id"].tolist()
    for part in parts:
        for index, name in enumerate(part.ids):
            whole = read_cadence(competition.cadence_path(tmp_path, "train", name), ON_PANELS)
            np.testing.assert_array_equal(part.source.read(index), whole)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_stale_pack_is_opened_once_before_files_are_read_instead(tmp_path, monkeypatch, caplog, on_error):
    table = make_train_set(tmp_path, 12, 6)
    made = pack.pack_split(tmp_path, "train", "A")
    os.utime(path_of(tmp_path, table["id"][0]), ns=(1, 1))
    opened, read_manifest = [], PackFiles.read_manifest
    monkeypatch.setattr(PackFiles, "read_manifest", lambda files: opened.append(files) or read_manifest(files))
    with caplog.at_level(logging.INFO):
        split = open_split(tmp_path, "train", table["id"], ON_PANELS, on_error=on_error)
    assert opened == [made]
    assert isinstance(split.source, CadenceFiles)
    assert split.skipped == {}
    assert "1 of its 12 sources have changed" in caplog.text


def test_a_dataset_refuses_a_source_of_another_size(tmp_path):
    table = make_train_set(tmp_path, 12, 6)
    spec = module(tmp_path).spec
    for packed in ("false", "true"):
        source = open_split(tmp_path, "train", table["id"], ON_PANELS, packed).source
        assert len(CadenceDataset(source, None, spec)) == 12
        with pytest.raises(SetiError, match=r"have panels of 8 x 12, but .* 9 x 12"):
            CadenceDataset(source, None, replace(spec, rows=9))
        pack.pack_split(tmp_path, "train", "A")
    with pytest.raises(SetiError, match="has panels of 8 x 12, not of 9 x 12"):
        open_split(tmp_path, "train", table["id"], ON_PANELS, size=(9, 12))


def test_training_leaves_out_lists_and_counts(train, own_data, outputs):
    ids = competition.read_labels(own_data)["id"].tolist()[::9][:4]
    spoil(own_data, ids)
    for fold in (0, 1):
        train(f"data.root={own_data}", SKIP, f"fold={fold}", "trainer.max_epochs=1")
    folder = outputs / "exp" / "fold_0"
    skipped = pd.read_csv(folder / "skipped.csv", dtype={"id": str})
    assert sorted(skipped["id"]) == ids
    assert skipped["reason"].notna().all()
    assert read_json(folder / "result.json")["data"]["skipped"] == 4
    rows = pd.concat([pd.read_csv(outputs / "exp" / f"fold_{fold}" / "oof.csv", dtype={"id": str}) for fold in (0, 1)])
    assert sorted(rows["id"]) == sorted(set(competition.read_labels(own_data)["id"]) - set(ids))


def test_prediction_leaves_scores_empty_and_submits_the_prior(train, predict, own_data, outputs, caplog):
    train(f"data.root={own_data}", "trainer.max_epochs=1", "data.n_folds=4")
    ids = competition.read_test_ids(own_data).tolist()[1:8:2]
    predict(f"data.root={own_data}")
    before = pd.read_csv(outputs / "exp" / "predictions.csv", dtype={"id": str}).set_index("id")
    spoil(own_data, ids, "test")
    with pytest.raises(SetiError, match="have no file"):
        predict(f"data.root={own_data}")
    with caplog.at_level(logging.WARNING):
        predict(f"data.root={own_data}", SKIP)
    after = pd.read_csv(outputs / "exp" / "predictions.csv", dtype={"id": str}).set_index("id")
    assert after.index.tolist() == before.index.tolist()
    assert after.loc[ids].isna().all(axis=None)
    np.testing.assert_allclose(after.drop(ids), before.drop(ids), atol=1e-6)
    submitted = pd.read_csv(outputs / "exp" / "submission.csv", dtype={"id": str}).set_index("id")["target"]
    assert submitted[ids].tolist() == [0.5] * 4, "half of the training cadences hold a needle"
    assert "4 of 12 test cadences are damaged" in caplog.text
    assert "training prior 0.5" in caplog.text


def test_a_fold_trained_from_a_pack_is_the_same(train, own_data, outputs):
    train(f"data.root={own_data}", "data.packed=false")
    pack.pack_split(own_data, "train", "A")
    shutil.rmtree(own_data / "train")
    train(f"data.root={own_data}", "data.packed=true", "exp_name=packed")
    one, other = ((outputs / name / "fold_0" / "oof.csv").read_bytes() for name in ("exp", "packed"))
    assert one == other


@pytest.mark.parametrize("override", ["data.packed=maybe", "data.on_error=ignore"])
def test_unknown_choices_are_refused(train, predict, override):
    with pytest.raises(SetiError, match=override):
        train(override)
