"""Hints for mistyped paths."""

import pytest

from seti.utils import near_paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data/demo", "outputs/base/fold_0", "weights", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "weights" / "b1 (1).pth").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dat", "data"),
        ("Data", "data"),
        ("dta/demo", "data/demo"),
        ("data/dem", "data/demo"),
        ("output/base", "outputs/base"),
        ("outputs/base/fold0", "outputs/base/fold_0"),
        ("data", None),
        ("nothing/like/it", None),
        ("hidden", None),
        ("dta/other", None),
    ],
)
def test_the_existing_path_with_the_nearest_name(folder, typed, meant):
    found = near_paths.nearest(folder.__class__(typed))
    assert (None if found is None else str(found)) == meant
    absolute = near_paths.nearest(folder / typed)
    assert (None if absolute is None else absolute) == (None if meant is None else folder / meant)


def test_the_hint_can_be_typed(folder):
    assert near_paths.hint("model.weights", folder / "weights" / "b1.pth") == (
        f"; did you mean 'model.weights=\"{folder}/weights/b1 (1).pth\"'?"
    )
    assert near_paths.hint("data.root", folder / "zzz") == ""
