"""Quotes and escapes, compared with what Hydra and OmegaConf make of them."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seti.utils import spelling

AWKWARD = st.text("\\\"'${}()[]=,:~#é日 \ta1.", max_size=10)


@given(AWKWARD)
def test_quoted_text_is_read_as_it_is(text):
    quoted = spelling.quote(text)
    assert spelling.is_quoted(quoted)
    assert spelling.unquote(quoted) == text
    assert OverridesParser.create().parse_override(f"key={quoted}").value() == text


@given(AWKWARD)
def test_literal_text_holds_no_interpolation(text):
    assert OmegaConf.create({"key": spelling.literal(text)}).key == text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("outputs/base", "outputs/base"),
        ("1.10", "1.10"),
        ("a b", "a b"),
        ("é日本", "é日本"),
        ("-x", "-x"),
        ("lr=0.1", "lr=0.1"),
        ("lr=0.1,wd=0", '"lr=0.1,wd=0"'),
        (" a", '" a"'),
        ("a ", '"a "'),
        ("it's", '"it\'s"'),
        ('say "a"', "'say \"a\"'"),
        ("'a'", "\"'a'\""),
        ("a\\b", '"a\\b"'),
        ("a\\", '"a\\\\"'),
        ("(1)", '"(1)"'),
        ("[x]", '"[x]"'),
        ("~", '"~"'),
        ("a~", "a~"),
        ("$x", '"$x"'),
        ("a$x", "a$x"),
        ("a${x}", '"a\\${x}"'),
        ("null", '"null"'),
        ("NULL", '"NULL"'),
        ("???", '"???"'),
        ("", '""'),
    ],
)
def test_text_is_spelled_with_quotes_where_it_needs_them(text, spelled):
    assert spelling.spell(text) == spelled


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("a", ["a"]),
        ("", [""]),
        (" a , b ", ["a", "b"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("[1,2],[3,4]", ["[1,2]", "[3,4]"]),
        ("a\\,b,c", ["a\\,b", "c"]),
        ("it's,that's", ["it's", "that's"]),
        ("a(,b", ["a(", "b"]),
        ("${f:a,b},c", ["${f:a,b}", "c"]),
    ],
)
def test_values_are_split_at_the_commas_of_a_sweep(value, parts):
    assert spelling.split(value) == parts


@pytest.mark.parametrize(
    ("value", "sign"),
    [("[1,2", "["), ("1,2]", "]"), ("(1]", "]"), ("'a", "'"), ("it's", None), ("['a]', (b)]", None), ('["a]', '"')],
)
def test_the_first_bracket_or_quote_without_a_partner_is_found(value, sign):
    assert spelling.unclosed(value) == sign
