import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from unit_helpers import make_cadences

from seti.data.cadence import read_cadence
from seti.errors import SetiError
from seti.inference.scoring import load_ensemble
from seti.models.release_files import PACKAGED, RECORD, read_release
from seti.models.released import load_released
from seti.transforms.batch import prepare
from seti.transforms.panels import Panels

EXACT = {"device": "cpu", "precision": "32"}


@pytest.fixture(scope="module")
def released():
    return load_ensemble("pretrained")


def by_hand(cadences, **changes):
    """Probabilities of the released networks, member by member."""
    members = load_released()
    spec = members[0][1].for_panels(*cadences.shape[2:])
    images = prepare(Panels(torch.from_numpy(cadences)), spec.image_maker())
    with torch.no_grad():
        return np.stack([network(images).sigmoid().numpy() for network, _ in members], axis=1)


@pytest.mark.parametrize(("rows", "bins"), [(273, 256), (16, 256), (16, 100), (2, 64), (500, 300)])
def test_released_networks_score_panels_of_any_size(released, rows, bins):
    cadences = np.random.default_rng(rows).normal(size=(3, 6, rows, bins)).astype(np.float32)
    scores = released.score(cadences, **EXACT)
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, by_hand(cadences).mean(axis=1), atol=1e-5)


def test_one_cadence_gives_one_number(released):
    cadence = np.random.default_rng(1).normal(size=(6, 16, 64)).astype(np.float16)
    score = released.score(cadence, **EXACT)
    assert np.ndim(score) == 0
    assert score == released.score(cadence[None], **EXACT)[0]


def test_the_gap_between_panels_keeps_its_length_relative_to_a_panel(released):
    spec = released.spec.for_panels(546, 128)
    assert (spec.rows, spec.bins) == (546, 128)
    assert spec.dedoppler["gap"] == [2 * gap for gap in released.spec.dedoppler["gap"]]
    assert released.spec.for_panels(273, 256) == released.spec


@pytest.mark.parametrize("scale", [1e-37, 1e-26, 1e12, 1e34])
def test_the_scale_of_the_values_does_not_matter(released, scale):
    cadences = 1 + np.random.default_rng(3).normal(size=(1, 6, 16, 64))
    expected = released.score(cadences, **EXACT)
    for kind in (np.float32, np.float64):
        np.testing.assert_allclose(released.score((cadences * scale).astype(kind), **EXACT), expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["auto", "bf16-mixed", "32"])
def test_values_beyond_32_bit_floats_are_not_blamed_on_the_networks(released, tmp_path, precision, caplog):
    cadences = np.random.default_rng(3).normal(size=(2, 6, 16, 64)) * [[[[1]]], [[[1e45]]]]
    with pytest.raises(SetiError) as error:
        released.score(cadences, device="cpu", precision=precision)
    assert str(error.value).startswith("cadences[1] has 6144 values beyond 32-bit floats, up to ")
    assert str(error.value).endswith("e+45, first in panel 0 (A): scale the cadences")
    for name, cadence in zip("ab", cadences, strict=True):
        np.save(tmp_path / name, cadence)
    with pytest.raises(SetiError) as error:
        released.score_folder(tmp_path, device="cpu", precision=precision)
    assert str(error.value).startswith(f"cadence {tmp_path / 'b.npy'} has 6144 values beyond 32-bit floats, up to ")
    assert str(error.value).endswith(': scale, remove or replace the file, or give on_error="skip"')
    table = released.score_folder(tmp_path, device="cpu", precision=precision, on_error="skip")
    assert table["prob"].isna().tolist() == [False, True]
    assert "changes a probability" not in caplog.text


def test_constant_cadences_are_named(released, caplog):
    cadences = np.random.default_rng(3).normal(size=(3, 6, 16, 64))
    cadences[1] = 7
    released.score(cadences, **EXACT)
    every = "panel 0 (A), 1 (B), 2 (A), 3 (C), 4 (A), 5 (D)"
    assert caplog.messages == [
        f"1 of 3 cadences has a constant panel, first 1, {every}: such a score means nothing",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "score takes an array, (N, 6, rows, bins), not None: score_folder takes a path"),
        ("b/seq", "score takes an array, (N, 6, rows, bins), not the path b/seq: score_folder takes a path"),
        (Path("b/seq"), "score takes an array, (N, 6, rows, bins), not the path b/seq: score_folder takes a path"),
        (5, "score takes an array, (N, 6, rows, bins), not 5"),
        ([None], "cadences hold NoneType, not numbers: give floats"),
        (
            [np.zeros((6, 20, 64)), np.zeros((6, 10, 64))],
            "cadences have the shapes (6, 10, 64), (6, 20, 64): give those of one size together, or one by one",
        ),
        (np.zeros((3, 5)), "cadences have the shape (N, 6, rows, bins), not (3, 5)"),
        (np.zeros((0, 3, 5)), "cadences have the shape (N, 6, rows, bins), not (1, 0, 3, 5)"),
        (
            np.zeros((6, 0, 64)),
            "the cadences are empty, they have the shape (1, 6, 0, 64): give some with rows and bins",
        ),
        (np.zeros((6, 20, 7)), "the cadences have panels of 20 x 7: give panels of at least 8 bins"),
    ],
)
def test_what_is_not_an_array_of_cadences_is_refused_in_one_line(released, given, message):
    with pytest.raises(SetiError) as error:
        released.score(given)
    assert str(error.value) == message


@pytest.mark.parametrize("none", [[], np.zeros((0, 6, 273, 256)), np.zeros((0, 6, 16, 64), np.float16)])
def test_no_cadence_gives_no_score(released, none):
    scores = released.score(none)
    assert (scores.shape, scores.dtype) == ((0,), float)


@pytest.mark.parametrize("given", [None, 5, ["pretrained"], ("outputs/a", "outputs/b")])
def test_an_ensemble_is_one_path(released, given):
    with pytest.raises(SetiError) as error:
        load_ensemble(given)
    assert str(error.value) == (
        f"load_ensemble takes 'pretrained' or the path of one folder, outputs/<exp_name>, not {given!r}"
    )


def test_arguments_of_a_folder_are_named_as_in_python(released, tmp_path):
    for given, message in (
        (None, "score_folder takes the path of a folder, not None"),
        (tmp_path / "gone", f"{tmp_path / 'gone'} is not a folder: give a folder of cadences (.npy), at any depth"),
    ):
        with pytest.raises(SetiError) as error:
            released.score_folder(given)
        assert str(error.value) == message
    with pytest.raises(SetiError) as error:
        released.score_folder(tmp_path, on_error="ignore")
    assert str(error.value) == "on_error='ignore' is none of 'raise', 'skip'"


def test_python_shows_no_bar_unless_asked(released, tmp_path, capsys):
    cadences = make_cadences(tmp_path, "night", ["b", "a"], rows=16, bins=64)
    released.score(cadences, **EXACT)
    released.score_folder(tmp_path, on_error="skip", **EXACT)
    assert capsys.readouterr().out == ""
    released.score(cadences, progress=True, **EXACT)
    assert "needle_net: 5 networks" in capsys.readouterr().out


def test_an_ensemble_is_printed_in_one_line(released):
    expected = "<ensemble needle_net: 5 networks needle_net_swift, trained on panels of 273 x 256>"
    assert repr(released) == str(released) == expected


def test_panels_of_one_row_are_refused(released):
    with pytest.raises(SetiError) as error:
        released.score(np.zeros((1, 6, 1, 256), np.float32), **EXACT)
    assert str(error.value) == (
        "the cadences have panels of 1 x 256, and data.layout=dedoppler sums along drift rates: give panels of at "
        "least two rows"
    )


def test_a_folder_is_scored_as_its_cadences_are(released, tmp_path):
    cadences = make_cadences(tmp_path, "night", ["b", "a"], rows=16, bins=64)
    table = released.score_folder(tmp_path, **EXACT)
    assert list(table.columns) == ["id", *(f"fold_{fold}" for fold in range(5)), "prob"]
    assert list(table["id"]) == ["a", "b"]
    np.testing.assert_allclose(table["prob"], released.score(cadences[::-1], **EXACT), atol=1e-6)
    np.testing.assert_allclose(table["prob"], table.filter(like="fold_").mean(axis=1), rtol=1e-12)


def test_damaged_cadences_of_a_folder_have_no_score(released, tmp_path):
    make_cadences(tmp_path, "night", ["b", "a"], rows=16, bins=64)
    (tmp_path / "night" / "b" / "b.npy").write_bytes(b"x")
    table = released.score_folder(tmp_path, on_error="skip", **EXACT)
    assert table["prob"].isna().tolist() == [False, True]
    with pytest.raises(SetiError, match=r"cannot read cadence .*b\.npy: it is not a \.npy file"):
        released.score_folder(tmp_path, **EXACT)


def test_an_experiment_of_ones_own_scores_as_predict_does(finished, predict, outputs, data_root):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", "optimizer.lr=0.01", f"fold={fold}")
    predict()
    expected = pd.read_csv(outputs / "exp" / "predictions.csv", dtype={"id": str})
    ensemble = load_ensemble(outputs / "exp")
    table = ensemble.score_folder(data_root, **EXACT)
    pd.testing.assert_frame_equal(table, expected, atol=1e-6)
    path = data_root / "test" / table["id"][0][0] / f"{table['id'][0]}.npy"
    assert ensemble.score(read_cadence(path), **EXACT) == pytest.approx(table["prob"][0], abs=1e-6)
    with pytest.raises(SetiError, match=r"the network takes in panels of 273 x 256: use cadences of that size"):
        ensemble.score(np.zeros((1, 6, 16, 256), np.float32), **EXACT)


def test_a_release_is_also_loaded_from_its_folder(released, tmp_path):
    shutil.copytree(PACKAGED / "needle_net", tmp_path / "mine")
    for written in (tmp_path / "mine", "pretrained/needle_net"):
        assert load_ensemble(written).digests == released.digests


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "cut",
            r"weights .*fold_2\.safetensors are damaged, or not those of their release\.json: copy the whole folder",
        ),
        ("gone", r"weights .*fold_2\.safetensors are missing: copy the whole folder again"),
        ("garbled", r"release\.json is damaged, it cannot be read as a record: copy the whole folder again$"),
        ("foreign", r"release\.json is not the record of a release \(its format is missing or wrong\)"),
    ],
)
def test_damaged_weights_are_refused_in_one_line(tmp_path, damage, message):
    folder = tmp_path / "mine"
    shutil.copytree(PACKAGED / "needle_net", folder)
    path = folder / "fold_2.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "gone":
        path.unlink()
    elif damage == "garbled":
        (folder / RECORD).write_text('{"format": 1, "back')
    else:
        (folder / RECORD).write_text('{"weights": "of another program"}')
    with pytest.raises(SetiError, match=message) as error:
        load_ensemble(folder)
    assert "\n" not in str(error.value)


def test_an_unknown_release_is_named_with_those_that_there_are():
    with pytest.raises(SetiError) as error:
        load_ensemble("pretrained/other")
    assert str(error.value).startswith("pretrained/other is not a release of this package, which has pretrained/")


def test_digests_are_those_of_the_record(released):
    release = read_release("needle_net")
    assert released.digests == {str(fold): release.sums[f"fold_{fold}.safetensors"] for fold in range(5)}
