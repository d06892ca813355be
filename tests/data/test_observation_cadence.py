"""Cadences of observations: how they are given, what belongs together, ON and OFF."""

import shutil

import numpy as np
import pytest
from observation_files import ABACAD, FOFF, TSAMP, power, write_cadence

from seti.data.observation_cadence import find_cadences, on_by_source
from seti.errors import SetiError

pytest.importorskip("h5py")

ALTERNATING = (True, False) * 3


def refused(where, pattern=None, coarse_width=None) -> str:
    with pytest.raises(SetiError) as error:
        find_cadences(where, pattern, coarse_width)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_six_files_in_any_order_are_sorted_by_time(tmp_path):
    paths = write_cadence(tmp_path)
    (cadence,) = find_cadences([str(path) for path in reversed(paths)])
    assert cadence.files == tuple(paths)
    assert cadence.on == ALTERNATING
    assert (cadence.source, cadence.mjd) == ("HIP123", 59000.25)
    assert np.allclose(cadence.panel_start_s, 320 * np.arange(6), atol=1e-4)


def test_a_folder_and_a_pattern_of_names_are_cadences(tmp_path):
    paths = write_cadence(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.h5").write_text("x")
    for where in (tmp_path, str(tmp_path), f"{tmp_path}/*.h5"):
        (cadence,) = find_cadences(where)
        assert cadence.files == tuple(paths)


def test_products_of_other_resolution_in_the_folder_are_left_out(tmp_path):
    for path in write_cadence(tmp_path):
        path.rename(path.with_name(f"{path.stem}.rawspec.0000.h5"))
        shutil.copy(path.with_name(f"{path.stem}.rawspec.0000.h5"), path.with_name(f"{path.stem}.rawspec.0001.h5"))
    assert len(find_cadences(tmp_path)[0].files) == 6


def test_a_table_names_many_cadences(tmp_path):
    rows = ["cadence,file,pattern,comment"]
    for name, pattern in (("first", ""), ("second", "BABABA")):
        (tmp_path / name).mkdir()
        for path in write_cadence(tmp_path / name):
            rows.append(f"{name},{path.relative_to(tmp_path)},{pattern},x")
    (tmp_path / "all.csv").write_text("\n".join(rows))
    first, second = find_cadences(tmp_path / "all.csv")
    assert (first.name, first.on) == ("first", ALTERNATING)
    assert (second.name, second.on, second.source) == ("second", (False, True) * 3, "HIP7")
    assert second.files[0].parent.name == "second"


def test_a_table_as_a_spreadsheet_writes_it_is_read(tmp_path):
    rows = ["Cadence;File;Pattern"]
    rows += [f"0012 ; {path} ;ABACAD" for path in write_cadence(tmp_path)]
    (tmp_path / "all.csv").write_text("\n".join(rows))
    (cadence,) = find_cadences(str(tmp_path / "all.csv"))
    assert cadence.name == "0012"


def test_tables_that_cannot_be_right_are_refused(tmp_path):
    table = tmp_path / "all.csv"
    assert refused(table) == f"{table} does not exist: set cadence to a .csv with the columns cadence and file"
    table.write_text("file\na.h5\n")
    assert refused(table).startswith(f"{table} has no column cadence: it has file")
    table.write_text("cadence,file\n")
    assert refused(table).startswith(f"{table} names no cadence")
    table.write_text("cadence,file\nx,\n")
    assert refused(table) == f"{table} has no file in row 1 after the header: fill it in"
    table.write_text("cadence,file\nx,a.h5\n")
    assert refused(table) == (
        f"cadence x of {table} has 1 file (a.h5), and a cadence is six observations: name those six"
    )
    table.write_text("cadence,file,pattern\nx,a.h5,ABACAD\nx,b.h5,ABABAB\n")
    assert "gives cadence x several patterns (ABACAD, ABABAB)" in refused(table)


@pytest.mark.parametrize("number", [5, 7])
def test_five_or_seven_files_are_refused(tmp_path, number):
    paths = write_cadence(tmp_path)
    paths = [*paths, shutil.copy(paths[0], tmp_path / "z.h5")][:number]
    assert refused(paths).startswith(f"cadence has {number} files (")
    assert refused(paths).endswith("and a cadence is six observations: name those six")
    if number == 7:
        assert refused(tmp_path).startswith(f"{tmp_path} has 7 files (")


def test_what_is_no_cadence_is_refused(tmp_path):
    assert "holds no .h5 and no .fil file" in refused(tmp_path)
    assert "does not exist: set cadence to six observations" in refused(tmp_path / "none")
    (path, *_) = write_cadence(tmp_path)
    assert "has 1 file" in refused(path)


def test_the_same_observation_twice_is_refused(tmp_path):
    paths = write_cadence(tmp_path)
    assert refused([*paths[:5], paths[0]]) == f"{paths[0]} is named twice: a cadence is six different observations"
    link = tmp_path / "link.h5"
    link.symlink_to(paths[0])
    assert f"{link} is named twice (as {paths[0]} too)" in refused([*paths[:5], link])
    copy = tmp_path / "z.h5"
    shutil.copy(paths[0], copy)
    said = refused([*paths[:5], copy])
    assert "begin at the same time (MJD 59000.250000): they are the same observation" in said
    assert str(copy) in said
    assert str(paths[0]) in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"foff": lambda p: FOFF * (1 + (p == 3))}, "has another resolution than"),
        ({"tsamp": lambda p: TSAMP * (1 + (p == 3))}, "has another resolution than"),
        ({"fch1": lambda p: 8400 + 0.001 * (p == 3)}, "has another frequency range than"),
        ({"foff": lambda p: FOFF * (1 - 2 * (p == 3)), "fch1": 8400.0}, "has another frequency range than"),
        (
            {"foff": lambda p: FOFF * (1 - 2 * (p == 3)), "fch1": lambda p: 8400 + 127 * FOFF * (p == 3)},
            "has another frequency order than",
        ),
        ({"telescope_id": lambda p: 6 - 2 * (p == 3)}, "has another telescope than"),
        ({"nfpc": lambda p: 64 // (1 + (p == 3))}, "has another width of coarse channels than"),
    ],
)
def test_a_panel_that_does_not_belong_is_named(tmp_path, changed, said):
    paths = write_cadence(tmp_path, **changed)
    message = refused(paths)
    assert message.startswith(f"{paths[3]} {said} {paths[0]}: "), message
    assert message.endswith("; replace it with the observation of the same cadence")


def test_a_panel_of_other_length_is_named_even_if_it_is_the_first(tmp_path):
    from seti.data.filterbank_writer import write_filterbank
    from seti.data.observation import read_header

    paths = write_cadence(tmp_path)
    write_filterbank(paths[0], read_header(paths[0]).attributes, power((3, 128)))
    assert refused(paths) == (
        f"{paths[0]} has another number of rows than {paths[1]}: 3 rows, not 4 rows; "
        "replace it with the observation of the same cadence"
    )


def test_observations_that_overlap_or_lie_hours_apart_are_refused(tmp_path):
    paths = write_cadence(tmp_path, tstart=lambda p: 59000.25 + p * 40 / 86400)
    assert f"{paths[1]} begins 33 s before {paths[0]} ends" in refused(paths)
    paths = write_cadence(tmp_path, tstart=lambda p: 59000.25 + p * 320 / 86400 + (p == 5))
    assert f"{paths[5]} begins 24.1 hours after {paths[4]} ends" in refused(paths)


@pytest.mark.parametrize(
    ("sources", "on"),
    [
        (ABACAD, ALTERNATING),
        (("A", "B") * 3, ALTERNATING),
        (("HIP123", "HIP123_OFF") * 3, ALTERNATING),
        (("HIP123_OFF", "HIP123") * 3, (False, True) * 3),
        (("HIP123", "HIP123_OFF1", "HIP123", "HIP123_OFF2", "HIP123", "HIP123_OFF3"), ALTERNATING),
        (("HIP123", "HIP123-off", "HIP123", "HIP123-off", "HIP123", "HIP123-off"), ALTERNATING),
        (("ProxCen_R", "ProxCen_S") * 3, (False, True) * 3),
        (("B", "A", "C", "A", "D", "A"), (False, True) * 3),
        ((" HIP1 ", "X", "HIP1", "Y", "HIP1", "Z"), ALTERNATING),
        (("A", "A", "A", "B", "C", "D"), (True,) * 3 + (False,) * 3),
        (("HIP1_OFF", "HIP2", "HIP1_OFF", "HIP3", "HIP1_OFF", "HIP4"), ALTERNATING),  # a name may end so
    ],
)
def test_on_follows_from_source_names(sources, on):
    assert on_by_source(sources) == on


@pytest.mark.parametrize("sources", [("A",) * 6, tuple("ABCDEF"), tuple("ABCABC"), tuple("AAAABB"), ("",) * 6])
def test_on_that_does_not_follow_asks_for_the_pattern(tmp_path, sources):
    paths = write_cadence(tmp_path, sources)
    said = refused(paths)
    assert said.startswith(f"the sources in time order are {', '.join(name or '(none)' for name in sources)}: ")
    assert said.endswith("set pattern, such as pattern=ABACAD (A is the target)")
    assert find_cadences(paths, "ABACAD")[0].on == ALTERNATING
    assert find_cadences(paths, "bababa")[0].on == (False, True) * 3


@pytest.mark.parametrize("pattern", ["ABAB", "ABACADA", "AAAAAA", "BCDEFG", "101010", ""])
def test_patterns_that_are_none_are_refused(tmp_path, pattern):
    assert refused(tmp_path, pattern) == (
        f"pattern={pattern} must be six letters in time order, three of them A for the target: ABACAD, or ABABAB"
    )


def test_fil_files_and_mixed_formats_are_cadences(tmp_path):
    paths = write_cadence(tmp_path, suffix=".fil")
    assert find_cadences(tmp_path, coarse_width=64)[0].files == tuple(paths)
    assert "set coarse_width" in refused(paths)
