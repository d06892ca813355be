import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from seti.data.cadence import (
    OFF_PANELS,
    ON_PANELS,
    PANEL_CHOICES,
    PANEL_LETTERS,
    all_finite,
    fit_networks,
    read_cadence,
    read_format,
)
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
    assert "allow_pickle" not in message, "numpy's advice to load unsafely must not reach the user"


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


def test_an_empty_array_and_complex_numbers_are_refused_with_what_to_do(tmp_path):
    assert refusal(saved(tmp_path, np.zeros((6, 0, 3)))).endswith(
        "is empty, it has shape (6, 0, 3): remove or replace the file"
    )
    assert refusal(saved(tmp_path, np.zeros(SHAPE, complex))).endswith(
        "not floats of 2, 4 or 8 bytes: save real numbers, such as the squares of its absolute values"
    )


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


def test_every_float16_is_judged_as_numpy_judges_it():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    found = [all_finite(value) for value in every.reshape(-1, 1)]
    np.testing.assert_array_equal(found, np.isfinite(every))


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f2", ">f4"])
def test_limits_of_other_floats_are_judged_as_numpy_judges_them(dtype):
    info = np.finfo(dtype)
    values = [0.0, -0.0, info.max, info.min, info.smallest_subnormal, np.inf, -np.inf, np.nan, -np.nan]
    for value in np.array(values, dtype):
        assert all_finite(np.array([1, value, -1], dtype)) == np.isfinite(value)


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        ("<f2", 65504, True),
        ("<f2", 6e-8, True),
        ("<f2", np.inf, False),
        *(
            (dtype, value, True)
            for dtype in ("<f4", ">f4", "<f8", ">f8")
            for value in (0.0, 1e36, -1e36, 2e-38, -2e-38)
        ),
        *((dtype, value, False) for dtype in ("<f4", ">f4") for value in (2e36, -2e36, 1e-40, -1e-40, np.nan, -np.inf)),
        *((dtype, value, False) for dtype in ("<f8", ">f8") for value in (1e45, -1e200, 1e-60, -1e-60, np.nan, np.inf)),
    ],
)
def test_values_that_networks_cannot_compute_with_are_told_apart(dtype, value, fits):
    assert fit_networks(np.full(4, value, dtype)) == fits
    assert fit_networks(np.array([0, -0.0, value], dtype)) == fits
    if abs(value) < 1:  # next to larger ones, a small value is as good as none
        assert fit_networks(np.array([1, value], dtype))
        assert fit_networks(np.array([-1, value], dtype))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1e45, "1 value beyond 32-bit floats, up to 1e+45, first in panel 2 (A): scale, remove or replace the file"),
        (-1e200, "1 value beyond 32-bit floats, up to 1e+200, first in panel 2 (A): scale, remove or replace the file"),
        (np.nan, "1 value that is NaN or infinite, first in panel 2 (A): remove or replace the file"),
    ],
)
def test_values_out_of_the_networks_range_are_counted(tmp_path, value, found):
    cadence = numbered("<f8")
    cadence[2, 1, 2] = value
    path = saved(tmp_path, cadence)
    with pytest.raises(SetiError) as error:
        read_cadence(path, for_networks=True)
    assert str(error.value) == f"cadence {path} has {found}"


def test_values_that_32_bit_floats_would_lose_are_refused(tmp_path):
    path = saved(tmp_path, numbered("<f8") * 1e-60)
    with pytest.raises(SetiError) as error:
        read_cadence(path, for_networks=True)
    most = np.abs(numbered(float)).max() * 1e-60
    assert str(error.value) == (
        f"cadence {path} has only values too small for 32-bit floats, {most:.2g} at most: scale, remove or replace the "
        "file"
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("stored", "held"), [("<f2", "<f2"), ("<f2", "<f4"), (">f2", "<f2")])
def test_panels_are_read_into_a_given_place(tmp_path, order, stored, held):
    batch = np.zeros((2, 3, 5, 7), held)
    place = batch[1]
    assert read_cadence(saved(tmp_path, np.asarray(numbered(stored), order=order)), (0, 2, 4), place) is place
    np.testing.assert_array_equal(batch[1], numbered()[[0, 2, 4]])
    assert not batch[0].any()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_place_of_another_size_or_narrower_type_is_refused(tmp_path, order):
    path = saved(tmp_path, np.asarray(numbered("<f4"), order=order))
    with pytest.raises(SetiError, match="panels of 5 x 7, the others have 5 x 6"):
        read_cadence(path, (0, 1), np.zeros((2, 5, 6), "<f4"))
    with pytest.raises(SetiError, match="holds float32, the others float16"):
        read_cadence(path, (0, 1), np.zeros((2, 5, 7), "<f2"))


def test_format_is_read_without_values(tmp_path):
    cadence = numbered("<f4")
    cadence[0, 0, 0] = np.nan
    assert read_format(saved(tmp_path, cadence)) == ((5, 7), np.dtype("<f4"))
    with pytest.raises(SetiError, match="no such file"):
        read_format(tmp_path / "other.npy")


def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path):
    path = tmp_path / "c.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + (2**32 - 16).to_bytes(4, "little") + b"{'descr': '<f2'}" * 20)
    os.truncate(path, 2**33)  # takes no space on the disk, but reading it would take memory
    tracemalloc.start()
    try:
        assert "claims a header of 4294967280 bytes" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ["(6, 99999, 99999)", "(6, 4611686018427387904, 4611686018427387904)"])
@pytest.mark.parametrize("fortran", ["False", "True"])
@pytest.mark.filterwarnings("error")
def test_a_huge_shape_over_a_small_file_takes_no_memory(tmp_path, shape, fortran):
    path = tmp_path / "c.npy"
    header = f"{{'descr': '<f2', 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(1000))
    tracemalloc.start()
    try:
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_file_of_another_size_than_asked_for_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "c.npy"
    header = "{'descr': '<f2', 'fortran_order': False, 'shape': (6, 99999, 9999), }".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    os.truncate(path, 128 + 6 * 99999 * 9999 * 2)
    with pytest.raises(SetiError, match="panels of 99999 x 9999, the others have 5 x 7"):
        read_cadence(path, size=(5, 7))


def test_a_pipe_is_no_cadence(tmp_path):
    os.mkfifo(tmp_path / "c.npy")
    assert "not a regular file" in refusal(tmp_path / "c.npy")


def test_a_file_longer_than_its_header_says_is_refused(tmp_path):
    path = saved(tmp_path, numbered())
    with path.open("ab") as stream:
        stream.write(bytes(100))
    with pytest.raises(SetiError, match="is 100 bytes longer than its header says"):
        read_cadence(path)
