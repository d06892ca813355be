import os

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold
from unit_helpers import make_cadences

from seti.data import competition
from seti.data.folds import assign_folds
from seti.errors import SetiError


def write_table(root, text: str, name: str = competition.LABELS) -> None:
    (root / name).write_text(text)


def refusal(call, *args) -> str:
    with pytest.raises(SetiError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def imbalanced(count: int, positives: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.arange(count) < positives).astype(np.int64)


def test_path_of_an_id(tmp_path):
    assert competition.cadence_path(tmp_path, "train", "7a01") == tmp_path / "train" / "7" / "7a01.npy"


def test_labels_come_sorted_and_typed(tmp_path):
    write_table(tmp_path, "note,target,id\nx,1,b\ny,0.0,0012\nz,1,a\n")
    table = competition.read_labels(tmp_path)
    assert table.to_dict("list") == {"id": ["0012", "a", "b"], "target": [0, 1, 1]}
    assert table["target"].dtype == np.int64
    assert table.index.tolist() == [0, 1, 2]


def test_ids_that_look_like_numbers_or_nothing_are_ids(tmp_path):
    write_table(tmp_path, "id,target\nnan,1\nNA,0\nnull,1\n1e10,0\n0012,1\n")
    assert competition.read_labels(tmp_path)["id"].tolist() == ["0012", "1e10", "NA", "nan", "null"]


@pytest.mark.parametrize(("count", "positives", "n_folds", "seed"), [(50, 10, 5, 0), (53, 7, 4, 3), (21, 10, 2, 42)])
def test_folds_are_scikit_learns(count, positives, n_folds, seed):
    targets = imbalanced(count, positives)
    expected = np.full(count, -1)
    splits = StratifiedKFold(n_splits=n_folds, shuffle=True, random_state=seed).split(targets, targets)
    for number, (_, rows) in enumerate(splits):
        expected[rows] = number
    folds = assign_folds(targets, n_folds, seed)
    np.testing.assert_array_equal(folds, expected)
    assert folds.dtype == np.int64


@pytest.mark.parametrize(("count", "positives", "n_folds"), [(50, 10, 5), (53, 7, 5), (101, 50, 7), (10, 5, 5)])
def test_every_fold_has_its_share_of_each_class(count, positives, n_folds):
    targets = imbalanced(count, positives)
    folds = assign_folds(targets, n_folds, 0)
    for value in (0, 1):
        counts = np.bincount(folds[targets == value], minlength=n_folds)
        assert counts.sum() == (targets == value).sum()
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1


def test_another_seed_gives_other_folds():
    targets = imbalanced(60, 20)
    assert (assign_folds(targets, 5, 0) != assign_folds(targets, 5, 1)).any()


def test_folds_do_not_depend_on_the_order_of_the_table(tmp_path):
    table = pd.DataFrame({"id": [f"{n:04d}" for n in range(40)], "target": imbalanced(40, 12)})
    found = []
    for seed in range(3):
        table.sample(frac=1, random_state=seed).to_csv(tmp_path / competition.LABELS, index=False)
        labels = competition.read_labels(tmp_path)
        folds = assign_folds(labels["target"].to_numpy(), 4, 9)
        found.append(dict(zip(labels["id"], folds.tolist(), strict=True)))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 40


@pytest.mark.parametrize(("positives", "name"), [(3, "3 positives"), (17, "3 negatives"), (0, "0 positives")])
def test_too_few_of_a_class(positives, name):
    message = refusal(assign_folds, imbalanced(20, positives), 4, 0)
    assert name in message
    assert "data.n_folds=4" in message


def test_missing_root(tmp_path):
    message = refusal(competition.read_labels, tmp_path / "nowhere")
    assert f"data.root={tmp_path / 'nowhere'}" in message


@pytest.mark.parametrize(
    ("read", "name"),
    [(competition.read_labels, competition.LABELS), (competition.read_test_ids, competition.SUBMISSION)],
)
def test_missing_table(tmp_path, read, name):
    assert f"{tmp_path / name} is missing" in refusal(read, tmp_path)


@pytest.mark.parametrize(("text", "column"), [("id,label\na,1\n", "target"), ("name,target\na,1\n", "id")])
def test_missing_column(tmp_path, text, column):
    write_table(tmp_path, text)
    assert f"no column {column}" in refusal(competition.read_labels, tmp_path)


def test_empty_table(tmp_path):
    write_table(tmp_path, "id,target\n")
    assert "no cadence" in refusal(competition.read_labels, tmp_path)


def test_doubled_ids_are_counted_and_the_first_named(tmp_path):
    write_table(tmp_path, "id,target\na,0\nb,1\nc,1\nb,1\nc,0\n")
    message = refusal(competition.read_labels, tmp_path)
    assert "2 ids twice, first b" in message


@pytest.mark.parametrize("target", ["2", "0.5", "-1", "", "nan", "yes", "inf"])
def test_targets_other_than_0_and_1_are_counted_and_the_first_named(tmp_path, target):
    write_table(tmp_path, f"id,target\na,0\nb,1\nc,{target}\nd,{target}\n")
    message = refusal(competition.read_labels, tmp_path)
    assert "2 targets other than 0 and 1" in message
    assert "for id c" in message
    assert "np.float64" not in message
    assert not target or f"'{target}" in message


@pytest.mark.parametrize(
    "bad",
    [
        "../../x",
        "/etc/passwd",
        "a\x00b",
        "a\nb",
        "",
        ".hidden",
        "a/b",
        "a\\b",
        "a b",
        "-a",
        "..",
        "a.b",
        "é",
        "a\n",
        "a" * 201,
    ],
)
@pytest.mark.parametrize(
    ("read", "name"),
    [(competition.read_labels, competition.LABELS), (competition.read_test_ids, competition.SUBMISSION)],
)
def test_ids_that_are_no_plain_name_are_refused(tmp_path, read, name, bad):
    pd.DataFrame({"id": ["good", bad, "fine"], "target": [0, 1, 0]}).to_csv(tmp_path / name, index=False)
    message = refusal(read, tmp_path)
    assert "1 ids that cannot name a file" in message
    assert repr(bad)[:60] in message


@pytest.mark.parametrize("good", ["0028a35de92941d", "A-1_b", "_", "7"])
def test_plain_names_are_ids(tmp_path, good):
    write_table(tmp_path, f"id,target\n{good},1\n")
    assert competition.read_labels(tmp_path)["id"].tolist() == [good]


def test_test_ids_keep_the_sample_submissions_order(tmp_path):
    write_table(tmp_path, "id,target\nc,0.5\na,0.5\n00,0.5\nb,0.5\n", competition.SUBMISSION)
    assert competition.read_test_ids(tmp_path).tolist() == ["c", "a", "00", "b"]


def test_test_labels_are_optional(tmp_path):
    assert competition.read_test_labels(tmp_path) is None
    write_table(tmp_path, "id,target\nc,1\na,0\n", competition.TEST_LABELS)
    assert competition.read_test_labels(tmp_path).to_dict("list") == {"id": ["c", "a"], "target": [1, 0]}


def test_all_files_present(tmp_path):
    ids = pd.Series(["a1", "b2", "b3"])
    make_cadences(tmp_path, "train", ids.tolist())
    competition.check_files(tmp_path, "train", ids)


@pytest.mark.parametrize(
    ("there", "count", "first"),
    [
        (["a1", "b2", "b3", "c4"], "1 of 5", "(d5)"),
        (["b2"], "4 of 5", "(a1, b3, c4, ...)"),
        ([], "5 of 5", "(a1, b2, b3, ...)"),
    ],
)
def test_missing_files_are_counted_and_the_first_three_named(tmp_path, there, count, first):
    make_cadences(tmp_path, "test", there)
    message = refusal(competition.check_files, tmp_path, "test", pd.Series(["a1", "b2", "b3", "c4", "d5"]))
    assert f"{count} test ids" in message
    assert first in message


def test_a_file_in_the_wrong_folder_is_missing(tmp_path):
    make_cadences(tmp_path, "train", ["a1"])
    (tmp_path / "train" / "a").rename(tmp_path / "train" / "b")
    assert str(tmp_path / "train" / "a" / "a1.npy") in refusal(
        competition.check_files, tmp_path, "train", pd.Series(["a1"])
    )


def test_files_of_another_size_are_named(tmp_path):
    ids = pd.Series(["a1", "b2", "b3", "c4"])
    make_cadences(tmp_path, "train", ids.tolist())
    for name in ("b2", "c4"):
        os.truncate(competition.cadence_path(tmp_path, "train", name), 200)
    message = refusal(competition.check_files, tmp_path, "train", ids)
    assert "2 of 4 train files have another size than the others (b2, c4)" in message
    assert "has 200 bytes, most others have 1280" in message
    assert list(competition.find_unfit(tmp_path, "train", ids)) == ["b2", "c4"]


def test_of_a_single_file_of_another_size_it_is_said_what_is_wrong(tmp_path):
    ids = pd.Series(["a1", "b2", "b3"])
    make_cadences(tmp_path, "train", ids.tolist())
    os.truncate(competition.cadence_path(tmp_path, "train", "b2"), 200)
    assert "it is truncated" in refusal(competition.check_files, tmp_path, "train", ids)
    make_cadences(tmp_path, "train", ["b2"], rows=9)
    assert "panels of 9 x 12, the others have 8 x 12" in refusal(competition.check_files, tmp_path, "train", ids)


def test_a_link_to_nowhere_is_a_missing_file(tmp_path):
    make_cadences(tmp_path, "train", ["a1", "a2"])
    path = competition.cadence_path(tmp_path, "train", "a2")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert "1 of 2 train ids have no file (a2)" in refusal(
        competition.check_files, tmp_path, "train", pd.Series(["a1", "a2"])
    )


def test_an_id_in_train_and_test_is_refused(tmp_path):
    write_table(tmp_path, "id,target\na,1\nb,0\nc,0\n")
    competition.check_overlap(tmp_path)
    write_table(tmp_path, "id,target\nb,0.5\nd,0.5\n", competition.SUBMISSION)
    assert "1 ids in train and in test (b)" in refusal(competition.check_overlap, tmp_path)
    write_table(tmp_path, "name\nb\n", competition.SUBMISSION)
    competition.check_overlap(tmp_path)  # prediction will say what is wrong with the table
