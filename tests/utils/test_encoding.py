"""Output on terminals that know few characters."""

import io
import shutil
import sys

import pytest

from seti.utils import encoding


def test_a_character_that_the_output_lacks_is_printed_as_an_escape(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    with pytest.raises(UnicodeEncodeError):
        print("0.5 \N{PLUS-MINUS SIGN} 0.1")
    assert encoding.plus_minus() == "+-"
    encoding.print_any_character()
    print("\N{LATIN SMALL LETTER E WITH ACUTE}: \udcff")
    assert written.getvalue() == b"\\xe9: \\udcff\n"


def test_other_terminals_keep_their_characters(monkeypatch):
    assert encoding.plus_minus() == "\N{PLUS-MINUS SIGN}"
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # in a notebook: it has no encoding to change
    encoding.print_any_character()


def test_a_command_ends_well_where_the_encoding_is_ascii(run_command, data_root, tmp_path, monkeypatch):
    root = tmp_path / "d\N{LATIN SMALL LETTER E WITH ACUTE}"
    shutil.copytree(data_root, root)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run_command("-m", "seti.check", f"data.root={root}", "workers=1", "report=r\N{GREEK SMALL LETTER BETA}.csv")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == rf"{tmp_path}/d\xe9: no errors, 0 warnings; r\u03b2.csv lists them"
