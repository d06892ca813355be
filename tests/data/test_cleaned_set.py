"""Recognition of data sets whose repeated backgrounds are subtracted."""

import json

import pytest

from seti.data.cleaned_set import check_networks, check_not_cleaned, cleaned_above, is_cleaned
from seti.errors import SetiError


@pytest.fixture
def cleaned(tmp_path, monkeypatch):
    """Folder of a cleaned data set, next to the one that it was made from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    root = tmp_path / "cleaned"
    (root / "test" / "a").mkdir(parents=True)
    (root / "clean.json").write_text(json.dumps({"root": str(tmp_path / "raw")}))
    (root / "coverage.csv").write_text("id,split,group,covered,partners\n")
    return root


@pytest.mark.parametrize("part", ["", "test", "test/a", "packed"])
def test_parts_of_a_cleaned_data_set_are_recognised(cleaned, part):
    assert cleaned_above(cleaned / part) == cleaned


def test_links_to_a_part_are_recognised_and_other_folders_are_not(cleaned, tmp_path):
    (tmp_path / "link").symlink_to(cleaned / "test")
    assert cleaned_above(tmp_path / "link") == cleaned
    assert cleaned_above(tmp_path / "raw") is None
    assert cleaned_above(tmp_path) is None


def test_an_unfinished_one_is_refused(cleaned):
    (cleaned / "coverage.csv").unlink()
    for check in (is_cleaned, cleaned_above):
        with pytest.raises(SetiError, match=r"has no coverage\.csv: the command that writes this data set"):
            check(cleaned)


@pytest.mark.parametrize("normalise", ["contrast", "whiten", "panel"])
def test_networks_of_other_cadences_are_refused(cleaned, normalise):
    with pytest.raises(SetiError) as error:
        check_networks(cleaned / "test", "needle_net", normalise)
    assert str(error.value) == (
        f"data.root={cleaned / 'test'} has its repeated backgrounds subtracted, and needle_net was trained with "
        f"data.normalise={normalise}, which would divide the rounding noise that is left by itself: score "
        "data.root=raw, or train networks for it with "
        f"seti train -m fold=all experiment=best_clean_cpu data.root={cleaned}"
    )


def test_the_advice_does_without_an_original_that_is_gone(cleaned, tmp_path):
    (tmp_path / "raw").rmdir()
    with pytest.raises(SetiError, match=r"by itself: train networks for it with seti train"):
        check_networks(cleaned, "needle_net", "contrast")


def test_networks_that_learned_from_cleaned_cadences_warn_of_others(cleaned, tmp_path, caplog):
    check_networks(cleaned, "exp", "cleaned", "0123-cleaned")
    check_networks(tmp_path / "raw", "exp", "cleaned", "0123")
    assert not caplog.text
    check_networks(tmp_path / "raw", "exp", "cleaned", "0123-cleaned")
    assert "exp learned from cadences without their repeated backgrounds" in caplog.text
    assert f"seti twins data.root={tmp_path / 'raw'} clean=<folder> subtracts them" in caplog.text


def test_twins_are_not_searched_again(cleaned):
    with pytest.raises(SetiError) as error:
        check_not_cleaned(cleaned)
    assert str(error.value) == (
        f"data.root={cleaned} has its repeated backgrounds subtracted already, and {cleaned / 'coverage.csv'} lists "
        "the twins: search the data set that it was made from, data.root=raw"
    )
