import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from seti.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES, PANEL_LETTERS, read_cadence
from seti.errors import SetiError

SHAPE = (6, 5, 7)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def numbered(dtype="<f2") -> np.ndarray:
    """Every value of the cadence tells its place."""
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


def saved(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "c.npy", array)
    return folder / "c.npy"


def refusal(path: Path, panels=PANEL_CHOICES["all"]) -> str:
    """The message of the error; it must be one line that names the file."""
    with pytest.raises(SetiError) as caught:
        read_cadence(path, panels)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_on_panels_are_the_a_s_of_abacad():
    assert [PANEL_LETTERS[panel] for panel in ON_PANELS] == ["A", "A", "A"]
    assert [PANEL_LETTERS[panel] for panel in OFF_PANELS] == ["B", "C", "D"]
    assert PANEL_CHOICES == {"A": (0, 2, 4), "all": (0, 1, 2, 3, 4, 5)}


@pytest.mark.parametrize("panels", [(0, 2, 4), (0, 1, 2, 3, 4, 5), (5,), (4, 1)])
def test_panels_are_those_asked_for_in_that_order(tmp_path, panels):
    cadence = read_cadence(saved(tmp_path, numbered()), panels)
    np.testing.assert_array_equal(cadence, numbered()[list(panels)])


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_precision_and_values_survive_byte_and_memory_order(tmp_path, dtype, order):
    cadence = read_cadence(saved(tmp_path, np.asarray(numbered(dtype), order=order)), (0, 2, 4))
    assert cadence.dtype == np.dtype(dtype)
    assert cadence.flags.c_contiguous
    np.testing.assert_array_equal(cadence.astype(float), numbered(float)[[0, 2, 4]])


def test_what_was_read_can_be_written_to_without_touching_the_file(tmp_path):
    path = saved(tmp_path, np.asfortranarray(numbered()))
    before = path.read_bytes()
    read_cadence(path)[:] = 0
    assert path.read_bytes() == before


def test_missing_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "c.npy")


def test_a_folder_is_no_cadence(tmp_path):
    (tmp_path / "c.npy").mkdir()
    assert "directory" in refusal(tmp_path / "c.npy").lower()


@pytest.mark.parametrize("kept", [0, 5, 60, 128, 129, -1])
@pytest.mark.parametrize("order", ["C", "F"])
def test_truncated_file(tmp_path, kept, order):
    path = saved(tmp_path, np.asarray(numbered(), order=order))
    path.write_bytes(path.read_bytes()[:kept])
    assert "replace the file" in refusal(path, (0, 2))


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\x93NUMPY", b"PK\x03\x04 cut", b"\x80\x04K\x03."],
    ids=["text", "magic alone", "broken archive", "number"],
)
def test_not_an_npy(tmp_path, content):
    path = tmp_path / "c.npy"
    path.write_bytes(content)
    message = refusal(path)
    assert "allow_pickle" not in message, "numpy's advice to load unsafely must not reach a person"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"'fortran_order': False", b"'fortran_order': Fals{"),
        (b"'<f2'", b"',f2'"),
        (b"(6, 5, 7), }", b"(6,-5,-7), }"),
        (b"(6, 5, 7), }", b"(6, 5, 7), {"),
        (b"'shape'", b"'shapp'"),
    ],
)
def test_damaged_header(tmp_path, old, new):
    path = saved(tmp_path, numbered())
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    refusal(path)


def test_archive(tmp_path):
    with (tmp_path / "c.npy").open("wb") as stream:
        np.savez(stream, cadence=numbered())
    assert "archive" in refusal(tmp_path / "c.npy")


@pytest.mark.parametrize("kind", ["object array", "bare pickle"])
def test_pickled_code_does_not_run(tmp_path, kind):
    path, sprung = tmp_path / "c.npy", tmp_path / "sprung"
    if kind == "object array":
        np.save(path, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    refusal(path)
    assert not sprung.exists()
    np.load(path, allow_pickle=True)
    assert sprung.exists(), "the trap itself must work"


@pytest.mark.parametrize("shape", [(5, 4, 3), (7, 4, 3), (6, 4), (1, 6, 4, 3), (6, 0, 3), (6, 3, 0), ()])
def test_wrong_shape_is_named(tmp_path, shape):
    assert str(shape) in refusal(saved(tmp_path, np.zeros(shape, np.float16)))


@pytest.mark.parametrize("dtype", ["int16", "uint8", "bool", "complex64", "<U3", "S2"])
def test_other_types_are_named(tmp_path, dtype):
    assert f"holds {np.dtype(dtype)}, not float" in refusal(saved(tmp_path, np.zeros(SHAPE, dtype)))


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", "<f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_their_panel_named(tmp_path, dtype, value):
    cadence = numbered(dtype)
    cadence[3, 1, 2] = cadence[3, 4, 6] = cadence[5, 0, 0] = value
    message = refusal(saved(tmp_path, cadence))
    assert " 3 values" in message
    assert "panel 3 (C)" in message


def test_the_panel_is_named_by_its_place_in_the_file_not_among_those_read(tmp_path):
    cadence = numbered()
    cadence[4, 0, 0] = np.nan
    assert "panel 4 (A)" in refusal(saved(tmp_path, cadence), (0, 2, 4))


def test_opposite_infinities_do_not_cancel(tmp_path):
    cadence = numbered()
    cadence[0, 0, :2] = np.inf, -np.inf
    assert " 2 values" in refusal(saved(tmp_path, cadence))


def test_nan_in_a_panel_that_is_not_read_does_not_matter(tmp_path):
    cadence = numbered()
    cadence[1] = np.nan
    assert read_cadence(saved(tmp_path, cadence), (0, 2, 4)).shape == (3, 5, 7)


@pytest.mark.parametrize(("dtype", "value"), [("<f2", 65504), ("<f4", 3e38), ("<f8", 1e300), ("<f8", -1e300)])
@pytest.mark.filterwarnings("error")
def test_huge_finite_values_are_kept(tmp_path, dtype, value):
    cadence = np.full(SHAPE, value, dtype)
    np.testing.assert_array_equal(read_cadence(saved(tmp_path, cadence)), cadence)
