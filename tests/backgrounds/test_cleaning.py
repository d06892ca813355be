"""Subtraction of shared backgrounds, and the data set that it writes."""

import errno
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import compose
from cut_sets import BINS, ROWS, draw_field, make_set, needle, standardise

from seti.backgrounds import clean_set, cleaning, table
from seti.backgrounds.clean_set import clean
from seti.backgrounds.cleaning import Partner, choose, covered, flatten, subtract, thermal_noise
from seti.backgrounds.search import find_twins
from seti.config.schema import plain
from seti.data import integrity
from seti.data.competition import cadence_path
from seti.data.pack_writer import pack_splits
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SetiError

LINE = needle((0, 2, 4), 50, 0.4)  # two deviations of the noise


@pytest.fixture(scope="session")
def matched_once(tmp_path_factory):
    """A data set with its `twins.csv`, and its cadences; a needle in one cadence of two fields."""
    root = tmp_path_factory.mktemp("twins") / "set"
    made = make_set(root, {1: LINE, 4: LINE})
    find_twins(root, None, 1)
    return root, made


@pytest.fixture
def matched(matched_once, tmp_path):
    """A copy of it that may be changed."""
    root, made = matched_once
    shutil.copytree(root, tmp_path / "set")
    return tmp_path / "set", made


def read(folder: Path, cadence: tuple[str, str]) -> np.ndarray:
    return np.load(cadence_path(folder, *cadence)).astype(np.float32)


def test_only_what_a_cadence_has_alone_is_left(matched_once, tmp_path):
    root, made = matched_once
    cleaned = clean(root, tmp_path / "clean", None, 1)
    own = read(cleaned.folder, made[1])
    mask = LINE > 0
    assert own.dtype == np.float32
    assert np.median(own[mask]) == pytest.approx(2, rel=0.7)
    assert own[mask].min() > 1
    assert np.quantile(own[~mask], 0.999) < 0.02
    assert own.min() == 0


def test_a_twins_needle_leaves_no_shadow(matched_once, tmp_path):
    root, made = matched_once
    folder = clean(root, tmp_path / "clean", None, 1).folder
    other = read(folder, made[0])  # of which made[1] starts 40 bins later
    assert (other[:, :, 40:] >= 0).all()
    assert np.quantile(other[:, :, 40:], 0.999) < 0.02


def test_uncovered_bins_are_the_flattened_panel(matched_once, tmp_path):
    root, made = matched_once
    folder = clean(root, tmp_path / "clean", None, 1).folder
    raw = read(root, made[0])
    level = raw - np.median(raw, axis=2, keepdims=True)
    level -= np.median(level, axis=1, keepdims=True)
    noise = 1.4826 / np.sqrt(2) * np.median(np.abs(np.diff(raw, axis=1)).reshape(6, -1), axis=1)
    np.testing.assert_allclose(read(folder, made[0])[:, :, :40], (level / noise[:, None, None])[:, :, :40], atol=3e-3)
    assert (flatten(raw) == level).all()


def test_tables_coverage_and_links(matched_once, tmp_path):
    root, made = matched_once
    cleaned = clean(root, tmp_path / "clean", None, 1)
    folder = cleaned.folder
    for name in ("train_labels.csv", "sample_submission.csv", "test_labels.csv"):
        assert (folder / name).read_bytes() == (root / name).read_bytes()
    assert cleaned.describe() == "5 of 12 cadences cleaned, 1 of them covered by 0.9 or more; the others are links"
    written = pd.read_csv(folder / "coverage.csv", dtype={"id": str}).set_index("id")
    assert list(written) == ["split", "group", "covered", "partners"]
    assert written["covered"][made[0][1]] == 1 - 40 / BINS
    assert set(written["partners"][made[1][1]].split()) == {made[0][1], made[2][1]}
    for split, name in made[5:]:  # copies of each other, and those alone
        path = cadence_path(folder, split, name)
        assert path.is_symlink()
        assert path.samefile(cadence_path(root, split, name))
        assert written["covered"][name] == 0
    assert not any(path.is_symlink() for split, name in made[:5] for path in [cadence_path(folder, split, name)])
    assert not [found for found in integrity.check(folder, None, 1) if found.level == integrity.ERROR]
    assert not list(folder.rglob(".*.part*"))


def test_packs_are_read(matched_once, tmp_path):
    root, made = matched_once
    files = clean(root, tmp_path / "clean", None, 1).folder
    packed = tmp_path / "packed"
    shutil.copytree(root, packed, ignore=shutil.ignore_patterns("twins*"))
    pack_splits(packed, ["train", "test"], "all", None, 1)
    find_twins(packed, None, 1)
    for split in ("train", "test"):
        shutil.rmtree(packed / split)
    folder = clean(packed, tmp_path / "from_pack", None, 1).folder
    for one in made:
        assert (read(folder, one) == read(files, one)).all()
        assert not cadence_path(folder, *one).is_symlink()


@pytest.mark.parametrize(("where", "word"), [(".", "is"), ("new", "is inside"), ("train", "is inside")])
def test_a_folder_in_the_data_set_is_refused(matched_once, where, word):
    root, _ = matched_once
    with pytest.raises(SetiError) as caught:
        clean(root, root / where, None, 1)
    assert str(caught.value) == f"clean={root / where} {word} data.root={root}: give another folder, next to it"


def test_folders_of_something_else_are_refused(matched, tmp_path):
    root, _ = matched
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(SetiError, match=r"full is not empty and holds no clean.json: give a new folder$"):
        clean(root, tmp_path / "full", None, 1)
    with pytest.raises(SetiError, match=r"notes.txt is a file: give a folder$"):
        clean(root, tmp_path / "full" / "notes.txt", None, 1)
    clean(root, tmp_path / "clean", None, 1)
    (root / "test_labels.csv").unlink()
    with pytest.raises(SetiError, match=r"clean was made of another data set: delete it, or give a new folder$"):
        clean(root, tmp_path / "clean", None, 1)
    other = tmp_path / "other"
    make_set(other, seed=1)
    find_twins(other, None, 1)
    with pytest.raises(SetiError, match=r"clean was made of another data.root: delete it"):
        clean(other, tmp_path / "clean", None, 1)


def test_without_a_usable_table_of_twins(matched, tmp_path):
    root, _ = matched
    (root / "twins.csv").unlink()
    with pytest.raises(SetiError, match=r"twins.csv is missing: seti twins data.root="):
        clean(root, tmp_path / "clean", None, 1)
    assert not (tmp_path / "clean").exists()


def test_a_partner_that_was_damaged_after_matching(matched, tmp_path, monkeypatch):
    root, made = matched
    path = cadence_path(root, *made[0])
    np.save(path, standardise(draw_field(np.random.default_rng(9))[:, :, :BINS]))
    with pytest.raises(SetiError, match=rf"is out of date: the cadence {made[0][1]} has changed since"):
        clean(root, tmp_path / "clean", None, 1)
    # While it is cleaned: after the table was checked.
    monkeypatch.setattr(table, "_check_sources", lambda *args: None)
    with pytest.raises(SetiError) as caught:
        clean(root, tmp_path / "clean", None, 1)
    line = str(caught.value)
    assert "the noise of the two differs now; it or one of its twins has changed since twins.csv was made" in line
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SetiError, match=rf"cannot read cadence {path}: it is truncated"):
        clean(root, tmp_path / "clean", None, 1)
    assert not (tmp_path / "clean" / "coverage.csv").exists()


def test_a_stopped_run_goes_on(matched_once, tmp_path, monkeypatch):
    root, made = matched_once
    whole = clean(root, tmp_path / "whole", None, 1).folder
    calls, original = [], cleaning.subtract

    def full(*args):
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args)

    monkeypatch.setattr(clean_set, "subtract", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        clean(root, tmp_path / "clean", None, 1)
    assert str(tmp_path / "clean") in str(caught.value)
    assert not (tmp_path / "clean" / "coverage.csv").exists()
    folder = clean(root, tmp_path / "clean", None, 1).folder
    assert len(calls) == 3 + 3
    for one in made:
        assert cadence_path(folder, *one).read_bytes() == cadence_path(whole, *one).read_bytes()
    assert (folder / "coverage.csv").read_bytes() == (whole / "coverage.csv").read_bytes()
    clean(root, folder, None, 1)
    assert len(calls) == 6
    assert json.loads((folder / "clean.json").read_text())["root"] == str(root)


def test_a_disk_that_takes_a_part_of_a_file_is_named(matched_once, tmp_path):
    root, made = matched_once
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # a cadence has 49,280 bytes
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)) as caught:
            clean(root, tmp_path / "clean", None, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).endswith(".npy")
    assert not [path for path in (tmp_path / "clean").rglob("*") if path.is_file() and path.suffix == ".npy"]
    folder = clean(root, tmp_path / "clean", None, 1).folder
    assert all(cadence_path(folder, *one).is_file() for one in made)


def partner(row: int, shift: int) -> Partner:
    return Partner(row, shift, np.ones(6, np.float32), np.zeros(6, np.float32))


def test_twins_are_chosen_for_coverage():
    given = [partner(n, shift) for n, shift in enumerate((5, 6, 7, -60, 100, 90))]
    chosen = [one.row for one in choose(given, 128)]
    assert len(chosen) == 4
    assert chosen[:2] == [0, 3]
    assert covered(choose(given, 128), 128).all()
    assert covered([partner(0, 40)], 128).tolist() == [False] * 40 + [True] * 88
    assert covered([partner(0, -40)], 128).tolist() == [True] * 88 + [False] * 40


def test_a_second_twin_shows_a_signal_that_the_first_one_shares():
    field = draw_field(np.random.default_rng(1))[:, :, :BINS]
    line = needle((0, 2, 4), 30, 0.6)
    own, same, other = standardise(field + line), standardise(field + 1.0001 * line), standardise(field)
    twins = [same, other]
    partners = []
    for twin in twins:
        x, y = own.astype(float).reshape(6, -1), twin.astype(float).reshape(6, -1)
        still = (line == 0).reshape(6, -1)
        fits = [np.polyfit(b[keep], a[keep], 1) for a, b, keep in zip(x, y, still, strict=True)]
        partners.append(Partner(0, 0, *np.array(fits, np.float32).T))
    assert subtract(own, twins[:1], partners[:1])[line > 0].max() < 0.1
    assert subtract(own, twins, partners)[line > 0].min() > 1.5


def test_the_noise_of_panels_of_one_row_and_of_constant_ones():
    rng = np.random.default_rng(0)
    panels = rng.normal(0, 3, (6, 1, 4000)).astype(np.float32)
    np.testing.assert_allclose(thermal_noise(panels), 3, rtol=0.05)
    assert (thermal_noise(np.zeros((6, ROWS, BINS), np.float32)) == 1).all()


def test_a_cleaned_set_is_trained_on_in_its_own_scale(matched_once, tmp_path):
    root, _ = matched_once
    folder = clean(root, tmp_path / "clean", None, 1).folder
    small = ["experiment=best_clean_cpu", f"data.root={folder}", "data.n_folds=2", "data.dedoppler.max_drift=8"]
    small += ["data.dedoppler.drifts=5", "data.dedoppler.gap=[0,2]", "data.num_workers=0", "data.batch_size=4"]
    cfg = plain(compose("train", small))
    module = CadenceDataModule(cfg["data"], cfg["augment"], 0, 1)
    assert module.augment["inject_cleaned"] is True
    assert module.groups.describe() == "2 groups of 2 to 2 cadences, 4 in all; 4 are alone"
    raw = CadenceDataModule(cfg["data"] | {"root": str(root)}, cfg["augment"], 0, 1)
    assert raw.augment["inject_cleaned"] is False
    assert raw.labels.equals(module.labels)  # the same folds, of the same groups
    assert raw.fingerprint != module.fingerprint
    images, _, _ = module.train_set.__getitems__([0, 1])
    assert torch.isfinite(images).all()
    for how in ("panel", "robust", "flatten", "whiten"):
        with pytest.raises(SetiError, match=rf"data.normalise={how} would divide the rounding noise that is left in"):
            _ = CadenceDataModule(cfg["data"] | {"normalise": how}, cfg["augment"], 0, 1).labels
    (folder / "coverage.csv").unlink()
    with pytest.raises(SetiError, match=r"clean has no coverage.csv: the command that writes this data set has"):
        _ = CadenceDataModule(cfg["data"], cfg["augment"], 0, 1).labels


def test_a_cleaned_data_set_is_not_searched_or_cleaned_again(matched_once, tmp_path):
    root, _ = matched_once
    folder = clean(root, tmp_path / "clean", None, 1).folder
    for again in (lambda: find_twins(folder, None, 1), lambda: clean(folder, tmp_path / "other", None, 1)):
        with pytest.raises(SetiError, match=r"has its repeated backgrounds subtracted already, .* data\.root=.*set$"):
            again()
    assert not (folder / "twins.csv").exists()
    assert not (tmp_path / "other").exists()
